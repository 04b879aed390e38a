/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "inspection.h"

#include "child.h"
#include "export.h"
#include "installed.h"
#include "interrupt.h"
#include "memory.h"
#include "report.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "vmscm-inspect"
#define ANSWER_MAX ((size_t)17 << 20)
#define DISKS_MAX 64

struct inspection {
    struct export *export;
    struct child child;
    bool wants_files; /* rather than facts: that there is none is an answer */
};

struct answer {
    char *text;
    size_t len, cap;
    bool through; /* to standard output, as it comes */
};

/* What it printed meanwhile. */
static int take(struct answer *a, struct inspection *inspection, struct vmscm_error *err)
{
    ssize_t n;

    do {
        if (a->cap - a->len < 65536) {
            a->cap = a->cap ? a->cap * 2 : 131072;
            a->text = memory_grow(a->text, a->cap, 1);
        }
        n = read(inspection->child.out, a->text + a->len, a->cap - a->len - 1);
        a->len += n > 0 ? (size_t)n : 0;
        if (a->through && a->len) {
            if (fwrite(a->text, 1, a->len, stdout) != a->len || fflush(stdout))
                return report_set(err, VMSCM_EIO, "standard output: %s", strerror(errno));
            a->len = 0;
        }
        if (a->len > ANSWER_MAX)
            return report_set(err, VMSCM_ETOOL, inspection->wants_files
                    ? PROGRAM ": over 16 MiB"
                    : PROGRAM ": it says too much");
    } while (n > 0);
    a->text[a->len] = '\0';
    return 0;
}

int inspection_check(bool *alive, struct inspection *inspection, struct vmscm_error *err)
{
    struct child *child = &inspection->child;
    int rc;

    *alive = child_alive(child, false);
    if (*alive && interrupt_pending())
        return report_set(err, VMSCM_ECANCELED, "inspect: interrupted");
    /* What it makes of disks that are gone is nothing about them. */
    if ((rc = export_check(inspection->export, err)) || *alive || child->status == 0)
        return rc;
    child_failed(child, err);
    if (child->status == 1 && inspection->wants_files) {
        err->code = VMSCM_ENOTFOUND;
        return VMSCM_ENOTFOUND;
    }
    if (child->status == 3)
        report_hint(err, "it needs qemu and a kernel that can be read: apt install "
                         "qemu-system-x86 linux-image-amd64; 'libguestfs-test-tool' tells more");
    return VMSCM_ETOOL;
}

static int wait_for(struct answer *a, struct inspection *inspection, struct vmscm_error *err)
{
    bool alive;
    int rc, taken;

    do {
        rc = inspection_check(&alive, inspection, err);
        if ((taken = take(a, inspection, rc ? NULL : err)) || rc)
            return rc ? rc : taken;
        if (alive)
            poll(NULL, 0, 20);
    } while (alive);
    return 0;
}

static int start(struct inspection *inspection, const char *program, const struct vmscm_machine *machine,
    const struct inspection_options *o, struct vmscm_error *err)
{
    const char *argv[DISKS_MAX + 9] = {program};
    char *own[DISKS_MAX + 5];
    size_t n = 1, made = 0;
    int rc;

    if (o->timeout)
        argv[n++] = own[made++] = memory_printf("--timeout=%u", o->timeout);
    if (o->memory)
        argv[n++] = own[made++] = memory_printf("--memory=%u", o->memory);
    if (o->list)
        argv[n++] = own[made++] = memory_printf("--list=%s", o->list);
    if (o->read)
        argv[n++] = own[made++] = memory_printf("--read=%s", o->read);
    if (o->device)
        argv[n++] = own[made++] = memory_printf("--device=%s", o->device);
    if (o->tree)
        argv[n++] = "--tree";
    argv[n++] = export_socket(inspection->export);
    for (size_t i = 0; i < machine->disk_count; i++)
        argv[n++] = own[made++] = memory_printf("%s=%s", machine->disks[i].id, machine->disks[i].id);
    argv[n] = NULL;
    rc = child_start(&inspection->child, argv, CHILD_OUT | (o->tree ? CHILD_IN : 0), "libguestfs0", err);
    inspection->child.name = PROGRAM;
    while (made > 0)
        free(own[--made]);
    return rc;
}

/* What can be told before anything is started. */
static int check(const struct vmscm_machine **machine, struct vmscm_revision *rev,
    struct vmscm_error *err)
{
    int pruned, rc = vmscm_revision_machine(machine, rev, err);

    if (rc || (rc = vmscm_revision_check_disks(rev, err)) ||
        (rc = vmscm_revision_pruned(&pruned, NULL, NULL, rev, err)))
        return rc;
    if (pruned)
        return report_set(err, VMSCM_ENOTFOUND, "revision %.12s: was pruned", vmscm_revision_id(rev));
    if ((*machine)->disk_count > DISKS_MAX)
        return report_set(err, VMSCM_EUNSUPPORTED, "revision %.12s: over %d disks",
            vmscm_revision_id(rev), DISKS_MAX);
    return 0;
}

bool inspection_is_installed(void)
{
    char *program = installed_find(PROGRAM, VMSCM_HELPER_DIR);

    free(program);
    return program != NULL;
}

int inspection_open(struct inspection **out, struct ctx *ctx, struct vmscm_revision *rev,
    const struct inspection_options *options, struct vmscm_error *err)
{
    const struct export_options all = {0};
    const struct vmscm_machine *machine;
    struct inspection *inspection = memory_zero(sizeof *inspection);
    char *program = installed_find(PROGRAM, VMSCM_HELPER_DIR);
    int rc = 0;

    inspection->child = (struct child)CHILD_INIT;
    inspection->wants_files = options->list || options->read || options->tree;
    if (!program) {
        rc = report_set(err, VMSCM_ETOOL, PROGRAM ": not installed");
        report_hint(err, "it is built where libguestfs-dev is");
    } else if (!(rc = check(&machine, rev, err)) &&
        !(rc = export_start(&inspection->export, ctx, rev, &all, err))) {
        rc = start(inspection, program, machine, options, err);
    }
    free(program);
    if (rc) {
        inspection_close(inspection);
        inspection = NULL;
    }
    *out = inspection;
    return rc;
}

struct child *inspection_child(struct inspection *inspection)
{
    return &inspection->child;
}

void inspection_close(struct inspection *inspection)
{
    if (!inspection)
        return;
    child_stop(&inspection->child, false);
    if (inspection->child.out >= 0)
        close(inspection->child.out);
    if (inspection->child.in >= 0)
        close(inspection->child.in);
    export_stop(inspection->export);
    free(inspection);
}

int inspection_run(char **facts, size_t *size, struct ctx *ctx, struct vmscm_revision *rev,
    const struct inspection_options *options, struct vmscm_error *err)
{
    struct answer a = {.through = options->read != NULL && !size};
    struct inspection *inspection = NULL;
    int rc = inspection_open(&inspection, ctx, rev, options, err);

    *facts = NULL;
    if (!rc)
        rc = wait_for(&a, inspection, err);
    inspection_close(inspection);
    if (rc || a.through) {
        free(a.text);
        return rc;
    }
    *facts = a.text;
    if (size)
        *size = a.len;
    return 0;
}
