/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A stored disk, read without checking it out. */
#include <vmscm/disk.h>

#include "base/buf.h"
#include "base/path.h"
#include "chunk/cutter.h"
#include "image/parttable.h"
#include "image/writer.h"
#include "machine/model.h"
#include "repo/readahead.h"
#include "repo/snapshot.h"
#include "repo/storedev.h"
#include "store/elsewhere.h"
#include "sys/file.h"
#include "sys/parallel.h"
#include "sys/tempdir.h"
#include "sys/workqueue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmscm/trace.h>

#define COPY (1u << 20)
#define CACHE_BYTES ((uint64_t)128 << 20)
#define CACHE_THREADS 8u
#define AHEAD_MAX ((uint64_t)16 << 20)
#define AHEAD_TASK ((uint64_t)1 << 20) /* about what one record holds */

struct vmscm_disk_cache {
    struct vmscm_recordcache *records;
    struct vmscm_workqueue *ahead;
    uint64_t max;
};

struct vmscm_disk {
    struct vmscm_repo *repo;
    struct vmscm_blockdev *dev;
    struct vmscm_lease *lease;
    struct vmscm_disk_cache *cache; /* or NULL */
    struct vmscm_readahead readahead;
    bool lazy;                             /* some of it may have to be brought */
    _Atomic(struct vmscm_trace *) follows; /* NULL: none */
    char revision[41];
};

int vmscm_disk_cache_new(struct vmscm_disk_cache **out, uint64_t bytes, unsigned threads,
    struct vmscm_error *err)
{
    struct vmscm_disk_cache *cache = calloc(1, sizeof *cache);
    int rc;

    if (!cache)
        return vmscm_error_nomem(err);
    cache->max = bytes ? bytes : CACHE_BYTES;
    if (!threads && (threads = vmscm_parallel_cores()) > CACHE_THREADS)
        threads = CACHE_THREADS;
    if ((rc = vmscm_recordcache_new(&cache->records, cache->max, err)) ||
        (rc = vmscm_workqueue_new(&cache->ahead, threads, err))) {
        vmscm_disk_cache_free(cache);
        return rc;
    }
    *out = cache;
    return 0;
}

void vmscm_disk_cache_free(struct vmscm_disk_cache *cache)
{
    if (!cache)
        return;
    vmscm_workqueue_free(cache->ahead);
    vmscm_recordcache_free(cache->records);
    free(cache);
}

void vmscm_disk_cache_stats(struct vmscm_disk_cache_stats *stats, struct vmscm_disk_cache *cache)
{
    struct vmscm_recordcache_counts counts;

    vmscm_recordcache_count(&counts, cache->records);
    stats->bytes = counts.bytes;
    stats->max = cache->max;
    stats->reads = counts.misses;
    stats->hits = counts.hits;
}

static int choose(const struct vmscm_machine_disk **out, struct vmscm_revision *rev,
    const char *id, struct vmscm_error *err)
{
    const struct vmscm_machine *machine;
    struct vmscm_buf ids = VMSCM_BUF_INIT;
    int rc = vmscm_revision_machine(&machine, rev, err);

    if (rc)
        return rc;
    if (!id && machine->disk_count == 1) {
        *out = &machine->disks[0];
        return 0;
    }
    if (id && (*out = vmscm_model_disk(machine, id)))
        return 0;
    if (!machine->disk_count)
        return vmscm_error_set(
            err, VMSCM_ENOTFOUND, "%.12s: a machine without disks", vmscm_revision_id(rev));
    for (size_t i = 0; i < machine->disk_count && !rc; i++)
        rc = vmscm_buf_printf(&ids, err, "%s%s", i ? ", " : "", machine->disks[i].id);
    if (!rc) {
        if (id)
            rc = vmscm_error_set(
                err, VMSCM_ENOTFOUND, "%.12s: no disk %s", vmscm_revision_id(rev), id);
        else
            rc = vmscm_error_set(err, VMSCM_EUSAGE, "%.12s: has %zu disks: say which",
                vmscm_revision_id(rev), machine->disk_count);
        vmscm_error_hint(err, "its disks: %s", vmscm_buf_str(&ids));
    }
    vmscm_buf_release(&ids);
    return rc;
}

int vmscm_disk_open(struct vmscm_disk **out, struct vmscm_revision *rev, const char *id,
    struct vmscm_error *err)
{
    return vmscm_disk_open_cached(out, rev, id, NULL, err);
}

int vmscm_disk_open_cached(struct vmscm_disk **out, struct vmscm_revision *rev, const char *id,
    struct vmscm_disk_cache *cache, struct vmscm_error *err)
{
    const struct vmscm_machine_disk *which;
    struct vmscm_map map = {0};
    struct vmscm_store *store;
    struct vmscm_disk *disk = calloc(1, sizeof *disk);
    int rc;

