/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Far sides that answer what they must not: whatever they say, a fetch fails and leaves nothing. What they
 * say is a file, which a program in ssh's place prints. */
#include "pushworld.h"
#include "remote/sshway.h"

#include <fcntl.h>

static void write_file(const char *path, const char *text, mode_t mode)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;

    assert_done(vmscm_file_replace(path, text, strlen(text), mode, &err), &err);
}

static int setup_file(void **state)
{
    struct world *w = make_both();
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char path[512], script[1400];

    check_in(w, w->theirs, "web");
    assert_done(vmscm_novel_new(&w->novel, w->theirs->git, &err), &err);
    assert_done(vmscm_novel_want(w->novel, w->tip, &err), &err);
    assert_done(vmscm_remote_add(w->ours, "origin", "them:x", &err), &err);
    snprintf(path, sizeof path, "%s/said", w->dir);
    assert_done(vmscm_file_open(&w->fds[0], path, O_RDWR | O_CREAT | O_TRUNC, 0600, &err), &err);
    assert_done(
        vmscm_stream_open(&w->stream, w->fds[0], w->fds[0], "file", NULL, 0, &err), &err);
    snprintf(script, sizeof script, "#!/bin/sh\ncat '%s'\n[ -e '%s.ends' ] || cat >/dev/null\n", path,
        path);
    snprintf(path, sizeof path, "%s/ssh", w->dir);
    write_file(path, script, 0700);
    setenv("VMSCM_SSH", path, 1);
    *state = w;
    return 0;
}

static int teardown_file(void **state)
{
    struct world *w = *state;

    vmscm_stream_close(w->stream);
    close(w->fds[0]);
    remove_both(w);
    return 0;
}

static void answer(struct world *w, unsigned op)
{
    const struct vmscm_wire_opening opening = {.op = (uint8_t)op};
    struct vmscm_buf buf = VMSCM_BUF_INIT;

    assert_int_equal(vmscm_wire_encode_opening(&buf, &opening, NULL), 0);
    put(w, VMSCM_WIRE_RESPONSE, buf.data, buf.len);
    vmscm_buf_release(&buf);
}

static void refs(struct world *w, const char *name, unsigned times)
{
    struct vmscm_wire_ref ref = {{0}, {0}, ""};
    struct vmscm_wire_info info = {0, "evil"};
    struct vmscm_buf buf = VMSCM_BUF_INIT;

    answer(w, VMSCM_WIRE_OP_REFS);
    assert_int_equal(vmscm_wire_encode_info(&buf, &info, NULL), 0);
    put(w, VMSCM_WIRE_INFO, buf.data, buf.len);
    buf.len = 0;
    for (size_t i = 0; i < sizeof ref.id; i++) {
        char hex[3] = {w->tip[2 * i], w->tip[2 * i + 1], '\0'};
        ref.id[i] = ref.commit[i] = (uint8_t)strtoul(hex, NULL, 16);
    }
    memcpy(ref.name, name, strlen(name) + 1);
    while (times--)
        assert_int_equal(vmscm_wire_encode_ref(&buf, &ref, NULL), 0);
    put(w, VMSCM_WIRE_REFS, buf.data, buf.len);
    put(w, VMSCM_WIRE_END, NULL, 0);
    vmscm_buf_release(&buf);
}

static void answer_history(struct world *w)
{
    struct vmscm_novel *novels[] = {w->novel};

    answer(w, VMSCM_WIRE_OP_HISTORY);
    assert_int_equal(vmscm_histsend_run(w->stream, novels, 1, NULL), 0);
    put(w, VMSCM_WIRE_END, NULL, 0);
}

/* All data there is, whatever was asked for. */
static void answer_data(struct world *w)
{
    const struct vmscm_outgoing_how how = {.fresh = true};
    struct vmscm_outgoing *out;

    answer(w, VMSCM_WIRE_OP_DATA);
    assert_int_equal(vmscm_outgoing_new(&out, w->theirs, NULL), 0);
    assert_int_equal(vmscm_select_new(out, w->theirs, w->novel, NULL, NULL), 0);
    assert_int_equal(vmscm_outgoing_run(out, w->stream, &how, NULL), 0);
    put(w, VMSCM_WIRE_END, NULL, 0);
    vmscm_outgoing_free(out);
}

static void nothing(struct world *w)
{
    answer(w, VMSCM_WIRE_OP_DATA);
    put(w, VMSCM_WIRE_END, NULL, 0);
}

static int fetch(struct world *w, struct vmscm_error *err)
{
    const struct vmscm_remote_options options = {0};
    int rc = vmscm_stream_flush(w->stream, err);

    return rc ? rc : vmscm_remote_fetch(w->ours, &options, NULL, NULL, NULL, NULL, err);
}

static void expect_failure(struct world *w, int code, const char *text)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;

    assert_fails(fetch(w, &err), &err, code, text);
    expect_empty(w, "ours");
}

