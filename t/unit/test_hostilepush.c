/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Peers that push what they must not: whatever they send, the repository is as it was, and they are told. */
#include "pushworld.h"

static void test_names(void **state)
{
    static const char *const names[] = {"refs/heads/../x", "refs/heads/a..b", "refs/meta/access",
        "refs/notes/pruned", "refs/remotes/a/b", "HEAD", "refs/heads/", "refs/heads/.hidden",
        "refs/tags/web", "refs/heads/a.lock"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct world *w = *state;
        begin(w, VMSCM_WIRE_OP_SEND, 0);
        update(w, names[i], w->tip);
        expect_refused(w, VMSCM_EREFUSED, "not a name that can be pushed");
        teardown(state);
        setup(state);
    }
    hang_up(*state);
}

static void test_control_characters(void **state)
{
    struct world *w = *state;
    uint8_t raw[44 + 2 + 13] = {0};

    raw[44] = 13;
    memcpy(raw + 46, "refs/heads/\n!", 13);
    begin(w, VMSCM_WIRE_OP_SEND, 0);
    put(w, VMSCM_WIRE_UPDATE, raw, sizeof raw);
    expect_refused(w, VMSCM_EINPUT, "cannot be read");
}

static void test_twice(void **state)
{
    struct world *w = *state;

    begin(w, VMSCM_WIRE_OP_SEND, 0);
    update(w, HEAD, w->tip);
    update(w, HEAD, w->tip);
    expect_refused(w, VMSCM_EINPUT, "twice");
}

static void test_no_history(void **state)
{
    struct world *w = *state;

    begin(w, VMSCM_WIRE_OP_SEND, 0);
    update(w, HEAD, w->tip);
    data(w);
    expect_refused(w, VMSCM_EINPUT, "not whole");
}

/* Sends objects of its own making. */
static void objects(struct world *w, const struct vmscm_gitdb_file *files, size_t count, bool all,
    char tip[VMSCM_GITDB_ID])
{
    const struct vmscm_signature who = {"Eve", "eve@example.org", 1700000000, 0};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_novel *novel = NULL;
    struct vmscm_novel *novels[1];

    assert_done(
        vmscm_gitdb_commit(tip, w->ours->git, files, count, NULL, 0, &who, &who, "bad", &err), &err);
    assert_done(vmscm_novel_new(&novel, w->ours->git, &err), &err);
    if (all)
        assert_done(vmscm_novel_want(novel, tip, &err), &err);
    novels[0] = novel;
    vmscm_histsend_run(w->stream, novels, 1, NULL);
    vmscm_novel_free(novel);
}

static void test_no_machine(void **state)
{
    static const struct vmscm_gitdb_file files[] = {{"readme", "x", 1}};
    struct world *w = *state;
    char tip[VMSCM_GITDB_ID];

    begin(w, VMSCM_WIRE_OP_SEND, 0);
    objects(w, files, 1, true, tip);
    update(w, HEAD, tip);
    expect_refused(w, VMSCM_EINPUT, "machine.json");
}

static void test_bad_map(void **state)
{
    static const char json[] =
        "{\"version\":1,\"arch\":\"x86_64\",\"firmware\":\"bios\",\"secureBoot\":false,\"cpus\":1,"
        "\"memory\":1073741824,\"disks\":[{\"id\":\"sda\",\"format\":\"raw\",\"size\":4096}],"
        "\"nics\":[]}";
    static const struct vmscm_gitdb_file files[] = {
        {"machine.json", json, sizeof json - 1}, {"disks/sda", "VMAPjunk", 8}};
    struct world *w = *state;
    char tip[VMSCM_GITDB_ID];

    begin(w, VMSCM_WIRE_OP_SEND, 0);
    objects(w, files, 2, true, tip);
    update(w, HEAD, tip);
    expect_refused(w, VMSCM_EINPUT, "revision");
}

