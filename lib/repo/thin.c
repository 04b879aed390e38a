/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/thin.h"
#include "base/path.h"
#include "base/str.h"
#include "image/changes.h"
#include "image/qemumap.h"
#include "image/reader.h"
#include "machine/jsontext.h"
#include "machine/model.h"
#include "repo/snapshot.h"
#include "repo/storedev.h"
#include "sys/file.h"
#include "sys/spawn.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKING_MAX 1023 /* bytes of a name that a qcow2 holds */
/* Seconds that QEMU waits for the service: a guest stands still meanwhile, and goes on. */
#define RECONNECT 300
#define OPEN_TIMEOUT 10

#define MEMORY ((uint64_t)1 << 30)
#define CPU_SECONDS 60

/* Not a URI: that cannot say to try again when the service was restarted. */
static int backing_name(char **out, const char *socket, const char *base, const char *disk,
    struct vmscm_error *err)
{
    char *export = NULL, *text = NULL;
    json_t *json = NULL;
    int rc = vmscm_str_printf(&export, err, "%s/%s", base, disk);

    if (rc)
        return rc;
    json = json_pack("{s:s, s:{s:s, s:{s:s, s:s}, s:s, s:i, s:i}}", "driver", "raw", "file",
        "driver", "nbd", "server", "type", "unix", "path", socket, "export", export,
        "reconnect-delay", RECONNECT, "open-timeout", OPEN_TIMEOUT);
    text = json ? vmscm_jsontext_dump(json, JSON_COMPACT) : NULL;
    rc = text ? vmscm_str_printf(out, err, "json:%s", text)
              : vmscm_error_set(err, VMSCM_EUSAGE, "%s: not UTF-8", socket);
    free(export);
    free(text);
    json_decref(json);
    return rc;
}

int vmscm_thin_check_socket(const char *socket, struct vmscm_error *err)
{
    static const size_t room = sizeof((struct sockaddr_un *)0)->sun_path - 1;

    if (socket[0] != '/')
        return vmscm_error_set(err, VMSCM_EUSAGE, "%s: not an absolute path", socket);
    if (strlen(socket) <= room)
        return 0;
    vmscm_error_set(err, VMSCM_EUSAGE, "%s: too long a path for a socket", socket);
    return vmscm_error_hint(err, "at most %zu bytes", room);
}

int vmscm_thin_find(struct vmscm_thin *thin, const char *path, struct vmscm_error *err)
{
    const char *name = vmscm_path_basename(path);
    struct vmscm_workfile work = {0};
    char *dir = NULL;
    int rc;

    *thin = (struct vmscm_thin){0};
    if ((rc = vmscm_path_dirname(&dir, path, err)))
        return rc;
    /* What is wrong with it, others tell. */
    if (vmscm_workfile_read(&work, dir, NULL) || !work.thin.socket)
        goto out;
    for (size_t i = 0; i < work.disks.len && !thin->backing && !rc; i++) {
        const struct vmscm_workfile_disk *disk = &work.disks.items[i];
        if (strcmp(disk->files.items[0].name, name) != 0)
            continue;
        memcpy(thin->base, work.thin.base, sizeof thin->base);
        if (!(rc = vmscm_str_dup(&thin->disk, disk->id, err)))
            rc = backing_name(&thin->backing, work.thin.socket, work.thin.base, disk->id, err);
    }
out:
    vmscm_workfile_release(&work);
    free(dir);
    if (rc)
        vmscm_thin_release(thin);
    return rc;
}

void vmscm_thin_release(struct vmscm_thin *thin)
{
    free(thin->backing);
    free(thin->disk);
    *thin = (struct vmscm_thin){0};
}

int vmscm_thin_probe(struct vmscm_probe **out, const struct vmscm_thin *thin, const char *path,
    unsigned allow, struct vmscm_error *err)
{
    return vmscm_probe_open_over(out, path, thin->backing, allow, err);
}

int vmscm_thin_create(const char *path, const char *socket, const char *base, const char *disk,
    uint64_t size, struct vmscm_error *err)
{
    const char *const writable[] = {path, NULL};
    char *backing = NULL, text[24];
    int rc;

    snprintf(text, sizeof text, "%llu", (unsigned long long)size);
    if ((rc = backing_name(&backing, socket, base, disk, err)))
        return rc;
    if (strlen(backing) > BACKING_MAX) {
        rc = vmscm_error_set(err, VMSCM_EUSAGE, "%s: too long a path for a backing file", socket);
        goto out;
    }
    /* -u: the backing file is not opened. */
    const char *const argv[] = {"qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b",
        backing, path, text, NULL};
    const struct vmscm_spawn_options options = {.argv = argv,
        .read_write = writable,
        .max_memory = MEMORY,
        .max_cpu_seconds = CPU_SECONDS,
        .confined = true};
    if ((rc = vmscm_file_make(path, err)) ||
        (rc = vmscm_spawn_run(NULL, 0, &options, NULL, NULL, err)))
        goto out;
    rc = vmscm_file_sync(path, err);
out:
    free(backing);
    return rc;
}

