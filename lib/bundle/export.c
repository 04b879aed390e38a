/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/export.h"
#include "base/path.h"
#include "base/str.h"
#include "bundle/containerout.h"
#include "bundle/ext4out.h"
#include "bundle/folderout.h"
#include "bundle/ovfout.h"
#include "bundle/ploopout.h"
#include "bundle/vagrantout.h"
#include "bundle/xvaout.h"
#include "repo/snapshot.h"
#include "repo/storedev.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

static const struct target {
    const char *name;
    const char *suffix;
    bool several; /* files */
    const char *stem; /* what its files are called after; NULL: the file or the machine */
    int (*write)(struct vmscm_export *x, struct vmscm_error *err);
    bool directory; /* and no file at all */
    bool container; /* and not a machine */
} targets[] = {
    {"ova", ".ova", false, NULL, vmscm_ovfout_write_archive, false, false},
    {"ovf", ".ovf", true, NULL, vmscm_ovfout_write_files, false, false},
    {"libvirt", ".xml", true, NULL, vmscm_folderout_write_libvirt, false, false},
    {"vmx", ".vmx", true, NULL, vmscm_folderout_write_vmx, false, false},
    {"hyperv", ".ps1", true, NULL, vmscm_folderout_write_hyperv, false, false},
    {"ploop", ".hdd", false, NULL, vmscm_ploopout_write, true, false},
    {"xva", ".xva", false, NULL, vmscm_xvaout_write, false, false},
    {"vagrant-libvirt", ".box", false, "box", vmscm_vagrantout_write_libvirt, false, false},
    {"vagrant-virtualbox", ".box", false, "box", vmscm_vagrantout_write_virtualbox, false, false},
    {"tar", ".tar", false, NULL, vmscm_containerout_write, false, true},
    {"ext4", ".ext4", false, NULL, vmscm_ext4out_write_raw, false, true},
    {"ext4-qcow2", ".qcow2", false, NULL, vmscm_ext4out_write_qcow2, false, true},
};

#define TARGETS (sizeof targets / sizeof targets[0])

int vmscm_export_put(void *data, const void *bytes, size_t len, struct vmscm_error *err)
{
    struct vmscm_export_file *file = data;
    int rc = 0;

    if (file->digest)
        rc = vmscm_digest_add(file->digest, bytes, len, err);
    if (!rc && file->writes)
        rc = file->in_place
            ? vmscm_file_pwrite(file->fd, bytes, len, file->at + file->size, "the bundle", err)
            : vmscm_file_write(file->fd, bytes, len, "the bundle", err);
    file->size += len;
    if (file->writes)
        file->export->written += len;
    return rc;
}

int vmscm_export_name(char **path, struct vmscm_export *x, const char *name, struct vmscm_error *err)
{
    char **slot;
    int rc;

    if ((rc = vmscm_vec_add(&x->made, &slot, err)) || (rc = vmscm_str_dup(slot, name, err)))
        return rc;
    return vmscm_path_join(path, x->dir, name, err);
}

int vmscm_export_create(int *fd, struct vmscm_export *x, const char *name, struct vmscm_error *err)
{
    char *path = NULL;
    int rc = vmscm_export_name(&path, x, name, err);

    *fd = -1;
    if (rc)
        return rc;
    rc = vmscm_file_open(fd, path, O_WRONLY | O_CREAT | O_EXCL, 0666, err);
    free(path);
    return rc;
}

int vmscm_export_close(int *fd, const char *name, struct vmscm_error *err)
{
    int rc = vmscm_file_fsync(*fd, name, err);

    return rc ? rc : vmscm_file_close(fd, name, err);
}

int vmscm_export_progress(struct vmscm_export *x, const char *disk, uint64_t done)
{
    struct vmscm_progress p = {
        .phase = "exporting", .item = disk, .done = x->done + done, .total = x->total};

    if (x->events && x->events->progress)
        x->events->progress(x->events->data, &p);
    return x->events && x->events->canceled && x->events->canceled(x->events->data);
}

struct config_search {
    const char *suffix;
    char *path;
    unsigned found;
    bool starved;
};

static int each_config(void *data, const char *path, uint64_t size)
{
    struct config_search *s = data;
    size_t len = strlen(path), n = strlen(s->suffix);

    (void)size;
    if (len < n || strcasecmp(path + len - n, s->suffix) != 0)
        return 0;
    if (!s->found++ && !(s->path = strdup(path)))
        s->starved = true;
    return s->starved;
}

