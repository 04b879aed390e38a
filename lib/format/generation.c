/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/generation.h"
#include "base/endian.h"
#include "base/str.h"
#include "codec/checksum.h"

#include <stdlib.h>
#include <string.h>

#define WHOLE 1u
#define LISTED 1u
#define STEP_SIZE 32
#define OBJECT_SIZE 48
#define SUM_SIZE 8

static const uint8_t magic[8] = {'V', 'M', 'S', 'C', 'M', 'G', 'E', 'N'};
static const uint8_t zeros[VMSCM_GENERATION_DIGEST];

static int put_name(struct vmscm_buf *buf, const char *name, struct vmscm_error *err)
{
    size_t len = strlen(name);
    int rc;

    if (!len || len > VMSCM_GENERATION_REF_MAX)
        return vmscm_error_set(err, VMSCM_EUSAGE, "%.200s: too long a name", name);
    rc = vmscm_buf_put16(buf, (uint16_t)len, err);
    return rc ? rc : vmscm_buf_append(buf, name, len, err);
}

static int put_step(struct vmscm_buf *buf, const struct vmscm_generation_step *s,
    struct vmscm_error *err)
{
    uint8_t out[STEP_SIZE] = {s->op, s->kind};

    memcpy(out + 8, s->name, sizeof s->name);
    vmscm_put_le64(out + 24, s->size);
    return vmscm_buf_append(buf, out, sizeof out, err);
}

static int put_object(struct vmscm_buf *buf, const struct vmscm_generation_object *o,
    struct vmscm_error *err)
{
    uint8_t out[OBJECT_SIZE] = {o->kind, o->listed ? LISTED : 0};

    memcpy(out + 8, o->name, sizeof o->name);
    vmscm_put_le64(out + 24, o->size);
    vmscm_put_le64(out + 32, o->condemned);
    vmscm_put_le64(out + 40, (uint64_t)o->when);
    return vmscm_buf_append(buf, out, sizeof out, err);
}

static int put_head(struct vmscm_buf *buf, const struct vmscm_generation *g, struct vmscm_error *err)
{
    uint8_t out[VMSCM_GENERATION_HEAD] = {0};

    memcpy(out, magic, sizeof magic);
    out[8] = VMSCM_GENERATION_VERSION;
    out[9] = g->base == g->number ? WHOLE : 0;
    vmscm_put_le64(out + 16, g->number);
    vmscm_put_le64(out + 24, g->base);
    vmscm_put_le64(out + 32, (uint64_t)g->when);
    memcpy(out + 40, g->transaction, sizeof g->transaction);
    memcpy(out + 56, g->previous, sizeof g->previous);
    vmscm_put_le32(out + 88, (uint32_t)g->changes.len);
    vmscm_put_le32(out + 92, (uint32_t)g->steps.len);
    vmscm_put_le32(out + 96, (uint32_t)g->state.refs.len);
    vmscm_put_le32(out + 100, (uint32_t)g->state.objects.len);
    return vmscm_buf_append(buf, out, sizeof out, err);
}

int vmscm_generation_encode(struct vmscm_buf *buf, const struct vmscm_generation *g,
    struct vmscm_error *err)
{
    size_t start = buf->len;
    int rc = put_head(buf, g, err);

    for (size_t i = 0; i < g->changes.len && !rc; i++) {
        const struct vmscm_generation_change *c = &g->changes.items[i];
        if (!(rc = vmscm_buf_append(buf, c->before, sizeof c->before, err)) &&
            !(rc = vmscm_buf_append(buf, c->after, sizeof c->after, err)))
            rc = put_name(buf, c->name, err);
    }
    for (size_t i = 0; i < g->steps.len && !rc; i++)
        rc = put_step(buf, &g->steps.items[i], err);
    for (size_t i = 0; i < g->state.refs.len && !rc; i++) {
        const struct vmscm_generation_ref *r = &g->state.refs.items[i];
        if (!(rc = vmscm_buf_append(buf, r->id, sizeof r->id, err)))
            rc = put_name(buf, r->name, err);
    }
    for (size_t i = 0; i < g->state.objects.len && !rc; i++)
        rc = put_object(buf, &g->state.objects.items[i], err);
    if (!rc)
        rc = vmscm_buf_put64(
            buf, vmscm_checksum_64(buf->data + start, buf->len - start, 0), err);
    if (!rc && buf->len - start > VMSCM_GENERATION_MAX)
        rc = vmscm_error_set(err, VMSCM_EREFUSED, "more refs and packs than one repository can have");
    return rc;
}