/* What the overlay holds is read from it, all else from the store, and zeros beyond that. */
struct thin {
    struct vmscm_blockdev dev;
    struct vmscm_blockdev *over, *below;
    struct vmscm_changes held;
};

/* How far from offset on all is in the overlay, or nothing. */
static uint64_t same_until(const struct thin *t, uint64_t offset, bool *over)
{
    uint64_t next = vmscm_changes_next(&t->held, offset), at = offset;

    *over = next == offset;
    if (!*over)
        return next < t->dev.size ? next : t->dev.size;
    for (size_t low = 0, high = t->held.runs.len; low < high;) {
        size_t mid = low + (high - low) / 2;
        const struct vmscm_changes_run *run = &t->held.runs.items[mid];
        if (run->end <= offset) {
            low = mid + 1;
        } else {
            high = mid;
            at = run->end;
        }
    }
    return at < t->dev.size ? at : t->dev.size;
}

static int read_below(struct thin *t, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    uint64_t size = t->below->size;
    size_t here = offset >= size ? 0 : len < size - offset ? len : (size_t)(size - offset);
    int rc = here ? vmscm_blockdev_pread(t->below, data, here, offset, err) : 0;

    memset((char *)data + here, 0, len - here);
    return rc;
}

static int thin_pread(struct vmscm_blockdev *dev, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    struct thin *t = (struct thin *)dev;
    int rc = 0;

    while (len && !rc) {
        bool over;
        uint64_t end = same_until(t, offset, &over);
        size_t part = len < end - offset ? len : (size_t)(end - offset);
        rc = over ? vmscm_blockdev_pread(t->over, data, part, offset, err)
                  : read_below(t, data, part, offset, err);
        data = (char *)data + part;
        offset += part;
        len -= part;
    }
    return rc;
}

static int thin_extent(struct vmscm_blockdev *dev, uint64_t offset, uint64_t *len, bool *zero,
    struct vmscm_error *err)
{
    struct thin *t = (struct thin *)dev;
    bool over;
    uint64_t part = same_until(t, offset, &over) - offset;
    int rc = 0;

    if (!over && offset >= t->below->size) {
        *len = part;
        *zero = true;
    } else if (!(rc = vmscm_blockdev_extent(
                     over ? t->over : t->below, offset, len, zero, err)) &&
        *len > part) {
        *len = part;
    }
    return rc;
}

static int thin_unchanged(struct vmscm_blockdev *dev, struct vmscm_error *err)
{
    return vmscm_blockdev_unchanged(((struct thin *)dev)->over, err);
}

static void thin_close(struct vmscm_blockdev *dev)
{
    struct thin *t = (struct thin *)dev;

    vmscm_blockdev_close(t->over);
    vmscm_blockdev_close(t->below);
    vmscm_changes_release(&t->held);
    free(t);
}

static const struct vmscm_blockdev_ops ops = {.pread = thin_pread,
    .extent = thin_extent,
    .unchanged = thin_unchanged,
    .close = thin_close};

static int open_below(struct thin *t, struct vmscm_repo *repo, const struct vmscm_thin *thin,
    struct vmscm_error *err)
{
    struct vmscm_machine *machine = NULL;
    const struct vmscm_machine_disk *disk;
    struct vmscm_map map = {0};
    struct vmscm_store *store;
    int rc;

    if ((rc = vmscm_snapshot_readable(repo, thin->base, err)) ||
        (rc = vmscm_snapshot_machine(&machine, repo, thin->base, err)))
        return rc;
    if (!(disk = vmscm_model_disk(machine, thin->disk)))
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "revision %.12s: has no disk %s", thin->base,
            thin->disk);
    else if (!(rc = vmscm_handle_store(&store, repo, err)) &&
        !(rc = vmscm_snapshot_map(&map, repo, thin->base, disk, err)))
        rc = vmscm_storedev_open(&t->below, store, &map, thin->disk, NULL, err);
    vmscm_map_release(&map);
    vmscm_model_free(machine);
    return rc;
}

int vmscm_thin_open(struct vmscm_blockdev **out, struct vmscm_repo *repo,
    const struct vmscm_thin *thin, const struct vmscm_probe *probe, unsigned jobs, bool few,
    const struct vmscm_events *events, struct vmscm_error *err)
{
    struct thin *t = calloc(1, sizeof *t);
    int rc;

    if (!t)
        return vmscm_error_nomem(err);
    t->dev = (struct vmscm_blockdev){.ops = &ops, .size = probe->size, .name = probe->path};
    if ((rc = open_below(t, repo, thin, err)) ||
        (rc = vmscm_reader_open(&t->over, probe, jobs, few, events, err)) ||
        (rc = vmscm_qemumap_changes(&t->held, probe, 1, events, err))) {
        thin_close(&t->dev);
        return rc;
    }
    t->dev.threads = t->over->threads;
    *out = &t->dev;
    return 0;
}