int vmscm_export_config(void **bytes, size_t *size, struct vmscm_export *x, const char *suffix,
    struct vmscm_error *err)
{
    struct config_search s = {.suffix = suffix};
    int rc = vmscm_revision_config_files(x->rev, each_config, &s, err);

    *bytes = NULL;
    *size = 0;
    if (s.starved)
        rc = vmscm_error_nomem(err);
    if (!rc && s.found == 1)
        rc = vmscm_revision_config_read(bytes, size, x->rev, s.path, err);
    free(s.path);
    return rc;
}

int vmscm_export_loss(struct vmscm_export *x, struct vmscm_buf *notes, const char *text,
    struct vmscm_error *err)
{
    vmscm_handle_warn(x->events, "%s", text);
    return vmscm_buf_printf(notes, err, "\n%s", text);
}

static int open_disks(struct vmscm_export *x, struct vmscm_error *err)
{
    struct vmscm_store *store;
    int rc;

    if ((rc = vmscm_snapshot_readable(x->rev->repo, x->rev->info.id, err)) ||
        (rc = vmscm_revision_machine(&x->machine, x->rev, err)) ||
        (rc = vmscm_handle_store(&store, x->rev->repo, err)))
        return rc;
    if (!(x->disks = calloc(x->machine->disk_count + 1, sizeof *x->disks)))
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < x->machine->disk_count && !rc; i++) {
        const struct vmscm_machine_disk *disk = &x->machine->disks[i];
        struct vmscm_map map = {0};
        if (!(rc = vmscm_snapshot_map(&map, x->rev->repo, x->rev->info.id, disk, err)))
            rc = vmscm_storedev_open(&x->disks[i], store, &map, disk->id, NULL, err);
        vmscm_map_release(&map);
        x->total += disk->size;
    }
    return rc;
}

