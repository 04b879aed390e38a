/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Peers that send, or ask for, more than is good: what they can cost is bounded. */
#include "base/str.h"
#include "pushworld.h"
#include "remote/serve.h"

static void test_too_much(void **state)
{
    struct world *w = *state;

    begin(w, VMSCM_WIRE_OP_SEND, 0);
    update(w, HEAD, w->tip);
    history(w);
    data(w);
    expect_refused(w, VMSCM_EREFUSED, "receive.maxSize");
}

static void test_too_much_history(void **state)
{
    struct world *w = *state;

    begin(w, VMSCM_WIRE_OP_SEND, 0);
    update(w, HEAD, w->tip);
    history(w);
    expect_refused(w, VMSCM_EREFUSED, "receive.maxSize");
}

static void test_too_many_names(void **state)
{
    struct world *w = *state;
    char name[64];

    begin(w, VMSCM_WIRE_OP_SEND, 0);
    for (unsigned i = 0; i <= VMSCM_SERVE_UPDATES_MAX; i++) {
        snprintf(name, sizeof name, "refs/heads/m%u", i);
        update(w, name, w->tip);
    }
    expect_refused(w, VMSCM_EREFUSED, "names are pushed");
}

/* Frames of ids, as many as it takes. */
static void lists(struct world *w, unsigned type, unsigned role, size_t size, size_t ids,
    size_t frames)
{
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    uint8_t *zeros = calloc(ids, size);

    assert_non_null(zeros);
    assert_int_equal(vmscm_wire_encode_list(&buf, role, zeros, ids, size, NULL), 0);
    for (size_t i = 0; i < frames; i++)
        put(w, type, buf.data, buf.len);
    vmscm_buf_release(&buf);
    free(zeros);
}

static void test_too_many_ids(void **state)
{
    struct world *w = *state;

    begin(w, VMSCM_WIRE_OP_SEND, 0);
    lists(w, VMSCM_WIRE_COMMITS, VMSCM_WIRE_BARE, VMSCM_WIRE_OID_SIZE, VMSCM_WIRE_IDS_MAX, 17);
    expect_refused(w, VMSCM_EINPUT, "cannot be read");
    teardown(state);
    setup(state);
    w = *state;
    begin(w, VMSCM_WIRE_OP_ASK, 0);
    lists(w, VMSCM_WIRE_IDS, VMSCM_WIRE_WANT, VMSCM_HASH_SIZE, 1, 4097);
    expect_refused(w, VMSCM_EREFUSED, "at once");
    teardown(state);
    setup(state);
    w = *state;
    begin(w, VMSCM_WIRE_OP_HISTORY, 0);
    lists(w, VMSCM_WIRE_COMMITS, VMSCM_WIRE_HAVE, VMSCM_WIRE_OID_SIZE, VMSCM_WIRE_IDS_MAX, 5);
    expect_refused(w, VMSCM_EREFUSED, "at once");
}

/* Leaves that are no one's are refused when they come, not when the request is over. */
static void test_leaves_are_not_kept(void **state)
{
    struct world *w = *state;
    struct vmscm_stream_frame frame = {0};

    begin(w, VMSCM_WIRE_OP_DATA, 0);
    lists(w, VMSCM_WIRE_IDS, VMSCM_WIRE_WANT, VMSCM_HASH_SIZE, 1, 1);
    assert_int_equal(vmscm_stream_flush(w->stream, NULL), 0);
    assert_int_equal(vmscm_stream_get(w->stream, &frame, NULL), 0);
    assert_int_equal(frame.type, VMSCM_WIRE_ERROR);
    hang_up(w);
    assert_int_equal(w->served, VMSCM_EREFUSED);
}

static void want(struct world *w, const char *id)
{
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    uint8_t oid[VMSCM_WIRE_OID_SIZE];

    assert_true(vmscm_str_unhex(oid, sizeof oid, id));
    begin(w, VMSCM_WIRE_OP_HISTORY, 0);
    assert_int_equal(vmscm_wire_encode_list(&buf, VMSCM_WIRE_WANT, oid, 1, sizeof oid, NULL), 0);
    put(w, VMSCM_WIRE_COMMITS, buf.data, buf.len);
    put(w, VMSCM_WIRE_END, NULL, 0);
    vmscm_buf_release(&buf);
}

/* What a ref named a moment ago is given; why it cannot be found is said as it is. */
static void test_past(void **state)
{
    static const struct vmscm_gitdb_file files[] = {{"readme", "x", 1}};
    const struct vmscm_signature who = {"Ann", "ann@example.org", 1700000000, 0};
    struct vmscm_error err = VMSCM_ERROR_INIT, said = VMSCM_ERROR_INIT;
    struct world *w = *state;
    struct vmscm_stream_frame frame = {0};
    char old[VMSCM_GITDB_ID], tip[VMSCM_GITDB_ID], path[600];
    const char *parents[] = {old};

    assert_done(
        vmscm_gitdb_commit(old, w->theirs->git, files, 1, NULL, 0, &who, &who, "1", &err), &err);
    assert_done(
        vmscm_gitdb_commit(tip, w->theirs->git, files, 1, parents, 1, &who, &who, "2", &err), &err);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "refs/heads/m%d", i);
        assert_done(vmscm_refs_update(w->theirs->git, path, "", tip, &who, "test", &err), &err);
    }
    want(w, old);
    do
        assert_done(vmscm_stream_get(w->stream, &frame, &err), &err);
    while (frame.type != VMSCM_WIRE_END && frame.type != VMSCM_WIRE_ERROR);
    assert_int_equal(frame.type, VMSCM_WIRE_END);
    snprintf(path, sizeof path, "%s/theirs/git/objects/%.2s/%s", w->dir, old, old + 2);
    assert_int_equal(unlink(path), 0);
    want(w, "0123456789012345678901234567890123456789");
    assert_done(vmscm_stream_get(w->stream, &frame, &err), &err);
    assert_int_equal(frame.type, VMSCM_WIRE_ERROR);
    assert_done(vmscm_wire_decode_error(&said, frame.data, frame.len, &err), &err);
    if (!strstr(said.message, old))
        fail_msg("said %s: %s", vmscm_error_name(said.code), said.message);
    hang_up(w);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define LIMITED(name, max)                                                                        \
    cmocka_unit_test_prestate_setup_teardown(name, setup, teardown, (char *)(max))
    const struct CMUnitTest tests[] = {
        LIMITED(test_too_much, "100000"),
        LIMITED(test_too_much_history, "100"),
        TEST(test_too_many_names),
        TEST(test_too_many_ids),
        TEST(test_leaves_are_not_kept),
        TEST(test_past),
    };

    return unit_run(tests);
}
