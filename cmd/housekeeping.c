/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "housekeeping.h"

#include "memory.h"
#include "process.h"
#include <stdlib.h>
#include <vmscm/gc.h>

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
