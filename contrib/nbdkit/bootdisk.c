/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bootdisk.h"

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

/* When reads are taken for a boot: so many places that are in the trace, before so many that are not. */
#define KNOWN 12u
#define UNKNOWN 5u

static int is_ending(void *data)
{
    struct bootdisk *b = data;

    pthread_mutex_lock(&b->lock);
    int ends = b->ends;
    pthread_mutex_unlock(&b->lock);
    return ends;
}

/* What cannot be had is told to who reads it. */
static void *fetch(void *data)
{
    struct bootdisk *b = data;
    const struct vmscm_events events = {.data = b, .canceled = is_ending};
    struct vmscm_error err = VMSCM_ERROR_INIT;

    if (vmscm_trace_fetch(b->trace, b->disk, &events, &err))
        nbdkit_debug("boot trace: %s", err.message);
    else
        nbdkit_debug("boot trace: %s was fetched", vmscm_disk_id(b->disk));
    return NULL;
}

/* Under the lock. */
static void start(struct bootdisk *b)
{
    b->decided = 1;
    vmscm_disk_follow(b->disk, b->trace);
    if (!b->fetches)
        b->fetches = pthread_create(&b->fetcher, NULL, fetch, b) == 0;
}

int bootdisk_open(struct bootdisk *b, struct vmscm_revision *rev, const char *id,
    struct vmscm_disk_cache *cache, enum bootdisk_use use, struct vmscm_error *err)
{
    struct vmscm_error none = VMSCM_ERROR_INIT;
    int rc = vmscm_disk_open_cached(&b->disk, rev, id, cache, err);

    if (rc)
        return rc;
    pthread_mutex_init(&b->lock, NULL);
    b->use = use;
    /* One that cannot be read costs time, and nothing else. */
    if (use != BOOTDISK_NEVER && !vmscm_trace_read(&b->trace, rev, &none) && use == BOOTDISK_AUTO)
        rc = vmscm_trace_new(&b->seen, err);
    return rc;
}

void bootdisk_close(struct bootdisk *b)
{
    if (!b->disk)
        return;
    pthread_mutex_lock(&b->lock);
    b->ends = 1;
    pthread_mutex_unlock(&b->lock);
    if (b->fetches)
        pthread_join(b->fetcher, NULL);
    vmscm_disk_close(b->disk);
    vmscm_trace_free(b->trace);
    vmscm_trace_free(b->seen);
    pthread_mutex_destroy(&b->lock);
}

void bootdisk_connect(struct bootdisk *b)
{
    pthread_mutex_lock(&b->lock);
    if (b->trace && b->use == BOOTDISK_ALWAYS)
        start(b);
    pthread_mutex_unlock(&b->lock);
}

void bootdisk_watch(struct bootdisk *b, uint64_t offset, uint64_t len)
{
    const char *id = vmscm_disk_id(b->disk);

    if (!b->seen)
        return;
    pthread_mutex_lock(&b->lock);
    if (!b->decided && vmscm_trace_add(b->seen, id, offset, len)) {
        b->count++;
        b->known += vmscm_trace_has(b->trace, id, offset) != 0;
        if (b->known == KNOWN)
            start(b);
        else if (b->count - b->known == UNKNOWN)
            b->decided = 1;
    }
    pthread_mutex_unlock(&b->lock);
}
