/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A checkout found on disk: its status, and checking it in. */
#include <vmscm/checkout.h>

#include "base/path.h"
#include "base/str.h"
#include "machine/model.h"
#include "repo/known.h"
#include "repo/snapshot.h"
#include "repo/workdir.h"
#include "sys/file.h"

#include <stdlib.h>
#include <string.h>

int vmscm_workdir_open(struct vmscm_workdir **out, const char *start, struct vmscm_error *err)
{
    struct vmscm_workdir *dir = calloc(1, sizeof *dir);
    char *at = NULL;
    int rc;

    if (!dir)
        return vmscm_error_nomem(err);
    if ((rc = vmscm_file_realpath(&at, start, err)))
        goto out;
    while ((rc = vmscm_workfile_read(&dir->work, at, err)) == VMSCM_ENOTFOUND) {
        char *up = NULL;
        if (vmscm_workfile_read_partial(&dir->work, at, NULL) == 0) {
            rc = vmscm_error_set(
                err, VMSCM_ENOTFOUND, "%s: an interrupted checkout of %.12s", at, dir->work.base);
            vmscm_error_hint(err, "vmscm checkout %.12s %s goes on with it", dir->work.base, at);
            goto out;
        }
        if (strcmp(at, "/") == 0) {
            rc = vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: not in a checkout", start);
            vmscm_error_hint(err, "vmscm checkout MACHINE makes one");
            goto out;
        }
        if ((rc = vmscm_path_dirname(&up, at, err)))
            goto out;
        free(at);
        at = up;
    }
    dir->path = at;
    at = NULL;
out:
    free(at);
    if (rc)
        vmscm_workdir_close(dir);
    else
        *out = dir;
    return rc;
}

void vmscm_workdir_close(struct vmscm_workdir *dir)
{
    if (!dir)
        return;
    vmscm_workfile_release(&dir->work);
    free(dir->path);
    free(dir);
}

const char *vmscm_workdir_path(const struct vmscm_workdir *dir)
{
    return dir->path;
}

const char *vmscm_workdir_repository(const struct vmscm_workdir *dir)
{
    return dir->work.repository;
}

const char *vmscm_workdir_machine(const struct vmscm_workdir *dir)
{
    return dir->work.machine;
}

const char *vmscm_workdir_base(const struct vmscm_workdir *dir)
{
    return dir->work.base;
}

int vmscm_workdir_status(struct vmscm_workdir *dir,
    int (*each)(void *data, const struct vmscm_workdir_disk *disk), void *data,
    struct vmscm_error *err)
{
    int rc = 0;

    (void)err;
    for (size_t i = 0; i < dir->work.disks.len && !rc; i++) {
        const struct vmscm_workfile_disk *d = &dir->work.disks.items[i];
        struct vmscm_workdir_disk disk = {
            .id = d->id, .file = d->files.items[0].name, .format = d->format, .size = d->size};
        for (size_t f = 0; f < d->files.len; f++) {
            bool missing;
            if (vmscm_workfile_same(&d->files.items[f], dir->path, &missing))
                continue;
            if (missing)
                disk.state = VMSCM_WORKDIR_MISSING;
            else if (disk.state == VMSCM_WORKDIR_CLEAN)
                disk.state = VMSCM_WORKDIR_TOUCHED;
        }
        rc = each(data, &disk);
    }
    return rc;
}

/* What the checkout's file will say once it stands on a new revision: its files as they are now,
 * which must be before they are read, so that a change made meanwhile shows, in them or in a
 * bitmap; and where the repository is now, which may have been moved. */