    if (!disk)
        return vmscm_error_nomem(err);
    disk->repo = rev->repo;
    disk->cache = cache;
    snprintf(disk->revision, sizeof disk->revision, "%s", vmscm_revision_id(rev));
    disk->lease = vmscm_snapshot_hold(rev);
    if ((rc = vmscm_snapshot_readable(rev->repo, rev->info.id, err)) ||
        (rc = vmscm_revision_check_disks(rev, err)) || (rc = choose(&which, rev, id, err)) ||
        (rc = vmscm_handle_store(&store, rev->repo, err)) ||
        (rc = vmscm_snapshot_map(&map, rev->repo, rev->info.id, which, err)) ||
        (rc = vmscm_storedev_open(
             &disk->dev, store, &map, which->id, cache ? cache->records : NULL, err))) {
        vmscm_map_release(&map);
        vmscm_lease_close(disk->lease);
        free(disk);
        return rc;
    }
    disk->lazy = vmscm_elsewhere_of(store) != NULL;
    /* Never so far that it throws out what it read itself. */
    vmscm_readahead_init(&disk->readahead,
        !cache ? 0 : cache->max / 4 < AHEAD_MAX ? cache->max / 4 : AHEAD_MAX);
    *out = disk;
    return 0;
}

void vmscm_disk_close(struct vmscm_disk *disk)
{
    if (!disk)
        return;
    if (disk->cache)
        vmscm_workqueue_forget(disk->cache->ahead, disk->dev);
    vmscm_readahead_release(&disk->readahead);
    vmscm_blockdev_close(disk->dev);
    vmscm_lease_close(disk->lease);
    free(disk);
}

uint64_t vmscm_disk_size(const struct vmscm_disk *disk)
{
    return disk->dev->size;
}

const char *vmscm_disk_id(const struct vmscm_disk *disk)
{
    return disk->dev->name;
}

static void warm(void *dev, uint64_t from, uint64_t to)
{
    vmscm_storedev_warm(dev, from, to - from);
}

/* Have read what comes after a read, where that is worth it. */
static void read_ahead(struct vmscm_disk *disk, size_t len, uint64_t offset)
{
    uint64_t from, to;

    vmscm_readahead_note(&from, &to, &disk->readahead, offset, len, disk->dev->size);
    while (from < to) {
        uint64_t end = (from / AHEAD_TASK + 1) * AHEAD_TASK;
        struct vmscm_workqueue_task task = {.run = warm, .owner = disk->dev, .from = from};
        task.to = end < to ? end : to;
        vmscm_workqueue_add(disk->cache->ahead, &task);
        from = task.to;
    }
}

void vmscm_disk_follow(struct vmscm_disk *disk, struct vmscm_trace *trace)
{
    atomic_store(&disk->follows, trace);
}

static bool is_followed(struct vmscm_disk *disk, uint64_t offset)
{
    struct vmscm_trace *trace = disk->lazy ? atomic_load(&disk->follows) : NULL;

    return trace && vmscm_trace_has(trace, disk->dev->name, offset);
}

int vmscm_disk_pread(struct vmscm_disk *disk, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    int rc;

    if (offset > disk->dev->size || len > disk->dev->size - offset)
        return vmscm_error_set(err, VMSCM_EUSAGE, "%s: offset %llu: beyond its end", disk->dev->name,
            (unsigned long long)offset);
    if (disk->cache && !is_followed(disk, offset))
        read_ahead(disk, len, offset);
    rc = vmscm_blockdev_pread(disk->dev, data, len, offset, err);
    return rc ? vmscm_error_prefix(err, "revision %.12s", disk->revision) : 0;
}

static bool is_full(const struct vmscm_disk_cache *cache)
{
    struct vmscm_recordcache_counts counts;

    vmscm_recordcache_count(&counts, cache->records);
    return counts.bytes >= cache->max / 4 * 3;
}

int vmscm_disk_fetch(struct vmscm_disk *disk, const struct vmscm_disk_place *places, size_t count,
    const struct vmscm_events *events, struct vmscm_error *err)
{
    uint64_t size = disk->dev->size;
    int rc = vmscm_storedev_bring(disk->dev, places, count, events, err);

    for (size_t i = 0; i < count && !rc && disk->cache && !is_full(disk->cache); i++) {
        const struct vmscm_disk_place *p = &places[i];
        if (p->offset < size)
            vmscm_storedev_warm(
                disk->dev, p->offset, p->len < size - p->offset ? p->len : size - p->offset);
        rc = vmscm_handle_canceled(events, err);
    }
    return rc;
}

int vmscm_disk_extent(struct vmscm_disk *disk, uint64_t offset, uint64_t *len, int *zero,
    struct vmscm_error *err)
{
    bool z;
    int rc;

    if (offset >= disk->dev->size)
        return vmscm_error_set(err, VMSCM_EUSAGE, "%s: offset %llu: beyond its end", disk->dev->name,
            (unsigned long long)offset);
    rc = vmscm_blockdev_extent(disk->dev, offset, len, &z, err);
    *zero = !rc && z;
    return rc ? vmscm_error_prefix(err, "revision %.12s", disk->revision) : 0;
}

