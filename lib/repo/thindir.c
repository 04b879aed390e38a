/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Thin checkouts as a whole: what the repository keeps for them, and making full ones of them. */
#include <vmscm/thin.h>

#include "base/path.h"
#include "base/str.h"
#include "image/writer.h"
#include "repo/handle.h"
#include "repo/known.h"
#include "repo/snapshot.h"
#include "repo/thin.h"
#include "repo/thindir.h"
#include "repo/workdir.h"
#include "store/pin.h"
#include "sys/file.h"
#include "sys/lockfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char *vmscm_workdir_thin_socket(const struct vmscm_workdir *dir)
{
    return dir->work.thin.socket;
}

const char *vmscm_workdir_thin_base(const struct vmscm_workdir *dir)
{
    return dir->work.thin.socket ? dir->work.thin.base : NULL;
}

int vmscm_thindir_pin(struct vmscm_workfile_thin *thin, struct vmscm_repo *repo, const char *dir,
    struct vmscm_error *err)
{
    struct vmscm_lease *lease = NULL;
    struct vmscm_revision *rev = NULL;
    int lock = -1, rc;

    if ((rc = vmscm_snapshot_open(&rev, repo, thin->base, NULL, err)))
        return rc;
    /* The lease is for gc, which looks for leases before it looks for pins; the lock for prune. */
    lease = vmscm_snapshot_hold(rev);
    if (!(rc = vmscm_handle_commit_lock(&lock, repo, err)) &&
        !(rc = vmscm_snapshot_kept(repo, thin->base, err)))
        rc = vmscm_pin_add(thin->pin, repo->path, thin->base, dir, err);
    vmscm_lockfile_release(&lock);
    vmscm_lease_close(lease);
    vmscm_revision_free(rev);
    return rc;
}

/* Whether the holder is a checkout that has this pin. */
static bool is_present(const char *holder, const char *pin)
{
    struct vmscm_workfile work = {0};
    bool present = (!vmscm_workfile_read(&work, holder, NULL) ||
                       !vmscm_workfile_read_partial(&work, holder, NULL)) &&
        work.thin.socket && strcmp(work.thin.pin, pin) == 0;

    vmscm_workfile_release(&work);
    return present;
}

struct lookup {
    const char *pin;
    char *holder;
    struct vmscm_error *err;
};

static int look_up(void *data, const struct vmscm_pin *pin)
{
    struct lookup *l = data;

    return strcmp(pin->name, l->pin) == 0 ? vmscm_str_dup(&l->holder, pin->holder, l->err) : 0;
}

int vmscm_workdir_thin_hold(struct vmscm_workdir *dir, struct vmscm_repo *repo,
    struct vmscm_error *err)
{
    struct vmscm_workfile_thin *thin = &dir->work.thin;
    struct lookup l = {.pin = thin->pin, .err = err};
    int rc;

    if (!thin->socket)
        return 0;
    if ((rc = vmscm_pin_walk(repo->path, look_up, &l, err)) ||
        (l.holder && strcmp(l.holder, dir->path) == 0))
        goto out;
    if (l.holder && !is_present(l.holder, thin->pin)) {
        rc = vmscm_pin_move(repo->path, thin->pin, dir->path, err);
        goto out;
    }
    /* It was forgotten, or this is a copy of one that is there still. */
    if (!(rc = vmscm_thindir_pin(thin, repo, dir->path, err)))
        rc = vmscm_workfile_write(&dir->work, dir->path, err);
out:
    free(l.holder);
    return rc;
}

static int check_disk(const char *path, struct vmscm_error *err)
{
    struct vmscm_probe *probe = NULL;
    struct vmscm_thin thin = {0};
    int rc = vmscm_thin_find(&thin, path, err);

    if (!rc && !thin.backing)
        rc = vmscm_error_set(err, VMSCM_EBUSY, "%s: its checkout changed meanwhile", path);
    if (!rc)
        rc = vmscm_thin_probe(&probe, &thin, path, 0, err);
    if (!rc && (probe->format != VMSCM_PROBE_QCOW2 || probe->backing || probe->files.len != 1))
        rc = vmscm_error_set(err, VMSCM_EREFUSED, "%s: not a qcow2 image by itself", path);
    vmscm_probe_close(probe);
    vmscm_thin_release(&thin);
    return rc;
}

int vmscm_workdir_thin_check(struct vmscm_workdir *dir, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; dir->work.thin.socket && i < dir->work.disks.len && !rc; i++) {
        char *path = NULL;
        if (!(rc = vmscm_path_join(
                  &path, dir->path, dir->work.disks.items[i].files.items[0].name, err)))
            rc = check_disk(path, err);
        free(path);
    }
    return rc;
}

