/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where things are and what they are stored against: no more than headers is read. */
#include "base/str.h"
#include "store/fetch_parts.h"

/* Whether a base is somewhere without a base of its own. */
static bool find_base(struct vmscm_fetch *fetch, const struct vmscm_id *id)
{
    struct vmscm_pack_entry entry;
    struct vmscm_packfile *pack;

    for (size_t nth = 0; (pack = vmscm_store_locate(fetch->store, &entry, id, nth)); nth++)
        if (!entry.has_base) {
            atomic_store(&pack->used, true);
            return true;
        }
    return false;
}

/* Whether all that the record at hand is stored against is there. */
static int find_bases(struct vmscm_fetch *fetch, struct vmscm_error *err)
{
    const struct vmscm_pack_record *record = &fetch->record;
    char hex[VMSCM_HASH_HEX];

    for (unsigned i = 0; i < record->base_count; i++)
        if (!find_base(fetch, &record->bases[i])) {
            vmscm_str_hex(hex, record->bases[i].bytes, VMSCM_HASH_SIZE);
            return vmscm_error_set(err, VMSCM_EDAMAGED, "its base %.16s is missing", hex);
        }
    return 0;
}

int vmscm_fetch_find(struct vmscm_fetch *fetch, const struct vmscm_id *id, struct vmscm_error *err)
{
    struct vmscm_error first = VMSCM_ERROR_INIT, why = VMSCM_ERROR_INIT;
    struct vmscm_pack_entry entry;
    struct vmscm_packfile *pack;

    for (size_t nth = 0; (pack = vmscm_store_locate(fetch->store, &entry, id, nth)); nth++) {
        int rc = entry.has_base ? vmscm_fetch_load(fetch, pack, &entry, VMSCM_PACK_HEAD_MAX, &why) : 0;
        if (!rc && entry.has_base)
            rc = find_bases(fetch, &why);
        if (!rc) {
            atomic_store(&pack->used, true);
            return 0;
        }
        if (rc == VMSCM_ENOMEM)
            return vmscm_error_copy(err, &why);
        if (!first.code)
            first = why;
    }
    return vmscm_error_set(err, VMSCM_EDAMAGED, "%s", first.code ? first.message : "missing");
}

/* Where it is, by the first index that knows. */
static int find(struct vmscm_fetch *fetch, struct vmscm_packfile **pack,
    struct vmscm_pack_entry *entry, const struct vmscm_id *id, struct vmscm_error *err)
{
    *pack = vmscm_store_locate(fetch->store, entry, id, 0);
    return *pack ? 0 : vmscm_error_set(err, VMSCM_EDAMAGED, "missing");
}

int vmscm_fetch_find_bases_at(struct vmscm_fetch *fetch, struct vmscm_packfile *pack,
    const struct vmscm_pack_entry *entry, struct vmscm_id *bases, size_t *count,
    struct vmscm_error *err)
{
    int rc = vmscm_fetch_load(fetch, pack, entry, VMSCM_PACK_HEAD_MAX, err);

    if (rc)
        return rc;
    *count = fetch->record.base_count;
    memcpy(bases, fetch->record.bases, *count * sizeof *bases);
    return 0;
}

int vmscm_fetch_find_bases(struct vmscm_fetch *fetch, const struct vmscm_id *id, struct vmscm_id *bases,
    size_t *count, struct vmscm_error *err)
{
    struct vmscm_pack_entry entry;
    struct vmscm_packfile *pack;
    int rc = find(fetch, &pack, &entry, id, err);

    if (rc)
        return rc;
    if (entry.has_base)
        return vmscm_fetch_find_bases_at(fetch, pack, &entry, bases, count, err);
    *count = 1;
    bases[0] = *id;
    return 0;
}

int vmscm_fetch_find_share(
    struct vmscm_fetch *fetch, const struct vmscm_id *id, uint64_t *bytes, struct vmscm_error *err)
{
    struct vmscm_pack_entry entry;
    struct vmscm_packfile *pack;
    int rc;

    if ((rc = find(fetch, &pack, &entry, id, err)) ||
        (rc = vmscm_fetch_load(fetch, pack, &entry, VMSCM_PACK_HEAD_MAX, err)))
        return rc;
    *bytes = (uint64_t)entry.length * entry.plain_len / fetch->record.plain_len;
    return 0;
}
