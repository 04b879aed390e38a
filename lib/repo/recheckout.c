/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/recheckout.h"
#include "base/path.h"
#include "base/str.h"
#include "image/lockcheck.h"
#include "image/probe.h"
#include "machine/model.h"
#include "repo/coformat.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAS VMSCM_WORKFILE_PARTIAL "/was" /* .vmscm-checkout, until the disks are moved */

struct vmscm_recheckout {
    char *dir;
    struct vmscm_workfile old;
    struct vmscm_revision *rev; /* that old stands on */
    char *format, *options;     /* of old.request */
    bool *clean;                /* for each disk of old: it holds what rev says */
};

static int check_files(const struct vmscm_recheckout *re, struct vmscm_error *err)
{
    for (size_t i = 0; i < re->old.disks.len; i++) {
        const struct vmscm_workfile_disk *d = &re->old.disks.items[i];
        for (size_t f = 0; f < d->files.len; f++)
            if (strchr(d->files.items[f].name, '/'))
                return vmscm_error_set(err, VMSCM_EREFUSED,
                    "%s/" VMSCM_WORKFILE_NAME ": %s: not a file of a checkout", re->dir,
                    d->files.items[f].name);
    }
    return 0;
}

/* From a file like .vmscm-checkout at path, relative to dir. */
static int open_file(struct vmscm_recheckout **out, struct vmscm_repo *repo, const char *dir,
    const char *path, struct vmscm_error *err)
{
    struct vmscm_recheckout *re = calloc(1, sizeof *re);
    int rc;

    if (!re)
        return vmscm_error_nomem(err);
    if ((rc = vmscm_str_dup(&re->dir, dir, err)))
        goto out;
    if ((rc = vmscm_workfile_read_at(&re->old, dir, path, err))) {
        if (rc == VMSCM_EDAMAGED) {
            rc = vmscm_error_set(err, VMSCM_EREFUSED, "%s: not empty", dir);
            vmscm_error_hint(err, "%s/%s is not what a checkout wrote", dir, path);
        }
        goto out;
    }
    if (!(re->clean = calloc(re->old.disks.len + 1, sizeof *re->clean))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    if ((rc = vmscm_coformat_parse(
             &re->format, &re->options, re->old.request, err)) || (rc = check_files(re, err)))
        goto out;
    if ((rc = vmscm_snapshot_open(&re->rev, repo, re->old.base, NULL, err)) == VMSCM_ENOTFOUND) {
        rc = vmscm_error_set(err, VMSCM_EREFUSED, "%s: a checkout of another repository, %s", dir,
            re->old.repository);
        vmscm_error_hint(err, "check out into a new directory");
    }
out:
    if (rc)
        vmscm_recheckout_close(re);
    else
        *out = re;
    return rc;
}

int vmscm_recheckout_open(struct vmscm_recheckout **out, struct vmscm_repo *repo, const char *dir,
    struct vmscm_error *err)
{
    return open_file(out, repo, dir, VMSCM_WORKFILE_NAME, err);
}

void vmscm_recheckout_close(struct vmscm_recheckout *re)
{
    if (!re)
        return;
    vmscm_workfile_release(&re->old);
    vmscm_revision_free(re->rev);
    free(re->dir);
    free(re->clean);
    free(re->format);
    free(re->options);
    free(re);
}

const char *vmscm_recheckout_format(const struct vmscm_recheckout *re)
{
    return re->format;
}

const char *vmscm_recheckout_options(const struct vmscm_recheckout *re)
{
    return re->options;
}

bool vmscm_recheckout_is_thin(const struct vmscm_recheckout *re)
{
    return re->old.thin.socket != NULL;
}

static int refuse_changed(const char *dir, const char *what, struct vmscm_error *err)
{
    vmscm_error_set(err, VMSCM_EREFUSED, "%s/%s: changed since it was checked out", dir, what);
    return vmscm_error_hint(err, "check it in first; --force gives the change up");
}

static int check_disks(struct vmscm_recheckout *re, bool force, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < re->old.disks.len; i++) {
        const struct vmscm_workfile_disk *d = &re->old.disks.items[i];
        re->clean[i] = vmscm_workfile_proves(&re->old, d, re->dir);
        for (size_t f = 0; f < d->files.len; f++) {
            bool missing, held = false;
            bool same = vmscm_workfile_same(&d->files.items[f], re->dir, &missing);
            char *path = NULL;
            struct stat st;
            if (missing)
                continue;
            if ((rc = vmscm_path_join(&path, re->dir, d->files.items[f].name, err)))
                return rc;
            if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
                rc = vmscm_lockcheck_writer(&held, path, err);
            if (held) {
                rc = vmscm_error_set(
                    err, VMSCM_EBUSY, "%s: a running machine writes to it", path);
                vmscm_error_hint(err, "shut the machine down first");
            }
            free(path);
            if (rc)
                return rc;
            if (!same && !force)
                return refuse_changed(re->dir, d->files.items[f].name, err);
        }
    }
    return 0;
}