struct listing {
    int (*each)(void *data, const struct vmscm_thin_item *item);
    void *data;
};

static int list_one(void *data, const struct vmscm_pin *pin)
{
    struct listing *l = data;
    struct vmscm_thin_item item = {
        pin->holder, pin->commit, is_present(pin->holder, pin->name)};

    return l->each(l->data, &item);
}

int vmscm_thin_list(struct vmscm_repo *repo,
    int (*each)(void *data, const struct vmscm_thin_item *item), void *data,
    struct vmscm_error *err)
{
    struct listing l = {each, data};

    return vmscm_pin_walk(repo->path, list_one, &l, err);
}

struct forgetting {
    struct vmscm_repo *repo;
    const char *dir;
    uint64_t count;
    struct vmscm_error *err;
};

static int forget_one(void *data, const struct vmscm_pin *pin)
{
    struct forgetting *f = data;
    bool present;

    if (f->dir && strcmp(f->dir, pin->holder) != 0)
        return 0;
    present = is_present(pin->holder, pin->name);
    if (present && !f->dir)
        return 0;
    if (present) {
        vmscm_error_set(f->err, VMSCM_EREFUSED, "%s: is a thin checkout", f->dir);
        return vmscm_error_hint(f->err, "remove it first, or 'vmscm thicken' it");
    }
    f->count++;
    return vmscm_pin_remove(f->repo->path, pin->name, f->err);
}

int vmscm_thin_forget(struct vmscm_repo *repo, const char *dir, uint64_t *count,
    struct vmscm_error *err)
{
    struct forgetting f = {repo, dir, 0, err};
    int rc = vmscm_pin_walk(repo->path, forget_one, &f, err);

    if (!rc && dir && !f.count)
        rc = vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: no thin checkout is known there", dir);
    if (count)
        *count = f.count;
    return rc;
}

struct thickening {
    struct vmscm_workdir *dir;
    struct vmscm_repo *repo;
    const struct vmscm_events *events;
    char *partial; /* DIR/.vmscm-partial */
    struct vmscm_workfile fresh;
    unsigned jobs;
    uint64_t before, total, written;
    const char *item;
};

static int on_progress(void *data, uint64_t done)
{
    struct thickening *t = data;
    struct vmscm_progress p = {.phase = "thickening",
        .item = t->item,
        .done = t->before + done,
        .total = t->total};

    if (t->events && t->events->progress)
        t->events->progress(t->events->data, &p);
    return vmscm_handle_canceled(t->events, NULL);
}

/* The file of a disk as it is to be known from now on. clean: it is as in the checkout's revision. */
static int note_file(struct vmscm_workfile_disk *entry, const char *dir, const char *name,
    bool clean, struct vmscm_error *err)
{
    int rc = vmscm_workfile_add_file(entry, dir, name, err);

    /* A time that no file has: it proves nothing. */
    if (!rc && !clean)
        entry->files.items[0].ctime_ns = 0;
    return rc;
}

/* A qcow2 without a backing file in the place of the overlay at path. */
static int write_whole(struct thickening *t, struct vmscm_workfile_disk *entry, const char *path,
    const struct vmscm_thin *thin, const struct vmscm_probe *probe, bool clean,
    struct vmscm_error *err)
{
    struct vmscm_writer_options w = {.format = VMSCM_PROBE_QCOW2,
        .jobs = t->jobs,
        .progress = on_progress,
        .data = t,
        .events = t->events};
    struct vmscm_blockdev *dev = NULL;
    uint64_t written = 0;
    char *staging = NULL;
    int rc = vmscm_path_join(&staging, t->partial, vmscm_path_basename(path), err);

    if (rc)
        return rc;
    unlink(staging); /* of one that was killed */
    if ((rc = vmscm_thin_open(&dev, t->repo, thin, probe, t->jobs, false, t->events, err)) ||
        (rc = vmscm_writer_write(dev, staging, &w, &written, err)))
        goto out;
    if (clean)
        vmscm_known_begin(entry, t->repo, staging, t->events);
    if ((rc = vmscm_blockdev_unchanged(dev, err)))
        goto out;
    t->written += written;
    rc = rename(staging, path) < 0 ? vmscm_error_errno(err, errno, "%s", path)
                                   : vmscm_file_sync_dir(t->dir->path, err);
out:
    vmscm_blockdev_close(dev);
    free(staging);
    return rc;
}

