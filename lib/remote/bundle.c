/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making bundles of history, and looking at them: vmscm-format-bundle(5). What is in one is what a push would
 * send to a repository that has just the revisions that it builds on. */
#include "base/endian.h"
#include "base/path.h"
#include "base/str.h"
#include "history/pruned.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "remote/bundlefile.h"
#include "remote/histsend.h"
#include "repo/refnames.h"
#include "remote/select.h"
#include "remote/wanted.h"
#include "store/lease.h"
#include "sys/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <vmscm/remote.h>
#include <vmscm/version.h>

struct making {
    struct vmscm_repo *repo;
    const struct vmscm_remote_bundle *what;
    const struct vmscm_events *events;
    struct vmscm_remote_options wanted; /* the same names */
    bool *named;
    struct vmscm_stream *stream;
    struct vmscm_novel *revisions, *notes;
    struct vmscm_pruned *pruned;
    struct vmscm_outgoing *out;
    struct vmscm_lease *lease;
    struct vmscm_buf refs, had, bare, frame;
    size_t ref_count;
    struct vmscm_error *err;
};

static void release(struct making *m)
{
    free(m->named);
    vmscm_novel_free(m->revisions);
    vmscm_novel_free(m->notes);
    vmscm_pruned_free(m->pruned);
    vmscm_outgoing_free(m->out);
    vmscm_lease_close(m->lease);
    vmscm_buf_release(&m->refs);
    vmscm_buf_release(&m->had);
    vmscm_buf_release(&m->bare);
    vmscm_buf_release(&m->frame);
}

static int know_ref(void *data, const char *ref, const char *id)
{
    struct making *m = data;

    (void)ref;
    return id ? vmscm_novel_know(m->revisions, id, m->err) : 0;
}

/* What the other side has. */
static int know(struct making *m, struct vmscm_error *err)
{
    static const char *const rooms[] = {VMSCM_REFNAMES_TRACKED, VMSCM_REFNAMES_TAGS};
    char *prefix = NULL, *url = NULL;
    int rc = 0;

    for (size_t i = 0; i < m->what->known_count && !rc; i++)
        rc = vmscm_novel_know(m->revisions, m->what->known[i], err);
    if (!rc && m->what->known_by)
        rc = vmscm_remote_url(&url, m->repo, m->what->known_by, err);
    for (size_t i = 0; i < 2 && !rc && m->what->known_by; i++) {
        free(prefix);
        prefix = NULL;
        if (!(rc = vmscm_str_printf(&prefix, err, "%s%s/", rooms[i], m->what->known_by)))
            rc = vmscm_reflist_walk(m->repo->git, prefix, know_ref, m, err);
    }
    free(prefix);
    free(url);
    return rc;
}

static int put_id(struct vmscm_buf *buf, const char *id, struct vmscm_error *err)
{
    uint8_t bytes[VMSCM_WIRE_OID_SIZE];

    if (!vmscm_str_unhex(bytes, sizeof bytes, id))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "%s: no id", id);
    for (size_t at = 0; at < buf->len; at += sizeof bytes)
        if (memcmp(buf->data + at, bytes, sizeof bytes) == 0)
            return 0;
    return vmscm_buf_append(buf, bytes, sizeof bytes, err);
}

/* A ref, if it is among those that are wanted. */
static int add_ref(void *data, const char *ref, const char *id)
{
    struct making *m = data;
    struct vmscm_wire_ref wire;
    char commit[VMSCM_GITDB_ID], *machine = NULL;
    const char *tag = NULL;
    enum vmscm_refnames_kind kind = vmscm_refnames_kind(ref, &machine, &tag);
    bool force, note = kind == VMSCM_REFNAMES_NOTE;
    int rc = 0;

    if (kind == VMSCM_REFNAMES_NONE || strlen(ref) > VMSCM_WIRE_NAME_MAX ||
        (!note && !vmscm_wanted_match(&m->wanted, machine, tag, &force, m->named)))
        goto out;
    if (!id) {
        rc = vmscm_error_set(m->err, VMSCM_EDAMAGED, "%s: cannot be read", ref);
        goto out;
    }
    if ((rc = vmscm_refs_peel(commit, m->repo->git, id, m->err)) ||
        (rc = vmscm_novel_want(note ? m->notes : m->revisions, id, m->err)))
        goto out;
    vmscm_str_unhex(wire.id, sizeof wire.id, id);
    vmscm_str_unhex(wire.commit, sizeof wire.commit, commit);
    memcpy(wire.name, ref, strlen(ref) + 1);
    rc = vmscm_wire_encode_ref(&m->refs, &wire, m->err);
    m->ref_count += !note;
    if (!rc && !note && !vmscm_novel_is_new(m->revisions, commit))
        rc = put_id(&m->had, commit, m->err);
out:
    free(machine);
    return rc;
}