/* What is left to be read. */
struct reading {
    const uint8_t *at;
    size_t left;
};

static int damaged(struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EDAMAGED, "a generation that cannot be read");
}

static const uint8_t *take(struct reading *r, size_t len)
{
    const uint8_t *at = r->at;

    if (r->left < len)
        return NULL;
    r->at += len;
    r->left -= len;
    return at;
}

static int take_name(char **out, struct reading *r, struct vmscm_error *err)
{
    const uint8_t *len = take(r, 2), *text;
    size_t n = len ? vmscm_get_le16(len) : 0;
    int rc;

    if (!n || n > VMSCM_GENERATION_REF_MAX || !(text = take(r, n)) || memchr(text, '\0', n))
        return damaged(err);
    if ((rc = vmscm_str_printf(out, err, "%.*s", (int)n, (const char *)text)))
        return rc;
    return vmscm_str_printable(*out) ? 0 : damaged(err);
}

static bool is_kind(unsigned kind)
{
    return kind == VMSCM_GENERATION_PACK || kind == VMSCM_GENERATION_HISTORY;
}

static int take_changes(struct vmscm_generation *g, struct reading *r, uint32_t count,
    struct vmscm_error *err)
{
    struct vmscm_generation_change *c;
    const uint8_t *ids;
    int rc = 0;

    while (count-- && !rc) {
        if (!(ids = take(r, 2 * VMSCM_GENERATION_OID)))
            return damaged(err);
        if (vmscm_vec_add(&g->changes, &c, err))
            return VMSCM_ENOMEM;
        memcpy(c->before, ids, sizeof c->before);
        memcpy(c->after, ids + sizeof c->before, sizeof c->after);
        rc = take_name(&c->name, r, err);
    }
    return rc;
}

static int take_steps(struct vmscm_generation *g, struct reading *r, uint32_t count,
    struct vmscm_error *err)
{
    struct vmscm_generation_step *s;
    const uint8_t *in;

    while (count--) {
        if (!(in = take(r, STEP_SIZE)) || in[0] < VMSCM_GENERATION_ADD ||
            in[0] > VMSCM_GENERATION_REMOVE || !is_kind(in[1]) || memcmp(in + 2, zeros, 6) != 0)
            return damaged(err);
        if (vmscm_vec_add(&g->steps, &s, err))
            return VMSCM_ENOMEM;
        s->op = in[0];
        s->kind = in[1];
        memcpy(s->name, in + 8, sizeof s->name);
        s->size = vmscm_get_le64(in + 24);
    }
    return 0;
}

static int compare(unsigned kind, const uint8_t *name, const struct vmscm_generation_object *o)
{
    return kind != o->kind ? (kind < o->kind ? -1 : 1) : memcmp(name, o->name, sizeof o->name);
}

static int take_state(struct vmscm_generation_state *state, struct reading *r, uint32_t refs,
    uint32_t objects, struct vmscm_error *err)
{
    struct vmscm_generation_object *o;
    struct vmscm_generation_ref *ref;
    const uint8_t *in;
    int rc;

    while (refs--) {
        if (!(in = take(r, VMSCM_GENERATION_OID)))
            return damaged(err);
        if (vmscm_vec_add(&state->refs, &ref, err))
            return VMSCM_ENOMEM;
        memcpy(ref->id, in, sizeof ref->id);
        if ((rc = take_name(&ref->name, r, err)))
            return rc;
        if (state->refs.len > 1 && strcmp(ref[-1].name, ref->name) >= 0)
            return damaged(err);
    }
    while (objects--) {
        if (!(in = take(r, OBJECT_SIZE)) || !is_kind(in[0]) || in[1] > LISTED ||
            memcmp(in + 2, zeros, 6) != 0)
            return damaged(err);
        if (vmscm_vec_add(&state->objects, &o, err))
            return VMSCM_ENOMEM;
        o->kind = in[0];
        o->listed = in[1] == LISTED;
        memcpy(o->name, in + 8, sizeof o->name);
        o->size = vmscm_get_le64(in + 24);
        o->condemned = vmscm_get_le64(in + 32);
        o->when = (int64_t)vmscm_get_le64(in + 40);
        if (state->objects.len > 1 && compare(o->kind, o->name, &o[-1]) <= 0)
            return damaged(err);
    }
    return 0;
}

