/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Peers that push what they must not: whatever they send, the repository is as it was, and they are told. */
#include "base/str.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "remote/histsend.h"
#include "remote/outgoing.h"
#include "remote/select.h"
#include "remote/serve.h"
#include "repo/handle.h"
#include "sys/file.h"
#include "sys/tempdir.h"
#include "unit.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vmscm/checkin.h>
#include <vmscm/fsck.h>
#include <vmscm/remote.h>

#define HEAD "refs/heads/web"

struct world {
    char *dir;
    struct vmscm_repo *ours, *theirs;
    struct vmscm_novel *novel, *none;
    struct vmscm_outgoing *out;
    char tip[VMSCM_GITDB_ID];
    pthread_t server;
    int fds[2], served;
    struct vmscm_stream *stream;
};

static void *serve(void *data)
{
    struct world *w = data;

    w->served = vmscm_remote_serve(w->theirs, w->fds[1], w->fds[1], 0, NULL);
    shutdown(w->fds[1], SHUT_RDWR);
    return NULL;
}

static struct vmscm_repo *make(const char *dir, const char *name)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_repo *repo;
    char path[512], *at;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_done(vmscm_repo_init(&at, path, 1, &err), &err);
    assert_done(vmscm_repo_open(&repo, at, &err), &err);
    vmscm_free(at);
    return repo;
}

static void check_in(struct world *w)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_checkin_options options = {0};
    struct vmscm_checkin_result result;
    struct vmscm_checkin_disk disk = {.format = "raw"};
    char path[512];
    uint64_t x = 88172645463325252u;
    FILE *f;

    snprintf(path, sizeof path, "%s/disk.raw", w->dir);
    f = fopen(path, "w");
    assert_non_null(f);
    for (size_t i = 0; i < 400000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        assert_int_equal(fwrite(&x, 1, 5, f), 5);
    }
    assert_int_equal(fclose(f), 0);
    disk.path = path;
    assert_done(vmscm_checkin(w->ours, "web", &disk, 1, &options, NULL, &result, &err), &err);
    memcpy(w->tip, result.id, sizeof w->tip);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char home[512];

    assert_non_null(w);
    assert_done(vmscm_tempdir_make(&w->dir, "/tmp", &err), &err);
    snprintf(home, sizeof home, "%s/home", w->dir);
    assert_done(vmscm_file_mkdirs(home, &err), &err);
    setenv("HOME", home, 1);
    unsetenv("XDG_CONFIG_HOME");
    w->ours = make(w->dir, "ours");
    w->theirs = make(w->dir, "theirs");
    check_in(w);
    assert_done(vmscm_novel_new(&w->novel, w->ours->git, &err), &err);
    assert_done(vmscm_novel_new(&w->none, w->ours->git, &err), &err);
    assert_done(vmscm_novel_want(w->novel, w->tip, &err), &err);
    assert_done(vmscm_outgoing_new(&w->out, w->ours, &err), &err);
    assert_done(vmscm_select_new(w->out, w->ours, w->novel, NULL, &err), &err);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, w->fds), 0);
    assert_done(vmscm_stream_open(&w->stream, w->fds[0], w->fds[0], "them", NULL, 0, &err), &err);
    assert_int_equal(pthread_create(&w->server, NULL, serve, w), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    vmscm_stream_close(w->stream);
    if (w->fds[0] >= 0)
        close(w->fds[0]);
    close(w->fds[1]);
    vmscm_outgoing_free(w->out);
    vmscm_novel_free(w->novel);
    vmscm_novel_free(w->none);
    vmscm_repo_close(w->ours);
    vmscm_repo_close(w->theirs);
    vmscm_tempdir_remove(w->dir);
    free(w);
    return 0;
}

static void put(struct world *w, unsigned type, const void *data, size_t len)
{
    /* It may have hung up already. */
    vmscm_stream_put(w->stream, type, NULL, 0, data, len, NULL);
}

static void begin(struct world *w, unsigned op, unsigned flags)
{
    const struct vmscm_wire_opening opening = {.op = (uint8_t)op, .flags = (uint16_t)flags};
    struct vmscm_buf buf = VMSCM_BUF_INIT;

    assert_int_equal(vmscm_wire_encode_opening(&buf, &opening, NULL), 0);
    put(w, VMSCM_WIRE_REQUEST, buf.data, buf.len);
    vmscm_buf_release(&buf);
}

