/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm nbd: a revision's disks as NBD exports, until it is told to end. */
#include "cmd.h"
#include "diskspec.h"
#include "export.h"
#include "interrupt.h"
#include "json.h"
#include "keep.h"
#include "memory.h"
#include "process.h"
#include "report.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vmscm/disk.h>

struct opts {
    struct export_options export;
    const char *writable;
    const char *run;
};

/* What can be told before nbdkit is started is told better by us. */
static int check(struct vmscm_revision *rev, const struct opts *o, struct vmscm_error *err)
{
    const struct vmscm_machine *machine;
    const struct export_options *x = &o->export;
    struct vmscm_disk *disk = NULL;
    int rc = vmscm_revision_machine(&machine, rev, err);

    if (rc)
        return rc;
    if (x->listen && !x->port)
        return report_set(err, VMSCM_EUSAGE, "--listen: only with --port");
    if (x->port > 65535)
        return report_set(err, VMSCM_EUSAGE, "--port: %u: no port", x->port);
    if (x->port && x->socket)
        return report_set(err, VMSCM_EUSAGE, "--port and --socket: not both");
    if (x->tls_verify && !x->tls)
        return report_set(err, VMSCM_EUSAGE, "--tls-verify: only with --tls");
    if (x->cache_size && o->writable)
        return report_set(err, VMSCM_EUSAGE, "--cache-size: not with --writable");
    if (x->record && o->writable)
        return report_set(err, VMSCM_EUSAGE, "--record: not with --writable");
    if (x->tls && x->tls_psk)
        return report_set(err, VMSCM_EUSAGE, "--tls and --tls-psk: not both");
    if (x->disk || machine->disk_count < 2)
        rc = vmscm_disk_open(&disk, rev, x->disk, err);
    vmscm_disk_close(disk);
    return rc;
}

/* The exports there are. */
static void show(struct ctx *ctx, const struct export *export, struct vmscm_revision *rev,
    const char *only)
{
    const struct vmscm_machine *machine;
    json_t *list = ctx->common.json ? json_array() : NULL;

    if (vmscm_revision_machine(&machine, rev, NULL))
        return;
    for (size_t i = 0; i < machine->disk_count; i++) {
        const struct vmscm_machine_disk *d = &machine->disks[i];
        if (only && strcmp(only, d->id) != 0)
            continue;
        char *uri = export_uri(export, d->id);
        if (list) {
            json_t *item = json_add(list, json_object());
            json_put(item, "disk", json_text(d->id));
            json_put(item, "size", json_number(d->size));
            json_put(item, "uri", json_text(uri));
        } else {
            puts(uri);
        }
        free(uri);
    }
    if (list) {
        json_t *object = json_object();
        json_put(object, "revision", json_text(vmscm_revision_id(rev)));
        if (export_socket(export))
            json_put(object, "socket", json_text(export_socket(export)));
        json_put(object, "exports", list);
        json_print(object);
    }
    fflush(stdout);
}

/* For the command: the first export's URI, and where they all are. */
static int set_environment(const struct export *export, struct vmscm_revision *rev,
    const char *only)
{
    const struct vmscm_machine *machine;
    char *uri;
    int rc;

    if (vmscm_revision_machine(&machine, rev, NULL) || !machine->disk_count)
        return -1;
    uri = export_uri(export, only ? only : machine->disks[0].id);
    rc = setenv("uri", uri, 1);
    free(uri);
    if (export_socket(export))
        rc |= setenv("socket", export_socket(export), 1);
    return rc;
}

