/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/live.h"
#include "base/str.h"
#include "base/vec.h"

#include <stdlib.h>

struct copy {
    size_t pack; /* its place in live->packs */
    struct vmscm_pack_entry entry;
};

struct vmscm_live {
    struct vmscm_store *store;
    struct vmscm_fetch *fetch;
    VMSCM_VEC(struct vmscm_live_pack) packs;
    VMSCM_VEC(struct copy) copies; /* of the id at hand */
};

static int add_pack(struct vmscm_live *live, struct vmscm_packfile *pack, bool old,
    struct vmscm_error *err)
{
    struct vmscm_live_pack *slot;

    if (vmscm_vec_add(&live->packs, &slot, err))
        return VMSCM_ENOMEM;
    *slot = (struct vmscm_live_pack){.pack = pack, .old = old};
    pack->marks = live->packs.len;
    return 0;
}

int vmscm_live_new(struct vmscm_live **out, struct vmscm_store *store, struct vmscm_error *err)
{
    struct vmscm_live *live = calloc(1, sizeof *live);
    struct vmscm_packfile **packs = NULL;
    size_t count;
    int rc;

    if (!live)
        return vmscm_error_nomem(err);
    live->store = store;
    if (!(rc = vmscm_fetch_new_own(&live->fetch, store, err)) &&
        !(rc = vmscm_store_list(store, &packs, &count, err)))
        for (size_t i = 0; i < count && !rc; i++)
            rc = add_pack(live, packs[i], true, err);
    free(packs);
    if (rc)
        vmscm_live_free(live);
    else
        *out = live;
    return rc;
}

void vmscm_live_clear(struct vmscm_live *live)
{
    for (size_t i = 0; i < live->packs.len; i++) {
        struct vmscm_live_pack *p = &live->packs.items[i];
        free(p->marked);
        free(p->entered);
        free(p->copied);
        p->marked = p->entered = p->copied = NULL;
        p->entries = 0;
        p->plain = 0;
    }
}

void vmscm_live_free(struct vmscm_live *live)
{
    if (!live)
        return;
    vmscm_live_clear(live);
    for (size_t i = 0; i < live->packs.len; i++)
        live->packs.items[i].pack->marks = 0;
    vmscm_fetch_free(live->fetch);
    vmscm_vec_release(&live->packs);
    vmscm_vec_release(&live->copies);
    free(live);
}

static bool has_bit(const uint64_t *bits, uint32_t number)
{
    return bits && bits[number / 64] >> (number % 64) & 1;
}

/* *first: it was not set. */
static int set_bit(uint64_t **bits, const struct vmscm_packfile *pack, uint32_t number,
    bool *first, struct vmscm_error *err)
{
    size_t words = (size_t)pack->trailer.entry_count / 64 + 1;

    if (!*bits && !(*bits = calloc(words, sizeof **bits)))
        return vmscm_error_nomem(err);
    *first = !has_bit(*bits, number);
    (*bits)[number / 64] |= UINT64_C(1) << (number % 64);
    return 0;
}

/* Whether copy a is the one to keep rather than b. */
static bool is_better(struct vmscm_live *live, const struct copy *a, const struct copy *b)
{
    const struct vmscm_live_pack *x = &live->packs.items[a->pack];
    const struct vmscm_live_pack *y = &live->packs.items[b->pack];
    bool marked = has_bit(x->marked, a->entry.number);

    if (marked != has_bit(y->marked, b->entry.number))
        return marked;
    if (a->entry.has_base != b->entry.has_base)
        return b->entry.has_base;
    if (x->pack->trailer.entry_count != y->pack->trailer.entry_count)
        return x->pack->trailer.entry_count > y->pack->trailer.entry_count;
    return memcmp(x->pack->name, y->pack->name, sizeof x->pack->name) < 0;
}

/* The copies of an id, the best first, each once. as_base: only those that can be bases. */
static int find_copies(struct vmscm_live *live, const struct vmscm_id *id, bool as_base,
    struct vmscm_error *err)
{
    struct vmscm_pack_entry entry;
    struct vmscm_packfile *pack;
    struct copy *slot;

