/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A directory for a fuzz target that needs files: made once, in memory where that is possible, and gone at
 * the end. */
#ifndef SCRATCH_H
#define SCRATCH_H

#include "sys/tempdir.h"

#include <stdlib.h>
#include <unistd.h>

static char *scratch_made;

static void scratch_remove(void)
{
    vmscm_tempdir_remove(scratch_made);
}

static inline char *scratch_dir(void)
{
    if (scratch_made)
        return scratch_made;
    if (vmscm_tempdir_make(&scratch_made, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NULL, NULL))
        abort();
    atexit(scratch_remove);
    return scratch_made;
}

#endif
