/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/base: text, paths, errors, buffers. */
#include "base/buf.h"
#include "base/path.h"
#include "base/str.h"
#include "base/vec.h"
#include "unit.h"

#include <errno.h>

static void sizes(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {{"0", 0}, {"512", 512}, {"64k", 65536}, {"20MiB", 20971520}, {"4G", 4294967296},
        {"1tb", 1099511627776}, {"18446744073709551615", UINT64_MAX}, {"7B", 7}};
    static const char *const bad[] = {"", "k", "-1", "1x", "1kk", "18446744073709551616", "32E",
        "1 k", "1.5G", "99999999999999999999999999"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t v = 1;
        assert_done(vmscm_str_size(&v, good[i].text, &err), &err);
        assert_int_equal(v, good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t v;
        assert_fails(vmscm_str_size(&v, bad[i], &err), &err, VMSCM_EUSAGE, "not a size");
        assert_string_not_equal(err.hint, "");
    }
}

static void confined_paths(void **state)
{
    static const char *const good[] = {"a", "a/b", "a.b/c-d", "...", ".hidden"};
    static const char *const bad[] = {"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..",
        "a/./b", "a\nb", "a/\x7f"};
    char longest[5000];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(vmscm_path_is_confined(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(vmscm_path_is_confined(bad[i]));
    memset(longest, 'a', sizeof longest);
    longest[255] = '\0';
    assert_true(vmscm_path_is_confined(longest));
    longest[255] = 'a';
    longest[256] = '\0';
    assert_false(vmscm_path_is_confined(longest));
}

static void path_parts(void **state)
{
    static const struct {
        const char *path, *dir, *base;
    } t[] = {{"a", ".", "a"}, {"/a", "/", "a"}, {"a/b", "a", "b"}, {"//a", "/", "a"},
        {"a//b", "a", "b"}};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char *s;

    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        assert_done(vmscm_path_dirname(&s, t[i].path, &err), &err);
        assert_string_equal(s, t[i].dir);
        free(s);
        assert_string_equal(vmscm_path_basename(t[i].path), t[i].base);
    }
    assert_done(vmscm_path_join(&s, "a/", "b", &err), &err);
    assert_string_equal(s, "a/b");
    free(s);
    assert_done(vmscm_path_join(&s, "a", "/b", &err), &err);
    assert_string_equal(s, "/b");
    free(s);
}

static void hex_and_utf8(void **state)
{
    uint8_t raw[3] = {0, 0xab, 0xff}, back[3];
    char hex[7];

    (void)state;
    vmscm_str_hex(hex, raw, 3);
    assert_string_equal(hex, "00abff");
    assert_true(vmscm_str_unhex(back, 3, "00ABff"));
    assert_memory_equal(raw, back, 3);
    assert_false(vmscm_str_unhex(back, 3, "00abf"));
    assert_false(vmscm_str_unhex(back, 3, "00abff0"));
    assert_false(vmscm_str_unhex(back, 3, "00abfg"));
    assert_true(vmscm_str_printable("gr\xc3\xbc\xc3\x9f"));
    assert_false(vmscm_str_printable("\xc0\xaf"));
    assert_false(vmscm_str_printable("a\x1b[31m"));
    assert_false(vmscm_str_printable("\xed\xa0\x80"));
    assert_false(vmscm_str_printable("\xc2\x80"));
    assert_false(vmscm_str_printable("\xe2\x82"));
}

static void distances(void **state)
{
    (void)state;
    assert_int_equal(vmscm_str_distance("web-server", "web-server", 9), 0);
    assert_int_equal(vmscm_str_distance("web-sevrer", "web-server", 9), 1);
    assert_int_equal(vmscm_str_distance("kitten", "sitting", 9), 3);
    assert_int_equal(vmscm_str_distance("", "abc", 9), 3);
    assert_int_equal(vmscm_str_distance("abc", "abcdefghijkl", 3), 3);
}

static void errors(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char long_text[3000];

    (void)state;
    assert_int_equal(vmscm_error_set(NULL, VMSCM_EIO, "x"), VMSCM_EIO);
    vmscm_error_set(&err, VMSCM_EINPUT, "a\nb\x1b: %d", 3);
    assert_string_equal(err.message, "a?b?: 3");
    vmscm_error_prefix(&err, "%s", "disk");
    assert_string_equal(err.message, "disk: a?b?: 3");
    vmscm_error_hint(&err, "%s", "\xc2\x9b" "2J \xc3\xa9 \xc2\xa9 \xc2\x80");
    assert_string_equal(err.hint, "?2J \xc3\xa9 \xc2\xa9 ?");
    vmscm_error_hint(&err, "try %s", "this");
    assert_string_equal(err.hint, "try this");
    memset(long_text, 'y', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    vmscm_error_set(&err, VMSCM_EINPUT, "%s", long_text);
    vmscm_error_prefix(&err, "%s", long_text);
    assert_true(strlen(err.message) < sizeof err.message);
    assert_int_equal(vmscm_error_errno(&err, ENOSPC, "%s", "pack"), VMSCM_EIO);
    assert_string_equal(err.message, "pack: No space left on device");
    assert_int_equal(vmscm_error_errno(&err, ENOMEM, "pack"), VMSCM_ENOMEM);
    for (int code = VMSCM_OK; code >= VMSCM_ETOOL; code--) {
        assert_string_not_equal(vmscm_error_name(code), "unknown");
        assert_in_range(vmscm_error_exit_status(code), 0, 4);
    }
    assert_string_equal(vmscm_error_name(-99), "unknown");
}

static void buffers(void **state)
{
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    VMSCM_VEC(int) v = {0};

    (void)state;
    assert_string_equal(vmscm_buf_str(&buf), "");
    assert_done(vmscm_buf_puts(&buf, "x", &err), &err);
    for (int i = 0; i < 100; i++)
        assert_done(vmscm_buf_printf(&buf, &err, "%d,", i), &err);
    assert_int_equal(buf.len, 1 + 10 * 2 + 90 * 3);
    assert_done(vmscm_buf_put32(&buf, 0x01020304, &err), &err);
    assert_int_equal(buf.data[buf.len - 4], 4);
    char *s = vmscm_buf_steal(&buf);
    assert_non_null(s);
    assert_memory_equal(s, "x0,1,", 5);
    free(s);
    s = vmscm_buf_steal(&buf);
    assert_non_null(s);
    assert_string_equal(s, "");
    free(s);
    for (int i = 0; i < 1000; i++) {
        int *slot = NULL;
        assert_done(vmscm_vec_add(&v, &slot, &err), &err);
        assert_int_equal(*slot, 0);
        *slot = i;
    }
    assert_int_equal(v.items[999], 999);
    vmscm_vec_release(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(confined_paths),
        cmocka_unit_test(path_parts),
        cmocka_unit_test(hex_and_utf8),
        cmocka_unit_test(distances),
        cmocka_unit_test(errors),
        cmocka_unit_test(buffers),
    };
    return unit_run(tests);
}