    live->copies.len = 0;
    for (size_t nth = 0; (pack = vmscm_store_locate(live->store, &entry, id, nth)); nth++) {
        bool known = as_base && entry.has_base;
        if (!pack->marks && add_pack(live, pack, false, err))
            return VMSCM_ENOMEM;
        for (size_t i = 0; i < live->copies.len && !known; i++)
            known = live->copies.items[i].pack == pack->marks - 1;
        if (known)
            continue;
        if (vmscm_vec_add(&live->copies, &slot, err))
            return VMSCM_ENOMEM;
        *slot = (struct copy){pack->marks - 1, entry};
        /* Nearly always: it was met before, or it is the only one. */
        if (nth == 0 && has_bit(live->packs.items[slot->pack].marked, entry.number))
            return 0;
        for (; slot > live->copies.items && is_better(live, slot, slot - 1); slot--) {
            struct copy other = slot[-1];
            slot[-1] = *slot;
            *slot = other;
        }
    }
    return 0;
}

static int mark_copy(struct vmscm_live *live, const struct copy *copy, struct vmscm_error *err)
{
    struct vmscm_live_pack *p = &live->packs.items[copy->pack];
    bool first = false;
    int rc = set_bit(&p->marked, p->pack, copy->entry.number, &first, err);

    if (!rc && first) {
        p->entries++;
        p->plain += copy->entry.plain_len;
    }
    return rc;
}

static int missing(const struct vmscm_id *id, const char *what, struct vmscm_error *err)
{
    char hex[VMSCM_HASH_HEX];

    vmscm_str_hex(hex, id->bytes, VMSCM_HASH_SIZE);
    return vmscm_error_set(err, VMSCM_EDAMAGED, "%s %.16s: missing", what, hex);
}

/* The best copies of all that a copy is stored against. */
static int find_bases(struct vmscm_live *live, struct copy found[VMSCM_PACK_BASES_MAX],
    size_t *count, const struct copy *copy, struct vmscm_error *err)
{
    struct vmscm_id bases[VMSCM_PACK_BASES_MAX];
    int rc;

    *count = 0;
    rc = vmscm_fetch_find_bases_at(
        live->fetch, live->packs.items[copy->pack].pack, &copy->entry, bases, count, err);
    for (size_t i = 0; i < *count && !rc; i++) {
        if ((rc = find_copies(live, &bases[i], true, err)))
            break;
        if (live->copies.len)
            found[i] = live->copies.items[0];
        else
            rc = missing(&bases[i], "base", err);
    }
    return rc;
}

/* Nothing is marked unless all of it is there. */
static int mark_bases(struct vmscm_live *live, const struct copy *copy, struct vmscm_error *err)
{
    struct copy found[VMSCM_PACK_BASES_MAX];
    size_t count;
    int rc = find_bases(live, found, &count, copy, err);

    for (size_t i = 0; i < count && !rc; i++)
        rc = mark_copy(live, &found[i], err);
    return rc;
}

/* *out: the copy that is marked now. */
static int mark(struct vmscm_live *live, struct copy *out, const struct vmscm_id *id,
    struct vmscm_error *err)
{
    struct vmscm_error first = VMSCM_ERROR_INIT, why = VMSCM_ERROR_INIT;
    bool changed;
    int rc = 0;

    for (int again = 0; again < 2; again++) {
        /* The list is used anew for bases: so the nth best is looked for each time. */
        for (size_t n = 0;; n++) {
            if ((rc = find_copies(live, id, false, err)))
                return rc;
            if (n >= live->copies.len)
                break;
            *out = live->copies.items[n];
            if (has_bit(live->packs.items[out->pack].marked, out->entry.number))
                return 0;
            if (!out->entry.has_base || !(rc = mark_bases(live, out, &why)))
                return mark_copy(live, out, err);
            if (rc == VMSCM_ENOMEM)
                return vmscm_error_copy(err, &why);
            if (!first.code)
                first = why;
        }
        if (!again && (rc = vmscm_store_reload(live->store, &changed, err)))
            return rc;
    }
    rc = missing(id, "chunk or leaf", err);
    return first.code ? vmscm_error_copy(err, &first) : rc;
}

int vmscm_live_mark(struct vmscm_live *live, const struct vmscm_id *id, struct vmscm_error *err)
{
    struct copy copy;

    return mark(live, &copy, id, err);
}

int vmscm_live_enter(struct vmscm_live *live, const struct vmscm_id *id, bool *first,
    struct vmscm_error *err)
{
    struct copy copy;
    int rc = mark(live, &copy, id, err);

    if (rc)
        return rc;
    struct vmscm_live_pack *p = &live->packs.items[copy.pack];
    return set_bit(&p->entered, p->pack, copy.entry.number, first, err);
}

