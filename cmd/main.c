/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm: the options before the command, finding it, running it, and ending with its status. */
#include "color.h"
#include "commands.h"
#include "interrupt.h"
#include "manual.h"
#include "memory.h"
#include "options.h"
#include "pager.h"
#include "process.h"
#include "progress.h"
#include "report.h"
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vmscm/remote.h>
#include <vmscm/version.h>

/* True if standard output is a pipe whose reader has gone. */
static bool reader_gone(void)
{
    struct pollfd p = {STDOUT_FILENO, POLLOUT, 0};

    return poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}

/* End quietly, as a program does that SIGPIPE kills; the signal is ignored till here so that an
 * operation can clean up. */
static void die_of_pipe(void)
{
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
}

/* Say what went wrong, if anything did, and see that all output was written. */
static int finish(int rc, const struct vmscm_error *err)
{
    int status = rc;

    progress_clear();
    if (rc == VMSCM_ECANCELED)
        interrupt_raise();
    if (rc < 0 && !pager_running() && reader_gone())
        die_of_pipe();
    if (rc < 0)
        status = report_error(err);
    errno = 0;
    if ((fflush(stdout) || ferror(stdout)) && !pager_running()) {
        if (errno == EPIPE || reader_gone())
            die_of_pipe();
        fprintf(stderr, "vmscm: standard output: %s\n", errno ? strerror(errno) : "not written");
        status = vmscm_error_exit_status(VMSCM_EIO);
    }
    pager_finish();
    interrupt_raise();
    return status;
}

static int check_arguments(const struct cmd *cmd, int argc, struct vmscm_error *err)
{
    const char *why = NULL;

    if (argc < cmd->min_args)
        why = "too few arguments";
    else if (cmd->max_args >= 0 && argc > cmd->max_args)
        why = "too many arguments";
    if (!why)
        return 0;
    report_set(err, VMSCM_EUSAGE, "%s: %s", cmd->name, why);
    return report_hint(err, "usage: vmscm %s %s", cmd->name, cmd->usage[0]);
}

static int run(struct ctx *ctx, int argc, char **argv, struct vmscm_error *err)
{
    const struct cmd *cmd = ctx->cmd;
    void *values = memory_zero(cmd->options_size);
    struct opt_set sets[OPT_SETS];
    size_t count = options_sets(sets, cmd, values, &ctx->common);
    int rc = options_parse(sets, count, &argc, argv, 0, err);

    if (rc && !err->hint[0])
        report_hint(err, "'vmscm %s -h' lists the options", cmd->name);
    color_decide(ctx);
    if (rc == 0 && ctx->common.usage)
        options_usage(stdout, cmd);
    else if (rc == 0 && ctx->common.manual)
        manual_command(ctx, cmd);
    else if (rc == 0 && (rc = check_arguments(cmd, argc, err)) == 0)
        rc = cmd->run(ctx, values, argc, argv, err);
    options_release(sets, count);
    free(values);
    return rc;
}

/* vmscm-NAME on the PATH is vmscm NAME. Returns only if there is none. */
static int run_external(const char *name, char **argv, struct vmscm_error *err)
{
    const struct cmd *nearest = commands_nearest(name);
    char *file = memory_printf("vmscm-%s", name), *path = NULL;

    if (!strchr(name, '/'))
        path = process_find(file);
    if (path) {
        argv[0] = file;
        signal(SIGPIPE, SIG_DFL);
        execv(path, argv);
        report_set(err, VMSCM_ETOOL, "%.500s: %s", path, strerror(errno));
    } else {
        report_set(err, VMSCM_EUSAGE, "%.200s: no such command", name);
        if (nearest)
            report_hint(err, "did you mean '%s'?", nearest->name);
        else
            report_hint(err, "'vmscm help' lists the commands");
    }
    free(path);
    free(file);
    return err->code;
}

static int change_directory(const struct opt_list *directories, struct vmscm_error *err)
{
    for (size_t i = 0; i < directories->len; i++)
        /* A repository in a bucket is no place to be in, but one to work on. */
        if (vmscm_remote_is_bucket(directories->items[i])) {
            if (setenv("VMSCM_DIR", directories->items[i], 1) < 0)
                memory_die();
        } else if (*directories->items[i] && chdir(directories->items[i]) < 0)
            return report_set(err, VMSCM_EIO, "%.500s: %s", directories->items[i],
                strerror(errno));
    return 0;
}

static int start(struct ctx *ctx, struct globals *globals, int argc, char **argv,
    struct vmscm_error *err)
{
    int rc = change_directory(&globals->directories, err);

    ctx->common = globals->common;
    color_decide(ctx);
    if (rc)
        return rc;
    if (globals->version) {
        printf("vmscm %s\n", vmscm_version());
        return 0;
    }
    if (globals->common.usage) {
        commands_overview(stdout);
        return 0;
    }
    if (globals->common.manual) {
        manual_command(ctx, argc > 0 ? commands_find(argv[0]) : NULL);
        return 0;
    }
    if (argc == 0) {
        commands_overview(stderr);
        return vmscm_error_exit_status(VMSCM_EUSAGE);
    }
    ctx->cmd = commands_find(argv[0]);
    return ctx->cmd ? run(ctx, argc - 1, argv + 1, err) : run_external(argv[0], argv, err);
}

int main(int argc, char **argv)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct ctx ctx = {0};
    struct globals globals = {0};
    struct opt_set set = {commands_globals, &globals};
    int rc;

    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    if (argc < 1)
        return vmscm_error_exit_status(VMSCM_EUSAGE);
    argc--;
    argv++;
    rc = options_parse(&set, 1, &argc, argv, OPTIONS_STOP, &err);
    if (rc && !err.hint[0])
        report_hint(&err, "'vmscm -h' lists the options");
    if (rc == 0)
        rc = start(&ctx, &globals, argc, argv, &err);
    options_release(&set, 1);
    vmscm_repo_close(ctx.repo);
    return finish(rc, &err);
}
