/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/str.h"
#include "history/pruned.h"
#include "history/refs.h"
#include "history/ancestry.h"
#include "remote/histsend.h"
#include "remote/pushlist.h"
#include "repo/refnames.h"
#include "remote/select.h"
#include "remote/track.h"
#include "store/lease.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vmscm/remote.h>

/* Times that what is missing is sent: leaves, the chunks that they list, and where there are more than can be
 * told at a time. Who goes on asking is given up. */
#define LACKING_TURNS 16
#define LACKING_MAX (1u << 20) /* ids that the other side may say it lacks, at a time */

/* Notes of one kind. */
struct note {
    char id[VMSCM_GITDB_ID]; /* ours, to be merged there; "": nothing is to be */
    bool told;               /* the other side said what became of them */
};

struct push {
    struct vmscm_repo *repo;
    const struct vmscm_remote_options *options;
    const struct vmscm_events *events;
    struct vmscm_session session;
    struct vmscm_items items;
    struct vmscm_novel *revisions, *notes;
    struct note kinds[VMSCM_REFNAMES_NOTE_COUNT];
    struct vmscm_pruned *pruned;
    struct vmscm_outgoing *out;
    struct vmscm_lease *lease;
    VMSCM_VEC(struct vmscm_id) lacking;
    struct vmscm_error unmerged; /* why notes were not merged there */
    struct vmscm_remote_result *result;
};

/* Our notes, unless the other side has them all. */
static int look_at_notes(struct push *p, size_t kind, struct vmscm_error *err)
{
    const char *ref = vmscm_refnames_notes[kind];
    const struct vmscm_session_ref *there = vmscm_session_find(&p->session, ref);
    char *id = p->kinds[kind].id;
    bool leads = false;
    int rc = vmscm_refs_read(id, p->repo->git, ref, err);

    if (rc == VMSCM_ENOTFOUND || p->options->remove) {
        vmscm_error_clear(err);
        id[0] = '\0';
        return 0;
    }
    if (rc || !there)
        return rc;
    if (vmscm_ancestry_leads(&leads, p->repo->git, there->id, id, NULL) == 0 && leads)
        id[0] = '\0';
    return 0;
}

static bool any_notes(const struct push *p)
{
    bool any = false;

    for (size_t i = 0; i < VMSCM_REFNAMES_NOTE_COUNT; i++)
        any = any || p->kinds[i].id[0];
    return any;
}

/* What the other side does not have. */
static int compare(struct push *p, struct vmscm_error *err)
{
    int rc;

    if ((rc = vmscm_novel_new(&p->revisions, p->repo->git, err)) ||
        (rc = vmscm_novel_new(&p->notes, p->repo->git, err)) ||
        (rc = vmscm_pruned_load(&p->pruned, p->repo->git, err)))
        return rc;
    for (size_t i = 0; i < p->session.refs.len && !rc; i++) {
        const struct vmscm_session_ref *ref = &p->session.refs.items[i];
        rc = vmscm_novel_know(
            vmscm_str_starts(ref->name, VMSCM_REFNAMES_NOTES) ? p->notes : p->revisions, ref->id,
            err);
    }
    for (size_t i = 0; i < p->items.list.len && !rc; i++) {
        const struct vmscm_items_item *item = &p->items.list.items[i];
        if (vmscm_items_is_change(item) && item->after[0])
            rc = vmscm_novel_want(p->revisions, item->after, err);
    }
    for (size_t i = 0; i < VMSCM_REFNAMES_NOTE_COUNT && !rc; i++)
        if (p->kinds[i].id[0])
            rc = vmscm_novel_want(p->notes, p->kinds[i].id, err);
    return rc;
}

struct question {
    struct vmscm_buf ids;
    struct vmscm_error *err;
};

static int add_id(void *data, const struct vmscm_id *id)
{
    struct question *q = data;

    return vmscm_buf_append(&q->ids, id->bytes, sizeof id->bytes, q->err);
}

