/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Checking out. Disks are made in .vmscm-partial/ inside the checkout and renamed when they are
 * whole and on disk; .vmscm-checkout comes last. Whatever interrupts it, nothing is half-named, and
 * the same command goes on with the disks that are missing. recheckout.c takes a checkout apart
 * that is there already.
 */
#include <vmscm/checkout.h>

#include "base/path.h"
#include "base/str.h"
#include "image/writer.h"
#include "machine/model.h"
#include "repo/coformat.h"
#include "repo/mapdiff.h"
#include "repo/known.h"
#include "repo/recheckout.h"
#include "repo/reflink.h"
#include "repo/snapshot.h"
#include "repo/storedev.h"
#include "repo/thin.h"
#include "repo/thindir.h"
#include "repo/verify.h"
#include "repo/workfile.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct checkout {
    struct vmscm_revision *rev;
    const struct vmscm_machine *machine;
    const struct vmscm_checkout_options *options;
    const struct vmscm_events *events;
    char *dir;     /* absolute */
    char *partial; /* DIR/.vmscm-partial */
    struct vmscm_workfile work;
    struct vmscm_checkout_options asked; /* what options points to, if dir is a checkout */
    struct vmscm_recheckout *re;         /* NULL: dir is none */
    bool same_request;                   /* it was made with the same format and options */
    bool resumed;
    bool made; /* dir was not there */
    unsigned jobs;
    uint64_t total, done_before, written;
    const char *item;
    struct vmscm_verify verify; /* of the disk at hand */
};

static int make_dir(const char *path, struct vmscm_error *err)
{
    if (mkdir(path, 0777) < 0 && errno != EEXIST)
        return vmscm_error_errno(err, errno, "%s: making directory", path);
    return 0;
}

/* If dir is a checkout, it keeps the format it has unless another is asked for. */
static int look_at(struct checkout *c, const char *dir, struct vmscm_error *err)
{
    char *real = NULL;
    int rc;

    if (!vmscm_file_exists(dir))
        return 0;
    if ((rc = vmscm_file_realpath(&real, dir, err)))
        return rc;
    rc = vmscm_recheckout_open(&c->re, c->rev->repo, real, err);
    free(real);
    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        return 0;
    }
    if (rc)
        return rc;
    if (c->options->thin || vmscm_recheckout_is_thin(c->re)) {
        vmscm_error_set(err, VMSCM_EREFUSED, "%s: is a %scheckout", dir,
            vmscm_recheckout_is_thin(c->re) ? "thin " : "");
        return vmscm_error_hint(err, "check out into a new directory");
    }
    c->asked = *c->options;
    if (!c->asked.format && !c->asked.options) {
        c->asked.format = vmscm_recheckout_format(c->re);
        c->asked.options = vmscm_recheckout_options(c->re);
        c->same_request = true;
    }
    c->options = &c->asked;
    return 0;
}

/* Whether dir has nothing in it, but for `except` (NULL: nothing at all). */
static int is_empty(bool *empty, const char *dir, const char *except, struct vmscm_error *err)
{
    DIR *d = opendir(dir);

    if (!d)
        return vmscm_error_errno(err, errno, "%s", dir);
    *empty = true;
    for (struct dirent *e; *empty && (e = readdir(d));)
        *empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            (except && strcmp(e->d_name, except) == 0);
    closedir(d);
    return 0;
}

/* What a thin checkout stands on is kept from before it is there. */
static int hold(struct checkout *c, struct vmscm_error *err)
{
    struct vmscm_workfile_thin *thin = &c->work.thin;
    int rc = vmscm_str_dup(&thin->socket, c->options->thin, err);

    memcpy(thin->base, c->rev->info.id, sizeof thin->base);
    return rc ? rc : vmscm_thindir_pin(thin, c->rev->repo, c->dir, err);
}

/* Make dir, or see that it is empty or ours to go on with. */
static int prepare(struct checkout *c, const char *dir, const char *request,
    struct vmscm_error *err)
{
    bool empty = false;
    int rc;

