/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/plan.h"

#include <stdlib.h>

static uint64_t plain_bytes(const struct vmscm_packfile *pack)
{
    struct vmscm_pack_entry entry;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < pack->trailer.entry_count; i++) {
        vmscm_packfile_entry(pack, &entry, i);
        sum += entry.plain_len;
    }
    return sum;
}

static uint64_t share(uint64_t bytes, uint64_t part, uint64_t whole)
{
    return whole ? (uint64_t)((__uint128_t)bytes * part / whole) : 0;
}

/* The packs that may go, and their sizes. */
static int list(struct vmscm_plan *plan, struct vmscm_store *store, struct vmscm_live *live,
    struct vmscm_error *err)
{
    size_t count = vmscm_live_count(live);
    int rc = 0;

    *plan = (struct vmscm_plan){.packs = calloc(count + 1, sizeof *plan->packs)};
    if (!plan->packs)
        return vmscm_error_nomem(err);
    for (size_t n = 0; n < count && !rc; n++) {
        const struct vmscm_live_pack *pack = vmscm_live_pack(live, n);
        struct vmscm_plan_pack *item = &plan->packs[plan->count];
        if (!pack->old || pack->kept || pack->pack->gone)
            continue;
        *item = (struct vmscm_plan_pack){.number = n, .marks = pack->entries};
        if (!(rc = vmscm_store_bytes(store, pack->pack, &item->bytes, err)))
            plan->count++;
        item->needed = item->bytes;
    }
    if (rc)
        vmscm_plan_release(plan);
    return rc;
}

#define ALL 101 /* a threshold that no share of garbage meets, for: every pack */

static void weigh(struct vmscm_plan_pack *item, const struct vmscm_live_pack *pack, unsigned how)
{
    uint64_t plain = plain_bytes(pack->pack);
    uint64_t garbage = plain > pack->plain ? plain - pack->plain : 0;

    item->needed = share(item->bytes, pack->plain, plain);
    if (!pack->entries)
        item->what = VMSCM_PLAN_DROP;
    else if (how == ALL || (garbage && garbage > share(plain, how, 100)))
        item->what = VMSCM_PLAN_REPACK;
}

static int by_size(const void *a, const void *b)
{
    const struct vmscm_plan_pack *x = *(struct vmscm_plan_pack *const *)a,
                                 *y = *(struct vmscm_plan_pack *const *)b;

    if (x->needed != y->needed)
        return x->needed < y->needed ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static int merge_small(struct vmscm_plan *plan, struct vmscm_error *err)
{
    struct vmscm_plan_pack **small = calloc(plan->count + 1, sizeof *small);
    uint64_t before = 0;
    size_t count = 0, take = 0;

    if (!small)
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < plan->count; i++)
        if (plan->packs[i].what != VMSCM_PLAN_DROP && !plan->packs[i].left &&
            plan->packs[i].needed < VMSCM_PLAN_SMALL)
            small[count++] = &plan->packs[i];
    qsort(small, count, sizeof *small, by_size);
    while (take < count && (take < VMSCM_PLAN_MERGE || small[take]->needed <= 2 * before))
        before += small[take++]->needed;
    for (size_t i = 0; take >= VMSCM_PLAN_MERGE && i < take; i++)
        small[i]->what = VMSCM_PLAN_REPACK;
    free(small);
    return 0;
}

/* Most garbage first: what is gained soonest makes room for the rest. */
static int by_gain(const void *a, const void *b)
{
    const struct vmscm_plan_pack *x = a, *y = b;
    uint64_t gain_x = x->bytes - x->needed, gain_y = y->bytes - y->needed;

    if (gain_x != gain_y)
        return gain_x > gain_y ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

int vmscm_plan_make(struct vmscm_plan *plan, struct vmscm_store *store, struct vmscm_live *live,
    unsigned threshold, bool all, struct vmscm_error *err)
{
    int rc = list(plan, store, live, err);

    for (size_t i = 0; i < plan->count && !rc; i++) {
        const struct vmscm_live_pack *pack = vmscm_live_pack(live, plan->packs[i].number);
        if ((rc = vmscm_store_pin(store, pack->pack, err)))
            break;
        weigh(&plan->packs[i], pack, all ? ALL : threshold);
        vmscm_packfile_forget(pack->pack);
        vmscm_store_unpin(store, pack->pack);
    }
    if (!rc && !(rc = merge_small(plan, err)))
        qsort(plan->packs, plan->count, sizeof *plan->packs, by_gain);
    if (rc)
        vmscm_plan_release(plan);
    return rc;
}

/* Choose the small packs that are whole. */
static int choose_whole(struct vmscm_plan *plan, struct vmscm_store *store,
    struct vmscm_live *live, struct vmscm_error *err)
{
    bool again = true;
    int rc = 0;

    while (again && !rc) {
        again = false;
        for (size_t i = 0; i < plan->count; i++)
            plan->packs[i].what = VMSCM_PLAN_KEEP;
        if ((rc = merge_small(plan, err)))
            break;
        for (size_t i = 0; i < plan->count && !rc; i++) {
            struct vmscm_plan_pack *item = &plan->packs[i];
            struct vmscm_packfile *pack = vmscm_live_pack(live, item->number)->pack;
            bool whole = true;
            if (item->what != VMSCM_PLAN_REPACK || (rc = vmscm_store_pin(store, pack, err)))
                continue;
            rc = vmscm_live_has_bases(live, &whole, vmscm_live_pack(live, item->number), err);
            vmscm_store_unpin(store, pack);
            item->left = !whole;
            again = again || !whole;
        }
    }
    return rc;
}

int vmscm_plan_merge(struct vmscm_plan *plan, struct vmscm_store *store, struct vmscm_live *live,
    struct vmscm_error *err)
{
    int rc = list(plan, store, live, err);

    if (rc || (rc = choose_whole(plan, store, live, err)))
        goto out;
    for (size_t i = 0; i < plan->count; i++)
        vmscm_live_pack(live, plan->packs[i].number)->chosen =
            plan->packs[i].what == VMSCM_PLAN_REPACK;
    for (size_t i = 0; i < plan->count && !rc; i++) {
        struct vmscm_plan_pack *item = &plan->packs[i];
        struct vmscm_packfile *pack = vmscm_live_pack(live, item->number)->pack;
        if (item->what != VMSCM_PLAN_REPACK)
            continue;
        if ((rc = vmscm_store_pin(store, pack, err)))
            break;
        rc = vmscm_live_mark_pack(live, vmscm_live_pack(live, item->number), err);
        vmscm_store_unpin(store, pack);
        item->marks = vmscm_live_pack(live, item->number)->entries;
    }
out:
    if (rc)
        vmscm_plan_release(plan);
    return rc;
}

bool vmscm_plan_is_due(const struct vmscm_store *store)
{
    size_t small = 0;

    for (size_t i = 0; i < vmscm_store_pack_count(store); i++) {
        const struct vmscm_packfile *pack = vmscm_store_pack(store, i);
        small += !pack->covered && pack->file_size && pack->file_size < VMSCM_PLAN_SMALL;
    }
    return small >= VMSCM_PLAN_MERGE;
}

void vmscm_plan_release(struct vmscm_plan *plan)
{
    free(plan->packs);
    *plan = (struct vmscm_plan){0};
}