/* Run a command beside the export; its status. */
static int run_command(struct export *export, const char *command, struct vmscm_error *err)
{
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)command, NULL};
    int status, rc = 0;
    pid_t pid = process_start(argv, -1, false);

    if (pid < 0)
        return report_set(err, VMSCM_ETOOL, "sh: %s", strerror(errno));
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (!rc && (interrupt_pending() || (rc = export_check(export, err)))) {
            kill(pid, SIGTERM);
            rc = rc ? rc : report_set(err, VMSCM_ECANCELED, "%s: interrupted", command);
        }
        poll(NULL, 0, 20);
    }
    if (!rc)
        export_check(export, NULL);
    return rc ? rc : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    struct opts o = *(const struct opts *)values;
    struct vmscm_revision *rev = NULL;
    struct export *export = NULL;
    int kept, rc;

    (void)argc;
    if ((rc = ctx_repo(ctx, err)) ||
        (rc = diskspec_resolve(&rev, &o.export.disk, ctx->repo, argv[0], err)) ||
        (rc = check(rev, &o, err)))
        goto out;
    interrupt_catch();
    if ((o.writable && (rc = keep_open(&o.export.writable, ctx, rev, o.writable, err))) ||
        (rc = export_start(&export, ctx, rev, &o.export, err)))
        goto out;
    if (o.run) {
        if (set_environment(export, rev, o.export.disk))
            memory_die();
        rc = run_command(export, o.run, err);
        if (rc >= 0 && o.export.record && (kept = export_record(export, rev, err)))
            rc = kept;
        goto out;
    }
    if (!ctx->common.quiet)
        show(ctx, export, rev, o.export.disk);
    while (!interrupt_pending() && !(rc = export_check(export, err)))
        poll(NULL, 0, 100);
    if (!rc && o.export.record)
        rc = export_record(export, rev, err);
    if (!rc)
        rc = report_set(err, VMSCM_ECANCELED, "nbd: interrupted");
out:
    export_stop(export);
    vmscm_workdir_close(o.export.writable);
    vmscm_revision_free(rev);
    return rc;
}

static const struct opt table[] = {
    {0, "socket", OPT_STRING, offsetof(struct opts, export.socket), "PATH", "file",
        "listen on this Unix socket; the default is one in a private directory"},
    {0, "port", OPT_UINT, offsetof(struct opts, export.port), "N", NULL,
        "listen on a TCP port of this machine"},
    {0, "listen", OPT_STRING, offsetof(struct opts, export.listen), "ADDRESS", NULL,
        "on this address; the default is 127.0.0.1"},
    {0, "tls", OPT_STRING, offsetof(struct opts, export.tls), "DIR", "dir",
        "only with TLS, by the certificates in DIR"},
    {0, "tls-psk", OPT_STRING, offsetof(struct opts, export.tls_psk), "FILE", "file",
        "only with TLS, by the pre-shared keys in FILE"},
    {0, "tls-verify", OPT_FLAG, offsetof(struct opts, export.tls_verify), NULL, NULL,
        "clients must have a certificate, too"},
    {0, "writable", OPT_STRING, offsetof(struct opts, writable), "DIR", "dir",
        "what is written goes to a thin checkout in DIR, made or gone on with"},
    {0, "record", OPT_FLAG, offsetof(struct opts, export.record), NULL, NULL,
        "keep what is read as the revision's boot trace"},
    {0, "cache-size", OPT_STRING, offsetof(struct opts, export.cache_size), "SIZE", NULL,
        "keep so much decompressed data; the default is 128M"},
    {0, "run", OPT_STRING, offsetof(struct opts, run), "COMMAND", NULL,
        "serve while this shell command runs, which finds $uri"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[--socket=PATH|--port=N [--listen=ADDRESS]] "
                                    "[--tls=DIR [--tls-verify]|--tls-psk=FILE] "
                                    "[--writable=DIR|[--record] [--cache-size=SIZE]] "
                                    "[--run=COMMAND] REV[:DISK]",
    NULL};

const struct cmd cmd_nbd = {
    .name = "nbd",
    .summary = "serve a revision's disks over NBD",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "revision",
    .min_args = 1,
    .max_args = 1,
    .group = GROUP_WORK,
    .flags = CMD_JSON,
    .run = run,
};