    c->made = !vmscm_file_exists(dir);
    if ((rc = vmscm_file_mkdirs(dir, err)) || (rc = vmscm_file_realpath(&c->dir, dir, err)) ||
        (rc = vmscm_path_join(&c->partial, c->dir, VMSCM_WORKFILE_PARTIAL, err)) ||
        (rc = is_empty(&empty, c->dir, NULL, err)))
        return rc;
    if (c->re) {
        /* What may be left in it is of one that was finished but for removing this. */
        if ((rc = vmscm_file_remove_tree(c->partial, err)))
            return rc;
    } else if (!empty) {
        /* One that died before it had written down what it is has begun nothing either. */
        bool begun_only = false;
        char *state = NULL;

        if ((rc = is_empty(&begun_only, c->dir, VMSCM_WORKFILE_PARTIAL, err)) ||
            (rc = vmscm_path_join(&state, c->partial, VMSCM_WORKFILE_STATE, err)))
            return rc;
        if (begun_only && !vmscm_file_exists(state)) {
            rc = vmscm_file_remove_tree(c->partial, err);
            empty = true;
        }
        free(state);
        if (rc)
            return rc;
    }
    if (!empty && !c->re) {
        struct vmscm_workfile old = {0};
        bool same = false, other = false;
        rc = vmscm_workfile_read_partial(&old, c->dir, err);
        if (!rc)
            same = strcmp(old.base, c->rev->info.id) == 0 && strcmp(old.request, request) == 0 &&
                strcmp(old.repository, vmscm_handle_name(c->rev->repo)) == 0;
        if (!rc && !same) {
            vmscm_error_set(err, VMSCM_EREFUSED, "%s: not empty", dir);
            vmscm_error_hint(err,
                "it holds an interrupted checkout of another revision or format: of %.12s, %s",
                old.base, old.request);
            other = true;
        }
        if (same && old.thin.socket)
            rc = vmscm_pin_remove(c->rev->repo->path, old.thin.pin, err);
        vmscm_workfile_release(&old);
        if (other || (rc && rc != VMSCM_ENOTFOUND && rc != VMSCM_EDAMAGED))
            return other ? VMSCM_EREFUSED : rc;
        if (!same) {
            vmscm_error_set(err, VMSCM_EREFUSED, "%s: not empty", dir);
            return vmscm_error_hint(err, "check out into a new directory");
        }
        c->resumed = true;
        vmscm_handle_note(c->events, "going on with the interrupted checkout in %s", dir);
    }
    if ((rc = make_dir(c->partial, err)))
        return rc;
    memcpy(c->work.base, c->rev->info.id, sizeof c->work.base);
    const char *machine = vmscm_revision_machine_name(c->rev);
    if ((rc = vmscm_str_dup(&c->work.repository, vmscm_handle_name(c->rev->repo), err)) ||
        (rc = vmscm_str_dup(&c->work.machine, machine ? machine : "", err)) ||
        (rc = vmscm_str_dup(&c->work.request, request, err)))
        return rc;
    if (c->options->thin && (rc = hold(c, err)))
        return rc;
    if (c->resumed && (rc = vmscm_recheckout_resume(c->rev->repo, c->dir, c->partial, err)))
        return rc;
    if ((rc = vmscm_workfile_write_partial(&c->work, c->dir, err)))
        return rc;
    return c->re ? vmscm_recheckout_begin(c->re, c->partial, err) : 0;
}

static int on_progress(void *data, uint64_t done)
{
    struct checkout *c = data;
    struct vmscm_progress p = {.phase = "checking out",
        .item = c->item,
        .done = c->done_before + done,
        .total = c->total};

    if (c->events && c->events->progress)
        c->events->progress(c->events->data, &p);
    return vmscm_handle_canceled(c->events, NULL);
}

