/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/delta.h"
#include "codec/checksum.h"

#include <stdlib.h>
#include <string.h>

#define UNIT 512
#define PREFIX_MAX (1u << 20) /* plain bytes of all bases */
#define TABLE (4 * PREFIX_MAX / UNIT)

struct vmscm_delta {
    struct vmscm_store *store;
    struct vmscm_fetch *fetch;
    struct vmscm_buf prefix, part;
    size_t ends[VMSCM_PACK_BASES_MAX]; /* where each base ends in the prefix */
    uint64_t table[TABLE]; /* of the prefix's units, by open addressing; 0 is empty */
    uint8_t owner[TABLE];  /* the base that has it, */
    bool needed[VMSCM_PACK_BASES_MAX]; /* and whether it has any that data have too */
};

int vmscm_delta_new(struct vmscm_delta **out, struct vmscm_store *store,
    struct vmscm_fetch *fetch, struct vmscm_error *err)
{
    struct vmscm_delta *d = calloc(1, sizeof *d);

    if (!d)
        return vmscm_error_nomem(err);
    d->store = store;
    d->fetch = fetch;
    *out = d;
    return 0;
}

void vmscm_delta_free(struct vmscm_delta *d)
{
    if (!d)
        return;
    vmscm_buf_release(&d->prefix);
    vmscm_buf_release(&d->part);
    free(d);
}

static bool has(const struct vmscm_id *ids, size_t count, const struct vmscm_id *id)
{
    for (size_t i = 0; i < count; i++)
        if (vmscm_hash_cmp(&ids[i], id) == 0)
            return true;
    return false;
}

/* The chunk, or its bases; what is there already, or no longer fits, is left out. */
static int add_bases(struct vmscm_delta *d, const struct vmscm_id *near, struct vmscm_id *bases,
    size_t *count, struct vmscm_error *err)
{
    struct vmscm_id found[VMSCM_PACK_BASES_MAX];
    struct vmscm_error why = VMSCM_ERROR_INIT;
    struct vmscm_pack_entry entry;
    size_t found_count = 0;
    int rc = vmscm_fetch_find_bases(d->fetch, near, found, &found_count, &why);

    for (size_t i = 0; i < found_count && !rc && *count < VMSCM_PACK_BASES_MAX; i++) {
        if (has(bases, *count, &found[i]) || !vmscm_store_find(d->store, &entry, &found[i]) ||
            entry.has_base || d->prefix.len + entry.plain_len > PREFIX_MAX)
            continue;
        if (!(rc = vmscm_fetch_compare(d->fetch, &found[i], &d->part, &why)) &&
            !(rc = vmscm_buf_append(&d->prefix, d->part.data, d->part.len, &why))) {
            d->ends[*count] = d->prefix.len;
            bases[(*count)++] = found[i];
        }
    }
    return rc == VMSCM_ENOMEM ? vmscm_error_copy(err, &why) : 0;
}

static size_t slot(const struct vmscm_delta *d, uint64_t key)
{
    size_t i = (size_t)key & (TABLE - 1);

    while (d->table[i] && d->table[i] != key)
        i = (i + 1) & (TABLE - 1);
    return i;
}

static uint64_t key_of(const uint8_t *unit)
{
    return vmscm_checksum_64(unit, UNIT, 0) | 1;
}

/* Whether the bases have at least half of the data's units, wherever they are. */
static bool is_alike(struct vmscm_delta *d, size_t count, const uint8_t *data, size_t len)
{
    size_t units = len / UNIT, same = 0;

    memset(d->table, 0, sizeof d->table);
    memset(d->needed, 0, sizeof d->needed);
    for (size_t base = 0; base < count; base++)
        for (size_t at = base ? d->ends[base - 1] : 0; at + UNIT <= d->ends[base]; at += UNIT) {
            uint64_t key = key_of(d->prefix.data + at);
            size_t i = slot(d, key);
            if (!d->table[i])
                d->owner[i] = (uint8_t)base;
            d->table[i] = key;
        }
    for (size_t i = 0; i < units; i++) {
        size_t found = slot(d, key_of(data + i * UNIT));
        if (d->table[found]) {
            d->needed[d->owner[found]] = true;
            same++;
        }
    }
    return same > 0 && same >= units - same;
}

/* Bases that have nothing of the data go: to read what is stored against them costs their records. */
static size_t drop_others(struct vmscm_delta *d, struct vmscm_id *bases, size_t count)
{
    size_t kept = 0, len = 0;

    for (size_t i = 0, start = 0; i < count; start = d->ends[i++]) {
        size_t part = d->ends[i] - start;
        if (!d->needed[i])
            continue;
        memmove(d->prefix.data + len, d->prefix.data + start, part);
        len += part;
        bases[kept++] = bases[i];
    }
    d->prefix.len = len;
    return kept;
}

int vmscm_delta_find(struct vmscm_delta *d, const struct vmscm_id *near, size_t near_count,
    const void *data, size_t len, struct vmscm_id bases[VMSCM_PACK_BASES_MAX], size_t *count,
    const struct vmscm_buf **prefix, struct vmscm_error *err)
{
    int rc = 0;

    *count = 0;
    d->prefix.len = 0;
    for (size_t i = 0; i < near_count && i < VMSCM_PACK_BASES_MAX && !rc; i++)
        rc = add_bases(d, &near[i], bases, count, err);
    if (rc)
        return rc;
    *count = *count && is_alike(d, *count, data, len) ? drop_others(d, bases, *count) : 0;
    *prefix = &d->prefix;
    return 0;
}
