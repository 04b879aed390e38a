/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers to who pushes. */
#include "base/str.h"
#include "history/ancestry.h"
#include "history/revspec.h"
#include "repo/refnames.h"
#include "remote/serve.h"

#include <stdlib.h>
#include <string.h>

#define ASK_MAX 4096 /* frames of one request, whose answers are kept until all have come */

static int open_receive(struct vmscm_serve *s, struct vmscm_error *err)
{
    size_t packs;
    int rc;

    if (s->receive)
        return 0;
    rc = vmscm_receive_open(&s->receive, s->repo, err);
    return rc ? rc : vmscm_receive_adopt(s->receive, &packs, err);
}

/* A bit for each id: it need not be sent. Every machine is shown to who pushes, so all that is kept may be
 * told of, what no ref leads to any more included: N10 says why. Who hides machines must answer otherwise. */
static int answer_ids(struct vmscm_serve *s, struct vmscm_buf *answers,
    const struct vmscm_stream_frame *frame, struct vmscm_error *err)
{
    uint8_t bits[VMSCM_WIRE_IDS_MAX / 8 + 1] = {0};
    const uint8_t *ids;
    struct vmscm_id id;
    unsigned role;
    size_t count;
    int rc = vmscm_wire_decode_list(
        &role, &ids, &count, VMSCM_HASH_SIZE, frame->data, frame->len, err);

    if (!rc && role != VMSCM_WIRE_WANT)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "a request that cannot be read");
    for (size_t i = 0; i < count && !rc; i++) {
        memcpy(id.bytes, ids + i * VMSCM_HASH_SIZE, VMSCM_HASH_SIZE);
        if (vmscm_receive_has(s->receive, &id, NULL))
            bits[i / 8] |= (uint8_t)(1u << i % 8);
    }
    return rc ? rc : vmscm_wire_encode_bits(answers, bits, count, err);
}

int vmscm_servepush_ask(struct vmscm_serve *s, struct vmscm_error *err)
{
    VMSCM_VEC(size_t) ends = {0};
    struct vmscm_buf answers = VMSCM_BUF_INIT;
    struct vmscm_stream_frame frame;
    size_t *slot, at = 0;
    int rc = open_receive(s, err);

    while (!rc && !(rc = vmscm_stream_get(s->stream, &frame, err)) && frame.type == VMSCM_WIRE_IDS)
        if (ends.len >= ASK_MAX)
            rc = vmscm_error_set(err, VMSCM_EREFUSED, "too much is asked for at once");
        else if (!(rc = answer_ids(s, &answers, &frame, err)) &&
            !(rc = vmscm_vec_add(&ends, &slot, err)))
            *slot = answers.len;
    if (!rc && frame.type != VMSCM_WIRE_END)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "a request that cannot be read");
    if (rc || (rc = vmscm_serve_answer(s, VMSCM_WIRE_OP_ASK, err)))
        goto out;
    for (size_t i = 0; i < ends.len && !rc; i++) {
        rc = vmscm_stream_put(s->stream, VMSCM_WIRE_BITS, NULL, 0, answers.data + at,
            ends.items[i] - at, err);
        at = ends.items[i];
    }
    if (!rc)
        rc = vmscm_serve_end(s, err);
out:
    vmscm_vec_release(&ends);
    vmscm_buf_release(&answers);
    return rc;
}

static void to_text(char out[VMSCM_GITDB_ID], const uint8_t id[VMSCM_WIRE_OID_SIZE])
{
    static const uint8_t zeros[VMSCM_WIRE_OID_SIZE];

    out[0] = '\0';
    if (memcmp(id, zeros, sizeof zeros) != 0)
        vmscm_str_hex(out, id, VMSCM_WIRE_OID_SIZE);
}

static int take_update(struct vmscm_land *land, const struct vmscm_stream_frame *frame,
    struct vmscm_error *err)
{
    struct vmscm_land_update *u;
    struct vmscm_wire_update wire;
    enum vmscm_refnames_kind kind;
    int rc = vmscm_wire_decode_update(&wire, frame->data, frame->len, err);