/* Move what the writer made for a disk to its place: the file to open last, so that it never points
 * at parts that are not there. */
static int publish(struct checkout *c, struct vmscm_workfile_disk *disk, const char *staging,
    const char *file, struct vmscm_error *err)
{
    VMSCM_VEC(char *) parts = {0};
    DIR *d = opendir(staging);
    char *from = NULL, *to = NULL, **slot;
    int rc = 0;

    if (!d)
        return vmscm_error_errno(err, errno, "%s", staging);
    for (struct dirent *e; !rc && (e = readdir(d));) {
        if (e->d_name[0] == '.' || strcmp(e->d_name, file) == 0)
            continue;
        rc = vmscm_vec_add(&parts, &slot, err) ? VMSCM_ENOMEM
                                               : vmscm_str_dup(slot, e->d_name, err);
    }
    closedir(d);
    for (size_t i = 0; i <= parts.len && !rc; i++) {
        const char *name = i < parts.len ? parts.items[i] : file;
        if ((rc = vmscm_path_join(&from, staging, name, err)) ||
            (rc = vmscm_path_join(&to, c->dir, name, err)))
            break;
        /* A part may be there from a checkout that stopped between two renames. */
        if (rename(from, to) < 0)
            rc = vmscm_error_errno(err, errno, "%s", to);
        free(from);
        free(to);
        from = to = NULL;
    }
    if (!rc && !(rc = vmscm_file_sync_dir(c->dir, err)))
        rc = vmscm_workfile_add_file(disk, c->dir, file, err);
    for (size_t i = 0; i < parts.len; i++) {
        if (!rc)
            rc = vmscm_workfile_add_file(disk, c->dir, parts.items[i], err);
        free(parts.items[i]);
    }
    vmscm_vec_release(&parts);
    free(from);
    free(to);
    return rc;
}

/* A disk that an interrupted checkout finished: its files are recorded, not made again. Its parts
 * are those named after it ("sda.vmdk": "sda-flat.vmdk", "sda-s001.vmdk"). */
static int adopt(struct checkout *c, struct vmscm_workfile_disk *disk, const char *file,
    struct vmscm_error *err)
{
    size_t stem = strlen(disk->id);
    const char *suffix = file + stem;
    DIR *d = opendir(c->dir);
    int rc;

    if (!d)
        return vmscm_error_errno(err, errno, "%s", c->dir);
    rc = vmscm_workfile_add_file(disk, c->dir, file, err);
    for (struct dirent *e; !rc && (e = readdir(d));)
        if (strncmp(e->d_name, disk->id, stem) == 0 && e->d_name[stem] == '-' &&
            vmscm_str_ends(e->d_name, suffix))
            rc = vmscm_workfile_add_file(disk, c->dir, e->d_name, err);
    closedir(d);
    return rc;
}

static int verify(void *data, struct vmscm_error *err)
{
    struct checkout *c = data;

    return vmscm_verify_disk(&c->verify, err);
}

/* What is to be written of a disk whose map is `map`, into staging/file: sets w's resume or update,
 * whose ranges d holds. *keep: nothing is, its files are there. */
static int plan(struct checkout *c, const struct vmscm_machine_disk *disk,
    const struct vmscm_map *map, const char *staging, const char *path,
    struct vmscm_writer_options *w, struct vmscm_mapdiff *d, bool *keep, struct vmscm_error *err)
{
    enum vmscm_recheckout_how how = VMSCM_RECHECKOUT_ANEW;
    const char *file = vmscm_path_basename(path);
    struct vmscm_map old = {0};
    struct vmscm_store *store;
    uint64_t bytes = 0;
    int rc = 0;