static int look_again(struct vmscm_workfile *fresh, const struct vmscm_workdir *dir,
    struct vmscm_repo *repo, const char *machine, const struct vmscm_checkin_options *options,
    const struct vmscm_events *events, struct vmscm_error *err)
{
    struct vmscm_workfile_disk *disk;
    int rc;

    if ((rc = vmscm_str_dup(&fresh->repository, repo->path, err)) ||
        (rc = vmscm_str_dup(&fresh->machine, machine, err)) ||
        (rc = vmscm_str_dup(&fresh->request, dir->work.request, err)) ||
        (rc = vmscm_workfile_set_thin(fresh, &dir->work.thin, err)))
        return rc;
    for (size_t i = 0; i < dir->work.disks.len; i++) {
        const struct vmscm_workfile_disk *d = &dir->work.disks.items[i];
        if ((rc = vmscm_workfile_add_disk(&disk, fresh, d->id, d->format, d->size, err)))
            return rc;
        vmscm_known_prepare(disk, repo, &dir->work, d, dir->path, options->reread, options->allow,
            events);
        for (size_t f = 0; f < d->files.len; f++)
            if ((rc = vmscm_workfile_add_file(disk, dir->path, d->files.items[f].name, err)))
                return rc;
    }
    vmscm_workfile_settle(fresh, dir->path);
    return 0;
}

/* A disk may have been made larger. */
static int update_sizes(struct vmscm_workfile *fresh, struct vmscm_repo *repo, const char *id,
    struct vmscm_error *err)
{
    struct vmscm_machine *machine = NULL;
    int rc = vmscm_snapshot_machine(&machine, repo, id, err);

    for (size_t i = 0; i < fresh->disks.len && !rc; i++) {
        const struct vmscm_machine_disk *disk = vmscm_model_disk(machine, fresh->disks.items[i].id);
        if (disk)
            fresh->disks.items[i].size = disk->size;
    }
    vmscm_model_free(machine);
    return rc;
}

int vmscm_workdir_checkin(struct vmscm_workdir *dir, struct vmscm_repo *repo, const char *onto,
    const struct vmscm_checkin_options *options, const struct vmscm_events *events,
    struct vmscm_checkin_result *result, struct vmscm_error *err)
{
    struct vmscm_checkin_options o = options ? *options : (struct vmscm_checkin_options){0};
    struct vmscm_checkin_disk *disks = NULL;
    struct vmscm_checkin_result own = {0};
    struct vmscm_workfile fresh = {0};
    size_t count = dir->work.disks.len, made = 0;
    const char *machine = onto ? onto : dir->work.machine;
    int rc = 0;

    if (!*machine) {
        vmscm_error_set(err, VMSCM_EUSAGE, "%s: belongs to no machine", dir->path);
        return vmscm_error_hint(err, "--onto NEW-MACHINE gives it one");
    }
    if (onto) {
        o.expected_base = "";
        o.parent = dir->work.base;
    } else if (!o.expected_base) {
        o.expected_base = dir->work.base;
    }
    if (!(disks = calloc(count + 1, sizeof *disks)))
        return vmscm_error_nomem(err);
    for (; made < count; made++) {
        const struct vmscm_workfile_disk *d = &dir->work.disks.items[made];
        char *path = NULL;
        if ((rc = vmscm_path_join(&path, dir->path, d->files.items[0].name, err)))
            goto out;
        /* The recorded format, never a guess: a guest can write another format's header into a raw
         * disk. */
        disks[made] =
            (struct vmscm_checkin_disk){.path = path, .id = d->id, .format = d->format};
    }
    if ((rc = look_again(&fresh, dir, repo, machine, &o, events, err)) ||
        (rc = vmscm_checkin(repo, machine, disks, count, &o, events, &own, err)))
        goto out;
    if (result)
        *result = own;
    memcpy(fresh.base, own.id, sizeof fresh.base);
    if ((rc = update_sizes(&fresh, repo, own.id, err)) ||
        (rc = vmscm_workfile_write(&fresh, dir->path, err))) {
        /* Whoever tries again must know that the first try was recorded. */
        vmscm_error_prefix(err, "%s %.12s is recorded, but not in the checkout", machine, own.id);
        vmscm_error_hint(err, "check in again, with the same message");
        goto out;
    }
    vmscm_workfile_release(&dir->work);
    dir->work = fresh;
    fresh = (struct vmscm_workfile){0};
out:
    vmscm_workfile_release(&fresh);
    for (size_t i = 0; i < made; i++)
        free((void *)disks[i].path);
    free(disks);
    return rc;
}
