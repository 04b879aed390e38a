/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm cat: a stored disk, or a file of a guest, to standard output. */
#include "cmd.h"
#include "diskspec.h"
#include "format.h"
#include "guestpath.h"
#include "inspection.h"
#include "interrupt.h"
#include "progress.h"
#include "report.h"
#include <unistd.h>
#include <vmscm/bundle.h>
#include <vmscm/disk.h>

struct opts {
    const char *format;
    const char *device;
};

/* Read within the helper's appliance. A terminal is fine for what is text: which it is, the user knows. */
static int cat_file(struct ctx *ctx, const struct opts *o, char *spec, struct vmscm_error *err)
{
    struct inspection_options how = {.device = o->device};
    struct vmscm_revision *rev = NULL;
    char *none = NULL;
    int rc;

    if (o->format)
        return report_set(err, VMSCM_EUSAGE, "--format: of a disk, not of a file");
    if ((rc = guestpath_split(&how.read, spec, err)) || (rc = ctx_repo(ctx, err)) ||
        (rc = vmscm_revision_resolve(&rev, ctx->repo, spec, err)))
        goto out;
    interrupt_catch();
    rc = inspection_run(&none, NULL, ctx, rev, &how, err);
out:
    vmscm_revision_free(rev);
    return rc;
}

/* Of a container, the archive that it is. */
static int cat_container(struct ctx *ctx, const struct opts *o, struct vmscm_revision *rev,
    struct vmscm_error *err)
{
    const struct vmscm_bundle_export_options options = {.format = "tar"};

    if (o->format)
        return report_set(err, VMSCM_EUSAGE, "--format: of a disk; a container is an archive");
    return vmscm_bundle_export(rev, NULL, STDOUT_FILENO, &options, progress_events(ctx), NULL, err);
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    struct vmscm_revision *rev = NULL;
    struct vmscm_disk *disk = NULL;
    struct vmscm_disk_cache *cache = NULL;
    const struct vmscm_machine *machine;
    const char *id;
    int rc;

    (void)argc;
    if (guestpath_is(argv[0]))
        return cat_file(ctx, o, argv[0], err);
    if (o->device)
        return report_set(err, VMSCM_EUSAGE, "--device: of a file, REV:/PATH");
    if (isatty(STDOUT_FILENO)) {
        report_set(err, VMSCM_EREFUSED, "standard output: a terminal, no place for a disk");
        return report_hint(err, "send it to a file or a pipe");
    }
    rc = ctx_repo(ctx, err);
    if (!rc)
        rc = diskspec_resolve(&rev, &id, ctx->repo, argv[0], err);
    if (!rc && !(rc = vmscm_revision_machine(&machine, rev, err)) &&
        vmscm_machine_is_container(machine)) {
        rc = cat_container(ctx, o, rev, err);
        goto out;
    }
    if (!rc)
        rc = vmscm_disk_cache_new(&cache, 0, 0, err);
    if (!rc)
        rc = vmscm_disk_open_cached(&disk, rev, id, cache, err);
    if (rc == VMSCM_ENOTFOUND && rev && !err->hint[0])
        report_hint(err, "'vmscm show' lists the disks, 'vmscm tag -l' the tags of a machine");
    if (!rc)
        rc = vmscm_disk_write(disk, STDOUT_FILENO, format_name(o->format), progress_events(ctx),
            err);
out:
    vmscm_disk_close(disk);
    vmscm_disk_cache_free(cache);
    vmscm_revision_free(rev);
    return rc;
}

static const struct opt table[] = {
    {0, "format", OPT_CHOICE, offsetof(struct opts, format), "FORMAT", FORMAT_CHOICES,
        "write it in this format; the default is raw"},
    {0, "device", OPT_STRING, offsetof(struct opts, device), "DEVICE", NULL,
        "take the file from this file system, such as vda:1, instead of the operating system's"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[--format=FORMAT] REV[:DISK]", "[--device=DEVICE] REV:/PATH", NULL};

const struct cmd cmd_cat = {
    .name = "cat",
    .summary = "write a disk, or a guest's file, to standard output",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "revision",
    .min_args = 1,
    .max_args = 1,
    .group = GROUP_WORK,
    .flags = CMD_PROGRESS,
    .run = run,
};
