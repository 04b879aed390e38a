/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "housekeeping.h"

#include "inspection.h"
#include "memory.h"
#include "process.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <vmscm/gc.h>
#include <vmscm/inspect.h>

void housekeeping_start(struct ctx *ctx)
{
    struct vmscm_error ignored = VMSCM_ERROR_INIT;
    char *path;
    int due;

    if (vmscm_gc_is_due(&due, ctx->repo, &ignored) || !due)
        return;
    path = memory_dup(vmscm_repo_path(ctx->repo));
    char self[] = "/proc/self/exe", directory[] = "-C", gc[] = "gc", automatic[] = "--auto",
         quiet[] = "-q";
    char *argv[] = {self, directory, path, gc, automatic, quiet, NULL};
    /* What -C names is the repository, whatever this one says. */
    unsetenv("VMSCM_DIR");
    process_leave(argv);
    free(path);
}

void housekeeping_inspect(struct ctx *ctx, bool always)
{
    char self[] = "/proc/self/exe", inspect[] = "inspect", automatic[] = "--auto", quiet[] = "-q";
    char *argv[] = {self, inspect, automatic, quiet, NULL}, byte;
    struct vmscm_error ignored = VMSCM_ERROR_INIT;
    int wanted = 1, out, null;

    if (!always && vmscm_inspect_automatic(&wanted, ctx->repo, &ignored))
        return;
    if (!wanted || !inspection_is_installed() || (null = open("/dev/null", O_WRONLY | O_CLOEXEC)) < 0)
        return;
    if (process_detach(argv, "VMSCM_DIR", vmscm_repo_path(ctx->repo), &out, null) >= 0) {
        while (read(out, &byte, 1) < 0 && errno == EINTR)
            ;
        close(out);
    }
    close(null);
}
