/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers to who fetches. What is given can be reached from what was asked for, and that from a ref that
 * is shown. */
#include "base/endian.h"
#include "base/str.h"
#include "format/leaf.h"
#include "history/ancestry.h"
#include "history/pruned.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "remote/histsend.h"
#include "repo/refnames.h"
#include "remote/select.h"
#include "remote/serve.h"

#include <stdlib.h>
#include <string.h>

#define COMMITS_MAX (1u << 18) /* of one request */
#define PAST_MAX 64              /* that are wanted though no ref names them */

/* What a request says that is wanted, and had. */
struct wants {
    VMSCM_VEC(struct vmscm_land_id) wanted, had;
    VMSCM_VEC(struct vmscm_land_id) again; /* revisions that are wanted though they are had */
    struct vmscm_novel *revisions, *notes;
};

static void release_wants(struct wants *w)
{
    vmscm_vec_release(&w->wanted);
    vmscm_vec_release(&w->had);
    vmscm_vec_release(&w->again);
    vmscm_novel_free(w->revisions);
    vmscm_novel_free(w->notes);
}

static int take_commits(struct wants *w, const struct vmscm_stream_frame *frame,
    struct vmscm_error *err)
{
    struct vmscm_land_id *slot;
    const uint8_t *ids;
    unsigned role;
    size_t count;
    int rc = vmscm_wire_decode_list(
        &role, &ids, &count, VMSCM_WIRE_OID_SIZE, frame->data, frame->len, err);

    if (!rc && role != VMSCM_WIRE_WANT && role != VMSCM_WIRE_HAVE)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "a request that cannot be read");
    if (!rc && w->wanted.len + w->had.len + count > COMMITS_MAX)
        rc = vmscm_error_set(
            err, VMSCM_EREFUSED, "more than %u revisions are named at once", COMMITS_MAX);
    for (size_t i = 0; i < count && !rc; i++) {
        rc = role == VMSCM_WIRE_WANT ? vmscm_vec_add(&w->wanted, &slot, err)
                                     : vmscm_vec_add(&w->had, &slot, err);
        if (!rc)
            vmscm_str_hex(slot->id, ids + i * VMSCM_WIRE_OID_SIZE, VMSCM_WIRE_OID_SIZE);
    }
    return rc;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, VMSCM_ID_HEX);
}

/* Each once, in order. */
static void sort_wanted(struct wants *w)
{
    size_t kept = 0;

    if (w->wanted.len)
        qsort(w->wanted.items, w->wanted.len, sizeof *w->wanted.items, by_id);
    for (size_t i = 0; i < w->wanted.len; i++)
        if (!kept || by_id(&w->wanted.items[kept - 1], &w->wanted.items[i]) != 0)
            w->wanted.items[kept++] = w->wanted.items[i];
    w->wanted.len = kept;
}

/* Which of what is shown is asked for. */
struct showing {
    struct vmscm_serve *serve;
    struct wants *wants;
    uint8_t *found; /* of wants: 1, a revision's; 2, a note's */
    uint8_t what;   /* of the ref at hand */
    struct vmscm_ancestry *walks[2];
    struct vmscm_error why; /* some history could not be read */
};

static int match_ref(void *data, const char *ref, const char *id)
{
    struct showing *s = data;
    uint8_t what = vmscm_str_starts(ref, VMSCM_REFNAMES_NOTES) ? 2 : 1;

    const struct vmscm_land_id *want = id && vmscm_serve_shows(s->serve, ref) && s->wants->wanted.len
        ? bsearch(id, s->wants->wanted.items, s->wants->wanted.len, sizeof *want, by_id)
        : NULL;
    if (want && !s->found[want - s->wants->wanted.items])
        s->found[want - s->wants->wanted.items] = what;
    return 0;
}

#define ALL_FOUND 1

static int match_commit(void *data, const char *commit)
{
    struct showing *s = data;
    const struct vmscm_land_id *want = bsearch(
        commit, s->wants->wanted.items, s->wants->wanted.len, sizeof *want, by_id);

    if (!want || s->found[want - s->wants->wanted.items])
        return 0;
    s->found[want - s->wants->wanted.items] = s->what;
    return memchr(s->found, 0, s->wants->wanted.len) ? 0 : ALL_FOUND;
}