static int collect(struct making *m, struct vmscm_error *err)
{
    int rc;

    m->err = err;
    m->wanted.names = m->what->names;
    m->wanted.name_count = m->what->name_count;
    m->wanted.tags = 1;
    if (!(m->named = calloc(m->what->name_count + 1, sizeof *m->named)))
        return vmscm_error_nomem(err);
    if ((rc = vmscm_wanted_check(&m->wanted, err)) ||
        (rc = vmscm_novel_new(&m->revisions, m->repo->git, err)) ||
        (rc = vmscm_novel_new(&m->notes, m->repo->git, err)) ||
        (rc = vmscm_pruned_load(&m->pruned, m->repo->git, err)) || (rc = know(m, err)) ||
        (rc = vmscm_reflist_walk(m->repo->git, "refs/", add_ref, m, err)))
        return rc;
    for (size_t i = 0; i < m->what->name_count; i++)
        if (!m->named[i]) {
            bool pattern;
            return vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: no machine or tag of that name",
                vmscm_wanted_text(m->what->names[i], &pattern));
        }
    if (!m->ref_count)
        return vmscm_error_set(err, VMSCM_ENOTFOUND, "a bundle: there is no machine");
    for (size_t i = 0; i < vmscm_novel_edge_count(m->revisions) && !rc; i++)
        rc = put_id(&m->had, vmscm_novel_edge(m->revisions, i), err);
    for (size_t i = 0; i < vmscm_novel_commit_count(m->revisions) && !rc; i++) {
        const char *commit = vmscm_novel_commit(m->revisions, i);
        if (vmscm_pruned_has(m->pruned, commit))
            rc = put_id(&m->bare, commit, err);
    }
    return rc;
}

static int put_ids(struct making *m, unsigned role, const struct vmscm_buf *ids,
    struct vmscm_error *err)
{
    int rc = 0;

    for (size_t at = 0; at < ids->len && !rc;) {
        size_t count = (ids->len - at) / VMSCM_WIRE_OID_SIZE;
        if (count > VMSCM_WIRE_IDS_MAX)
            count = VMSCM_WIRE_IDS_MAX;
        m->frame.len = 0;
        if (!(rc = vmscm_wire_encode_list(
                  &m->frame, role, ids->data + at, count, VMSCM_WIRE_OID_SIZE, err)))
            rc = vmscm_stream_put_buf(m->stream, VMSCM_WIRE_COMMITS, &m->frame, err);
        at += count * VMSCM_WIRE_OID_SIZE;
    }
    return rc;
}

/* Refs, as many frames as they take: a ref is not cut in two. */
static int put_refs(struct making *m, struct vmscm_error *err)
{
    struct vmscm_wire_ref ref;
    const uint8_t *at = m->refs.data, *begin = at;
    size_t left = m->refs.len;
    int rc = 0;

    while (left && !rc && !(rc = vmscm_wire_decode_ref(&ref, &at, &left, err)))
        if (!left || at - begin > (1 << 20)) {
            rc = vmscm_stream_put(
                m->stream, VMSCM_WIRE_REFS, NULL, 0, begin, (size_t)(at - begin), err);
            begin = at;
        }
    return rc;
}

static int write_all(struct making *m, struct vmscm_error *err)
{
    struct vmscm_novel *const novels[] = {m->revisions, m->notes};
    /* A record may only be stored against what comes with it, or what it builds on: nobody can be asked for
     * another. */
    struct vmscm_outgoing_how how = {.fresh = true, .events = m->events};
    struct vmscm_wire_info info = {0};
    uint8_t sum[8];
    int rc;

    if (vmscm_lease_open(&m->lease, m->repo->path, NULL) == 0)
        for (size_t i = 0; i < vmscm_novel_commit_count(m->revisions); i++)
            vmscm_lease_add_commit(m->lease, vmscm_novel_commit(m->revisions, i), NULL);
    snprintf(info.agent, sizeof info.agent, "vmscm %.40s", vmscm_version());
    if ((rc = vmscm_outgoing_new(&m->out, m->repo, err)) ||
        (rc = vmscm_select_new(m->out, m->repo, m->revisions, m->pruned, err)) ||
        (rc = vmscm_outgoing_measure(m->out, &how.total, err)) ||
        (rc = vmscm_wire_encode_info(&m->frame, &info, err)) ||
        (rc = vmscm_stream_put_buf(m->stream, VMSCM_WIRE_INFO, &m->frame, err)) ||
        (rc = put_refs(m, err)) || (rc = put_ids(m, VMSCM_WIRE_HAVE, &m->had, err)) ||
        (rc = put_ids(m, VMSCM_WIRE_BARE, &m->bare, err)) ||
        (rc = vmscm_histsend_run(m->stream, novels, 2, err)) ||
        (rc = vmscm_outgoing_run(m->out, m->stream, &how, err)))
        return rc;
    vmscm_put_le64(sum, vmscm_stream_checksum_put(m->stream));
    if ((rc = vmscm_stream_put(
             m->stream, VMSCM_WIRE_CHECKSUM, NULL, 0, sum, sizeof sum, err)) ||
        (rc = vmscm_stream_put(m->stream, VMSCM_WIRE_END, NULL, 0, NULL, 0, err)))
        return rc;
    return vmscm_stream_flush(m->stream, err);
}

