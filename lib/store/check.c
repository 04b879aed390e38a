/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/check.h"
#include "store/fetch.h"
#include "sys/parallel.h"

#include <pthread.h>
#include <stdlib.h>

#define BATCH 64 /* records a thread takes at once */

struct run {
    struct vmscm_check *check;
    struct vmscm_packfile *pack;
    struct vmscm_pack_entry *entries; /* by offset */
    size_t count;
    pthread_mutex_t lock; /* guards next and the callbacks */
    size_t next;
};

static int by_offset(const void *a, const void *b)
{
    uint32_t x = ((const struct vmscm_pack_entry *)a)->offset;
    uint32_t y = ((const struct vmscm_pack_entry *)b)->offset;

    return x < y ? -1 : x > y;
}

static int work(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct run *run = p->data;
    struct vmscm_fetch *fetch = NULL;
    int rc = vmscm_fetch_new(&fetch, run->check->store, err);

    (void)index;
    while (!rc && !atomic_load(&p->stop)) {
        uint64_t bytes = 0;
        pthread_mutex_lock(&run->lock);
        size_t at = run->next, end = at + BATCH < run->count ? at + BATCH : run->count;
        run->next = end;
        pthread_mutex_unlock(&run->lock);
        if (at == end)
            break;
        for (; at < end && !rc; at++) {
            struct vmscm_error why = VMSCM_ERROR_INIT;
            int bad = vmscm_fetch_check(fetch, run->pack, &run->entries[at], &why);
            bytes += run->entries[at].length;
            if (bad == VMSCM_ENOMEM) {
                rc = vmscm_error_copy(err, &why);
            } else if (bad) {
                pthread_mutex_lock(&run->lock);
                run->check->found(run->check->data, run->pack, &run->entries[at].id, &why);
                pthread_mutex_unlock(&run->lock);
            }
        }
        pthread_mutex_lock(&run->lock);
        run->check->bytes += bytes;
        if (!rc && run->check->progress(run->check->data, run->check->bytes))
            rc = vmscm_error_set(err, VMSCM_ECANCELED, "interrupted");
        pthread_mutex_unlock(&run->lock);
    }
    vmscm_fetch_free(fetch);
    return rc;
}

static void tell(struct run *run, const char *text, uint64_t where)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;

    vmscm_error_set(&why, VMSCM_EDAMAGED, "%s %llu", text, (unsigned long long)where);
    run->check->found(run->check->data, run->pack, NULL, &why);
}

/* What is out of order is not found by a search, whatever its record says. */
static void check_order(struct run *run)
{
    for (size_t i = 1; i < run->count; i++)
        if (vmscm_hash_cmp(&run->entries[i - 1].id, &run->entries[i].id) >= 0) {
            tell(run, "index is not sorted: see entry", i);
            return;
        }
}

/* Records must lie one after the other from the header to the index. */
static void check_layout(struct run *run)
{
    uint64_t at = VMSCM_PACK_HEADER_SIZE;

    for (size_t i = 0; i < run->count; at += run->entries[i++].length)
        if (run->entries[i].offset != at)
            break;
    if (at != run->pack->trailer.index_offset)
        tell(run, "records do not fill the pack: see offset", at);
}

int vmscm_check_packs(struct vmscm_check *check, struct vmscm_error *err)
{
    int rc = 0;

    check->records = check->bytes = 0;
    for (size_t n = 0; n < vmscm_store_pack_count(check->store) && !rc; n++) {
        struct vmscm_packfile *pack = vmscm_store_pack(check->store, n);
        struct run run = {.check = check, .pack = pack, .count = pack->trailer.entry_count};
        run.entries = calloc(run.count + 1, sizeof *run.entries);
        if (!run.entries)
            return vmscm_error_nomem(err);
        for (uint32_t i = 0; i < run.count; i++)
            vmscm_packfile_entry(pack, &run.entries[i], i);
        check_order(&run);
        qsort(run.entries, run.count, sizeof *run.entries, by_offset);
        check_layout(&run);
        pthread_mutex_init(&run.lock, NULL);
        rc = vmscm_parallel_run(check->jobs, work, &run, err);
        pthread_mutex_destroy(&run.lock);
        check->records += run.count;
        free(run.entries);
    }
    return rc;
}
