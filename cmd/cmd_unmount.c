/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm unmount: end what vmscm mount began, also where its server has died. */
#include "cmd.h"
#include "process.h"
#include "report.h"
#include "memory.h"
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

struct opts {
    int lazy;
};

/* Whether a mount of ours is at dir; its name is compared as the kernel has it. */
static bool is_mount(const char *dir)
{
    FILE *mounts = fopen("/proc/self/mounts", "re");
    char *line = NULL;
    size_t size = 0;
    bool found = false;

    while (mounts && !found && getline(&line, &size, mounts) > 0) {
        char *at = strchr(line, ' '), *type;
        if (!at || strncmp(line, "vmscm:", 6) != 0)
            continue;
        char *end = strchr(++at, ' ');
        if (!end)
            continue;
        *end = '\0';
        type = end + 1;
        /* A space is \040 there, and so on. */
        char *to = at, *from = at;
        while (*from)
            if (*from == '\\' && strlen(from) > 3) {
                *to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
                from += 4;
            } else {
                *to++ = *from++;
            }
        *to = '\0';
        found = strncmp(type, "fuse.vmscm ", 11) == 0 && strcmp(at, dir) == 0;
    }
    free(line);
    if (mounts)
        fclose(mounts);
    return found;
}

/* The last component may be a mount that nobody answers for; what is above it is not. */
static char *resolve(const char *dir)
{
    char *copy = memory_dup(dir), *full = NULL;
    size_t len = strlen(copy);

    while (len > 1 && copy[len - 1] == '/')
        copy[--len] = '\0';
    char *slash = strrchr(copy, '/');
    if (strcmp(copy, ".") == 0 || strcmp(copy, "..") == 0) {
        full = realpath(copy, NULL);
    } else {
        char *above = slash ? memory_printf("%.*s", (int)(slash - copy), copy) : memory_dup(".");
        char *real = realpath(*above ? above : "/", NULL);
        if (real)
            full = memory_printf("%s/%s", strcmp(real, "/") == 0 ? "" : real,
                slash ? slash + 1 : copy);
        free(real);
        free(above);
    }
    free(copy);
    return full;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    char *dir = resolve(argv[0]);
    int rc = 0;

    (void)ctx, (void)argc;
    if (!dir || !is_mount(dir)) {
        free(dir);
        return report_set(err, VMSCM_ENOTFOUND, "%s: not a mount of vmscm's", argv[0]);
    }
    if (geteuid() == 0) {
        if (umount2(dir, o->lazy ? MNT_DETACH : 0) < 0)
            rc = errno;
    } else {
        char *const args[] = {(char *)"fusermount3", (char *)"-u", (char *)"-q",
            o->lazy ? (char *)"-z" : (char *)"--", dir, NULL};
        int status = process_run(args, true);
        if (status == 127) {
            free(dir);
            report_set(err, VMSCM_ETOOL, "fusermount3: not installed");
            return report_hint(err, "apt install fuse3");
        }
        rc = status ? EBUSY : 0;
    }
    free(dir);
    if (rc == EBUSY) {
        report_set(err, VMSCM_EBUSY, "%s: in use", argv[0]);
        return report_hint(err, "close what is open in it, or use --lazy");
    }
    return rc ? report_set(err, VMSCM_EIO, "%s: %s", argv[0], strerror(rc)) : 0;
}

static const struct opt table[] = {
    {0, "lazy", OPT_FLAG, offsetof(struct opts, lazy), NULL, NULL,
        "take it away now, and end it when nothing in it is open any more"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[--lazy] DIR", NULL};

const struct cmd cmd_unmount = {
    .name = "unmount",
    .summary = "end a mount",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "dir",
    .min_args = 1,
    .max_args = 1,
    .group = GROUP_WORK,
    .run = run,
};