static int thicken_disk(struct thickening *t, const struct vmscm_workfile_disk *disk,
    struct vmscm_error *err)
{
    const struct vmscm_workfile *work = &t->dir->work;
    const char *name = disk->files.items[0].name;
    bool clean = vmscm_workfile_proves(work, disk, t->dir->path);
    struct vmscm_workfile_disk *entry;
    struct vmscm_probe *probe = NULL;
    struct vmscm_thin thin = {0};
    char *path = NULL;
    int rc;

    t->item = disk->id;
    if ((rc = vmscm_path_join(&path, t->dir->path, name, err)) ||
        (rc = vmscm_workfile_add_disk(&entry, &t->fresh, disk->id, disk->format, disk->size, err)) ||
        (rc = vmscm_thin_find(&thin, path, err)))
        goto out;
    if (!thin.backing) {
        rc = vmscm_error_set(err, VMSCM_EBUSY, "%s: its checkout changed meanwhile", path);
        goto out;
    }
    if ((rc = vmscm_thin_probe(&probe, &thin, path, 0, err)))
        goto out;
    if (probe->over && (rc = write_whole(t, entry, path, &thin, probe, clean, err)))
        goto out;
    /* One that was thickened before says by itself whether it is as it was then: it is not. */
    rc = note_file(entry, t->dir->path, name, clean, err);
out:
    t->before += disk->size;
    vmscm_probe_close(probe);
    vmscm_thin_release(&thin);
    free(path);
    return rc;
}

/* What was made for another checkout is not ours to remove. */
static int give_up_pin(struct thickening *t, const char *pin, struct vmscm_error *err)
{
    struct lookup l = {.pin = pin, .err = err};
    int rc = vmscm_pin_walk(t->repo->path, look_up, &l, err);

    if (!rc && l.holder && strcmp(l.holder, t->dir->path) == 0)
        rc = vmscm_pin_remove(t->repo->path, pin, err);
    free(l.holder);
    return rc;
}

static int thicken(struct thickening *t, struct vmscm_error *err)
{
    struct vmscm_workfile *work = &t->dir->work;
    char pin[VMSCM_PIN_NAME];
    int rc;

    memcpy(t->fresh.base, work->base, sizeof t->fresh.base);
    memcpy(pin, work->thin.pin, sizeof pin);
    if ((rc = vmscm_str_dup(&t->fresh.repository, vmscm_handle_name(t->repo), err)) ||
        (rc = vmscm_str_dup(&t->fresh.machine, work->machine, err)) ||
        (rc = vmscm_str_dup(&t->fresh.request, "format=qcow2 options=", err)) ||
        (rc = vmscm_path_join(&t->partial, t->dir->path, VMSCM_WORKFILE_PARTIAL, err)))
        return rc;
    if (mkdir(t->partial, 0777) < 0 && errno != EEXIST)
        return vmscm_error_errno(err, errno, "%s", t->partial);
    for (size_t i = 0; i < work->disks.len; i++)
        t->total += work->disks.items[i].size;
    for (size_t i = 0; i < work->disks.len && !rc; i++)
        if (!(rc = vmscm_handle_canceled(t->events, err)))
            rc = thicken_disk(t, &work->disks.items[i], err);
    vmscm_file_remove_tree(t->partial, NULL);
    if (rc)
        return rc;
    vmscm_workfile_settle(&t->fresh, t->dir->path);
    if ((rc = vmscm_workfile_write(&t->fresh, t->dir->path, err)))
        return rc;
    vmscm_workfile_release(work);
    *work = t->fresh;
    t->fresh = (struct vmscm_workfile){0};
    return give_up_pin(t, pin, err);
}

int vmscm_workdir_thicken(struct vmscm_workdir *dir, struct vmscm_repo *repo, unsigned jobs,
    const struct vmscm_events *events, struct vmscm_thicken_result *result,
    struct vmscm_error *err)
{
    struct thickening t = {.dir = dir, .repo = repo, .events = events};
    struct timespec start, end;
    int rc;

    if (!dir->work.thin.socket)
        return vmscm_error_set(err, VMSCM_EUSAGE, "%s: not a thin checkout", dir->path);
    clock_gettime(CLOCK_MONOTONIC, &start);
    if (!(rc = vmscm_handle_jobs(&t.jobs, repo, jobs, err)) &&
        (rc = thicken(&t, err)) == VMSCM_ECANCELED) {
        vmscm_error_set(err, rc, "%s: interrupted; it is a thin checkout still", dir->path);
        vmscm_error_hint(err, "the same command goes on with the disks that are left");
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (!rc && result)
        *result = (struct vmscm_thicken_result){t.total, t.written,
            (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9};
    vmscm_workfile_release(&t.fresh);
    free(t.partial);
    return rc;
}
