/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Setting a damaged file aside: it is moved into the repository's directory damaged, which nothing
 * reads but a repair, and nothing cleans. */
#ifndef REPO_ASIDE_H
#define REPO_ASIDE_H

#include "base/error.h"

#include <stdbool.h>

#define VMSCM_ASIDE_DIR "damaged"

/* file: relative to the repository. name: what to call it there; one that is taken gets a number. stays:
 * it may be in both places, for who replaces it next; where the file system has no links, it is not. *to
 * ("damaged/NAME") is the caller's. Durable when it returns. */
int vmscm_aside_move(char **to, const char *repo, const char *file, const char *name, bool stays,
    struct vmscm_error *err);

#endif