int vmscm_disk_partitions(struct vmscm_disk_partition **out, size_t *count,
    struct vmscm_disk *disk, struct vmscm_error *err)
{
    struct vmscm_parttable_entry *entries = NULL;
    int rc = vmscm_parttable_read(&entries, count, disk->dev, err);

    if (rc)
        return vmscm_error_prefix(err, "revision %.12s", disk->revision);
    *out = calloc(*count ? *count : 1, sizeof **out);
    for (size_t i = 0; *out && i < *count; i++)
        (*out)[i] = (struct vmscm_disk_partition){
            entries[i].number, entries[i].offset, entries[i].len};
    free(entries);
    return *out ? 0 : vmscm_error_nomem(err);
}

static int tell(const struct vmscm_events *events, uint64_t done, uint64_t total,
    struct vmscm_error *err)
{
    struct vmscm_progress p = {.phase = "reading", .done = done, .total = total};

    if (events && events->progress)
        events->progress(events->data, &p);
    return vmscm_handle_canceled(events, err);
}

/* The plain bytes in order. A regular file that we are at the start of gets holes. */
static int write_raw(struct vmscm_disk *disk, int fd, const struct vmscm_events *events,
    struct vmscm_error *err)
{
    uint64_t at = 0, size = disk->dev->size;
    uint8_t *buf = calloc(1, COPY);
    struct stat st;
    bool sparse = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0 &&
        lseek(fd, 0, SEEK_CUR) == 0 && !(fcntl(fd, F_GETFL) & O_APPEND);
    int rc = buf ? 0 : vmscm_error_nomem(err);

    while (at < size && !rc) {
        uint64_t len;
        bool zero;
        if ((rc = vmscm_blockdev_extent(disk->dev, at, &len, &zero, err)))
            break;
        if (zero && sparse) {
            if (lseek(fd, (off_t)len, SEEK_CUR) < 0)
                rc = vmscm_error_errno(err, errno, "output");
            at += len;
            continue;
        }
        if (len > COPY)
            len = COPY;
        if (zero)
            memset(buf, 0, (size_t)len);
        else
            rc = vmscm_disk_pread(disk, buf, (size_t)len, at, err);
        if (!rc)
            rc = vmscm_file_write(fd, buf, (size_t)len, "output", err);
        at += len;
        if (!rc)
            rc = tell(events, at, size, err);
    }
    if (!rc && sparse && ftruncate(fd, (off_t)size) < 0)
        rc = vmscm_error_errno(err, errno, "output");
    free(buf);
    return rc;
}

struct forward {
    const struct vmscm_events *events;
    uint64_t total;
};

static int on_progress(void *data, uint64_t done)
{
    struct forward *f = data;

    return tell(f->events, done, f->total, NULL);
}

static int copy_file(int out, const char *path, struct vmscm_error *err)
{
    uint8_t *buf = malloc(COPY);
    uint64_t at = 0;
    size_t got = 0;
    int in = -1, rc = buf ? vmscm_file_open(&in, path, O_RDONLY, 0, err) : vmscm_error_nomem(err);

    do {
        if (rc || (rc = vmscm_file_pread_some(in, buf, COPY, at, &got, path, err)))
            break;
        rc = vmscm_file_write(out, buf, got, "output", err);
        at += got;
    } while (got == COPY);
    if (in >= 0)
        close(in);
    free(buf);
    return rc;
}

int vmscm_disk_write(struct vmscm_disk *disk, int fd, const char *format,
    const struct vmscm_events *events, struct vmscm_error *err)
{
    struct forward forward = {events, disk->dev->size};
    struct vmscm_writer_options w = {
        .progress = on_progress, .data = &forward, .events = events};
    char *dir = NULL, *path = NULL;
    uint64_t size, written;
    int rc;

    if (!format || strcmp(format, "raw") == 0)
        return write_raw(disk, fd, events, err);
    if ((rc = vmscm_probe_format_parse(&w.format, format, err)) ||
        (rc = vmscm_handle_jobs(&w.jobs, disk->repo, 0, err)) ||
        (rc = vmscm_writer_size(&size, w.format, disk->dev->size, err)))
        return rc;
    if (size != disk->dev->size)
        vmscm_handle_warn(events, "%s: %llu bytes become %llu: %s holds only whole sectors",
            disk->dev->name, (unsigned long long)disk->dev->size, (unsigned long long)size, format);
    if ((rc = vmscm_tempdir_make(&dir, getenv("TMPDIR"), err)) ||
        (rc = vmscm_path_join(&path, dir, "disk", err)) ||
        (rc = vmscm_writer_write(disk->dev, path, &w, &written, err)))
        goto out;
    rc = copy_file(fd, path, err);
out:
    free(path);
    vmscm_tempdir_remove(dir);
    return rc;
}