static int decode(struct vmscm_generation *g, const uint8_t *in, size_t len, struct vmscm_error *err)
{
    struct reading r = {in + VMSCM_GENERATION_HEAD, len - VMSCM_GENERATION_HEAD - SUM_SIZE};
    bool whole = in[9] == WHOLE;
    int rc;

    if (in[9] > WHOLE || memcmp(in + 10, zeros, 6) != 0)
        return damaged(err);
    g->number = vmscm_get_le64(in + 16);
    g->base = vmscm_get_le64(in + 24);
    g->when = (int64_t)vmscm_get_le64(in + 32);
    memcpy(g->transaction, in + 40, sizeof g->transaction);
    memcpy(g->previous, in + 56, sizeof g->previous);
    if (!g->number || !g->base || g->base > g->number || (g->base == g->number) != whole ||
        (!whole && (vmscm_get_le32(in + 96) || vmscm_get_le32(in + 100))))
        return damaged(err);
    if ((rc = take_changes(g, &r, vmscm_get_le32(in + 88), err)) ||
        (rc = take_steps(g, &r, vmscm_get_le32(in + 92), err)) ||
        (rc = take_state(&g->state, &r, vmscm_get_le32(in + 96), vmscm_get_le32(in + 100), err)))
        return rc;
    return r.left ? damaged(err) : 0;
}

int vmscm_generation_decode(struct vmscm_generation *out, const uint8_t *in, size_t len,
    struct vmscm_error *err)
{
    int rc;

    memset(out, 0, sizeof *out);
    if (len < VMSCM_GENERATION_HEAD + SUM_SIZE || memcmp(in, magic, sizeof magic) != 0)
        return damaged(err);
    if (in[8] != VMSCM_GENERATION_VERSION) {
        vmscm_error_set(err, VMSCM_EUNSUPPORTED, "a generation of version %d, which is not known", in[8]);
        return vmscm_error_hint(err, "use a newer vmscm");
    }
    rc = vmscm_checksum_64(in, len - SUM_SIZE, 0) != vmscm_get_le64(in + len - SUM_SIZE)
        ? damaged(err)
        : decode(out, in, len, err);
    if (rc)
        vmscm_generation_release(out);
    return rc;
}

void vmscm_generation_release_state(struct vmscm_generation_state *state)
{
    for (size_t i = 0; i < state->refs.len; i++)
        free(state->refs.items[i].name);
    vmscm_vec_release(&state->refs);
    vmscm_vec_release(&state->objects);
}

void vmscm_generation_release(struct vmscm_generation *g)
{
    for (size_t i = 0; i < g->changes.len; i++)
        free(g->changes.items[i].name);
    vmscm_vec_release(&g->changes);
    vmscm_vec_release(&g->steps);
    vmscm_generation_release_state(&g->state);
}

int vmscm_generation_change(struct vmscm_generation *g, const char *name,
    const uint8_t before[VMSCM_GENERATION_OID], const uint8_t after[VMSCM_GENERATION_OID],
    struct vmscm_error *err)
{
    struct vmscm_generation_change *c;

    if (vmscm_vec_add(&g->changes, &c, err))
        return VMSCM_ENOMEM;
    memcpy(c->before, before, sizeof c->before);
    memcpy(c->after, after, sizeof c->after);
    return vmscm_str_dup(&c->name, name, err);
}

int vmscm_generation_step(struct vmscm_generation *g, unsigned op, unsigned kind,
    const uint8_t name[VMSCM_GENERATION_NAME], uint64_t size, struct vmscm_error *err)
{
    struct vmscm_generation_step *s;

    if (vmscm_vec_add(&g->steps, &s, err))
        return VMSCM_ENOMEM;
    s->op = (uint8_t)op;
    s->kind = (uint8_t)kind;
    memcpy(s->name, name, sizeof s->name);
    s->size = size;
    return 0;
}

