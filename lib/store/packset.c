/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/packset.h"
#include "base/str.h"
#include "store/packlist.h"

#include <stdlib.h>

/* Where a pack of this name is, or would be. */
static size_t place_of(const struct vmscm_packset *set, const uint8_t *name)
{
    size_t low = 0, high = set->packs.len;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (memcmp(set->packs.items[mid]->name, name, VMSCM_MIDX_NAME_SIZE) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool is_at(const struct vmscm_packset *set, size_t place, const uint8_t *name)
{
    return place < set->packs.len &&
        memcmp(set->packs.items[place]->name, name, VMSCM_MIDX_NAME_SIZE) == 0;
}

static int add_damage(struct vmscm_packset *set, const char *file, const struct vmscm_error *why,
    struct vmscm_error *err)
{
    struct vmscm_packset_damage *slot;

    if (vmscm_vec_add(&set->damage, &slot, err))
        return VMSCM_ENOMEM;
    slot->why = *why;
    if (vmscm_str_dup(&slot->file, file, err)) {
        set->damage.len--;
        return VMSCM_ENOMEM;
    }
    return 0;
}

static void clear_damage(struct vmscm_packset *set)
{
    for (size_t i = 0; i < set->damage.len; i++)
        free(set->damage.items[i].file);
    set->damage.len = 0;
}

static int new_pack(struct vmscm_packfile **out, struct vmscm_packset *set, const uint8_t *name,
    struct vmscm_error *err)
{
    struct vmscm_packfile **slot;

    if (vmscm_vec_add(&set->all, &slot, err))
        return VMSCM_ENOMEM;
    if (vmscm_packfile_new(slot, name, err)) {
        set->all.len--;
        return VMSCM_ENOMEM;
    }
    *out = *slot;
    return 0;
}

int vmscm_packset_map(struct vmscm_packset *set, struct vmscm_packfile *pack,
    struct vmscm_error *err)
{
    char file[VMSCM_PACKFILE_NAME];
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = vmscm_packcache_map(&set->cache, pack, set->dir, &why);
    size_t place;

    if (!rc)
        return 0;
    vmscm_error_copy(err, &why);
    if (rc == VMSCM_ENOMEM)
        return rc;
    /* First: what is not among the packs must be among the damage. */
    vmscm_packfile_format_name(file, pack->name);
    if (rc != VMSCM_ENOTFOUND && add_damage(set, file, &why, err))
        return VMSCM_ENOMEM;
    pack->gone = true;
    place = place_of(set, pack->name);
    if (is_at(set, place, pack->name)) {
        set->packs.len--;
        memmove(&set->packs.items[place], &set->packs.items[place + 1],
            (set->packs.len - place) * sizeof *set->packs.items);
    }
    return rc;
}

/* The packs of the directory; new ones are not looked at yet. */
static int take_packs(struct vmscm_packset *set, const struct vmscm_packlist *list, bool *changed,
    struct vmscm_error *err)
{
    struct vmscm_packfile **items = calloc(list->packs.len + 1, sizeof *items);
    struct vmscm_packfile **old = set->packs.items;
    size_t known = set->packs.len, at = 0;
    int rc = items ? 0 : vmscm_error_nomem(err);

    for (size_t i = 0; i < known; i++)
        old[i]->gone = true;
    for (size_t n = 0; n < list->packs.len && !rc; n++) {
        const uint8_t *name = list->packs.items[n].bytes;
        while (at < known && memcmp(old[at]->name, name, VMSCM_MIDX_NAME_SIZE) < 0)
            at++;
        if (at < known && memcmp(old[at]->name, name, VMSCM_MIDX_NAME_SIZE) == 0) {
            items[n] = old[at];
            items[n]->gone = false;
        } else {
            rc = new_pack(&items[n], set, name, err);
            *changed = true;
        }
    }
    for (size_t i = 0; i < known; i++) {
        if (rc)
            old[i]->gone = false;
        if (old[i]->gone) {
            vmscm_packcache_drop(&set->cache, old[i]);
            *changed = true;
        }
    }
    if (rc) {
        free(items);
        return rc;
    }
    free(old);
    set->packs.items = items;
    set->packs.len = set->packs.cap = list->packs.len;
    return 0;
}

static bool has_index(const struct vmscm_packset *set, const char *file)
{
    for (size_t i = 0; i < set->midxs.len; i++)
        if (strcmp(file, vmscm_midxfile_name(set->midxs.items[i])) == 0)
            return true;
    return false;
}

/* The multi-pack indexes of the directory. Those that are known stay open: they never change. */
static int take_indexes(struct vmscm_packset *set, const struct vmscm_packlist *list,
    bool *changed, struct vmscm_error *err)
{
    size_t kept = 0;
    int rc = 0;

    for (size_t i = 0; i < set->midxs.len; i++) {
        struct vmscm_midxfile *midx = set->midxs.items[i];
        bool listed = false;
        for (size_t n = 0; n < list->indexes.len && !listed; n++)
            listed = strcmp(list->indexes.items[n], vmscm_midxfile_name(midx)) == 0;
        if (listed) {
            set->midxs.items[kept++] = midx;
        } else {
            vmscm_midxfile_close(midx);
            *changed = true;
        }
    }
    set->midxs.len = kept;
    for (size_t n = 0; n < list->indexes.len && !rc; n++) {
        const char *file = list->indexes.items[n];
        struct vmscm_midxfile *midx = NULL, **slot;
        struct vmscm_error why = VMSCM_ERROR_INIT;
        if (!vmscm_midxfile_is_name(file) || has_index(set, file))
            continue;
        if (vmscm_midxfile_open(&midx, set->dir, file, &why)) {
            if (why.code != VMSCM_ENOTFOUND)
                rc = add_damage(set, file, &why, err);
            continue;
        }
        *changed = true;
        if (vmscm_vec_add(&set->midxs, &slot, err)) {
            vmscm_midxfile_close(midx);
            rc = VMSCM_ENOMEM;
        } else {
            *slot = midx;
        }
    }
    return rc;
}

/* Which packs the multi-pack indexes mean. */
static void resolve(struct vmscm_packset *set)
{
    for (size_t i = 0; i < set->packs.len; i++)
        set->packs.items[i]->covered = false;
    for (size_t m = 0; m < set->midxs.len; m++) {
        struct vmscm_midxfile *midx = set->midxs.items[m];
        size_t place = 0;
        midx->present = 0;
        for (uint32_t i = 0; i < midx->header.pack_count; i++) {
            const uint8_t *name = vmscm_midxfile_pack_name(midx, i);
            /* Both lists are sorted, or should be. */
            while (place < set->packs.len &&
                memcmp(set->packs.items[place]->name, name, VMSCM_MIDX_NAME_SIZE) < 0)
                place++;
            if (!is_at(set, place, name))
                place = place_of(set, name);
            midx->packs[i] = is_at(set, place, name) ? set->packs.items[place] : NULL;
            if (midx->packs[i]) {
                midx->packs[i]->covered = true;
                midx->present++;
            }
        }
    }
}

/* Packs that no index lists are searched one by one. */
static int take_loose(struct vmscm_packset *set, struct vmscm_error *err)
{
    size_t i = 0;

    set->loose.len = 0;
    while (i < set->packs.len) {
        struct vmscm_packfile *pack = set->packs.items[i], **slot;
        struct vmscm_error why = VMSCM_ERROR_INIT;
        if (!pack->covered) {
            if (vmscm_packset_map(set, pack, &why) == VMSCM_ENOMEM)
                return vmscm_error_copy(err, &why);
            if (pack->gone)
                continue; /* and is not at i any more */
            if (vmscm_vec_add(&set->loose, &slot, err))
                return VMSCM_ENOMEM;
            *slot = pack;
        }
        i++;
    }
    return 0;
}

int vmscm_packset_load(struct vmscm_packset *set, bool *changed, struct vmscm_error *err)
{
    struct vmscm_packlist list = {0};
    bool other = false;
    int rc = vmscm_packlist_read(&list, set->dir, err);

    *changed = false;
    if (rc)
        goto out;
    clear_damage(set);
    if ((rc = take_packs(set, &list, changed, err)) ||
        (rc = take_indexes(set, &list, &other, err)))
        goto out;
    if (*changed || other)
        resolve(set);
    rc = take_loose(set, err);
out:
    vmscm_packlist_release(&list);
    return rc;
}

/* Into the list of packs, where it belongs. */
static int insert(struct vmscm_packset *set, struct vmscm_packfile *pack, struct vmscm_error *err)
{
    size_t place = place_of(set, pack->name);
    struct vmscm_packfile **slot;

    if (vmscm_vec_add(&set->packs, &slot, err))
        return VMSCM_ENOMEM;
    memmove(&set->packs.items[place + 1], &set->packs.items[place],
        (set->packs.len - 1 - place) * sizeof *set->packs.items);
    set->packs.items[place] = pack;
    return 0;
}

int vmscm_packset_add(struct vmscm_packset *set, struct vmscm_packfile **out, const uint8_t *name,
    struct vmscm_error *err)
{
    size_t place = place_of(set, name);
    struct vmscm_packfile *pack = NULL, **slot;
    int rc;

    if (is_at(set, place, name)) {
        pack = set->packs.items[place]; /* seen by a load meanwhile */
        rc = vmscm_packset_map(set, pack, err);
    } else if (!(rc = new_pack(&pack, set, name, err)) && !(rc = insert(set, pack, err)) &&
        !(rc = vmscm_packset_map(set, pack, err)) &&
        !(rc = vmscm_vec_add(&set->loose, &slot, err))) {
        *slot = pack;
    }
    *out = pack;
    return rc;
}

void vmscm_packset_release(struct vmscm_packset *set)
{
    clear_damage(set);
    for (size_t i = 0; i < set->midxs.len; i++)
        vmscm_midxfile_close(set->midxs.items[i]);
    for (size_t i = 0; i < set->all.len; i++)
        vmscm_packfile_free(set->all.items[i]);
    vmscm_packcache_release(&set->cache);
    vmscm_vec_release(&set->all);
    vmscm_vec_release(&set->packs);
    vmscm_vec_release(&set->loose);
    vmscm_vec_release(&set->midxs);
    vmscm_vec_release(&set->damage);
    free(set->dir);
}
