/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/check.h"
#include "store/fetch.h"
#include "store/places.h"
#include "sys/parallel.h"

#include <pthread.h>
#include <stdlib.h>

#define BATCH 64 /* entries a thread takes at once, or a few more */

struct run {
    struct vmscm_check *check;
    struct vmscm_packfile *pack;
    struct vmscm_places places;
    pthread_mutex_t lock; /* guards next and the callbacks */
    size_t next;
};

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
    int rc = vmscm_fetch_new_own(&fetch, run->check->store, err);

    (void)index;
    while (!rc && !atomic_load(&p->stop)) {
        uint64_t bytes = 0;
        pthread_mutex_lock(&run->lock);
        size_t at = run->next, end = at;
        while (end < run->places.count && end - at < BATCH)
            end += vmscm_places_parts(&run->places, end);
        run->next = end;
        pthread_mutex_unlock(&run->lock);
        if (at == end)
            break;
        while (at < end && !rc) {
            size_t n = vmscm_places_parts(&run->places, at);
            rc = vmscm_fetch_check(fetch, run->pack, &run->places.entries[at], n, bad, run, err);
            bytes += run->places.entries[at].length;
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

/* Records must lie one after the other from the header to the index. */
static void check_layout(struct run *run)
{
    const struct vmscm_places *places = &run->places;
    uint64_t at = VMSCM_PACK_HEADER_SIZE;

    for (size_t i = 0; i < places->count && places->entries[i].offset == at;
         i += vmscm_places_parts(places, i))
        at += places->entries[i].length;
    if (at != run->pack->trailer.index_offset)
        tell(run, "records do not fill the pack: see offset", at);
}

static int check_pack(struct vmscm_check *check, struct vmscm_packfile *pack,
    struct vmscm_error *err)
{
    struct run run = {.check = check, .pack = pack};
    uint32_t unsorted;
    int rc = vmscm_places_read(&run.places, &unsorted, pack, err);

    if (rc)
        return rc;
    /* What is out of order is not found by a search, whatever its record says. */
    if (unsorted)
        tell(&run, "index is not sorted: see entry", unsorted);
    check_layout(&run);
    pthread_mutex_init(&run.lock, NULL);
    rc = vmscm_parallel_run(check->jobs, work, &run, err);
    pthread_mutex_destroy(&run.lock);
    check->records += run.places.count;
    vmscm_places_release(&run.places);
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