    *keep = false;
    if (c->re)
        rc = vmscm_recheckout_plan(c->re, &how, &old, disk, map,
            vmscm_probe_format_name(w->format), file, c->same_request, err);
    else if (c->resumed && w->format == VMSCM_PROBE_RAW)
        how = VMSCM_RECHECKOUT_COMPARE;
    /* A file that was being written when its writer was killed is of no use. */
    if (!rc && how == VMSCM_RECHECKOUT_ANEW &&
        !(rc = vmscm_file_remove_tree(staging, err)) && !(rc = make_dir(staging, err)) &&
        w->format == VMSCM_PROBE_RAW && !w->option_count) {
        bool cloned = false;
        rc = vmscm_reflink_clone(&cloned, &old, c->rev->repo, path, map, c->events, err);
        if (cloned)
            how = VMSCM_RECHECKOUT_UPDATE;
    }
    if (!rc && how == VMSCM_RECHECKOUT_UPDATE &&
        !(rc = vmscm_handle_store(&store, c->rev->repo, err)) &&
        !(rc = vmscm_fetch_new(&d->fetch, store, err)))
        rc = vmscm_mapdiff_run(d, &old, map, err);
    vmscm_fetch_free(d->fetch);
    vmscm_map_release(&old);
    if (rc)
        return rc;
    switch (how) {
    case VMSCM_RECHECKOUT_ANEW:
        return 0;
    case VMSCM_RECHECKOUT_KEEP:
        *keep = true;
        vmscm_handle_note(c->events, "%s: is the same in both revisions", file);
        return 0;
    case VMSCM_RECHECKOUT_UPDATE:
        w->update = true;
        w->ranges = d->ranges.items;
        w->range_count = d->ranges.len;
        for (size_t i = 0; i < d->ranges.len; i++)
            bytes += d->ranges.items[i].length;
        vmscm_handle_note(c->events, "%s: %llu bytes in %zu places differ", file,
            (unsigned long long)bytes, d->ranges.len);
        return 0;
    case VMSCM_RECHECKOUT_COMPARE:
        w->resume = true;
        if (vmscm_file_exists(path))
            vmscm_handle_note(c->events, "%s: compared with what the file holds", file);
        return 0;
    }
    return 0;
}

static int write_disk(struct checkout *c, const struct vmscm_machine_disk *disk,
    struct vmscm_error *err)
{
    struct vmscm_writer_options w = {
        .jobs = c->jobs, .progress = on_progress, .data = c, .events = c->events};
    struct vmscm_map map = {0}, check = {0};
    struct vmscm_mapdiff diff = {0};
    struct vmscm_blockdev *dev = NULL;
    struct vmscm_workfile_disk *entry;
    struct vmscm_store *store;
    char *text = NULL, *file = NULL, *staging = NULL, *path = NULL, *final = NULL;
    uint64_t size, written = 0;
    bool keep;
    int rc;

