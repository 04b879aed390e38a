/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "revfs.h"

#include "memory.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <vmscm/machine.h>
#include <vmscm/repo.h>

/* An open file. Those of one disk share its struct vmscm_disk. */
struct revfs_handle {
    struct revfs_handle *next;
    const struct revfs_file *file;
    unsigned users;
    struct vmscm_disk *disk; /* NULL: a configuration file */
    char *bytes;
    size_t size;
};

struct revfs {
    struct vmscm_repo *repo;
    struct vmscm_disk_cache *cache;
    pthread_mutex_t lock; /* guards repo and all below */
    struct revfs_snap *snaps;
    struct revfs_handle *handles;
};

int revfs_new(struct revfs **out, struct vmscm_repo *repo, uint64_t cache_bytes,
    struct vmscm_error *err)
{
    struct revfs *fs = memory_zero(sizeof *fs);
    int rc = vmscm_disk_cache_new(&fs->cache, cache_bytes, 0, err);

    fs->repo = repo;
    pthread_mutex_init(&fs->lock, NULL);
    if (rc)
        revfs_free(fs);
    else
        *out = fs;
    return rc;
}

static void free_files(struct revfs_file *files, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(files[i].path);
    free(files);
}

static void free_snap(struct revfs_snap *snap)
{
    free_files(snap->files, snap->count);
    free_files(snap->parts, snap->part_count);
    vmscm_revision_free(snap->rev);
    free(snap);
}

void revfs_free(struct revfs *fs)
{
    if (!fs)
        return;
    while (fs->handles) {
        fs->handles->users = 1;
        revfs_close(fs, fs->handles);
    }
    while (fs->snaps) {
        struct revfs_snap *snap = fs->snaps;
        fs->snaps = snap->next;
        free_snap(snap);
    }
    vmscm_disk_cache_free(fs->cache);
    pthread_mutex_destroy(&fs->lock);
    free(fs);
}

static struct revfs_file *add_to(struct revfs_file **files, size_t *count, char *path,
    uint64_t size)
{
    *files = memory_grow(*files, *count + 1, sizeof **files);
    struct revfs_file *file = &(*files)[(*count)++];

    *file = (struct revfs_file){.path = path, .size = size};
    return file;
}

static struct revfs_file *add_file(struct revfs_snap *snap, char *path, uint64_t size)
{
    return add_to(&snap->files, &snap->count, path, size);
}

static int add_config(void *data, const char *path, uint64_t size)
{
    char *full = memory_printf("config/%s", path);

    add_file(data, full, size)->config = full + strlen("config/");
    return 0;
}

static int list_files(struct revfs_snap *snap, struct vmscm_error *err)
{
    const struct vmscm_machine *machine;
    int rc = vmscm_revision_machine(&machine, snap->rev, err);

    /* Of a container there is no disk to show. */
    for (size_t i = 0; !rc && !vmscm_machine_is_container(machine) && i < machine->disk_count; i++) {
        const struct vmscm_machine_disk *d = &machine->disks[i];
        add_file(snap, memory_printf("%s.raw", d->id), d->size)->disk = d->id;
    }
    return rc ? rc : vmscm_revision_config_files(snap->rev, add_config, snap, err);
}

/* With the lock held. */
static int look_up(struct revfs_snap **out, struct revfs *fs, const char *spec,
    struct vmscm_error *err)
{
    struct revfs_snap *snap;
    struct vmscm_revision *rev = NULL;
    int rc;

    /* A full id needs no look into the repository. */
    for (snap = fs->snaps; snap; snap = snap->next)
        if (strcmp(vmscm_revision_id(snap->rev), spec) == 0)
            break;
    if (!snap && (rc = vmscm_revision_resolve(&rev, fs->repo, spec, err)))
        return rc;
    for (snap = snap ? snap : fs->snaps; rev && snap; snap = snap->next)
        if (strcmp(vmscm_revision_id(snap->rev), vmscm_revision_id(rev)) == 0)
            break;
    if (snap) {
        vmscm_revision_free(rev);
        *out = snap;
        return 0;
    }
    snap = memory_zero(sizeof *snap);
    snap->rev = rev;
    snap->time = vmscm_revision_author(rev).time;
    if ((rc = list_files(snap, err))) {
        free_snap(snap);
        return rc;
    }
    snap->next = fs->snaps;
    fs->snaps = snap;
    *out = snap;
    return 0;
}

int revfs_snap(struct revfs_snap **out, struct revfs *fs, const char *spec,
    struct vmscm_error *err)
{
    pthread_mutex_lock(&fs->lock);
    int rc = look_up(out, fs, spec, err);
    pthread_mutex_unlock(&fs->lock);
    return rc;
}

/* With the lock held. */
static int add_partitions(struct revfs *fs, struct revfs_snap *snap, const char *id,
    struct vmscm_error *err)
{
    struct vmscm_disk_partition *list = NULL;
    struct vmscm_disk *disk = NULL;
    const char *between = id[strlen(id) - 1] >= '0' && id[strlen(id) - 1] <= '9' ? "p" : "";
    size_t count = 0;
    int rc = vmscm_disk_open_cached(&disk, snap->rev, id, fs->cache, err);