/* What of it is there though no revision says so, or since a transfer was interrupted. */
static int ask(struct push *p, struct vmscm_error *err)
{
    struct question question = {VMSCM_BUF_INIT, err};
    struct vmscm_stream_frame frame;
    size_t at = 0;
    bool over = false;
    int rc = vmscm_outgoing_each(
        p->out, p->session.info.flags & VMSCM_WIRE_RESUMABLE, add_id, &question, err);

    if (rc || !question.ids.len)
        goto out;
    if ((rc = vmscm_session_begin(&p->session, VMSCM_WIRE_OP_ASK, 0, err)) ||
        (rc = vmscm_session_put_list(&p->session, VMSCM_WIRE_IDS, VMSCM_WIRE_WANT,
             question.ids.data, question.ids.len / VMSCM_HASH_SIZE, VMSCM_HASH_SIZE, err)) ||
        (rc = vmscm_session_turn(&p->session, VMSCM_WIRE_OP_ASK, err)))
        goto out;
    while (!(rc = vmscm_session_next(&p->session, &frame, &over, err)) && !over) {
        const uint8_t *bits;
        size_t count;
        if (frame.type != VMSCM_WIRE_BITS)
            rc = vmscm_error_set(err, VMSCM_EINPUT, "the other side answers something else");
        if (rc || (rc = vmscm_wire_decode_bits(&bits, &count, frame.data, frame.len, err)))
            break;
        for (size_t i = 0; i < count && at < question.ids.len; i++, at += VMSCM_HASH_SIZE) {
            struct vmscm_id id;
            memcpy(id.bytes, question.ids.data + at, VMSCM_HASH_SIZE);
            if (bits[i / 8] >> i % 8 & 1)
                vmscm_outgoing_drop(p->out, &id);
        }
    }
out:
    vmscm_buf_release(&question.ids);
    return rc;
}

static int put_update(struct push *p, const char *ref, const char *before, const char *after,
    unsigned flags, struct vmscm_error *err)
{
    struct vmscm_wire_update wire = {.flags = flags};
    struct vmscm_buf frame = VMSCM_BUF_INIT;
    int rc;

    if (strlen(ref) > VMSCM_WIRE_NAME_MAX)
        return vmscm_error_set(err, VMSCM_EUSAGE, "%s: too long a name", ref);
    memcpy(wire.name, ref, strlen(ref) + 1);
    if (before[0])
        vmscm_str_unhex(wire.before, sizeof wire.before, before);
    if (after[0])
        vmscm_str_unhex(wire.after, sizeof wire.after, after);
    if (!(rc = vmscm_wire_encode_update(&frame, &wire, err)))
        rc = vmscm_stream_put_buf(p->session.stream, VMSCM_WIRE_UPDATE, &frame, err);
    vmscm_buf_release(&frame);
    return rc;
}

static int put_updates(struct push *p, struct vmscm_error *err)
{
    struct vmscm_buf bare = VMSCM_BUF_INIT;
    uint8_t id[VMSCM_WIRE_OID_SIZE];
    int rc = 0;

    for (size_t i = 0; i < p->items.list.len && !rc; i++) {
        const struct vmscm_items_item *item = &p->items.list.items[i];
        if (vmscm_items_is_change(item))
            rc = put_update(p, item->ref, item->before, item->after,
                item->change == VMSCM_REMOTE_FORCED ? VMSCM_WIRE_FORCE : 0, err);
    }
    for (size_t i = 0; i < VMSCM_REFNAMES_NOTE_COUNT && !rc; i++)
        if (p->kinds[i].id[0])
            rc = put_update(
                p, vmscm_refnames_notes[i], "", p->kinds[i].id, VMSCM_WIRE_MERGE, err);
    for (size_t i = 0; i < vmscm_novel_commit_count(p->revisions) && !rc; i++) {
        const char *commit = vmscm_novel_commit(p->revisions, i);
        if (vmscm_pruned_has(p->pruned, commit) && vmscm_str_unhex(id, sizeof id, commit))
            rc = vmscm_buf_append(&bare, id, sizeof id, err);
    }
    if (!rc && bare.len)
        rc = vmscm_session_put_list(&p->session, VMSCM_WIRE_COMMITS, VMSCM_WIRE_BARE, bare.data,
            bare.len / sizeof id, sizeof id, err);
    vmscm_buf_release(&bare);
    return rc;
}

static int take_lacking(struct push *p, const struct vmscm_stream_frame *frame,
    struct vmscm_error *err)
{
    struct vmscm_id *slot;
    const uint8_t *ids;
    unsigned role;
    size_t count;
    int rc = vmscm_wire_decode_list(
        &role, &ids, &count, VMSCM_HASH_SIZE, frame->data, frame->len, err);

    if (!rc && p->lacking.len + count > LACKING_MAX)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "the other side says that it lacks too much");
    for (size_t i = 0; i < count && !rc && role == VMSCM_WIRE_LACK; i++)
        if (!(rc = vmscm_vec_add(&p->lacking, &slot, err)))
            memcpy(slot->bytes, ids + i * VMSCM_HASH_SIZE, VMSCM_HASH_SIZE);
    return rc;
}