/* One that no ref names any more may be what one was a moment ago: then it leads there still. Of a ref
 * whose history cannot be read, what can be is looked at. */
static int match_past(void *data, const char *ref, const char *id)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    struct showing *s = data;
    int rc;

    if (!id || !vmscm_serve_shows(s->serve, ref))
        return 0;
    s->what = vmscm_str_starts(ref, VMSCM_REFNAMES_NOTES) ? 2 : 1;
    rc = vmscm_ancestry_walk(
        s->walks[s->what - 1], s->serve->repo->git, id, match_commit, s, &why);
    if (rc && rc != ALL_FOUND && !s->why.code)
        s->why = why;
    return rc == ALL_FOUND ? rc : 0;
}

/* Every commit is looked at once, however many refs lead there and however much is asked for. */
static int look_back(struct showing *s, struct vmscm_error *err)
{
    int rc;

    if (!(rc = vmscm_ancestry_new(&s->walks[0], err)) &&
        !(rc = vmscm_ancestry_new(&s->walks[1], err)))
        rc = vmscm_reflist_walk(s->serve->repo->git, "refs/", match_past, s, err);
    for (size_t i = 0; i < 2; i++)
        vmscm_ancestry_free(s->walks[i]);
    return rc == ALL_FOUND ? 0 : rc;
}

static int check_wants(struct vmscm_serve *serve, struct wants *w, uint8_t *found,
    struct vmscm_error *err)
{
    struct showing showing = {.serve = serve, .wants = w, .found = found};
    size_t past = 0;
    int rc = vmscm_reflist_walk(serve->repo->git, "refs/", match_ref, &showing, err);

    for (size_t i = 0; i < w->wanted.len; i++)
        past += !found[i];
    if (!rc && past && past <= PAST_MAX)
        rc = look_back(&showing, err);
    if (rc || !memchr(found, 0, w->wanted.len))
        return rc;
    /* It may be where nothing could be read. */
    if (showing.why.code)
        return vmscm_error_copy(err, &showing.why);
    vmscm_error_set(err, VMSCM_EBUSY, "what was asked for is not there any more");
    return vmscm_error_hint(err, "it was changed meanwhile; try again");
}

/* Who has a revision and wants it may have it without its data. */
static int want_again(struct wants *w, struct vmscm_gitdb *db, const char *id,
    struct vmscm_error *err)
{
    char commit[VMSCM_GITDB_ID];
    struct vmscm_land_id *slot;
    int rc = vmscm_refs_peel(commit, db, id, err);

    if (rc || vmscm_novel_is_new(w->revisions, commit))
        return rc;
    if (vmscm_vec_add(&w->again, &slot, err))
        return VMSCM_ENOMEM;
    memcpy(slot->id, commit, sizeof slot->id);
    return 0;
}

/* What is new to who asks. A lease keeps it while it is read. */
static int resolve(struct vmscm_serve *s, struct wants *w, struct vmscm_error *err)
{
    uint8_t *found;
    int rc = 0;

    sort_wanted(w);
    if (!(found = calloc(w->wanted.len + 1, 1)))
        return vmscm_error_nomem(err);
    /* Where no lease can be had, nobody collects either, or it goes without. */
    if (!s->lease)
        vmscm_lease_open(&s->lease, s->repo->path, NULL);
    for (size_t i = 0; i < w->wanted.len && s->lease; i++) {
        char commit[VMSCM_GITDB_ID];
        if (!vmscm_refs_peel(commit, s->repo->git, w->wanted.items[i].id, NULL))
            vmscm_lease_add_commit(s->lease, commit, NULL);
    }
    if ((rc = check_wants(s, w, found, err)) ||
        (rc = vmscm_novel_new(&w->revisions, s->repo->git, err)) ||
        (rc = vmscm_novel_new(&w->notes, s->repo->git, err)))
        goto out;
    for (size_t i = 0; i < w->had.len && !rc; i++)
        if (!(rc = vmscm_novel_know(w->revisions, w->had.items[i].id, err)))
            rc = vmscm_novel_know(w->notes, w->had.items[i].id, err);
    for (size_t i = 0; i < w->wanted.len && !rc; i++) {
        rc = vmscm_novel_want(
            found[i] == 2 ? w->notes : w->revisions, w->wanted.items[i].id, err);
        if (!rc && found[i] != 2)
            rc = want_again(w, s->repo->git, w->wanted.items[i].id, err);
    }
out:
    free(found);
    return rc;
}