void vmscm_live_leave(struct vmscm_live *live, const struct vmscm_id *id)
{
    struct vmscm_pack_entry entry;
    struct vmscm_packfile *pack;

    for (size_t nth = 0; (pack = vmscm_store_locate(live->store, &entry, id, nth)); nth++) {
        uint64_t *bits = pack->marks ? live->packs.items[pack->marks - 1].entered : NULL;
        if (bits)
            bits[entry.number / 64] &= ~(UINT64_C(1) << (entry.number % 64));
    }
}

int vmscm_live_has_bases(struct vmscm_live *live, bool *yes, const struct vmscm_live_pack *pack,
    struct vmscm_error *err)
{
    struct copy own = {.pack = (size_t)(pack - live->packs.items)};
    struct copy found[VMSCM_PACK_BASES_MAX];
    const struct vmscm_packfile *file = pack->pack;
    struct vmscm_error why = VMSCM_ERROR_INIT;
    size_t count;
    int rc = 0;

    *yes = true;
    for (uint32_t i = 0; i < file->trailer.entry_count && *yes && !rc; i++) {
        vmscm_packfile_entry(file, &own.entry, i);
        if (!own.entry.has_base)
            continue;
        *yes = (rc = find_bases(live, found, &count, &own, &why)) != VMSCM_EDAMAGED;
        rc = *yes ? rc : 0;
    }
    return rc ? vmscm_error_copy(err, &why) : 0;
}

int vmscm_live_mark_pack(struct vmscm_live *live, struct vmscm_live_pack *pack,
    struct vmscm_error *err)
{
    size_t number = (size_t)(pack - live->packs.items);
    int rc = 0;

    for (uint32_t i = 0; i < pack->pack->trailer.entry_count && !rc; i++) {
        struct copy own = {.pack = number};
        bool best = true;
        vmscm_packfile_entry(pack->pack, &own.entry, i);
        rc = find_copies(live, &own.entry.id, false, err);
        for (size_t n = 0; n < live->copies.len && best && !rc; n++) {
            const struct copy *other = &live->copies.items[n];
            best = other->pack == number || !live->packs.items[other->pack].chosen ||
                !is_better(live, other, &own);
        }
        if (!rc && best)
            rc = mark_copy(live, &own, err);
        /* Packs may have been met, and the list moved. */
        pack = &live->packs.items[number];
    }
    return rc;
}

size_t vmscm_live_count(const struct vmscm_live *live)
{
    return live->packs.len;
}

struct vmscm_live_pack *vmscm_live_pack(struct vmscm_live *live, size_t n)
{
    return &live->packs.items[n];
}

bool vmscm_live_has(const struct vmscm_live_pack *pack, uint32_t number)
{
    return has_bit(pack->marked, number);
}

bool vmscm_live_wants(const struct vmscm_live_pack *pack, uint32_t number)
{
    return has_bit(pack->marked, number) && !has_bit(pack->copied, number);
}

int vmscm_live_take(struct vmscm_live *live, struct vmscm_packfile **pack,
    struct vmscm_pack_entry *entry, const struct vmscm_id *id, struct vmscm_error *err)
{
    bool first;

    for (size_t nth = 0; (*pack = vmscm_store_locate(live->store, entry, id, nth)); nth++) {
        struct vmscm_live_pack *p =
            (*pack)->marks ? &live->packs.items[(*pack)->marks - 1] : NULL;
        if (p && p->chosen && !entry->has_base && vmscm_live_wants(p, entry->number))
            return set_bit(&p->copied, *pack, entry->number, &first, err);
    }
    return 0;
}

struct vmscm_packfile *vmscm_live_other(struct vmscm_live *live, struct vmscm_pack_entry *entry,
    const struct vmscm_packfile *pack, const struct vmscm_id *id)
{
    struct vmscm_packfile *other, *best = NULL;
    struct vmscm_pack_entry found;

    for (size_t nth = 0; (other = vmscm_store_locate(live->store, &found, id, nth)); nth++)
        if (other != pack && other->marks &&
            has_bit(live->packs.items[other->marks - 1].marked, found.number) &&
            (!best || (entry->has_base && !found.has_base))) {
            best = other;
            *entry = found;
        }
    return best;
}

struct vmscm_live_pack *vmscm_live_named(struct vmscm_live *live,
    const uint8_t name[VMSCM_MIDX_NAME_SIZE])
{
    for (size_t i = 0; i < live->packs.len; i++)
        if (memcmp(live->packs.items[i].pack->name, name, VMSCM_MIDX_NAME_SIZE) == 0)
            return &live->packs.items[i];
    return NULL;
}