/* So that what fails is what the others do wrong. */
static void test_good(void **state)
{
    struct world *w = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;

    refs(w, "refs/heads/web", 1);
    answer_history(w);
    /* Leaves are asked for first; a record of the chunks would not have been asked for. */
    answer(w, VMSCM_WIRE_OP_DATA);
    struct vmscm_outgoing *out;
    const struct vmscm_outgoing_how how = {.fresh = true};
    struct vmscm_idset leaves = {0};
    assert_int_equal(vmscm_outgoing_new(&out, w->theirs, NULL), 0);
    assert_int_equal(vmscm_select_leaves(&leaves, w->theirs, w->novel, NULL), 0);
    for (size_t i = 0; i < leaves.room; i++)
        if (leaves.slots[i].used)
            assert_int_equal(vmscm_outgoing_want(out, &leaves.slots[i].id, NULL), 0);
    assert_int_equal(vmscm_outgoing_run(out, w->stream, &how, NULL), 0);
    put(w, VMSCM_WIRE_END, NULL, 0);
    vmscm_outgoing_free(out);
    answer(w, VMSCM_WIRE_OP_DATA);
    assert_int_equal(vmscm_outgoing_new(&out, w->theirs, NULL), 0);
    assert_int_equal(vmscm_select_new(out, w->theirs, w->novel, NULL, NULL), 0);
    for (size_t i = 0; i < leaves.room; i++)
        if (leaves.slots[i].used)
            vmscm_outgoing_drop(out, &leaves.slots[i].id);
    assert_int_equal(vmscm_outgoing_run(out, w->stream, &how, NULL), 0);
    put(w, VMSCM_WIRE_END, NULL, 0);
    vmscm_outgoing_free(out);
    vmscm_idset_release(&leaves);
    assert_done(fetch(w, &err), &err);
    assert_int_equal(entries(w, "ours", "packs"), 2);
}

static void test_names(void **state)
{
    static const char *const names[] = {"refs/heads/../../x", "refs/heads/a/../b", "refs/meta/access",
        "refs/remotes/origin/web", "refs/notes/pruned", "HEAD", "refs/heads/-x"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        refs(*state, names[i], 1);
        expect_failure(*state, VMSCM_EINPUT, "which none can be");
        teardown_file(state);
        setup_file(state);
    }
}

static void test_twice(void **state)
{
    refs(*state, "refs/heads/web", 2);
    expect_failure(*state, VMSCM_EINPUT, "twice");
}

static void test_later_version(void **state)
{
    struct world *w = *state;
    uint8_t opening[16] = {'V', 'M', 'S', 'C', 'M', 'R', 'E', 'M', 9};

    put(w, VMSCM_WIRE_RESPONSE, opening, sizeof opening);
    expect_failure(w, VMSCM_EUNSUPPORTED, "version 9");
}

static void test_ends(void **state)
{
    struct world *w = *state;
    char path[512];

    snprintf(path, sizeof path, "%s/said.ends", w->dir);
    write_file(path, "", 0600);
    refs(*state, "refs/heads/web", 1);
    expect_failure(*state, VMSCM_EIO, "connection ended");
}

static void test_no_history(void **state)
{
    struct world *w = *state;

    refs(w, "refs/heads/web", 1);
    answer(w, VMSCM_WIRE_OP_HISTORY);
    put(w, VMSCM_WIRE_END, NULL, 0);
    expect_failure(w, VMSCM_EINPUT, "not whole");
}

static void test_too_many_bare(void **state)
{
    struct world *w = *state;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    uint8_t *zeros = calloc(VMSCM_WIRE_IDS_MAX, VMSCM_WIRE_OID_SIZE);

    assert_non_null(zeros);
    assert_int_equal(vmscm_wire_encode_list(&buf, VMSCM_WIRE_BARE, zeros, VMSCM_WIRE_IDS_MAX,
                         VMSCM_WIRE_OID_SIZE, NULL),
        0);
    free(zeros);
    refs(w, "refs/heads/web", 1);
    answer(w, VMSCM_WIRE_OP_HISTORY);
    for (int i = 0; i < 17; i++)
        put(w, VMSCM_WIRE_COMMITS, buf.data, buf.len);
    put(w, VMSCM_WIRE_END, NULL, 0);
    vmscm_buf_release(&buf);
    expect_failure(w, VMSCM_EINPUT, "too many revisions");
}

static void test_another_answer(void **state)
{
    struct world *w = *state;

    refs(w, "refs/heads/web", 1);
    answer(w, VMSCM_WIRE_OP_ASK);
    expect_failure(w, VMSCM_EINPUT, "another request");
}

static void test_no_data(void **state)
{
    struct world *w = *state;

    refs(w, "refs/heads/web", 1);
    answer_history(w);
    for (int i = 0; i < 3; i++)
        nothing(w);
    expect_failure(w, VMSCM_EINPUT, "did not send all");
}

