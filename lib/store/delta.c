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
    uint64_t table[TABLE]; /* of the prefix's units, by open addressing; 0 is empty */
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
    int rc = vmscm_fetch_bases(d->fetch, near, found, &found_count, &why);

    for (size_t i = 0; i < found_count && !rc && *count < VMSCM_PACK_BASES_MAX; i++) {
        if (has(bases, *count, &found[i]) || !vmscm_store_find(d->store, &entry, &found[i]) ||
            entry.has_base || d->prefix.len + entry.plain_len > PREFIX_MAX)
            continue;
        if (!(rc = vmscm_fetch_read_buf(d->fetch, VMSCM_PACK_CHUNK, &found[i], &d->part,
                  VMSCM_PACK_PART_MAX, &why)) &&
            !(rc = vmscm_buf_append(&d->prefix, d->part.data, d->part.len, &why)))
            bases[(*count)++] = found[i];
    }
    return rc == VMSCM_ENOMEM ? vmscm_error_copy(err, &why) : 0;
}

static uint64_t *slot(struct vmscm_delta *d, uint64_t key)
{
    size_t i = (size_t)key & (TABLE - 1);

    while (d->table[i] && d->table[i] != key)
        i = (i + 1) & (TABLE - 1);
    return &d->table[i];
}

static uint64_t key_of(const uint8_t *unit)
{
    return vmscm_checksum_64(unit, UNIT, 0) | 1;
}

/* Whether the prefix has at least half of the data's units, wherever they are. */
static bool is_alike(struct vmscm_delta *d, const uint8_t *data, size_t len)
{
    size_t units = len / UNIT, same = 0;

    memset(d->table, 0, sizeof d->table);
    for (size_t i = 0; i + UNIT <= d->prefix.len; i += UNIT) {
        uint64_t key = key_of(d->prefix.data + i);
        *slot(d, key) = key;
    }
    for (size_t i = 0; i < units; i++)
        same += *slot(d, key_of(data + i * UNIT)) != 0;
    return same > 0 && same >= units - same;
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
    if (*count && !is_alike(d, data, len))
        *count = 0;
    *prefix = &d->prefix;
    return 0;
}
