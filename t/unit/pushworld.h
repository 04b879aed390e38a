/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two repositories, of which one may answer in a thread, and frames, for the tests of what comes from
 * peers. */
#ifndef PUSHWORLD_H
#define PUSHWORLD_H

#include "history/reflist.h"
#include "history/refs.h"
#include "remote/histsend.h"
#include "remote/outgoing.h"
#include "remote/select.h"
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
    bool ended; /* the server */
    int fds[2], served;
    struct vmscm_stream *stream;
};

static inline void *serve(void *data)
{
    struct world *w = data;

    w->served = vmscm_remote_serve(w->theirs, w->fds[1], w->fds[1], 0, NULL);
    shutdown(w->fds[1], SHUT_RDWR);
    return NULL;
}

static inline struct vmscm_repo *make(const char *dir, const char *name)
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

/* Of a disk of 2 MB without a pattern, the same each time. */
static inline void check_in(struct world *w, struct vmscm_repo *repo, const char *machine)
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
    assert_done(vmscm_checkin(repo, machine, &disk, 1, &options, NULL, &result, &err), &err);
    memcpy(w->tip, result.id, sizeof w->tip);
}

/* Both repositories, empty. */
static inline struct world *make_both(void)
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
    return w;
}

static inline void remove_both(struct world *w)
{
    vmscm_novel_free(w->novel);
    vmscm_repo_close(w->ours);
    vmscm_repo_close(w->theirs);
    vmscm_tempdir_remove(w->dir);
    free(w);
}

/* *state: NULL, or what receive.maxSize is to be. */
static inline int setup(void **state)
{
    struct world *w = make_both();
    struct vmscm_error err = VMSCM_ERROR_INIT;

    if (*state)
        assert_done(vmscm_repo_config_set(
                        w->theirs, VMSCM_CONFIG_REPOSITORY, "receive.maxSize", *state, &err),
            &err);
    check_in(w, w->ours, "web");
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

/* And wait for the server, which uses all of this. */
static inline void hang_up(struct world *w)
{
    if (w->ended)
        return;
    shutdown(w->fds[0], SHUT_RDWR);
    pthread_join(w->server, NULL);
    w->ended = true;
}

static inline int teardown(void **state)
{
    struct world *w = *state;

    /* It still runs where the test ended early. */
    hang_up(w);
    vmscm_stream_close(w->stream);
    close(w->fds[0]);
    close(w->fds[1]);
    vmscm_outgoing_free(w->out);
    vmscm_novel_free(w->none);
    remove_both(w);
    *state = NULL;
    return 0;
}

static inline void put(struct world *w, unsigned type, const void *data, size_t len)
{
    /* It may have hung up already. */
    vmscm_stream_put(w->stream, type, NULL, 0, data, len, NULL);
}

static inline void begin(struct world *w, unsigned op, unsigned flags)
{
    const struct vmscm_wire_opening opening = {.op = (uint8_t)op, .flags = (uint16_t)flags};
    struct vmscm_buf buf = VMSCM_BUF_INIT;

    assert_int_equal(vmscm_wire_encode_opening(&buf, &opening, NULL), 0);
    put(w, VMSCM_WIRE_REQUEST, buf.data, buf.len);
    vmscm_buf_release(&buf);
}

static inline void update(struct world *w, const char *ref, const char *after)
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

static inline void history(struct world *w)
{
    struct vmscm_novel *novels[] = {w->novel};

    vmscm_histsend_run(w->stream, novels, 1, NULL);
}

static inline void data(struct world *w)
{
    const struct vmscm_outgoing_how how = {.fresh = true};

    vmscm_outgoing_run(w->out, w->stream, &how, NULL);
}

static inline int count_ref(void *count, const char *ref, const char *id)
{
    (void)ref;
    (void)id;
    ++*(size_t *)count;
    return 0;
}

/* side: "ours" or "theirs". */
static inline size_t entries(const struct world *w, const char *side, const char *sub)
{
    char path[512];
    size_t n = 0;
    DIR *d;

    snprintf(path, sizeof path, "%s/%s/%s", w->dir, side, sub);
    d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static inline void expect_empty(const struct world *w, const char *side)
{
    struct vmscm_repo *repo = strcmp(side, "ours") == 0 ? w->ours : w->theirs;
    size_t refs = 0;

    assert_int_equal(vmscm_reflist_walk(repo->git, "refs/", count_ref, &refs, NULL), 0);
    assert_int_equal(refs, 0);
    assert_int_equal(entries(w, side, "packs"), 0);
    assert_int_equal(entries(w, side, "quarantine"), 0);
    assert_int_equal(entries(w, side, "git/objects/pack"), 0);
}

/* Nothing came of it, nothing is left of it, and the other side was told: with this code and text. */
static inline void expect_refused(struct world *w, int code, const char *text)
{
    struct vmscm_error err = VMSCM_ERROR_INIT, said = VMSCM_ERROR_INIT;
    struct vmscm_stream_frame frame = {0};

    put(w, VMSCM_WIRE_END, NULL, 0);
    vmscm_stream_flush(w->stream, NULL);
    assert_done(vmscm_stream_get(w->stream, &frame, &err), &err);
    assert_int_equal(frame.type, VMSCM_WIRE_ERROR);
    assert_done(vmscm_wire_decode_error(&said, frame.data, frame.len, &err), &err);
    hang_up(w);
    if (said.code != (enum vmscm_code)code || !strstr(said.message, text))
        fail_msg("said %s: %s", vmscm_error_name(said.code), said.message);
    assert_int_equal(w->served, code);
    expect_empty(w, "theirs");
}

#endif
