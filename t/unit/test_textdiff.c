/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/history/textdiff: unified diffs of texts. */
#include "unit.h"

#include <vmscm/diff.h>

struct text {
    char bytes[512];
    size_t len, left; /* calls till it is enough; 0: never */
};

static int add(void *data, const char *text, size_t size)
{
    struct text *t = data;

    assert_true(t->len + size < sizeof t->bytes);
    memcpy(t->bytes + t->len, text, size);
    t->len += size;
    t->bytes[t->len] = '\0';
    return t->left && --t->left == 0 ? 77 : 0;
}

static void check(const char *before, const char *after, const char *expected)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct text text = {"", 0, 0};
    int binary = 1;

    assert_done(
        vmscm_diff_text(&binary, before, strlen(before), after, strlen(after), add, &text, &err),
        &err);
    assert_int_equal(binary, 0);
    assert_string_equal(text.bytes, expected);
}

static void texts(void **state)
{
    (void)state;
    check("a\nb\n", "a\nb\n", "");
    check("a\nb\nc\n", "a\nB\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
    check("", "a\n", "@@ -0,0 +1 @@\n+a\n");
    check("a\n", "", "@@ -1 +0,0 @@\n-a\n");
    check("a", "a\n", "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n");
    check("a\n", "b", "@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n");
}

static void others(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct text text = {"", 0, 0};
    int binary = 0;

    (void)state;
    assert_done(vmscm_diff_text(&binary, "a\0b", 3, "a\0c", 3, add, &text, &err), &err);
    assert_int_equal(binary, 1);
    assert_int_equal(text.len, 0);
    assert_done(vmscm_diff_text(&binary, NULL, 0, NULL, 0, add, &text, &err), &err);
    assert_int_equal(binary, 0);
    /* Who gets it may have enough. */
    text.left = 2;
    assert_int_equal(vmscm_diff_text(&binary, "a\n", 2, "b\n", 2, add, &text, &err), 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts), cmocka_unit_test(others)};

    return unit_run(tests);
}
