/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/check.h"
#include "store/fetch.h"
#include "sys/parallel.h"

#include <pthread.h>
#include <stdlib.h>

#define BATCH 64 /* entries a thread takes at once, or a few more */

struct run {
    struct vmscm_check *check;
    struct vmscm_packfile *pack;
    struct vmscm_pack_entry *entries; /* by their records' places */
    size_t count;
    pthread_mutex_t lock; /* guards next and the callbacks */
    size_t next;
};

static int by_place(const void *a, const void *b)
{
    const struct vmscm_pack_entry *x = a, *y = b;

    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return (int)x->part - (int)y->part;
}

/* How many entries lead to the record of the one at `at`, the first of it. */
static size_t parts_at(const struct run *run, size_t at)
{
    size_t n = 1;

    while (at + n < run->count && run->entries[at + n].offset == run->entries[at].offset)
        n++;
    return n;
}

static void bad(void *data, const struct vmscm_id *id, const struct vmscm_error *why)
{
    struct run *run = data;

    pthread_mutex_lock(&run->lock);
    run->check->found(run->check->data, run->pack, id, why);
    pthread_mutex_unlock(&run->lock);
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
        size_t at = run->next, end = at;
        while (end < run->count && end - at < BATCH)
            end += parts_at(run, end);
        run->next = end;
        pthread_mutex_unlock(&run->lock);
        if (at == end)
            break;
        while (at < end && !rc) {
            size_t n = parts_at(run, at);
            rc = vmscm_fetch_check(fetch, run->pack, &run->entries[at], n, bad, run, err);
            bytes += run->entries[at].length;
            at += n;
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

    for (size_t i = 0; i < run->count && run->entries[i].offset == at; i += parts_at(run, i))
        at += run->entries[i].length;
    if (at != run->pack->trailer.index_offset)
        tell(run, "records do not fill the pack: see offset", at);
}

static int check_pack(struct vmscm_check *check, struct vmscm_packfile *pack,
    struct vmscm_error *err)
{
    struct run run = {.check = check, .pack = pack, .count = pack->trailer.entry_count};
    int rc;

    if (!(run.entries = calloc(run.count + 1, sizeof *run.entries)))
        return vmscm_error_nomem(err);
    for (uint32_t i = 0; i < run.count; i++)
        vmscm_packfile_entry(pack, &run.entries[i], i);
    check_order(&run);
    qsort(run.entries, run.count, sizeof *run.entries, by_place);
    check_layout(&run);
    pthread_mutex_init(&run.lock, NULL);
    rc = vmscm_parallel_run(check->jobs, work, &run, err);
    pthread_mutex_destroy(&run.lock);
    check->records += run.count;
    free(run.entries);
    return rc;
}

int vmscm_check_packs(struct vmscm_check *check, struct vmscm_error *err)
{
    struct vmscm_packfile **packs = NULL;
    size_t count;
    int rc = vmscm_store_list(check->store, &packs, &count, err);

    check->records = check->bytes = 0;
    for (size_t n = 0; n < count && !rc; n++) {
        struct vmscm_error why = VMSCM_ERROR_INIT;
        rc = vmscm_store_pin(check->store, packs[n], &why);
        if (!rc) {
            rc = check_pack(check, packs[n], err);
            vmscm_store_unpin(check->store, packs[n]);
        } else if (rc == VMSCM_ENOMEM) {
            vmscm_error_copy(err, &why);
        } else {
            /* Gone is not damaged. */
            if (rc != VMSCM_ENOTFOUND)
                check->found(check->data, packs[n], NULL, &why);
            rc = 0;
        }
    }
    free(packs);
    return rc;
}