/* Revisions whose data is not here. */
static int put_bare(struct vmscm_serve *s, const struct vmscm_novel *novel, struct vmscm_error *err)
{
    struct vmscm_pruned *pruned = NULL;
    struct vmscm_buf ids = VMSCM_BUF_INIT, frame = VMSCM_BUF_INIT;
    uint8_t id[VMSCM_WIRE_OID_SIZE];
    int rc = vmscm_pruned_load(&pruned, s->repo->git, err);

    for (size_t i = 0; i < vmscm_novel_commit_count(novel) && !rc; i++) {
        const char *commit = vmscm_novel_commit(novel, i);
        if (vmscm_pruned_has(pruned, commit) && vmscm_str_unhex(id, sizeof id, commit))
            rc = vmscm_buf_append(&ids, id, sizeof id, err);
    }
    for (size_t at = 0; at < ids.len && !rc;) {
        size_t count = (ids.len - at) / sizeof id;
        if (count > VMSCM_WIRE_IDS_MAX)
            count = VMSCM_WIRE_IDS_MAX;
        frame.len = 0;
        if (!(rc = vmscm_wire_encode_list(
                  &frame, VMSCM_WIRE_BARE, ids.data + at, count, sizeof id, err)))
            rc = vmscm_stream_put_buf(s->stream, VMSCM_WIRE_COMMITS, &frame, err);
        at += count * sizeof id;
    }
    vmscm_buf_release(&ids);
    vmscm_buf_release(&frame);
    vmscm_pruned_free(pruned);
    return rc;
}

int vmscm_servefetch_history(struct vmscm_serve *s, struct vmscm_error *err)
{
    struct vmscm_stream_frame frame;
    struct wants wants = {0};
    int rc;

    while (!(rc = vmscm_stream_get(s->stream, &frame, err)) && frame.type == VMSCM_WIRE_COMMITS)
        if ((rc = take_commits(&wants, &frame, err)))
            break;
    if (!rc && frame.type != VMSCM_WIRE_END)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "a request that cannot be read");
    if (rc || (rc = resolve(s, &wants, err)))
        goto out;
    struct vmscm_novel *const novels[] = {wants.revisions, wants.notes};
    if ((rc = vmscm_serve_answer(s, VMSCM_WIRE_OP_HISTORY, err)) ||
        (rc = put_bare(s, wants.revisions, err)) ||
        (rc = vmscm_histsend_run(s->stream, novels, 2, err)))
        goto out;
    rc = vmscm_serve_end(s, err);
out:
    release_wants(&wants);
    return rc;
}

/* A request for data. What it asks for is looked at as it comes, and not kept: it may be any amount. */
struct data_request {
    struct wants wants;
    struct vmscm_idset leaves;  /* that may be asked for, or whose chunks may */
    struct vmscm_outgoing *out; /* NULL: before the first of them */
    struct vmscm_fetch *fetch;
};

/* All commits have come. */
static int begin_data(struct vmscm_serve *s, struct data_request *r, struct vmscm_error *err)
{
    int rc;

    if (r->out)
        return 0;
    if ((rc = resolve(s, &r->wants, err)) ||
        (rc = vmscm_select_leaves(&r->leaves, s->repo, r->wants.revisions, err)))
        return rc;
    for (size_t i = 0; i < r->wants.again.len && !rc; i++)
        rc = vmscm_select_leaves_of(&r->leaves, s->repo, r->wants.again.items[i].id, err);
    if (rc || (rc = vmscm_outgoing_new(&r->out, s->repo, err)))
        return rc;
    return vmscm_fetch_new(&r->fetch, s->repo->store, err);
}

static int refuse_leaf(struct vmscm_error *err)
{
    return vmscm_error_set(
        err, VMSCM_EREFUSED, "data was asked for that no revision asked for consists of");
}

static int want_leaves(struct data_request *r, const struct vmscm_stream_frame *frame,
    struct vmscm_error *err)
{
    struct vmscm_id leaf;
    const uint8_t *ids;
    unsigned role;
    size_t count;
    int rc = vmscm_wire_decode_list(
        &role, &ids, &count, VMSCM_HASH_SIZE, frame->data, frame->len, err);