    if (!rc)
        rc = vmscm_disk_partitions(&list, &count, disk, err);
    for (size_t i = 0; i < count; i++) {
        char *path =
            memory_printf(REVFS_PARTITIONS "/%s%s%u.raw", id, between, list[i].number);
        struct revfs_file *file = add_to(&snap->parts, &snap->part_count, path, list[i].len);
        file->offset = list[i].offset;
        file->disk = id;
    }
    vmscm_free(list);
    vmscm_disk_close(disk);
    return rc;
}

int revfs_partitions(struct revfs *fs, struct revfs_snap *snap, void (*warn)(const char *message),
    struct vmscm_error *err)
{
    int rc = 0;

    pthread_mutex_lock(&fs->lock);
    for (size_t i = 0; !snap->parted && !rc && i < snap->count; i++) {
        if (!snap->files[i].disk)
            continue;
        rc = add_partitions(fs, snap, snap->files[i].disk, err);
        if (rc == VMSCM_EINPUT) {
            warn(err->message);
            rc = 0;
        }
    }
    if (!rc) {
        snap->parted = 1;
    } else {
        free_files(snap->parts, snap->part_count);
        snap->parts = NULL;
        snap->part_count = 0;
    }
    pthread_mutex_unlock(&fs->lock);
    return rc;
}

static const struct revfs_file *find_in(const struct revfs_file *files, size_t count,
    const char *path, int *is_dir)
{
    size_t len = strlen(path);

    for (size_t i = 0; i < count; i++) {
        const char *p = files[i].path;
        if (strcmp(p, path) == 0)
            return &files[i];
        if (len && strncmp(p, path, len) == 0 && p[len] == '/')
            *is_dir = 1;
    }
    return NULL;
}

const struct revfs_file *revfs_find(const struct revfs_snap *snap, const char *path, int *is_dir)
{
    *is_dir = !*path;
    if (strncmp(path, REVFS_PARTITIONS "/", sizeof REVFS_PARTITIONS) == 0)
        return find_in(snap->parts, snap->part_count, path, is_dir);
    return find_in(snap->files, snap->count, path, is_dir);
}

/* With the lock held. */
static int open_new(struct revfs_handle **out, struct revfs *fs, struct revfs_snap *snap,
    const struct revfs_file *file, struct vmscm_error *err)
{
    struct revfs_handle *h = memory_zero(sizeof *h);
    void *bytes = NULL;
    int rc;

    if (file->disk)
        rc = vmscm_disk_open_cached(&h->disk, snap->rev, file->disk, fs->cache, err);
    else
        rc = vmscm_revision_config_read(&bytes, &h->size, snap->rev, file->config, err);
    h->bytes = bytes;
    h->file = file;
    if (rc) {
        free(h);
        return rc;
    }
    h->next = fs->handles;
    fs->handles = h;
    *out = h;
    return 0;
}

int revfs_open(struct revfs_handle **out, struct revfs *fs, struct revfs_snap *snap,
    const struct revfs_file *file, struct vmscm_error *err)
{
    int rc = 0;

    pthread_mutex_lock(&fs->lock);
    struct revfs_handle *h = fs->handles;
    while (h && h->file != file)
        h = h->next;
    if (!h)
        rc = open_new(&h, fs, snap, file, err);
    if (!rc) {
        h->users++;
        *out = h;
    }
    pthread_mutex_unlock(&fs->lock);
    return rc;
}

void revfs_close(struct revfs *fs, struct revfs_handle *handle)
{
    pthread_mutex_lock(&fs->lock);
    if (--handle->users == 0) {
        struct revfs_handle **p = &fs->handles;
        while (*p != handle)
            p = &(*p)->next;
        *p = handle->next;
        vmscm_disk_close(handle->disk);
        vmscm_free(handle->bytes);
        free(handle);
    }
    pthread_mutex_unlock(&fs->lock);
}

uint64_t revfs_size(const struct revfs_handle *handle)
{
    return handle->disk ? handle->file->size : handle->size;
}

int revfs_read(struct revfs_handle *handle, void *data, size_t len, uint64_t offset, size_t *got,
    struct vmscm_error *err)
{
    uint64_t size = revfs_size(handle);

    if (offset > size)
        offset = size;
    *got = len < size - offset ? len : (size_t)(size - offset);
    if (handle->disk)
        return vmscm_disk_pread(handle->disk, data, *got, handle->file->offset + offset, err);
    memcpy(data, handle->bytes + offset, *got);
    return 0;
}

int revfs_extent(struct revfs_handle *handle, uint64_t offset, uint64_t *len, int *zero,
    struct vmscm_error *err)
{
    if (handle->disk) {
        int rc =
            vmscm_disk_extent(handle->disk, handle->file->offset + offset, len, zero, err);
        if (!rc && *len > handle->file->size - offset)
            *len = handle->file->size - offset; /* the disk may go on behind a partition */
        return rc;
    }
    *len = handle->size - offset;
    *zero = 0;
    return 0;
}

int revfs_walk(struct revfs *fs, int (*walk)(void *data, struct vmscm_repo *, struct vmscm_error *),
    void *data, struct vmscm_error *err)
{
    pthread_mutex_lock(&fs->lock);
    int rc = walk(data, fs->repo, err);
    pthread_mutex_unlock(&fs->lock);
    return rc;
}
