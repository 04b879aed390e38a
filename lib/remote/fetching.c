/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/fetching.h"
#include "base/str.h"
#include "history/pruned.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "remote/fetchlist.h"
#include "remote/land.h"
#include "repo/refnames.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HAVE_MAX 2000u /* ids that say what is here */
#define BACK_MAX 256u  /* revisions that are gone back for it */

struct fetch {
    struct vmscm_fetching *f;
    struct vmscm_receive *receive;
    struct vmscm_land land;
    struct vmscm_novel *known; /* what our refs lead to */
    struct vmscm_pruned *pruned;
    struct vmscm_buf wants, haves; /* ids as they travel */
    size_t notes;                  /* updates at the end of land's that are of notes */
    /* What is missing, by what was looked at last. */
    struct vmscm_buf leaves, entries; /* ids; frames, each after its length of 4 bytes */
    struct vmscm_idset asked;
    uint64_t done, total;
    struct vmscm_error *err;
};

static int know(void *data, const char *ref, const char *id)
{
    struct fetch *f = data;

    (void)ref;
    return id ? vmscm_novel_know(f->known, id, f->err) : 0;
}

static int put_id(struct vmscm_buf *buf, const char *id, struct vmscm_error *err)
{
    uint8_t bytes[VMSCM_WIRE_OID_SIZE];

    if (!vmscm_str_unhex(bytes, sizeof bytes, id))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "%s: no id", id);
    return vmscm_buf_append(buf, bytes, sizeof bytes, err);
}

/* A revision of ours, and of those before it the 1st, 2nd, 4th, 8th: so the other side finds one that it
 * has, too. */
static int put_have(void *data, const char *ref, const char *id)
{
    struct fetch *f = data;
    char commit[VMSCM_GITDB_ID];
    int rc = 0;

    (void)ref;
    if (!id || vmscm_refs_peel(commit, f->f->repo->git, id, NULL))
        return 0;
    for (unsigned step = 0, next = 0; !rc && step <= BACK_MAX; step++) {
        struct vmscm_gitdb_info info = {0};
        if (step == next) {
            if (f->haves.len / VMSCM_WIRE_OID_SIZE >= HAVE_MAX)
                break;
            rc = put_id(&f->haves, commit, f->err);
            next = next ? next * 2 : 1;
        }
        if (rc || vmscm_gitdb_read_commit(&info, f->f->repo->git, commit, NULL))
            break;
        bool root = !info.parent_count;
        if (!root)
            memcpy(commit, info.parents[0], sizeof commit);
        vmscm_gitdb_info_release(&info);
        if (root)
            break;
    }
    return rc;
}

/* Whether anything must come for a ref to be this. What is known may have been pruned. */
static bool is_whole(const struct fetch *f, const char *id)
{
    char commit[VMSCM_GITDB_ID];

    return vmscm_novel_is_known(f->known, id) &&
        !(vmscm_pruned_count(f->pruned) && !vmscm_refs_peel(commit, f->f->repo->git, id, NULL) &&
            vmscm_pruned_has(f->pruned, commit));
}

/* Whether data stays at the remote: it is the one that has what is lacking here. */
static bool is_lazy(const struct vmscm_fetching *f)
{
    return f->repo->promisor && !f->session->bundle &&
        strcmp(f->repo->promisor, f->session->remote) == 0;
}

/* Of one name there is what is remembered, which promises data, and what is here, which needs it. The second
 * of them that is changed, whichever that is, must not be if the first could not. */
static bool rests(const struct fetch *f, size_t i)
{
    const struct vmscm_items_item *items = f->f->items->list.items, *a, *b = &items[i];

    if (!i || !f->land.lazy)
        return false;
    a = &items[i - 1];
    return vmscm_items_is_change(a) && a->local != b->local && strcmp(a->machine, b->machine) == 0 &&
        (a->tag && b->tag ? strcmp(a->tag, b->tag) == 0 : a->tag == b->tag);
}

/* Updates for all that is to change, and what must come for them. */
static int prepare(struct fetch *f, struct vmscm_error *err)
{
    struct vmscm_land_update *u;
    int rc;

    for (size_t i = 0; i < f->f->items->list.len; i++) {
        const struct vmscm_items_item *item = &f->f->items->list.items[i];
        if (!vmscm_items_is_change(item))
            continue;
        if ((rc = vmscm_land_add(&f->land, &u, item->ref, err)))
            return rc;
        memcpy(u->before, item->before, sizeof u->before);
        memcpy(u->after, item->after, sizeof u->after);
        u->force = item->force;
        u->rests = rests(f, i);
        if (item->after[0] && !is_whole(f, item->after) &&
            (rc = put_id(&f->wants, item->after, err)))
            return rc;
    }
    for (size_t i = 0; i < f->f->session->refs.len; i++) {
        const struct vmscm_session_ref *there = &f->f->session->refs.items[i];
        if (vmscm_refnames_kind(there->name, NULL, NULL) != VMSCM_REFNAMES_NOTE ||
            vmscm_novel_is_known(f->known, there->id))
            continue;
        if ((rc = vmscm_land_add(&f->land, &u, there->name, err)) ||
            (rc = put_id(&f->wants, there->id, err)))
            return rc;
        memcpy(u->after, there->id, sizeof u->after);
        u->merge = true;
        f->notes++;
    }
    return 0;
}