/* Into a file beside it, which takes its place when it is whole; NULL: to standard output. */
static int write_file(struct making *m, const char *path, struct vmscm_remote_result *result,
    struct vmscm_error *err)
{
    uint8_t head[VMSCM_HISTBUNDLE_HEAD_SIZE];
    const char *name = path ? path : "standard output";
    char *part = NULL, *dir = NULL;
    int fd = -1, rc = 0;

    vmscm_histbundle_encode_head(head);
    if (path &&
        ((rc = vmscm_str_printf(&part, err, "%s.part", path)) ||
            (rc = vmscm_path_dirname(&dir, path, err)) ||
            (rc = vmscm_file_open(&fd, part, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0666, err))))
        goto out;
    if ((rc = vmscm_file_write(path ? fd : STDOUT_FILENO, head, sizeof head, name, err)) ||
        (rc = vmscm_stream_open(&m->stream, -1, path ? fd : STDOUT_FILENO, name, m->events, 0, err)) ||
        (rc = write_all(m, err)))
        goto out;
    result->sent = result->stored = vmscm_stream_sent(m->stream) + sizeof head;
    if (path && !(rc = vmscm_file_fsync(fd, part, err)) && rename(part, path) < 0)
        rc = vmscm_error_set(err, VMSCM_EIO, "%s: cannot be renamed to %s", part, path);
    if (path && !rc)
        rc = vmscm_file_sync_dir(dir, err);
out:
    vmscm_stream_close(m->stream);
    if (fd >= 0)
        close(fd);
    if (rc && fd >= 0)
        unlink(part);
    free(part);
    free(dir);
    return rc;
}

int vmscm_remote_bundle(struct vmscm_repo *repo, const char *path,
    const struct vmscm_remote_bundle *what, const struct vmscm_events *events,
    struct vmscm_remote_result *result, struct vmscm_error *err)
{
    struct making m = {.repo = repo, .what = what, .events = events};
    struct vmscm_remote_result own = {0};
    struct timespec begin, end;
    int rc;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (!(rc = collect(&m, err)))
        rc = write_file(&m, path, &own, err);
    clock_gettime(CLOCK_MONOTONIC, &end);
    own.seconds =
        (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    release(&m);
    if (result)
        *result = own;
    return rc;
}

static int tell_refs(const struct vmscm_bundlefile *b,
    int (*each)(void *data, const struct vmscm_remote_ref *ref), void *data,
    struct vmscm_error *err)
{
    const uint8_t *at = b->refs.data;
    size_t left = b->refs.len;
    int rc = 0;

    while (left && !rc) {
        struct vmscm_wire_ref wire;
        struct vmscm_remote_ref ref = {0};
        char *machine = NULL, id[VMSCM_GITDB_ID];
        if ((rc = vmscm_wire_decode_ref(&wire, &at, &left, err)))
            break;
        enum vmscm_refnames_kind kind = vmscm_refnames_kind(wire.name, &machine, &ref.tag);
        vmscm_str_hex(id, wire.commit, sizeof wire.commit);
        ref.machine = machine;
        ref.id = id;
        if (kind == VMSCM_REFNAMES_MACHINE || kind == VMSCM_REFNAMES_TAG)
            rc = each(data, &ref);
        free(machine);
    }
    return rc;
}

int vmscm_remote_bundle_show(const char *path, struct vmscm_repo *repo, int check,
    const struct vmscm_events *events,
    int (*each)(void *data, const struct vmscm_remote_ref *ref),
    int (*needs)(void *data, const char *id, int here), void *data, struct vmscm_error *err)
{
    struct vmscm_bundlefile *b = NULL;
    struct vmscm_stream_frame frame;
    bool over = false;
    int rc = vmscm_bundlefile_open(&b, path, events, err);

    while (!rc && check && !over)
        rc = vmscm_bundlefile_next(b, &frame, &over, err);
    for (size_t i = 0; !rc && needs && i < b->had.len; i++) {
        struct vmscm_gitdb_info info = {0};
        int here = repo && vmscm_gitdb_read_commit(&info, repo->git, b->had.items[i].id, NULL) == 0;
        vmscm_gitdb_info_release(&info);
        rc = needs(data, b->had.items[i].id, here);
    }
    if (!rc && each)
        rc = tell_refs(b, each, data, err);
    vmscm_bundlefile_close(b);
    return rc;
}