    if (rc)
        return rc;
    kind = vmscm_refnames_kind(wire.name, NULL, NULL);
    if (kind == VMSCM_REFNAMES_NONE)
        return vmscm_error_set(err, VMSCM_EREFUSED, "%s: not a name that can be pushed", wire.name);
    if (land->updates.len >= VMSCM_SERVE_UPDATES_MAX) {
        vmscm_error_set(err, VMSCM_EREFUSED, "more than %u names are pushed", VMSCM_SERVE_UPDATES_MAX);
        return vmscm_error_hint(err, "push some machines at a time, by name or pattern");
    }
    if ((rc = vmscm_land_add(land, &u, wire.name, err)))
        return rc;
    to_text(u->before, wire.before);
    to_text(u->after, wire.after);
    u->force = (wire.flags & VMSCM_WIRE_FORCE) != 0;
    u->merge = kind == VMSCM_REFNAMES_NOTE;
    if (u->merge && !u->after[0])
        return vmscm_error_set(err, VMSCM_EREFUSED, "%s: cannot be removed", wire.name);
    return 0;
}

static int by_ref(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Each name once. */
static int check_names(const struct vmscm_land *land, struct vmscm_error *err)
{
    size_t n = land->updates.len;
    const char **names = calloc(n + 1, sizeof *names);
    int rc = 0;

    if (!names)
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < n; i++)
        names[i] = land->updates.items[i].ref;
    qsort(names, n, sizeof *names, by_ref);
    for (size_t i = 1; i < n && !rc; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: is pushed twice", names[i]);
    free(names);
    return rc;
}

static int take_bare(struct vmscm_land *land, const struct vmscm_stream_frame *frame,
    struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];
    const uint8_t *ids;
    unsigned role;
    size_t count;
    int rc = vmscm_wire_decode_list(
        &role, &ids, &count, VMSCM_WIRE_OID_SIZE, frame->data, frame->len, err);

    if (!rc && (role != VMSCM_WIRE_BARE || land->bare.len + count > VMSCM_LAND_BARE_MAX))
        rc = vmscm_error_set(err, VMSCM_EINPUT, "a request that cannot be read");
    for (size_t i = 0; i < count && !rc; i++) {
        vmscm_str_hex(id, ids + i * VMSCM_WIRE_OID_SIZE, VMSCM_WIRE_OID_SIZE);
        rc = vmscm_land_add_bare(land, id, err);
    }
    return rc;
}

static int read_request(struct vmscm_serve *s, struct vmscm_land *land, struct vmscm_error *err)
{
    struct vmscm_stream_frame frame;
    int rc;

    while (!(rc = vmscm_stream_get(s->stream, &frame, err)) && frame.type != VMSCM_WIRE_END) {
        switch (frame.type) {
        case VMSCM_WIRE_UPDATE:
            rc = take_update(land, &frame, err);
            break;
        case VMSCM_WIRE_COMMITS:
            rc = take_bare(land, &frame, err);
            break;
        case VMSCM_WIRE_HISTORY:
            rc = vmscm_receive_history(s->receive, frame.data, frame.len, err);
            break;
        case VMSCM_WIRE_RECORD:
            rc = vmscm_receive_record(s->receive, frame.data, frame.len, err);
            break;
        default:
            rc = vmscm_error_set(err, VMSCM_EINPUT, "a request that cannot be read");
        }
        if (rc)
            return rc;
    }
    if (rc || (rc = check_names(land, err)) || (rc = vmscm_receive_records_end(s->receive, err)))
        return rc;
    return vmscm_receive_history_end(s->receive, err);
}

/* Ids of what is missing, as many as are told at a time. */
struct lacking {
    struct vmscm_buf ids;
};

