/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm mount: revisions as files, straight from the repository. */
#include "cmd.h"
#include "memory.h"
#include "mountfs.h"
#include "report.h"
#include "text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct opts {
    int all;
    int foreground;
    int allow_other;
    int partitions;
};

struct telling {
    const struct ctx *ctx;
    const char *what;
    const char *dir;
};

static void say(void *data)
{
    const struct telling *t = data;

    if (t->ctx->common.quiet)
        return;
    text_put(stdout, t->what);
    fputs(" is in ", stdout);
    text_put(stdout, t->dir);
    putchar('\n');
    fflush(stdout);
}

/* What stands in the way is told better than by libfuse. */
static int check(const char *dir, struct vmscm_error *err)
{
    struct stat st, up;
    char *above = memory_printf("%s/..", dir);
    int fd = open(dir, O_RDONLY | O_CLOEXEC), device, rc = 0;

    /* The kernel may still believe what it knows of a dead one, but opening asks. */
    if (fd < 0 && errno == ENOTCONN) {
        report_set(err, VMSCM_EBUSY, "%s: a mount whose server has died", dir);
        rc = report_hint(err, "vmscm unmount %s clears it away", dir);
    } else if (stat(dir, &st) < 0) {
        rc = report_set(err, VMSCM_EIO, "%s: %s", dir, strerror(errno));
    } else if (!S_ISDIR(st.st_mode)) {
        rc = report_set(err, VMSCM_EIO, "%s: %s", dir, strerror(ENOTDIR));
    } else if (stat(above, &up) == 0 && up.st_dev != st.st_dev) {
        rc = report_set(err, VMSCM_EBUSY, "%s: something is mounted there already", dir);
    } else if ((device = open("/dev/fuse", O_RDWR | O_CLOEXEC)) < 0) {
        bool denied = errno == EACCES || errno == EPERM;
        rc = report_set(err, VMSCM_EIO, "/dev/fuse: %s", strerror(errno));
        report_hint(err, denied
                             ? "mounting is not for this user; vmscm nbd needs no permission"
                             : "this kernel, or container, has no FUSE; vmscm nbd needs none");
    } else {
        close(device);
    }
    if (fd >= 0)
        close(fd);
    free(above);
    return rc;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    struct vmscm_revision *rev = NULL;
    struct revfs_snap *snap;
    struct revfs *fs = NULL;
    struct telling telling = {ctx, argv[0], argv[argc - 1]};
    struct mountfs_options options = {.allow_other = o->allow_other,
        .foreground = o->foreground,
        .partitions = o->partitions};
    char *dir = NULL, *source = NULL;
    int pruned, rc;

    if (argc != (o->all ? 1 : 2))
        return report_set(err, VMSCM_EUSAGE, "mount: %s",
            o->all ? "with --all, just a directory" : "a revision and a directory");
    if ((rc = ctx_repo(ctx, err)) || (rc = revfs_new(&fs, ctx->repo, 0, err)))
        goto out;
    if (o->all)
        telling.what = vmscm_repo_path(ctx->repo);
    else if ((rc = vmscm_revision_resolve(&rev, ctx->repo, argv[0], err)) ||
             (rc = vmscm_revision_check_disks(rev, err)) ||
             (rc = revfs_snap(&snap, fs, vmscm_revision_id(rev), err)) ||
             (rc = vmscm_revision_pruned(&pruned, NULL, NULL, rev, err)))
        goto out;
    if (rev && pruned) {
        rc = report_set(err, VMSCM_ENOTFOUND, "%s: was pruned: its disks' data is no longer kept",
            argv[0]);
        goto out;
    }
    if ((rc = check(argv[argc - 1], err)))
        goto out;
    /* The server leaves this directory. */
    dir = realpath(argv[argc - 1], NULL);
    source = memory_printf("vmscm:%s", rev ? vmscm_revision_id(rev) : "all");
    options.dir = dir ? dir : argv[argc - 1];
    options.source = source;
    options.id = rev ? vmscm_revision_id(rev) : NULL;
    options.ready = say;
    options.data = &telling;
    rc = mountfs_run(fs, &options, err);
out:
    revfs_free(fs);
    vmscm_revision_free(rev);
    free(source);
    free(dir);
    return rc;
}

static const struct opt table[] = {
    {0, "all", OPT_FLAG, offsetof(struct opts, all), NULL, NULL,
        "all machines, with their tags and revisions"},
    {0, "allow-other", OPT_FLAG, offsetof(struct opts, allow_other), NULL, NULL,
        "other users may look, too"},
    {0, "foreground", OPT_FLAG, offsetof(struct opts, foreground), NULL, NULL,
        "serve it here, until it is unmounted or interrupted"},
    {0, "partitions", OPT_FLAG, offsetof(struct opts, partitions), NULL, NULL,
        "show the disks' partitions as files, too"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[--allow-other] [--foreground] [--partitions] REV DIR",
    "[--allow-other] [--foreground] [--partitions] --all DIR", NULL};

const struct cmd cmd_mount = {
    .name = "mount",
    .summary = "show revisions as files",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "revision dir",
    .min_args = 1,
    .max_args = 2,
    .group = GROUP_WORK,
    .run = run,
};