int vmscm_export_stem(char **stem, const char *name, struct vmscm_error *err)
{
    int rc = vmscm_str_dup(stem, name ? vmscm_path_basename(name) : "machine", err);

    if (rc)
        return rc;
    for (char *p = *stem; *p; p++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", *p))
            *p = '_';
    /* Other names in the bundle are this and some more, and a tar's are of 100 bytes. */
    if (strlen(*stem) > 60)
        (*stem)[60] = '\0';
    if (**stem == '.' || **stem == '-')
        **stem = '_';
    return 0;
}

/* Of the name that the user gave the file, without its ending, or else of the machine's. */
static int choose_stem(struct vmscm_export *x, const char *path, const struct target *target,
    struct vmscm_error *err)
{
    const char *machine = vmscm_revision_machine_name(x->rev), *suffix = target->suffix;
    const char *from = target->stem ? target->stem : target->several ? path : machine;
    char *name = NULL;
    size_t len;
    int rc = from ? vmscm_str_dup(&name, vmscm_path_basename(from), err) : 0;

    if (rc)
        return rc;
    len = name ? strlen(name) : 0;
    if (target->several && len > strlen(suffix) &&
        strcasecmp(name + len - strlen(suffix), suffix) == 0)
        name[len - strlen(suffix)] = '\0';
    rc = vmscm_export_stem(&x->stem, name, err);
    free(name);
    return rc;
}

/* Where a file that was made is to be. */
static int place_of(char **to, const struct vmscm_export *x, size_t i, const char *path,
    const char *dir, const struct target *target, struct vmscm_error *err)
{
    return i + 1 == x->made.len || !target->several
        ? vmscm_str_dup(to, path, err)
        : vmscm_path_join(to, dir, x->made.items[i], err);
}

/* All that was made to its place; the file that counts last. */
static int publish(struct vmscm_export *x, const char *path, const struct target *target,
    struct vmscm_error *err)
{
    char *dir = NULL, *from = NULL, *to = NULL;
    size_t moved = 0;
    int rc = vmscm_path_dirname(&dir, path, err);

    for (; moved < x->made.len && !rc; moved++) {
        free(from);
        free(to);
        from = to = NULL;
        if ((rc = vmscm_path_join(&from, x->dir, x->made.items[moved], err)) ||
            (rc = place_of(&to, x, moved, path, dir, target, err)) ||
            (rc = vmscm_file_rename_new(from, to, err)))
            break;
    }
    if (!rc)
        rc = vmscm_file_sync_dir(dir, err);
    /* What was moved before one that could not be is of no use. */
    for (size_t i = 0; rc && i < moved; i++) {
        free(to);
        to = NULL;
        if (!place_of(&to, x, i, path, dir, target, NULL))
            unlink(to);
    }
    free(dir);
    free(from);
    free(to);
    return rc;
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static const struct target *find_target(const char *name)
{
    for (size_t i = 0; name && i < TARGETS; i++)
        if (strcmp(name, targets[i].name) == 0)
            return &targets[i];
    return NULL;
}

static int check(const struct target *target, const char *path,
    const struct vmscm_bundle_export_options *options, struct vmscm_error *err)
{
    if (!target)
        return vmscm_error_set(err, VMSCM_EUSAGE, "%s: not a format of bundles",
            options->format ? options->format : "");
    if (options->level < 0 || options->level > 9)
        return vmscm_error_set(
            err, VMSCM_EUSAGE, "compression level %d: 1 to 9 are possible", options->level);
    if (options->size && target->write != vmscm_ext4out_write_raw &&
        target->write != vmscm_ext4out_write_qcow2)
        return vmscm_error_set(err, VMSCM_EUSAGE, "%s: has no size to choose", target->name);
    if (!path && (target->several || target->directory))
        return vmscm_error_set(err, VMSCM_EUSAGE,
            "%s: is several files, and cannot go to a descriptor", target->name);
    if (path && vmscm_file_exists(path))
        return vmscm_error_set(err, VMSCM_EEXIST, "%s: already exists", path);
    return 0;
}

/* What is a container can be put into nothing that has disks, and the other way round. */
static int check_kind(const struct vmscm_export *x, const struct target *target,
    struct vmscm_error *err)
{
    bool container = vmscm_machine_is_container(x->machine);

    if (container == target->container)
        return 0;
    vmscm_error_set(err, VMSCM_EUNSUPPORTED,
        container ? "%s: cannot hold a container, which has files but no disk"
                  : "%s: holds a container's files, and this is a machine with disks",
        target->name);
    return container ? vmscm_error_hint(err,
                           "--format tar writes the archive that it came as, ext4 a disk with its files")
                     : VMSCM_EUNSUPPORTED;
}

static int find_place(char **place, const char *path, struct vmscm_error *err)
{
    char *dir = NULL;
    int rc = vmscm_path_dirname(&dir, path, err);

    if (!rc)
        rc = vmscm_file_realpath(place, dir, err);
    free(dir);
    return rc;
}

int vmscm_bundle_export(struct vmscm_revision *rev, const char *path, int fd,
    const struct vmscm_bundle_export_options *options, const struct vmscm_events *events,
    struct vmscm_bundle_export_result *result, struct vmscm_error *err)
{
    const struct target *target = find_target(options->format);
    struct vmscm_export x = {
        .rev = rev, .options = options, .events = events, .fd = fd, .level = options->level};
    struct vmscm_lease *lease = NULL;
    struct timespec start;
    int lock = -1, rc;

    clock_gettime(CLOCK_MONOTONIC, &start);
    if ((rc = check(target, path, options, err)))
        return rc;
    if (!x.level)
        x.level = 6;
    lease = vmscm_snapshot_hold(rev);
    if ((rc = vmscm_handle_jobs(&x.jobs, rev->repo, options->jobs, err)) ||
        (rc = open_disks(&x, err)) || (rc = check_kind(&x, target, err)) ||
        (rc = choose_stem(&x, path, target, err)))
        goto out;
    if (path) {
        vmscm_file_sweep(path);
        if ((rc = find_place(&x.place, path, err)) ||
            (rc = vmscm_file_mkdir_beside(&lock, &x.dir, path, err)))
            goto out;
    }
    if (!(rc = target->write(&x, err)) && path)
        rc = publish(&x, path, target, err);
    if (!rc && result)
        *result = (struct vmscm_bundle_export_result){
            x.total, x.written, seconds_since(&start)};
out:
    if (x.dir)
        vmscm_file_remove_tree(x.dir, NULL);
    if (lock >= 0)
        close(lock);
    for (size_t i = 0; x.disks && i < x.machine->disk_count; i++)
        vmscm_blockdev_close(x.disks[i]);
    for (size_t i = 0; i < x.made.len; i++)
        free(x.made.items[i]);
    for (size_t i = 0; i < x.beside.len; i++)
        vmscm_buf_release(&x.beside.items[i].bytes);
    vmscm_vec_release(&x.beside);
    vmscm_vec_release(&x.made);
    free(x.disks);
    free(x.stem);
    free(x.place);
    free(x.dir);
    vmscm_lease_close(lease);
    return rc;
}
