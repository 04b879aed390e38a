/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mending what history is made of: every object that a ref or reflog leads to is read; one that is missing
 * or damaged is taken from other repositories, if one has it whole. A damaged file is moved away first.
 * Nothing is believed that does not have the hash it should.
 */
#ifndef HISTORY_GITMEND_H
#define HISTORY_GITMEND_H

#include "history/gitdb.h"

#include <stdbool.h>

struct vmscm_gitmend {
    struct vmscm_gitdb *const *sources; /* some may be NULL */
    size_t source_count;
    /* Move a damaged file, relative to the git directory, to a place where it has this name. stays: it
     * is replaced next, and until then can stay where it is as well. */
    int (*set_aside)(void *data, const char *file, const char *name, bool stays, const char *why,
        struct vmscm_error *err);
    /* An object was taken from a source. */
    void (*restored)(void *data, const char *type, const char *id, size_t source);
    int (*canceled)(void *data, struct vmscm_error *err); /* polled; what it returns ends it */
    void *data;
};

/* Fails only where it could not look, write or move; what cannot be mended is left for a check to
 * tell. */
int vmscm_gitmend_run(const struct vmscm_gitmend *mend, struct vmscm_gitdb *db,
    struct vmscm_error *err);

#endif