static void test_history_of_another_type(void **state)
{
    struct world *w = *state;
    uint8_t frame[VMSCM_WIRE_BLOCK_HEAD + 12] = {0};

    vmscm_wire_encode_block(frame, 0, 12);
    frame[VMSCM_WIRE_BLOCK_HEAD] = 9;
    begin(w, VMSCM_WIRE_OP_SEND, 0);
    put(w, VMSCM_WIRE_HISTORY, frame, sizeof frame);
    expect_refused(w, VMSCM_EINPUT, "cannot be read");
}

static void test_history_that_ends_early(void **state)
{
    struct world *w = *state;
    uint8_t frame[VMSCM_WIRE_BLOCK_HEAD + 12] = {0};

    vmscm_wire_encode_block(frame, 0, 12);
    frame[VMSCM_WIRE_BLOCK_HEAD] = 3;
    frame[VMSCM_WIRE_BLOCK_HEAD + 1] = 200;
    begin(w, VMSCM_WIRE_OP_SEND, 0);
    put(w, VMSCM_WIRE_HISTORY, frame, sizeof frame);
    expect_refused(w, VMSCM_EINPUT, "ends early");
}

static void test_history_that_inflates(void **state)
{
    struct world *w = *state;
    uint8_t frame[VMSCM_WIRE_BLOCK_HEAD + 12] = {0};

    vmscm_wire_encode_block(frame, 1, VMSCM_WIRE_BLOCK_MAX);
    memcpy(frame + VMSCM_WIRE_BLOCK_HEAD, "\x28\xb5\x2f\xfd\xa0\xff\xff\xff\xff", 9);
    begin(w, VMSCM_WIRE_OP_SEND, 0);
    put(w, VMSCM_WIRE_HISTORY, frame, sizeof frame);
    expect_refused(w, VMSCM_EINPUT, "damaged");
}

/* A record of one part: its bytes as they are, header and all, of which the caller may change some. */
static size_t record(uint8_t out[256], const char *text, const struct vmscm_id *base)
{
    struct vmscm_pack_record r = {.type = VMSCM_PACK_CHUNK,
        .part_count = 1,
        .base_count = base ? 1 : 0,
        .plain_len = (uint32_t)strlen(text),
        .stored_len = (uint32_t)strlen(text),
        .parts = {(uint32_t)strlen(text)}};
    size_t head;

    if (base)
        r.bases[0] = *base;
    head = vmscm_pack_encode_record(out, &r, text);
    memcpy(out + head, text, strlen(text));
    return head + strlen(text);
}

static void test_records(void **state)
{
    for (int kind = 0; kind < 5; kind++) {
        struct world *w = *state;
        uint8_t bytes[256];
        size_t len = record(bytes, "some chunk", NULL);
        const char *why = "checksum";
        if (kind == 0)
            bytes[len - 1] ^= 1;
        else if (kind == 1)
            len--;
        else if (kind == 2)
            bytes[0] = 'X', why = "cannot be read";
        else if (kind == 3)
            memset(bytes + 8, 0xff, 4), why = "cannot be read";
        else
            memset(bytes + 16, 0xff, 4), why = "cannot be read";
        begin(w, VMSCM_WIRE_OP_SEND, 0);
        update(w, HEAD, w->tip);
        put(w, VMSCM_WIRE_RECORD, bytes, len);
        expect_refused(w, VMSCM_EINPUT, why);
        teardown(state);
        setup(state);
    }
    hang_up(*state);
}