struct config_check {
    struct vmscm_recheckout *re;
    struct vmscm_revision *revs[2]; /* before, after */
    struct vmscm_error *err;
};

/* Whether config/PATH is lost with its bytes: neither revision has these. */
static int check_config_file(void *data, const char *path, uint64_t size)
{
    struct config_check *c = data;
    struct vmscm_buf here = VMSCM_BUF_INIT;
    bool known = false;
    char *full = NULL, what[300];
    int rc;

    (void)size;
    if ((rc = vmscm_str_printf(
             &full, c->err, "%s/" VMSCM_HANDLE_CONFIG_DIR "/%s", c->re->dir, path)))
        return rc;
    if (!vmscm_file_exists(full)) {
        free(full);
        return 0;
    }
    rc = vmscm_file_read(&here, full, VMSCM_HANDLE_CONFIG_FILE_MAX, NULL);
    for (size_t i = 0; i < 2 && !rc && !known; i++) {
        void *bytes = NULL;
        size_t len;
        int e = vmscm_revision_config_read(&bytes, &len, c->revs[i], path, c->err);
        known = !e && here.len == len && (len == 0 || memcmp(here.data, bytes, len) == 0);
        free(bytes);
        if (e && e != VMSCM_ENOTFOUND)
            rc = e;
    }
    vmscm_buf_release(&here);
    free(full);
    if (!rc && !known) {
        snprintf(what, sizeof what, VMSCM_HANDLE_CONFIG_DIR "/%.250s", path);
        rc = refuse_changed(c->re->dir, what, c->err);
    }
    return rc;
}

static bool is_ours(const struct vmscm_recheckout *re, const char *name)
{
    for (size_t i = 0; i < re->old.disks.len; i++)
        for (size_t f = 0; f < re->old.disks.items[i].files.len; f++)
            if (strcmp(re->old.disks.items[i].files.items[f].name, name) == 0)
                return true;
    return false;
}

/* Whether a disk could get a file of this name: "ID.xxx", "ID-xxx.vmdk". */
static bool is_file_of(const struct vmscm_machine_disk *disk, const char *name)
{
    size_t len = strlen(disk->id);

    if (strncmp(name, disk->id, len) != 0)
        return false;
    return (name[len] == '.' && !strchr(name + len + 1, '.')) ||
        (name[len] == '-' && vmscm_str_ends(name, ".vmdk"));
}

static int check_in_the_way(const struct vmscm_recheckout *re, const struct vmscm_machine *machine,
    struct vmscm_error *err)
{
    DIR *d = opendir(re->dir);
    int rc = 0;

    if (!d)
        return vmscm_error_errno(err, errno, "%s", re->dir);
    for (struct dirent *e; !rc && (e = readdir(d));)
        for (size_t i = 0; i < machine->disk_count && !rc; i++)
            if (is_file_of(&machine->disks[i], e->d_name) && !is_ours(re, e->d_name)) {
                rc = vmscm_error_set(err, VMSCM_EREFUSED,
                    "%s/%s: not a file of the checkout, and named like one of disk %s", re->dir,
                    e->d_name, machine->disks[i].id);
                vmscm_error_hint(err, "move it away; --force writes over it");
            }
    closedir(d);
    return rc;
}

int vmscm_recheckout_check(struct vmscm_recheckout *re, struct vmscm_revision *rev, bool force,
    struct vmscm_error *err)
{
    struct config_check c = {re, {re->rev, rev}, err};
    const struct vmscm_machine *machine;
    int rc = check_disks(re, force, err);

    if (rc || force || (rc = vmscm_revision_machine(&machine, rev, err)) ||
        (rc = check_in_the_way(re, machine, err)))
        return rc;
    for (size_t i = 0; i < 2 && !rc; i++)
        rc = vmscm_revision_config_files(c.revs[i], check_config_file, &c, err);
    return rc;
}

/* Gone is done. */
static int move(const char *from, const char *to, struct vmscm_error *err)
{
    if (rename(from, to) < 0 && errno != ENOENT)
        return vmscm_error_errno(err, errno, "%s", to);
    return 0;
}

static int move_disk(const struct vmscm_recheckout *re, const struct vmscm_workfile_disk *d,
    const char *partial, struct vmscm_error *err)
{
    char *staging = NULL, *from = NULL, *to = NULL;
    int rc = vmscm_path_join(&staging, partial, d->id, err);

    if (!rc)
        rc = vmscm_file_mkdirs(staging, err);
    for (size_t f = 0; f < d->files.len && !rc; f++) {
        if (!(rc = vmscm_path_join(&from, re->dir, d->files.items[f].name, err)) &&
            !(rc = vmscm_path_join(&to, staging, d->files.items[f].name, err)))
            rc = move(from, to, err);
        free(from);
        free(to);
        from = to = NULL;
    }
    if (!rc)
        rc = vmscm_file_sync_dir(staging, err);
    free(staging);
    return rc;
}

struct config_removal {
    const char *dir;
    struct vmscm_error *err;
};