static int add_lacking(struct lacking *l, const struct vmscm_id *id, struct vmscm_error *err)
{
    return l->ids.len / VMSCM_HASH_SIZE < VMSCM_SERVE_LACK_MAX
        ? vmscm_buf_append(&l->ids, id->bytes, sizeof id->bytes, err)
        : 0;
}

static int lack_leaf(void *data, const struct vmscm_id *leaf, struct vmscm_error *err)
{
    return add_lacking(data, leaf, err);
}

static int lack_chunks(void *data, const struct vmscm_id *leaf,
    const struct vmscm_leaf_entry *entries, const uint8_t *bits, size_t count,
    struct vmscm_error *err)
{
    int rc = 0;

    (void)leaf;
    for (size_t i = 0; i < count && !rc; i++)
        if (bits[i / 8] >> i % 8 & 1)
            rc = add_lacking(data, &entries[i].id, err);
    return rc;
}

static int answer_lacking(struct vmscm_serve *s, const struct lacking *l, struct vmscm_error *err)
{
    struct vmscm_buf frame = VMSCM_BUF_INIT;
    int rc = 0;

    for (size_t at = 0; at < l->ids.len && !rc;) {
        size_t count = (l->ids.len - at) / VMSCM_HASH_SIZE;
        if (count > VMSCM_WIRE_IDS_MAX)
            count = VMSCM_WIRE_IDS_MAX;
        frame.len = 0;
        if (!(rc = vmscm_wire_encode_list(
                  &frame, VMSCM_WIRE_LACK, l->ids.data + at, count, VMSCM_HASH_SIZE, err)))
            rc = vmscm_stream_put_buf(s->stream, VMSCM_WIRE_IDS, &frame, err);
        at += count * VMSCM_HASH_SIZE;
    }
    vmscm_buf_release(&frame);
    return rc;
}

static int answer_results(struct vmscm_serve *s, const struct vmscm_land *land,
    struct vmscm_error *err)
{
    struct vmscm_wire_result wire;
    struct vmscm_buf frame = VMSCM_BUF_INIT;
    int rc = 0;

    for (size_t i = 0; i < land->updates.len && !rc; i++) {
        const struct vmscm_land_update *u = &land->updates.items[i];
        memcpy(wire.name, u->ref, strlen(u->ref) + 1);
        wire.why = u->why;
        frame.len = 0;
        if (!(rc = vmscm_wire_encode_result(&frame, &wire, err)))
            rc = vmscm_stream_put_buf(s->stream, VMSCM_WIRE_RESULT, &frame, err);
    }
    vmscm_buf_release(&frame);
    return rc;
}

int vmscm_servepush_send(struct vmscm_serve *s, unsigned flags, struct vmscm_error *err)
{
    struct lacking lacking = {VMSCM_BUF_INIT};
    struct vmscm_closure closure = {.leaf = lack_leaf, .chunks = lack_chunks, .data = &lacking};
    struct vmscm_land land = {.atomic = (flags & VMSCM_WIRE_ATOMIC) != 0, .reason = "push"};
    int rc;

    if ((rc = open_receive(s, err)) || (rc = read_request(s, &land, err)) ||
        (s->mirror && (rc = vmscm_publish_new(&land.publish, s->mirror, err))))
        goto out;
    land.receive = s->receive;
    if ((rc = vmscm_land_look(&land, &closure, err)))
        goto out;
    if (!closure.missing && (rc = vmscm_land_run(&land, err)))
        goto out;
    if ((rc = vmscm_serve_answer(s, VMSCM_WIRE_OP_SEND, err)) ||
        (rc = closure.missing ? answer_lacking(s, &lacking, err) : answer_results(s, &land, err)))
        goto out;
    /* What came is not needed any more, before the other side knows: it may look. */
    if (!closure.missing) {
        vmscm_receive_close(s->receive, false);
        s->receive = NULL;
    }
    rc = vmscm_serve_end(s, err);
out:
    vmscm_closure_release(&closure);
    vmscm_publish_free(land.publish);
    vmscm_land_release(&land);
    vmscm_buf_release(&lacking.ids);
    return rc;
}
