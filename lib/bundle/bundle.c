/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A bundle's way in: what it is, its members, what its kind's reader makes of them, and the check-in of that.
 */
#include <vmscm/bundle.h>

#include "base/path.h"
#include "base/str.h"
#include "bundle/containerin.h"
#include "bundle/hypervin.h"
#include "bundle/kind.h"
#include "bundle/tar.h"
#include "bundle/vagrantin.h"
#include "bundle/xvain.h"
#include "image/probe.h"
#include "machine/model.h"
#include "repo/handle.h"
#include "sys/file.h"

#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CPUS_MAX 65536

static bool is_named_as_disk(const char *path)
{
    static const char *const suffixes[] = {
        "img", "raw", "dd", "bin", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "hdd", "iso"};
    const char *dot = strrchr(vmscm_path_basename(path), '.');

    for (size_t i = 0; dot && i < sizeof suffixes / sizeof suffixes[0]; i++)
        if (strcasecmp(dot + 1, suffixes[i]) == 0)
            return true;
    return false;
}

/* Stops a walk, as a failure would. */
#define FOUND 1

#define HEAD 8192    /* bytes of a file that decide */
#define TEXTS_MAX 64 /* files that are looked into */

struct looking {
    const struct vmscm_kind *kind;
    int fd;
    const char *path;
    unsigned texts;
};

static int each_member(void *data, const struct vmscm_tar_member *member, struct vmscm_error *err)
{
    struct looking *l = data;
    char head[HEAD + 1];
    size_t got, want = member->length < HEAD ? (size_t)member->length : HEAD;
    int rc;

    if (vmscm_members_is_noise(member->name))
        return 0;
    l->kind = vmscm_kind_of_member(member->name);
    if (!l->kind && vmscm_kind_may_be_text(member->name) && l->texts++ < TEXTS_MAX) {
        if ((rc = vmscm_file_pread_some(
                 l->fd, head, want, member->offset, &got, l->path, err)))
            return rc;
        head[got] = '\0';
        l->kind = vmscm_kind_of_text(member->name, head, got);
    }
    return l->kind ? FOUND : 0;
}

/* Whether a tar archive holds a machine; one that holds none is for who reads images. */
static int look_in_tar(const struct vmscm_kind **kind, const char *path, struct vmscm_error *err)
{
    bool is_container;
    int fd = -1, rc = vmscm_containerin_match(&is_container, path, err);

    *kind = !rc && is_container ? vmscm_kind_container() : NULL;
    if (rc || is_container ||
        (rc = vmscm_file_open(&fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err)))
        return rc;
    struct looking l = {.fd = fd, .path = path};
    rc = vmscm_tar_walk(fd, path, each_member, &l, err);
    *kind = l.kind;
    close(fd);
    return rc == FOUND ? 0 : rc;
}

int vmscm_bundle_recognise(const char **kind, const char *path, struct vmscm_error *err)
{
    struct vmscm_kind_file file;
    const struct vmscm_kind *found = NULL;
    uint8_t head[VMSCM_TAR_BLOCK];
    size_t got;
    int rc;

    *kind = NULL;
    if ((rc = vmscm_kind_look(&file, path, err)))
        return rc;
    if (file.directory)
        *kind = "directory";
    else if (file.kind)
        *kind = file.kind->name;
    else if (file.packed == VMSCM_UNWRAP_ZIP)
        *kind = "zip";
    else if (file.packed == VMSCM_UNWRAP_COMPRESSED) {
        /* A compressed disk image is not a bundle. */
        if ((rc = vmscm_unwrap_peek(head, sizeof head, &got, path, err)))
            return rc;
        if (vmscm_tar_match(head, got))
            *kind = "tar";
    } else if (file.tar) {
        rc = look_in_tar(&found, path, err);
        if (found)
            *kind = found->name;
    }
    if (*kind && !file.directory && is_named_as_disk(path)) {
        vmscm_error_set(err, VMSCM_EREFUSED,
            "%s: is named as a disk image, but is an archive or a descriptor", path);
        vmscm_error_hint(err,
            "--format raw if it is a disk, whose guest may have written that; else give it another name");
        *kind = NULL;
        return VMSCM_EREFUSED;
    }
    return rc;
}