static int put_commits(struct fetch *f, struct vmscm_error *err)
{
    struct vmscm_session *s = f->f->session;
    int rc = vmscm_session_put_list(s, VMSCM_WIRE_COMMITS, VMSCM_WIRE_WANT, f->wants.data,
        f->wants.len / VMSCM_WIRE_OID_SIZE, VMSCM_WIRE_OID_SIZE, err);

    return rc ? rc
              : vmscm_session_put_list(s, VMSCM_WIRE_COMMITS, VMSCM_WIRE_HAVE, f->haves.data,
                    f->haves.len / VMSCM_WIRE_OID_SIZE, VMSCM_WIRE_OID_SIZE, err);
}

static int take_bare(struct fetch *f, const struct vmscm_stream_frame *frame,
    struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];
    const uint8_t *ids;
    unsigned role;
    size_t count;
    int rc = vmscm_wire_decode_list(
        &role, &ids, &count, VMSCM_WIRE_OID_SIZE, frame->data, frame->len, err);

    if (!rc && f->land.bare.len + count > VMSCM_LAND_BARE_MAX)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "the other side names too many revisions");
    for (size_t i = 0; i < count && !rc && role == VMSCM_WIRE_BARE; i++) {
        vmscm_str_hex(id, ids + i * VMSCM_WIRE_OID_SIZE, VMSCM_WIRE_OID_SIZE);
        rc = vmscm_land_add_bare(&f->land, id, err);
    }
    return rc;
}

static int strange(const struct fetch *f, struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EINPUT, "%s: answers something else than was asked",
        vmscm_stream_peer(f->f->session->stream));
}

static int get_history(struct fetch *f, struct vmscm_error *err)
{
    struct vmscm_session *s = f->f->session;
    struct vmscm_stream_frame frame;
    bool over = false;
    int rc;

    if ((rc = vmscm_session_begin(s, VMSCM_WIRE_OP_HISTORY, 0, err)) || (rc = put_commits(f, err)) ||
        (rc = vmscm_session_turn(s, VMSCM_WIRE_OP_HISTORY, err)))
        return rc;
    while (!(rc = vmscm_session_next(s, &frame, &over, err)) && !over) {
        if (frame.type == VMSCM_WIRE_HISTORY)
            rc = vmscm_receive_history(f->receive, frame.data, frame.len, err);
        else if (frame.type == VMSCM_WIRE_COMMITS)
            rc = take_bare(f, &frame, err);
        else
            rc = strange(f, err);
        if (rc)
            return rc;
    }
    return rc ? rc : vmscm_receive_history_end(f->receive, err);
}

static int ask_for(struct fetch *f, const struct vmscm_id *id, struct vmscm_error *err)
{
    uint64_t *value;
    bool added;

    return vmscm_idset_get(&f->asked, &value, &added, id, err);
}

static int miss_leaf(void *data, const struct vmscm_id *leaf, struct vmscm_error *err)
{
    struct fetch *f = data;
    int rc = vmscm_buf_append(&f->leaves, leaf->bytes, sizeof leaf->bytes, err);

    return rc ? rc : ask_for(f, leaf, err);
}

static int miss_chunks(void *data, const struct vmscm_id *leaf,
    const struct vmscm_leaf_entry *entries, const uint8_t *bits, size_t count,
    struct vmscm_error *err)
{
    struct fetch *f = data;
    int rc = vmscm_buf_put32(
        &f->entries, (uint32_t)(sizeof leaf->bytes + 4 + (count + 7) / 8), err);

    if (!rc)
        rc = vmscm_wire_encode_entries(&f->entries, leaf, bits, count, err);
    for (size_t i = 0; i < count && !rc; i++)
        if (bits[i / 8] >> i % 8 & 1)
            rc = ask_for(f, &entries[i].id, err);
    return rc;
}

static bool was_asked(void *data, const struct vmscm_id *id)
{
    const struct fetch *f = data;

    return vmscm_idset_find(&f->asked, id) != NULL;
}