    c->item = disk->id;
    w.format = VMSCM_PROBE_QCOW2;
    if ((!c->options->thin &&
            (rc = vmscm_coformat_choose(&w, &text, c->options, disk, err))) ||
        (rc = vmscm_str_printf(
             &file, err, "%s.%s", disk->id, vmscm_probe_format_suffix(w.format))) ||
        (rc = vmscm_path_join(&final, c->dir, file, err)) ||
        (rc = vmscm_path_join(&staging, c->partial, disk->id, err)) ||
        (rc = vmscm_path_join(&path, staging, file, err)) ||
        (rc = vmscm_workfile_add_disk(&entry, &c->work, disk->id,
             vmscm_probe_format_name(w.format), disk->size, err)))
        goto out;
    if (c->resumed && vmscm_file_exists(final)) {
        vmscm_handle_note(c->events, "%s: was finished before", file);
        rc = adopt(c, entry, file, err);
        goto out;
    }
    if ((rc = vmscm_writer_size(&size, w.format, disk->size, err)))
        goto out;
    if (size != disk->size)
        vmscm_handle_warn(c->events,
            "disk %s: %llu bytes become %llu: %s holds only whole sectors", disk->id,
            (unsigned long long)disk->size, (unsigned long long)size,
            vmscm_probe_format_name(w.format));
    if (c->options->thin) {
        if (!(rc = vmscm_file_remove_tree(staging, err)) && !(rc = make_dir(staging, err)) &&
            !(rc = vmscm_thin_create(
                  path, c->options->thin, c->work.base, disk->id, size, err)))
            rc = publish(c, entry, staging, file, err);
        goto out;
    }
    if ((rc = vmscm_handle_store(&store, c->rev->repo, err)) ||
        (rc = vmscm_snapshot_map(&map, c->rev->repo, c->rev->info.id, disk, err)) ||
        (rc = plan(c, disk, &map, staging, path, &w, &diff, &keep, err)) ||
        (rc = make_dir(staging, err)))
        goto out;
    c->verify = (struct vmscm_verify){
        store, path, w.format, &check, c->jobs, c->events, disk->id};
    if (c->options->verify && w.format == VMSCM_PROBE_RAW && !w.resume && !w.update) {
        w.readback = true;
    } else if (c->options->verify) {
        w.written = verify;
        if ((rc = vmscm_snapshot_map(&check, c->rev->repo, c->rev->info.id, disk, err)) ||
            (keep && (rc = verify(c, err))))
            goto out;
    }
    if (!keep && ((rc = vmscm_storedev_open(&dev, store, &map, disk->id, NULL, err)) ||
                     (rc = vmscm_writer_write(dev, path, &w, &written, err))))
        goto out;
    if (w.format == VMSCM_PROBE_QCOW2)
        vmscm_known_begin(entry, c->rev->repo, path, c->events);
    c->written += written;
    rc = publish(c, entry, staging, file, err);
out:
    c->done_before += disk->size;
    vmscm_blockdev_close(dev);
    vmscm_map_release(&map);
    vmscm_map_release(&check);
    vmscm_mapdiff_release(&diff);
    free((void *)w.options);
    free(text);
    free(file);
    free(staging);
    free(path);
    free(final);
    return rc;
}

struct config_write {
    struct checkout *c;
    struct vmscm_error *err;
};

static int write_config(void *data, const char *path, uint64_t size)
{
    struct config_write *w = data;
    char *rel = NULL, *full = NULL, *parent = NULL;
    void *bytes = NULL;
    size_t len;
    int rc;

    (void)size;
    if ((rc = vmscm_revision_config_read(&bytes, &len, w->c->rev, path, w->err)) ||
        (rc = vmscm_str_printf(&rel, w->err, VMSCM_HANDLE_CONFIG_DIR "/%s", path)) ||
        (rc = vmscm_path_join(&full, w->c->dir, rel, w->err)) ||
        (rc = vmscm_path_dirname(&parent, full, w->err)) ||
        (rc = vmscm_file_mkdirs(parent, w->err)))
        goto out;
    rc = vmscm_file_replace(full, bytes, len, 0666, w->err);
out:
    free(bytes);
    free(rel);
    free(full);
    free(parent);
    return rc;
}

static int run(struct checkout *c, struct vmscm_error *err)
{
    struct config_write w = {c, err};
    int rc = 0;

    for (size_t i = 0; i < c->machine->disk_count; i++)
        c->total += c->machine->disks[i].size;
    for (size_t i = 0; i < c->machine->disk_count && !rc; i++) {
        if (!(rc = vmscm_handle_canceled(c->events, err)))
            rc = write_disk(c, &c->machine->disks[i], err);
    }
    if (rc || (rc = vmscm_revision_config_files(c->rev, write_config, &w, err)))
        return rc;
    vmscm_workfile_settle(&c->work, c->dir);
    if ((rc = vmscm_workfile_write(&c->work, c->dir, err)))
        return rc;
    vmscm_reflink_remember(c->rev->repo, c->dir, &c->work);
    on_progress(c, 0);
    rc = vmscm_file_remove_tree(c->partial, err);
    /* A power cut must not bring it back beside what it was for. */
    return rc ? rc : vmscm_file_sync_dir(c->dir, err);
}