/* The members of a tar archive. Those of an XVA are not looked up by name, and are too many to list. */
static int open_tar(const struct vmscm_kind **kind, char **main, struct vmscm_load *load,
    const char *path, struct vmscm_error *err)
{
    bool is_xva, is_container;
    int rc;

    if ((rc = vmscm_str_dup(&load->archive, path, err)) ||
        (rc = vmscm_containerin_match(&is_container, path, err)))
        return rc;
    if (is_container) {
        *kind = vmscm_kind_container();
        rc = vmscm_str_dup(main, vmscm_path_basename(load->path), err);
        return rc ? rc : vmscm_members_new(&load->members, err);
    }
    if ((rc = vmscm_xvain_match(&is_xva, path, err)))
        return rc;
    if (!is_xva)
        return vmscm_members_open_tar(&load->members, path, err);
    *kind = vmscm_kind_of_member(VMSCM_XVAIN_DESCRIPTOR);
    rc = vmscm_str_dup(main, VMSCM_XVAIN_DESCRIPTOR, err);
    return rc ? rc : vmscm_members_new(&load->members, err);
}

/* The folder that a descriptor counts from, and its name in that: both are the caller's. */
static int find_folder(char **folder, char **main, const char *path, struct vmscm_error *err)
{
    char *real = NULL, *dir = NULL;
    int rc;

    if (!(rc = vmscm_file_realpath(&real, path, err)) && vmscm_hypervin_is_name(real)) {
        if (!(rc = vmscm_path_dirname(&dir, real, err)) &&
            !(rc = vmscm_path_dirname(folder, dir, err)))
            rc = vmscm_str_printf(main, err, "%s/%s", vmscm_path_basename(dir),
                vmscm_path_basename(real));
    } else if (!rc && !(rc = vmscm_path_dirname(folder, path, err))) {
        rc = vmscm_str_dup(main, vmscm_path_basename(path), err);
    }
    free(real);
    free(dir);
    return rc;
}

/* The members of the bundle, and what kind it is. *main is the caller's. */
static int open_bundle(const struct vmscm_kind **kind, char **main, struct vmscm_load *load,
    struct vmscm_error *err)
{
    struct vmscm_kind_file file;
    char *scratch = NULL;
    int rc;

    *kind = NULL;
    *main = NULL;
    if ((rc = vmscm_kind_look(&file, load->path, err)))
        return rc;
    if (file.directory) {
        rc = vmscm_members_open_dir(&load->members, load->path, err);
    } else if (file.tar) {
        rc = open_tar(kind, main, load, load->path, err);
    } else if (file.packed == VMSCM_UNWRAP_COMPRESSED &&
        ((rc = vmscm_xvain_match_packed(&load->packed, load->path, err)) || load->packed)) {
        vmscm_handle_note(load->events, "%s: is packed, and is read as it is unpacked", load->path);
        *kind = vmscm_kind_of_member(VMSCM_XVAIN_DESCRIPTOR);
        if (!rc && !(rc = vmscm_str_dup(main, VMSCM_XVAIN_DESCRIPTOR, err)))
            rc = vmscm_members_new(&load->members, err);
    } else if (file.packed) {
        vmscm_handle_note(load->events,
            "%s: is packed, so that it is unpacked to scratch files first", load->path);
        if ((rc = vmscm_load_scratch(&scratch, load, err)))
            return rc;
        if (file.packed == VMSCM_UNWRAP_COMPRESSED) {
            if (!(rc = vmscm_unwrap_file(
                      scratch, load->path, 0, VMSCM_UNWRAP_ALL, 0, load->events, err)))
                rc = open_tar(kind, main, load, scratch, err);
        } else if (!(rc = vmscm_file_mkdirs(scratch, err)) &&
            !(rc = vmscm_members_new(&load->members, err))) {
            rc = vmscm_unwrap_zip(load->members, load->path, scratch, load->events, err);
        }
    } else if (file.kind) {
        if ((rc = find_folder(&scratch, main, load->path, err)) ||
            (rc = vmscm_members_open_dir(&load->members, scratch, err)))
            goto out;
        *kind = file.kind;
        goto out;
    } else {
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: no known kind of bundle", load->path);
    }
    if (!rc && !*kind)
        rc = vmscm_kind_find(kind, main, load->members, load->path, err);
    if (!rc && !*kind) {
        vmscm_error_set(err, VMSCM_EINPUT, "%s: holds no machine of a known kind", load->path);
        rc = vmscm_error_hint(err, "vmscm-bundles(7) lists what is known");
        rc = VMSCM_EINPUT;
    }
out:
    free(scratch);
    return rc;
}