static void update(struct world *w, const char *ref, const char *after)
{
    struct vmscm_wire_update wire = {0};
    struct vmscm_buf buf = VMSCM_BUF_INIT;

    memcpy(wire.name, ref, strlen(ref) + 1);
    for (size_t i = 0; i < sizeof wire.after; i++) {
        unsigned byte;
        char hex[3] = {after[2 * i], after[2 * i + 1], '\0'};
        byte = (unsigned)strtoul(hex, NULL, 16);
        wire.after[i] = (uint8_t)byte;
    }
    assert_int_equal(vmscm_wire_encode_update(&buf, &wire, NULL), 0);
    put(w, VMSCM_WIRE_UPDATE, buf.data, buf.len);
    vmscm_buf_release(&buf);
}

static void history(struct world *w)
{
    struct vmscm_novel *novels[] = {w->novel};

    vmscm_histsend_run(w->stream, novels, 1, NULL);
}

static void data(struct world *w)
{
    const struct vmscm_outgoing_how how = {.fresh = true};

    vmscm_outgoing_run(w->out, w->stream, &how, NULL);
}

static int count_ref(void *count, const char *ref, const char *id)
{
    (void)ref;
    (void)id;
    ++*(size_t *)count;
    return 0;
}

static size_t entries(const struct world *w, const char *sub)
{
    char path[512];
    size_t n = 0;
    DIR *d;

    snprintf(path, sizeof path, "%s/theirs/%s", w->dir, sub);
    d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* Nothing came of it, nothing is left of it, and the other side was told: with this code and text. */
static void expect_refused(struct world *w, int code, const char *text)
{
    struct vmscm_error err = VMSCM_ERROR_INIT, said = VMSCM_ERROR_INIT;
    struct vmscm_stream_frame frame = {0};
    size_t refs = 0;

    put(w, VMSCM_WIRE_END, NULL, 0);
    vmscm_stream_flush(w->stream, NULL);
    assert_done(vmscm_stream_get(w->stream, &frame, &err), &err);
    assert_int_equal(frame.type, VMSCM_WIRE_ERROR);
    assert_done(vmscm_wire_decode_error(&said, frame.data, frame.len, &err), &err);
    if (said.code != (enum vmscm_code)code || !strstr(said.message, text))
        fail_msg("said %s: %s", vmscm_error_name(said.code), said.message);
    close(w->fds[0]);
    w->fds[0] = -1;
    pthread_join(w->server, NULL);
    assert_int_equal(w->served, code);
    assert_done(vmscm_reflist_walk(w->theirs->git, "refs/", count_ref, &refs, &err), &err);
    assert_int_equal(refs, 0);
    assert_int_equal(entries(w, "packs"), 0);
    assert_int_equal(entries(w, "quarantine"), 0);
    assert_int_equal(entries(w, "git/objects/pack"), 0);
}

static void hang_up(struct world *w)
{
    close(w->fds[0]);
    w->fds[0] = -1;
    pthread_join(w->server, NULL);
}

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

static void test_too_much(void **state)
{
    struct world *w = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;

    /* As whoever keeps it has set it; the server, which is at its first request, reads it then. */
    assert_done(vmscm_repo_config_set(
                    w->theirs, VMSCM_CONFIG_REPOSITORY, "receive.maxSize", "100000", &err),
        &err);
    begin(w, VMSCM_WIRE_OP_SEND, 0);
    update(w, HEAD, w->tip);
    history(w);
    data(w);
    expect_refused(w, VMSCM_EREFUSED, "receive.maxSize");
}

static void test_too_much_history(void **state)
{
    struct world *w = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;

    assert_done(vmscm_repo_config_set(
                    w->theirs, VMSCM_CONFIG_REPOSITORY, "receive.maxSize", "100", &err),
        &err);
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
    assert_int_equal(entries(w, "packs"), 0);
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
        TEST(test_too_much),
        TEST(test_too_much_history),
        TEST(test_too_many_names),
        TEST(test_too_many_ids),
        TEST(test_leaves_are_not_kept),
        TEST(test_past),
        TEST(test_not_a_frame),
        TEST(test_unknown_requests),
        TEST(test_wants_what_is_not_shown),
        TEST(test_data_of_nothing),
        TEST(test_cut_off),
        TEST(test_missing),
    };

    return unit_run(tests);
}