static void test_not_a_frame(void **state)
{
    struct world *w = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_stream_frame frame;

    assert_int_equal(send(w->fds[0], "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL), 18);
    assert_done(vmscm_stream_get(w->stream, &frame, &err), &err);
    assert_int_equal(frame.type, VMSCM_WIRE_ERROR);
    hang_up(w);
    assert_int_equal(w->served, VMSCM_EINPUT);
}

static void test_unknown_requests(void **state)
{
    struct world *w = *state;

    begin(w, 77, 0);
    expect_refused(w, VMSCM_EUNSUPPORTED, "not known");
}

static void test_wants_what_is_not_shown(void **state)
{
    struct world *w = *state;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    uint8_t id[VMSCM_WIRE_OID_SIZE] = {1, 2, 3};

    begin(w, VMSCM_WIRE_OP_HISTORY, 0);
    assert_int_equal(vmscm_wire_encode_list(&buf, VMSCM_WIRE_WANT, id, 1, sizeof id, NULL), 0);
    put(w, VMSCM_WIRE_COMMITS, buf.data, buf.len);
    vmscm_buf_release(&buf);
    expect_refused(w, VMSCM_EBUSY, "not there");
}

static void test_data_of_nothing(void **state)
{
    struct world *w = *state;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_id id = {{1}};

    begin(w, VMSCM_WIRE_OP_DATA, 0);
    assert_int_equal(
        vmscm_wire_encode_list(&buf, VMSCM_WIRE_WANT, &id, 1, VMSCM_HASH_SIZE, NULL), 0);
    put(w, VMSCM_WIRE_IDS, buf.data, buf.len);
    vmscm_buf_release(&buf);
    expect_refused(w, VMSCM_EREFUSED, "no revision");
}

/* Cut off anywhere, nothing of it is seen. */
static void test_cut_off(void **state)
{
    struct world *w = *state;
    size_t refs = 0;

    begin(w, VMSCM_WIRE_OP_SEND, 0);
    update(w, HEAD, w->tip);
    history(w);
    data(w);
    vmscm_stream_flush(w->stream, NULL);
    assert_int_equal(send(w->fds[0], "\x0c\0\0\0\xff\0\0\0half", 12, MSG_NOSIGNAL), 12);
    hang_up(w);
    assert_int_equal(w->served, VMSCM_EIO);
    assert_int_equal(vmscm_reflist_walk(w->theirs->git, "refs/", count_ref, &refs, NULL), 0);
    assert_int_equal(refs, 0);
    assert_int_equal(entries(w, "theirs", "packs"), 0);
}

static size_t lacking(struct world *w)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_stream_frame frame;
    const uint8_t *ids;
    unsigned role;
    size_t count, all = 0;

    put(w, VMSCM_WIRE_END, NULL, 0);
    assert_done(vmscm_stream_get(w->stream, &frame, &err), &err);
    assert_int_equal(frame.type, VMSCM_WIRE_RESPONSE);
    for (;;) {
        assert_done(vmscm_stream_get(w->stream, &frame, &err), &err);
        if (frame.type == VMSCM_WIRE_END)
            return all;
        assert_int_equal(frame.type, VMSCM_WIRE_IDS);
        assert_done(vmscm_wire_decode_list(
                        &role, &ids, &count, VMSCM_HASH_SIZE, frame.data, frame.len, &err),
            &err);
        assert_int_equal(role, VMSCM_WIRE_LACK);
        all += count;
    }
}

static int drop_one(void *data, const struct vmscm_id *id)
{
    vmscm_outgoing_drop(data, id);
    return 1;
}

static void test_missing(void **state)
{
    struct world *w = *state;
    struct vmscm_id base = {{7}};
    uint8_t bytes[256];
    size_t len = record(bytes, "stored against what nobody has", &base), refs = 0;

    vmscm_outgoing_each(w->out, true, drop_one, w->out, NULL);
    begin(w, VMSCM_WIRE_OP_SEND, 0);
    update(w, HEAD, w->tip);
    history(w);
    data(w);
    put(w, VMSCM_WIRE_RECORD, bytes, len);
    assert_int_not_equal(lacking(w), 0);
    assert_int_equal(vmscm_reflist_walk(w->theirs->git, "refs/", count_ref, &refs, NULL), 0);
    assert_int_equal(refs, 0);
    hang_up(w);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_names),
        TEST(test_control_characters),
        TEST(test_twice),
        TEST(test_no_history),
        TEST(test_no_machine),
        TEST(test_bad_map),
        TEST(test_history_of_another_type),
        TEST(test_history_that_ends_early),
        TEST(test_history_that_inflates),
        TEST(test_records),
        TEST(test_not_a_frame),
        TEST(test_unknown_requests),
        TEST(test_wants_what_is_not_shown),
        TEST(test_data_of_nothing),
        TEST(test_cut_off),
        TEST(test_missing),
    };

    return unit_run(tests);
}