/* Look at every image, to say which member is wrong, and that the file is the one that was found. */
static int look_at_disks(struct vmscm_load *load, unsigned allow, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < load->disks.len && !rc; i++) {
        const struct vmscm_load_disk *disk = &load->disks.items[i];
        struct vmscm_probe *probe = NULL;
        if (disk->device)
            continue;
        rc = vmscm_probe_open_part(&probe, disk->path, disk->offset, disk->length, disk->format,
            allow | VMSCM_PROBE_SHALLOW, err);
        if (!rc && disk->ino &&
            (probe->files.items[0].st.st_dev != disk->dev ||
                probe->files.items[0].st.st_ino != disk->ino))
            rc = vmscm_error_set(err, VMSCM_EBUSY, "%s: changed while it was read", disk->path);
        else if (rc == VMSCM_ENOTFOUND)
            rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: is not there", disk->path);
        if (rc)
            vmscm_error_prefix(err, "%s", disk->name);
        vmscm_probe_close(probe);
    }
    return rc;
}

/* What the user says counts more than what the bundle does. */
static int set_hardware(struct vmscm_machine *machine, const struct vmscm_bundle_options *o,
    struct vmscm_error *err)
{
    if (o->cpus > CPUS_MAX)
        return vmscm_error_set(err, VMSCM_EUSAGE, "%u CPUs: at most %d are possible", o->cpus, CPUS_MAX);
    if (o->cpus)
        machine->cpus = o->cpus;
    if (o->memory)
        machine->memory = o->memory;
    if (!o->firmware)
        return 0;
    if (strcmp(o->firmware, "bios") != 0 && strcmp(o->firmware, "uefi") != 0)
        return vmscm_error_set(err, VMSCM_EUSAGE, "%s: not a firmware", o->firmware);
    if (strcmp(o->firmware, "bios") == 0)
        machine->secure_boot = 0;
    return vmscm_model_set(&machine->firmware, o->firmware, err);
}

static int check_in(struct vmscm_load *load, struct vmscm_repo *repo, const char *name,
    const struct vmscm_checkin_options *options, struct vmscm_checkin_result *result,
    struct vmscm_error *err)
{
    size_t count = load->disks.len;
    struct vmscm_checkin_disk *disks = calloc(count + 1, sizeof *disks);
    struct vmscm_blockdev **devices = calloc(count + 1, sizeof *devices);
    struct vmscm_intake intake = {
        load->machine, load->files.items, load->files.len, devices};
    int rc;

    if (!disks || !devices) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        const struct vmscm_load_disk *disk = &load->disks.items[i];
        disks[i] = (struct vmscm_checkin_disk){disk->path ? disk->path : disk->name,
            load->machine->disks[i].id, disk->format, disk->offset, disk->length};
        devices[i] = disk->device;
    }
    rc = vmscm_intake_checkin(
        repo, name, disks, count, &intake, options, load->events, result, err);
out:
    free(disks);
    free(devices);
    return rc;
}

int vmscm_bundle_checkin(struct vmscm_repo *repo, const char *name, const char *path,
    const struct vmscm_bundle_options *bundle, const struct vmscm_checkin_options *options,
    const struct vmscm_events *events, struct vmscm_checkin_result *result,
    struct vmscm_error *err)
{
    static const struct vmscm_bundle_options bundle_defaults;
    static const struct vmscm_checkin_options defaults;
    struct vmscm_load load = {.path = path,
        .repo = repo->path,
        .options = bundle ? bundle : &bundle_defaults,
        .events = events,
        .scratch_lock = -1};
    const struct vmscm_kind *kind;
    char *main = NULL;
    int rc;

    options = options ? options : &defaults;
    if (options->config)
        return vmscm_error_set(
            err, VMSCM_EUSAGE, "%s: brings its own configuration", path);
    if ((rc = vmscm_handle_jobs(&load.jobs, repo, options->jobs, err)) ||
        (rc = open_bundle(&kind, &main, &load, err)))
        goto out;
    load.main = main;
    vmscm_handle_note(events, "%s: a bundle of the kind %s, described by %s", path, kind->name, main);
    if ((rc = kind->load(&load, err)) || (rc = vmscm_vagrantin_keep(&load, err)) ||
        (rc = set_hardware(load.machine, load.options, err)) ||
        (rc = look_at_disks(&load, options->allow, err)))
        goto out;
    if (!load.disks.len) {
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: its machine has no disk", path);
        goto out;
    }
    rc = check_in(&load, repo, name, options, result, err);
out:
    vmscm_load_release(&load);
    vmscm_members_close(load.members);
    free(main);
    return rc;
}
