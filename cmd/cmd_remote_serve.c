/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm remote-serve: the far side of a connection, which ssh starts. */
#include "cmd.h"
#include "memory.h"
#include "report.h"
#include <stdlib.h>
#include <unistd.h>
#include <vmscm/remote.h>

struct opts {
    int read_only;
};

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    const char *home = getenv("HOME");
    char *path = NULL;
    int rc;

    (void)argc;
    /* As ssh hands it over, no shell has looked at it. */
    if (argv[0][0] == '~' && (argv[0][1] == '/' || !argv[0][1]) && home)
        path = memory_printf("%s%s", home, argv[0] + 1);
    rc = vmscm_repo_open(&ctx->repo, path ? path : argv[0], err);
    free(path);
    if (rc)
        return rc;
    /* What goes wrong after that is told to the other side, and there to the user. */
    rc = vmscm_remote_serve(ctx->repo, STDIN_FILENO, STDOUT_FILENO, o->read_only, err);
    return rc ? vmscm_error_exit_status(rc) : 0;
}

static const struct opt table[] = {
    {0, "read-only", OPT_FLAG, offsetof(struct opts, read_only), NULL, NULL,
        "let nothing be pushed"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[--read-only] PATH", NULL};

const struct cmd cmd_remote_serve = {
    .name = "remote-serve",
    .summary = "answer another vmscm on standard input and output",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "dir",
    .min_args = 1,
    .max_args = 1,
    .group = GROUP_REMOTE,
    .run = run,
};