/* What became of a ref. */
static int take_result(struct push *p, const struct vmscm_stream_frame *frame,
    struct vmscm_error *err)
{
    struct vmscm_wire_result wire;
    int rc = vmscm_wire_decode_result(&wire, frame->data, frame->len, err);

    if (rc)
        return rc;
    for (size_t i = 0; i < VMSCM_REFNAMES_NOTE_COUNT; i++) {
        if (strcmp(wire.name, vmscm_refnames_notes[i]) != 0)
            continue;
        p->kinds[i].told = true;
        if (wire.why.code)
            p->unmerged = wire.why;
        else
            p->result->comments = 1;
    }
    for (size_t i = 0; i < p->items.list.len; i++) {
        struct vmscm_items_item *item = &p->items.list.items[i];
        if (strcmp(item->ref, wire.name) != 0 || !vmscm_items_is_change(item))
            continue;
        item->told = true;
        if (!wire.why.code)
            continue;
        item->change = VMSCM_REMOTE_REFUSED;
        item->why = wire.why;
    }
    return 0;
}

static int read_answer(struct push *p, struct vmscm_error *err)
{
    struct vmscm_stream_frame frame;
    bool over = false;
    int rc;

    p->lacking.len = 0;
    while (!(rc = vmscm_session_next(&p->session, &frame, &over, err)) && !over) {
        if (frame.type == VMSCM_WIRE_IDS)
            rc = take_lacking(p, &frame, err);
        else if (frame.type == VMSCM_WIRE_RESULT)
            rc = take_result(p, &frame, err);
        else
            rc = vmscm_error_set(err, VMSCM_EINPUT, "the other side answers something else");
        if (rc)
            break;
    }
    return rc;
}

/* What the other side is silent about may not have been done. */
static bool told_all(const struct push *p)
{
    bool all = true;

    for (size_t i = 0; i < VMSCM_REFNAMES_NOTE_COUNT; i++)
        all = all && (!p->kinds[i].id[0] || p->kinds[i].told);
    for (size_t i = 0; i < p->items.list.len && all; i++)
        all = !vmscm_items_is_change(&p->items.list.items[i]) || p->items.list.items[i].told;
    return all;
}

static int send_all(struct push *p, bool again, struct vmscm_error *err)
{
    struct vmscm_novel *const novels[] = {p->revisions, p->notes};
    struct vmscm_outgoing_how how = {.alone = again,
        .fresh = (p->session.info.flags & VMSCM_WIRE_EMPTY) != 0,
        .events = p->events};
    int rc;

    if ((rc = vmscm_outgoing_measure(p->out, &how.total, err)) ||
        (rc = vmscm_session_begin(&p->session, VMSCM_WIRE_OP_SEND,
             p->options->atomic ? VMSCM_WIRE_ATOMIC : 0, err)) ||
        (rc = put_updates(p, err)) ||
        (!again && (rc = vmscm_histsend_run(p->session.stream, novels, 2, err))) ||
        (rc = vmscm_outgoing_run(p->out, p->session.stream, &how, err)))
        return vmscm_session_explain(&p->session, rc, err);
    if ((rc = vmscm_session_turn(&p->session, VMSCM_WIRE_OP_SEND, err)))
        return rc;
    return read_answer(p, err);
}

/* The other side misses what it was thought to have: it gets that, if it is a part of what is pushed. */
static int select_lacking(struct push *p, struct vmscm_error *err)
{
    struct vmscm_outgoing *all = NULL;
    char commit[VMSCM_GITDB_ID];
    int rc;

    if ((rc = vmscm_outgoing_new(&all, p->repo, err)))
        return rc;
    for (size_t i = 0; i < vmscm_novel_commit_count(p->revisions) && !rc; i++)
        if (!vmscm_pruned_has(p->pruned, vmscm_novel_commit(p->revisions, i)))
            rc = vmscm_select_allow(all, p->repo, vmscm_novel_commit(p->revisions, i), err);
    for (size_t i = 0; i < p->items.list.len && !rc; i++) {
        const struct vmscm_items_item *item = &p->items.list.items[i];
        if (!vmscm_items_is_change(item) || !item->after[0] ||
            (rc = vmscm_refs_peel(commit, p->repo->git, item->after, err)))
            continue;
        rc = vmscm_select_allow(all, p->repo, commit, err);
    }
    for (size_t i = 0; i < p->lacking.len && !rc; i++)
        rc = vmscm_outgoing_may(all, &p->lacking.items[i])
            ? vmscm_outgoing_want(all, &p->lacking.items[i], err)
            : vmscm_error_set(err, VMSCM_EREFUSED, "%s: asks for data that is not being pushed",
                  vmscm_stream_peer(p->session.stream));
    vmscm_outgoing_free(p->out);
    p->out = all;
    return rc;
}