    if (!rc && role != VMSCM_WIRE_WANT)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "a request that cannot be read");
    for (size_t i = 0; i < count && !rc; i++) {
        memcpy(leaf.bytes, ids + i * VMSCM_HASH_SIZE, VMSCM_HASH_SIZE);
        rc = vmscm_outgoing_from(r->out, NULL, err);
        if (!rc)
            rc = vmscm_idset_find(&r->leaves, &leaf) ? vmscm_outgoing_want(r->out, &leaf, err)
                                                     : refuse_leaf(err);
    }
    return rc;
}

/* The chunks of a leaf whose bits are set. */
static int want_entries(struct data_request *r, const struct vmscm_stream_frame *frame,
    struct vmscm_error *err)
{
    struct vmscm_leaf_entry *entries = NULL;
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    const uint8_t *bits;
    struct vmscm_id leaf;
    size_t count, is = 0;
    uint32_t length;
    int rc = vmscm_wire_decode_entries(&leaf, &bits, &count, frame->data, frame->len, err);

    if (!rc && !vmscm_idset_find(&r->leaves, &leaf))
        rc = refuse_leaf(err);
    if (rc ||
        (rc = vmscm_fetch_read_buf(
             r->fetch, VMSCM_PACK_LEAF, &leaf, &bytes, VMSCM_PACK_PART_MAX, err)) ||
        (rc = vmscm_leaf_decode(&entries, &is, &length, bytes.data, bytes.len, err)))
        goto out;
    if (is != count)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "a request that cannot be read");
    else
        rc = vmscm_outgoing_from(r->out, &leaf, err);
    for (size_t i = 0; i < count && !rc; i++) {
        bool set = bits[i / 8] >> i % 8 & 1;
        if (!entries[i].zero)
            rc = set ? vmscm_outgoing_want(r->out, &entries[i].id, err)
                     : vmscm_outgoing_allow(r->out, &entries[i].id, err);
    }
out:
    free(entries);
    vmscm_buf_release(&bytes);
    return rc;
}

static int read_request(struct vmscm_serve *s, struct data_request *r, struct vmscm_error *err)
{
    struct vmscm_stream_frame frame;
    int rc;

    while (!(rc = vmscm_stream_get(s->stream, &frame, err)) && frame.type != VMSCM_WIRE_END) {
        if (frame.type == VMSCM_WIRE_COMMITS && !r->out)
            rc = take_commits(&r->wants, &frame, err);
        else if (frame.type != VMSCM_WIRE_IDS && frame.type != VMSCM_WIRE_ENTRIES)
            rc = vmscm_error_set(err, VMSCM_EINPUT, "a request that cannot be read");
        else if (!(rc = begin_data(s, r, err)))
            rc = frame.type == VMSCM_WIRE_IDS ? want_leaves(r, &frame, err)
                                              : want_entries(r, &frame, err);
        if (rc)
            return rc;
    }
    return rc ? rc : begin_data(s, r, err);
}

int vmscm_servefetch_data(struct vmscm_serve *s, unsigned flags, struct vmscm_error *err)
{
    struct data_request request = {0};
    struct vmscm_outgoing_how how = {.alone = (flags & VMSCM_WIRE_ALONE) != 0};
    uint64_t total;
    uint8_t wire[8];
    int rc;

    if ((rc = read_request(s, &request, err)) ||
        (rc = vmscm_outgoing_measure(request.out, &total, err)))
        goto out;
    how.fresh = request.wants.had.len == 0;
    vmscm_put_le64(wire, total);
    if ((rc = vmscm_serve_answer(s, VMSCM_WIRE_OP_DATA, err)) ||
        (rc = vmscm_stream_put(s->stream, VMSCM_WIRE_TOTAL, wire, sizeof wire, NULL, 0, err)) ||
        (rc = vmscm_outgoing_run(request.out, s->stream, &how, err)))
        goto out;
    rc = vmscm_serve_end(s, err);
out:
    vmscm_outgoing_free(request.out);
    vmscm_fetch_free(request.fetch);
    release_wants(&request.wants);
    vmscm_idset_release(&request.leaves);
    return rc;
}