/* What is missing now. */
static int look(struct fetch *f, uint64_t *missing, struct vmscm_error *err)
{
    struct vmscm_closure closure = {.leaf = miss_leaf, .chunks = miss_chunks, .data = f};
    int rc;

    f->leaves.len = f->entries.len = 0;
    vmscm_idset_release(&f->asked);
    rc = vmscm_land_look(&f->land, &closure, err);
    *missing = closure.missing;
    vmscm_closure_release(&closure);
    return rc;
}

static int put_missing(struct fetch *f, struct vmscm_error *err)
{
    struct vmscm_session *s = f->f->session;
    int rc = vmscm_session_put_list(s, VMSCM_WIRE_IDS, VMSCM_WIRE_WANT, f->leaves.data,
        f->leaves.len / VMSCM_HASH_SIZE, VMSCM_HASH_SIZE, err);

    for (size_t at = 0; at < f->entries.len && !rc;) {
        size_t len = f->entries.data[at] | (size_t)f->entries.data[at + 1] << 8 |
            (size_t)f->entries.data[at + 2] << 16 | (size_t)f->entries.data[at + 3] << 24;
        rc = vmscm_stream_put(
            s->stream, VMSCM_WIRE_ENTRIES, NULL, 0, f->entries.data + at + 4, len, err);
        at += 4 + len;
    }
    return rc;
}

static int take_record(struct fetch *f, const struct vmscm_stream_frame *frame,
    struct vmscm_error *err)
{
    const struct vmscm_events *events = f->f->events;
    struct vmscm_progress progress = {.phase = "receiving", .total = f->total};
    int rc = vmscm_receive_record(f->receive, frame->data, frame->len, err);

    f->done += frame->len;
    progress.done = progress.read = f->done;
    if (!rc && events && events->progress)
        events->progress(events->data, &progress);
    return rc ? rc : vmscm_handle_canceled(events, err);
}

/* What is missing comes: records, or, the last time, without bases. */
static int get_data(struct fetch *f, bool alone, struct vmscm_error *err)
{
    struct vmscm_session *s = f->f->session;
    struct vmscm_stream_frame frame;
    uint64_t total;
    bool over = false;
    int rc;

    vmscm_receive_only(f->receive, was_asked, f);
    if ((rc = vmscm_session_begin(s, VMSCM_WIRE_OP_DATA, alone ? VMSCM_WIRE_ALONE : 0, err)) ||
        (rc = put_commits(f, err)) || (rc = put_missing(f, err)) ||
        (rc = vmscm_session_turn(s, VMSCM_WIRE_OP_DATA, err)))
        return rc;
    while (!(rc = vmscm_session_next(s, &frame, &over, err)) && !over) {
        if (frame.type == VMSCM_WIRE_RECORD)
            rc = take_record(f, &frame, err);
        else if (frame.type != VMSCM_WIRE_TOTAL)
            rc = strange(f, err);
        else if (!(rc = vmscm_wire_decode_total(&total, frame.data, frame.len, err)))
            f->total = f->done + total;
        if (rc)
            break;
    }
    return rc ? rc : vmscm_receive_records_end(f->receive, err);
}

/* Leaves, what they list, and once more what could not be used. */
static int get_all_data(struct fetch *f, struct vmscm_error *err)
{
    uint64_t missing;
    int rc;

    for (int turn = 0;; turn++) {
        if ((rc = look(f, &missing, err)) || !missing)
            return rc;
        if (turn == 3)
            return vmscm_error_set(err, VMSCM_EINPUT, "%s: did not send all that was asked for",
                vmscm_stream_peer(f->f->session->stream));
        if ((rc = get_data(f, turn == 2, err)))
            return rc;
    }
}

/* Whether the revisions that a bundle builds on are here, with their data. */
static int check_needs(struct fetch *f, struct vmscm_error *err)
{
    const struct vmscm_bundlefile *b = f->f->session->bundle;

    for (size_t i = 0; i < b->had.len; i++) {
        const char *id = b->had.items[i].id;
        if (vmscm_novel_is_known(f->known, id) && !vmscm_pruned_has(f->pruned, id))
            continue;
        vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: builds on revision %.12s, which is not here",
            vmscm_stream_peer(b->stream), id);
        return vmscm_error_hint(err, "take in an earlier bundle first, or make one without "
                                     "--since and --known-by");
    }
    return 0;
}