/* What the new revision has of these is written again. */
static int remove_config_file(void *data, const char *path, uint64_t size)
{
    struct config_removal *c = data;
    char *full = NULL;
    size_t top = 0;
    int rc = vmscm_str_printf(&full, c->err, "%s/" VMSCM_HANDLE_CONFIG_DIR "/%s", c->dir, path);

    (void)size;
    if (rc)
        return rc;
    top = strlen(c->dir) + 1;
    if (unlink(full) < 0 && errno != ENOENT && errno != ENOTDIR)
        rc = vmscm_error_errno(c->err, errno, "%s", full);
    /* Directories that are empty now go too. */
    for (char *slash; !rc && (slash = strrchr(full, '/')) && slash > full + top;) {
        *slash = '\0';
        if (rmdir(full) < 0)
            break;
    }
    free(full);
    return rc;
}

/* Each step can be done again. Once `was` is gone, a file in its place is one of the new revision,
 * whole. */
static int move_all(struct vmscm_recheckout *re, const char *partial, const char *was,
    struct vmscm_error *err)
{
    struct config_removal c = {re->dir, err};
    int rc = vmscm_revision_config_files(re->rev, remove_config_file, &c, err);

    for (size_t i = 0; i < re->old.disks.len && !rc; i++)
        rc = move_disk(re, &re->old.disks.items[i], partial, err);
    if (rc || (rc = vmscm_file_sync_dir(partial, err)) ||
        (rc = vmscm_file_sync_dir(re->dir, err)))
        return rc;
    if (unlink(was) < 0 && errno != ENOENT)
        return vmscm_error_errno(err, errno, "%s", was);
    return vmscm_file_sync_dir(partial, err);
}

int vmscm_recheckout_begin(struct vmscm_recheckout *re, const char *partial,
    struct vmscm_error *err)
{
    char *from = NULL, *to = NULL;
    int rc;

    if ((rc = vmscm_path_join(&from, re->dir, VMSCM_WORKFILE_NAME, err)) ||
        (rc = vmscm_path_join(&to, re->dir, WAS, err)) || (rc = move(from, to, err)) ||
        (rc = vmscm_file_sync_dir(partial, err)) || (rc = vmscm_file_sync_dir(re->dir, err)))
        goto out;
    rc = move_all(re, partial, to, err);
out:
    free(from);
    free(to);
    return rc;
}

int vmscm_recheckout_resume(struct vmscm_repo *repo, const char *dir, const char *partial,
    struct vmscm_error *err)
{
    struct vmscm_recheckout *re = NULL;
    char *was = NULL;
    int rc = vmscm_path_join(&was, dir, WAS, err);

    if (!rc && vmscm_file_exists(was) && !(rc = open_file(&re, repo, dir, WAS, err)))
        rc = move_all(re, partial, was, err);
    vmscm_recheckout_close(re);
    free(was);
    return rc;
}

static const struct vmscm_workfile_disk *find_disk(const struct vmscm_recheckout *re,
    const char *id)
{
    for (size_t i = 0; i < re->old.disks.len; i++)
        if (strcmp(re->old.disks.items[i].id, id) == 0)
            return &re->old.disks.items[i];
    return NULL;
}

static bool same_options(const struct vmscm_machine_disk *a, const struct vmscm_machine_disk *b)
{
    bool same = strcmp(a->format, b->format) == 0 && a->option_count == b->option_count;

    for (size_t i = 0; same && i < a->option_count; i++) {
        const char *other = vmscm_model_option(b, a->options[i].name);
        same = other && strcmp(other, a->options[i].value) == 0;
    }
    return same;
}

int vmscm_recheckout_plan(struct vmscm_recheckout *re, enum vmscm_recheckout_how *how,
    struct vmscm_map *old, const struct vmscm_machine_disk *disk, const struct vmscm_map *map,
    const char *format, const char *name, bool same_request, struct vmscm_error *err)
{
    const struct vmscm_workfile_disk *d = find_disk(re, disk->id);
    const struct vmscm_machine *machine;
    const struct vmscm_machine_disk *before;
    bool raw = strcmp(format, vmscm_probe_format_name(VMSCM_PROBE_RAW)) == 0;
    int rc;

    *how = VMSCM_RECHECKOUT_ANEW;
    if (!d || strcmp(d->format, format) != 0 || strcmp(d->files.items[0].name, name) != 0)
        return 0;
    if (raw)
        *how = VMSCM_RECHECKOUT_COMPARE;
    /* What a pruned revision has where may no longer be known. */
    if (!re->clean[d - re->old.disks.items] ||
        (raw && vmscm_snapshot_kept(re->rev->repo, re->rev->info.id, NULL)))
        return 0;
    if ((rc = vmscm_revision_machine(&machine, re->rev, err)))
        return rc;
    if (!(before = vmscm_model_disk(machine, disk->id)))
        return 0;
    if ((rc = vmscm_snapshot_map(old, re->rev->repo, re->rev->info.id, before, err)))
        return rc;
    if (raw)
        *how = VMSCM_RECHECKOUT_UPDATE;
    else if (same_request && same_options(before, disk) && vmscm_map_same(old, map))
        *how = VMSCM_RECHECKOUT_KEEP;
    return 0;
}