static int transfer(struct push *p, struct vmscm_error *err)
{
    int rc;

    if (vmscm_lease_open(&p->lease, p->repo->path, NULL) == 0)
        for (size_t i = 0; i < vmscm_novel_commit_count(p->revisions); i++)
            vmscm_lease_add_commit(p->lease, vmscm_novel_commit(p->revisions, i), NULL);
    if ((rc = vmscm_outgoing_new(&p->out, p->repo, err)) ||
        (rc = vmscm_select_new(p->out, p->repo, p->revisions, p->pruned, err)))
        return rc;
    if (vmscm_outgoing_count(p->out) &&
        (p->session.info.flags & (VMSCM_WIRE_EMPTY | VMSCM_WIRE_RESUMABLE)) != VMSCM_WIRE_EMPTY &&
        (rc = ask(p, err)))
        return rc;
    if ((rc = send_all(p, false, err)))
        return rc;
    for (int turn = 0; p->lacking.len && turn < LACKING_TURNS; turn++)
        if ((rc = select_lacking(p, err)) || (rc = send_all(p, true, err)))
            return rc;
    if (p->lacking.len || !told_all(p))
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: does not say what became of the push",
            vmscm_stream_peer(p->session.stream));
    if (!rc && p->unmerged.code)
        vmscm_items_refuse_comments(&p->items, &p->unmerged, p->events);
    return rc;
}

static int run(struct push *p, struct vmscm_error *err)
{
    size_t changes = 0;
    int rc;

    if ((rc = vmscm_session_open(&p->session, p->repo, p->options->remote, p->events,
             p->options->limit, err)) ||
        (rc = vmscm_pushlist_make(&p->items, p->repo, &p->session, p->options, err)))
        return rc;
    for (size_t i = 0; i < VMSCM_REFNAMES_NOTE_COUNT; i++)
        if ((rc = look_at_notes(p, i, err)))
            return rc;
    for (size_t i = 0; i < p->items.list.len; i++)
        changes += vmscm_items_is_change(&p->items.list.items[i]);
    if (!p->items.list.len) {
        vmscm_error_set(err, VMSCM_ENOTFOUND, "nothing to push: %s",
            p->options->all ? "there is no machine" : "no machine is on both sides");
        return p->options->all ? VMSCM_ENOTFOUND
                               : vmscm_error_hint(err, "name machines, or push them with --all");
    }
    if (p->options->dry_run)
        return 0;
    if (p->session.info.flags & VMSCM_WIRE_READ_ONLY && changes)
        return vmscm_error_set(err, VMSCM_EREFUSED, "%s: nothing can be pushed there: it is read-only",
            vmscm_stream_peer(p->session.stream));
    if (p->session.info.flags & VMSCM_WIRE_READ_ONLY)
        memset(p->kinds, 0, sizeof p->kinds);
    if ((changes || any_notes(p)) && ((rc = compare(p, err)) || (rc = transfer(p, err))))
        return rc;
    vmscm_track_pushed(p->repo, &p->session, &p->items, p->events);
    return 0;
}

int vmscm_remote_push(struct vmscm_repo *repo, const struct vmscm_remote_options *options,
    const struct vmscm_events *events,
    int (*each)(void *data, const struct vmscm_remote_item *item), void *data,
    struct vmscm_remote_result *result, struct vmscm_error *err)
{
    struct vmscm_remote_result own = {0};
    struct push p = {.repo = repo, .options = options, .events = events, .result = &own};
    struct timespec begin, end;
    int rc;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    rc = run(&p, err);
    vmscm_session_measure(&p.session, &own);
    vmscm_session_close(&p.session, rc ? err : NULL);
    /* What ssh said may be the reason. */
    if (rc && err && err->code)
        rc = err->code;
    clock_gettime(CLOCK_MONOTONIC, &end);
    own.seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    if (!rc)
        rc = vmscm_items_tell(&p.items, each, data, &own, err);
    vmscm_items_release(&p.items);
    vmscm_novel_free(p.revisions);
    vmscm_novel_free(p.notes);
    vmscm_pruned_free(p.pruned);
    vmscm_outgoing_free(p.out);
    vmscm_lease_close(p.lease);
    vmscm_vec_release(&p.lacking);
    if (result)
        *result = own;
    return rc;
}