/* Where one of this name is, or would be. */
static size_t place(const struct vmscm_generation_state *state, unsigned kind, const uint8_t *name)
{
    size_t low = 0, high = state->objects.len;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare(kind, name, &state->objects.items[mid]) > 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static size_t place_ref(const struct vmscm_generation_state *state, const char *name)
{
    size_t low = 0, high = state->refs.len;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(name, state->refs.items[mid].name) > 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct vmscm_generation_object *vmscm_generation_find(const struct vmscm_generation_state *state,
    unsigned kind, const uint8_t name[VMSCM_GENERATION_NAME])
{
    size_t at = place(state, kind, name);

    return at < state->objects.len && compare(kind, name, &state->objects.items[at]) == 0
        ? &state->objects.items[at]
        : NULL;
}

struct vmscm_generation_ref *vmscm_generation_find_ref(const struct vmscm_generation_state *state,
    const char *name)
{
    size_t at = place_ref(state, name);

    return at < state->refs.len && strcmp(state->refs.items[at].name, name) == 0
        ? &state->refs.items[at]
        : NULL;
}

/* By name; those of one name as they came. */
static int by_name(const void *a, const void *b)
{
    const struct vmscm_generation_change *x = *(const struct vmscm_generation_change *const *)a;
    const struct vmscm_generation_change *y = *(const struct vmscm_generation_change *const *)b;
    int order = strcmp(x->name, y->name);

    return order ? order : (x > y) - (x < y);
}

static int by_object(const void *a, const void *b)
{
    const struct vmscm_generation_step *x = *(const struct vmscm_generation_step *const *)a;
    const struct vmscm_generation_step *y = *(const struct vmscm_generation_step *const *)b;
    int order = x->kind != y->kind ? (x->kind < y->kind ? -1 : 1)
                                   : memcmp(x->name, y->name, sizeof x->name);

    return order ? order : (x > y) - (x < y);
}

/* The ref it is about is the last of refs, if there is one; there is room for another. */
static int apply_change(struct vmscm_generation_state *to, const struct vmscm_generation_change *c,
    struct vmscm_error *err)
{
    struct vmscm_generation_ref *ref = to->refs.len ? &to->refs.items[to->refs.len - 1] : NULL;
    int rc;

    if (ref && strcmp(ref->name, c->name) != 0)
        ref = NULL;
    if (memcmp(ref ? ref->id : zeros, c->before, sizeof c->before) != 0)
        return vmscm_error_set(err, VMSCM_EDAMAGED,
            "a generation that changes %s from what it was not", c->name);
    if (memcmp(c->after, zeros, sizeof c->after) == 0) {
        if (ref) {
            free(ref->name);
            to->refs.len--;
        }
        return 0;
    }
    if (!ref) {
        ref = &to->refs.items[to->refs.len];
        if ((rc = vmscm_str_dup(&ref->name, c->name, err)))
            return rc;
        to->refs.len++;
    }
    memcpy(ref->id, c->after, sizeof ref->id);
    return 0;
}

/* Likewise. */
static void apply_step(struct vmscm_generation_state *to, const struct vmscm_generation *g,
    const struct vmscm_generation_step *s)
{
    struct vmscm_generation_object *o =
        to->objects.len ? &to->objects.items[to->objects.len - 1] : NULL;

    if (o && compare(s->kind, s->name, o) != 0)
        o = NULL;
    if (s->op == VMSCM_GENERATION_REMOVE) {
        to->objects.len -= o != NULL;
        return;
    }
    if (!o) {
        o = &to->objects.items[to->objects.len++];
        *o = (struct vmscm_generation_object){.kind = s->kind, .size = s->size};
        memcpy(o->name, s->name, sizeof o->name);
    }
    if (s->op == VMSCM_GENERATION_ADD) {
        o->listed = true;
        o->condemned = 0;
        o->when = 0;
    } else if (!o->condemned) {
        o->condemned = g->number;
        o->when = g->when;
    }
}

/* Both are sorted, and put together: that takes no longer for many changes at once. If it fails, some are
 * made. */
static int apply_changes(struct vmscm_generation_state *state, const struct vmscm_generation *g,
    struct vmscm_error *err)
{
    const struct vmscm_generation_change **sorted = calloc(g->changes.len, sizeof *sorted);
    const struct vmscm_generation_ref *refs = state->refs.items;
    struct vmscm_generation_state to = {0};
    size_t at = 0;
    int rc = sorted ? 0 : vmscm_error_nomem(err);

    to.refs.cap = state->refs.len + g->changes.len;
    if (!rc && !(to.refs.items = calloc(to.refs.cap, sizeof *to.refs.items)))
        rc = vmscm_error_nomem(err);
    if (rc)
        goto out;
    for (size_t i = 0; i < g->changes.len; i++)
        sorted[i] = &g->changes.items[i];
    qsort(sorted, g->changes.len, sizeof *sorted, by_name);
    for (size_t i = 0; i < g->changes.len && !rc; i++) {
        while (at < state->refs.len && strcmp(refs[at].name, sorted[i]->name) <= 0)
            to.refs.items[to.refs.len++] = refs[at++];
        rc = apply_change(&to, sorted[i], err);
    }
    while (at < state->refs.len)
        to.refs.items[to.refs.len++] = refs[at++];
    free(state->refs.items);
    memcpy(&state->refs, &to.refs, sizeof to.refs);
out:
    free(sorted);
    return rc;
}

static int apply_steps(struct vmscm_generation_state *state, const struct vmscm_generation *g,
    struct vmscm_error *err)
{
    const struct vmscm_generation_step **sorted = calloc(g->steps.len, sizeof *sorted);
    const struct vmscm_generation_object *objects = state->objects.items;
    struct vmscm_generation_state to = {0};
    size_t at = 0;
    int rc = sorted ? 0 : vmscm_error_nomem(err);

    to.objects.cap = state->objects.len + g->steps.len;
    if (!rc && !(to.objects.items = calloc(to.objects.cap, sizeof *to.objects.items)))
        rc = vmscm_error_nomem(err);
    if (rc)
        goto out;
    for (size_t i = 0; i < g->steps.len; i++)
        sorted[i] = &g->steps.items[i];
    qsort(sorted, g->steps.len, sizeof *sorted, by_object);
    for (size_t i = 0; i < g->steps.len; i++) {
        while (at < state->objects.len &&
            compare(sorted[i]->kind, sorted[i]->name, &objects[at]) >= 0)
            to.objects.items[to.objects.len++] = objects[at++];
        apply_step(&to, g, sorted[i]);
    }
    while (at < state->objects.len)
        to.objects.items[to.objects.len++] = objects[at++];
    free(state->objects.items);
    memcpy(&state->objects, &to.objects, sizeof to.objects);
out:
    free(sorted);
    return rc;
}

uint64_t vmscm_generation_size(const struct vmscm_generation_state *state)
{
    uint64_t bytes = (uint64_t)state->objects.len * OBJECT_SIZE;

    for (size_t i = 0; i < state->refs.len; i++)
        bytes += VMSCM_GENERATION_OID + 2 + strlen(state->refs.items[i].name);
    return bytes;
}

int vmscm_generation_apply(struct vmscm_generation_state *state, const struct vmscm_generation *g,
    struct vmscm_error *err)
{
    int rc = 0;

    if ((g->changes.len && (rc = apply_changes(state, g, err))) ||
        (g->steps.len && (rc = apply_steps(state, g, err))))
        return rc;
    return vmscm_generation_size(state) > VMSCM_GENERATION_MAX
        ? vmscm_error_set(err, VMSCM_EDAMAGED, "more refs and packs than one repository can have")
        : 0;
}

int vmscm_generation_copy(struct vmscm_generation_state *out,
    const struct vmscm_generation_state *from, struct vmscm_error *err)
{
    struct vmscm_generation_object *o;
    struct vmscm_generation_ref *ref;
    int rc = 0;

    for (size_t i = 0; i < from->refs.len && !rc; i++) {
        if (vmscm_vec_add(&out->refs, &ref, err))
            return VMSCM_ENOMEM;
        memcpy(ref->id, from->refs.items[i].id, sizeof ref->id);
        rc = vmscm_str_dup(&ref->name, from->refs.items[i].name, err);
    }
    for (size_t i = 0; i < from->objects.len && !rc; i++) {
        if (vmscm_vec_add(&out->objects, &o, err))
            return VMSCM_ENOMEM;
        *o = from->objects.items[i];
    }
    return rc;
}