/* Of two machines it says what became of one. */
static void test_silent_about_a_push(void **state)
{
    const struct vmscm_remote_options options = {.all = 1};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct world *w = *state;
    struct vmscm_wire_result result = {.name = "refs/heads/a"};
    struct vmscm_buf buf = VMSCM_BUF_INIT;

    check_in(w, w->ours, "a");
    check_in(w, w->ours, "b");
    refs(w, "", 0);
    answer(w, VMSCM_WIRE_OP_ASK);
    put(w, VMSCM_WIRE_END, NULL, 0);
    answer(w, VMSCM_WIRE_OP_SEND);
    assert_int_equal(vmscm_wire_encode_result(&buf, &result, NULL), 0);
    put(w, VMSCM_WIRE_RESULT, buf.data, buf.len);
    put(w, VMSCM_WIRE_END, NULL, 0);
    vmscm_buf_release(&buf);
    assert_int_equal(vmscm_stream_flush(w->stream, NULL), 0);
    assert_fails(vmscm_remote_push(w->ours, &options, NULL, NULL, NULL, NULL, &err), &err,
        VMSCM_EINPUT, "does not say what became");
}

static void test_data_not_asked_for(void **state)
{
    struct world *w = *state;

    refs(w, "refs/heads/web", 1);
    answer_history(w);
    answer_data(w);
    expect_failure(w, VMSCM_EINPUT, "was not asked for");
}

static void test_an_error_that_clears_the_screen(void **state)
{
    struct world *w = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    static const char raw[] = "\x03\0\x09\0\x1b[2J no\n\n\0\0";

    put(w, VMSCM_WIRE_ERROR, raw, 15);
    assert_fails(fetch(w, &err), &err, VMSCM_EIO, "?[2J no??");
}

/* U+009B in place of ESC [, which a terminal may take for the same. */
static void test_an_error_with_c1(void **state)
{
    struct world *w = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    static const char raw[] = "\x03\0\x07\0\xc2\x9b" "2J no\0\0";

    put(w, VMSCM_WIRE_ERROR, raw, sizeof raw - 1);
    assert_fails(fetch(w, &err), &err, VMSCM_EIO, ": ?2J no");
}

static void test_arguments(void **state)
{
    struct vmscm_transport_options options = {.ssh = "my-ssh  -v"};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_url url;
    char **argv;

    (void)state;
    assert_done(vmscm_url_parse(&url, "ssh://me@host:2222/it's $(here)", &err), &err);
    assert_done(vmscm_sshway_arguments(&argv, &url, &options, &err), &err);
    static const char *const expected[] = {"my-ssh", "-v", "-p", "2222", "--", "me@host",
        "vmscm remote-serve '/it'\\''s $(here)'"};
    for (size_t i = 0; i < 7; i++)
        assert_string_equal(argv[i], expected[i]);
    assert_null(argv[7]);
    free(argv);
    vmscm_url_release(&url);
}

static void test_urls(void **state)
{
    static const struct {
        const char *text, *user, *host, *path;
        unsigned port;
    } good[] = {{"/a/b", NULL, NULL, "/a/b", 0}, {"./a:b", NULL, NULL, "./a:b", 0},
        {"file:///a", NULL, NULL, "/a", 0}, {"host:a/b", NULL, "host", "a/b", 0},
        {"me@host:a", "me", "host", "a", 0}, {"ssh://host/~/a", NULL, "host", "~/a", 0},
        {"ssh://[::1]:22/a", NULL, "::1", "/a", 22}};
    static const char *const bad[] = {"", "ssh://host", "ssh://host/", "ssh:///a", "ssh://host:x/a",
        "ssh://-oX=y/a", "-x", "ftp://host/a", "ssh://a b/c", "file://host/a"};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_url url;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_done(vmscm_url_parse(&url, good[i].text, &err), &err);
        assert_string_equal(url.path, good[i].path);
        assert_string_equal(url.host ? url.host : "", good[i].host ? good[i].host : "");
        assert_string_equal(url.user ? url.user : "", good[i].user ? good[i].user : "");
        assert_int_equal(url.port, good[i].port);
        vmscm_url_release(&url);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(vmscm_url_parse(&url, bad[i], &err), &err, VMSCM_EUSAGE, "");
    assert_fails(vmscm_url_parse(&url, "ssh://a:secret@host/x", &err), &err, VMSCM_EREFUSED, "password");
    assert_fails(vmscm_url_parse(&url, "https://a:secret@host/x", &err), &err, VMSCM_EREFUSED, "password");
    assert_null(strstr(err.message, "secret"));
    assert_true(vmscm_url_is("host:a/b") && vmscm_url_is("me@host:a") && vmscm_url_is("../a"));
    assert_false(vmscm_url_is("web:golden") || vmscm_url_is("web") || vmscm_url_is("qa/web:x"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_file, teardown_file)
    const struct CMUnitTest tests[] = {
        TEST(test_good),
        TEST(test_names),
        TEST(test_twice),
        TEST(test_later_version),
        TEST(test_ends),
        TEST(test_no_history),
        TEST(test_too_many_bare),
        TEST(test_another_answer),
        TEST(test_no_data),
        TEST(test_silent_about_a_push),
        TEST(test_data_not_asked_for),
        TEST(test_an_error_that_clears_the_screen),
        TEST(test_an_error_with_c1),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_urls),
    };

    return unit_run(tests);
}