static int check_thin(const struct vmscm_revision *rev,
    const struct vmscm_checkout_options *options, struct vmscm_error *err)
{
    if (options->format || options->options || options->verify || options->force)
        return vmscm_error_set(
            err, VMSCM_EUSAGE, "thin checkout: has no format, and nothing to verify or to force");
    if (rev->repo->far) {
        vmscm_error_set(
            err, VMSCM_EUNSUPPORTED, "%s: no thin checkouts of it", vmscm_handle_name(rev->repo));
        return vmscm_error_hint(err, "a lazy clone of it can have some: vmscm clone --lazy");
    }
    return vmscm_thin_check_socket(options->thin, err);
}

int vmscm_checkout(struct vmscm_revision *rev, const char *dir,
    const struct vmscm_checkout_options *options, const struct vmscm_events *events,
    struct vmscm_checkout_result *result, struct vmscm_error *err)
{
    static const struct vmscm_checkout_options defaults;
    struct checkout c = {.rev = rev, .options = options ? options : &defaults, .events = events};
    enum vmscm_probe_format format;
    struct vmscm_lease *lease = NULL;
    struct timespec start, end;
    char *request = NULL;
    int rc;

    clock_gettime(CLOCK_MONOTONIC, &start);
    if (c.options->thin && (rc = check_thin(rev, c.options, err)))
        goto out;
    if (c.options->format && (rc = vmscm_probe_format_parse(&format, c.options->format, err)))
        goto out;
    if (!dir) {
        const char *name = vmscm_revision_machine_name(rev);
        if (!name) {
            rc = vmscm_error_set(err, VMSCM_EUSAGE,
                "%.12s: in no machine's history: name a directory", rev->info.id);
            goto out;
        }
        dir = vmscm_path_basename(name);
    }
    lease = vmscm_snapshot_hold(rev);
    if ((rc = vmscm_snapshot_readable(rev->repo, rev->info.id, err)) ||
        (rc = vmscm_revision_check_disks(rev, err)) ||
        (rc = vmscm_revision_machine(&c.machine, rev, err)) ||
        (rc = vmscm_handle_jobs(&c.jobs, rev->repo, c.options->jobs, err)) ||
        (rc = look_at(&c, dir, err)) ||
        (rc = c.options->thin ? vmscm_str_dup(&request, "thin", err)
                              : vmscm_coformat_request(&request, c.options, err)) ||
        (!c.options->thin && (rc = vmscm_coformat_check(c.machine, c.options, err))) ||
        (c.re && (rc = vmscm_recheckout_check(c.re, rev, c.options->force, err))) ||
        (rc = prepare(&c, dir, request, err)))
        goto out;
    if ((rc = run(&c, err))) {
        if (rc == VMSCM_ECANCELED) {
            vmscm_error_set(err, rc, "%s: checkout interrupted", dir);
            vmscm_error_hint(err, "the same command goes on with it");
        } else if (!c.resumed && !c.re && (rc == VMSCM_EUSAGE || rc == VMSCM_EUNSUPPORTED)) {
            /* The same command can never succeed: there is nothing to go on with. */
            vmscm_file_remove_tree(c.partial, NULL);
            if (c.work.thin.socket)
                vmscm_pin_remove(rev->repo->path, c.work.thin.pin, NULL);
            if (c.made)
                rmdir(c.dir);
        }
        goto out;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (result) {
        result->dir = c.dir;
        c.dir = NULL;
        result->size = c.total;
        result->written = c.written;
        result->seconds = (double)(end.tv_sec - start.tv_sec) +
            (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    }
out:
    vmscm_lease_close(lease);
    vmscm_recheckout_close(c.re);
    vmscm_workfile_release(&c.work);
    free(request);
    free(c.dir);
    free(c.partial);
    return rc;
}

void vmscm_checkout_result_release(struct vmscm_checkout_result *result)
{
    free(result->dir);
    result->dir = NULL;
}