/* A bundle has all in one order, and no more can be asked for. */
static int get_bundle(struct fetch *f, struct vmscm_error *err)
{
    struct vmscm_bundlefile *b = f->f->session->bundle;
    struct vmscm_stream_frame frame;
    uint64_t missing;
    struct stat st;
    bool over = false;
    int rc = check_needs(f, err);

    f->total = !rc && fstat(b->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    for (size_t i = 0; i < b->bare.len && !rc; i++)
        rc = vmscm_land_add_bare(&f->land, b->bare.items[i].id, err);
    while (!rc && !(rc = vmscm_bundlefile_next(b, &frame, &over, err)) && !over)
        rc = frame.type == VMSCM_WIRE_HISTORY
            ? vmscm_receive_history(f->receive, frame.data, frame.len, err)
            : take_record(f, &frame, err);
    if (rc || (rc = vmscm_receive_history_end(f->receive, err)) || (rc = look(f, &missing, err)))
        return rc;
    return missing ? vmscm_error_set(err, VMSCM_EINPUT, "%s: does not have all data of its revisions",
                         vmscm_stream_peer(b->stream))
                   : 0;
}

/* What became of each. */
static void take_results(struct fetch *f)
{
    size_t at = 0;

    for (size_t i = 0; i < f->f->items->list.len; i++) {
        struct vmscm_items_item *item = &f->f->items->list.items[i];
        if (!vmscm_items_is_change(item))
            continue;
        const struct vmscm_land_update *u = &f->land.updates.items[at++];
        if (!u->why.code)
            continue;
        item->change = VMSCM_REMOTE_REFUSED;
        item->why = u->why;
        if (u->why.code == VMSCM_ECONFLICT && item->local && !item->tag && item->before[0])
            vmscm_error_hint(&item->why,
                "what is here and %s/%s went different ways: vmscm diff shows how; to go on from "
                "there, vmscm clone %s/%s NEW-MACHINE, or pull --force",
                f->f->session->remote, item->machine, f->f->session->remote, item->machine);
    }
    for (; at < f->land.updates.len; at++) {
        const struct vmscm_land_update *u = &f->land.updates.items[at];
        if (u->changed)
            f->f->result->comments = 1;
        if (u->why.code)
            vmscm_items_refuse_comments(f->f->items, &u->why, f->f->events);
    }
}

static int transfer(struct fetch *f, struct vmscm_error *err)
{
    size_t packs = 0;
    int rc;

    if ((rc = vmscm_receive_open(&f->receive, f->f->repo, err)) ||
        (rc = vmscm_receive_adopt(f->receive, &packs, err)))
        return rc;
    f->f->result->resumed = packs;
    f->land.receive = f->receive;
    f->land.reason = f->f->what == VMSCM_FETCHING_CLONE ? "clone"
        : f->f->what == VMSCM_FETCHING_MIRROR           ? "mirror"
        : f->f->what == VMSCM_FETCHING_PULL             ? "pull"
                                                        : "fetch";
    if (f->f->session->bundle && (rc = get_bundle(f, err)))
        return rc;
    if (f->wants.len && !f->f->session->bundle &&
        ((rc = vmscm_reflist_walk(f->f->repo->git, VMSCM_REFNAMES_TRACKED, put_have, f, err)) ||
            (rc = vmscm_reflist_walk(f->f->repo->git, VMSCM_HANDLE_HEADS, put_have, f, err)) ||
            (rc = vmscm_reflist_walk(f->f->repo->git, VMSCM_REFNAMES_TAGS, put_have, f, err)) ||
            (rc = vmscm_reflist_walk(f->f->repo->git, VMSCM_REFNAMES_NOTES, put_have, f, err)) ||
            (rc = get_history(f, err))))
        return rc;
    if ((!f->f->session->bundle && (rc = get_all_data(f, err))) ||
        (rc = vmscm_land_run(&f->land, err)))
        return rc;
    f->f->result->stored = vmscm_receive_stored(f->receive);
    take_results(f);
    return 0;
}

int vmscm_fetching_run(struct vmscm_fetching *fetching, struct vmscm_error *err)
{
    struct fetch f = {.f = fetching, .err = err};
    int rc;

    if ((rc = vmscm_fetchlist_make(fetching, err)) || fetching->options->dry_run)
        return rc;
    f.land.lazy = is_lazy(fetching);
    if ((rc = vmscm_novel_new(&f.known, fetching->repo->git, err)) ||
        (rc = vmscm_pruned_load(&f.pruned, fetching->repo->git, err)) ||
        (rc = vmscm_reflist_walk(fetching->repo->git, "refs/", know, &f, err)) ||
        (rc = prepare(&f, err)))
        goto out;
    if (f.land.updates.len)
        rc = transfer(&f, err);
out:
    /* One that broke the rules leaves nothing. */
    vmscm_receive_close(f.receive, rc && rc != VMSCM_EINPUT && rc != VMSCM_EUNSUPPORTED);
    vmscm_land_release(&f.land);
    vmscm_novel_free(f.known);
    vmscm_pruned_free(f.pruned);
    vmscm_buf_release(&f.wants);
    vmscm_buf_release(&f.haves);
    vmscm_buf_release(&f.leaves);
    vmscm_buf_release(&f.entries);
    vmscm_idset_release(&f.asked);
    return rc;
}
