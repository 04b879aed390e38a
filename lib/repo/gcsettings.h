/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a garbage collection is to do: what was asked for, and the settings gc.*. */
#ifndef REPO_GCSETTINGS_H
#define REPO_GCSETTINGS_H

#include "repo/handle.h"
#include <vmscm/gc.h>

struct vmscm_gcsettings {
    bool dry_run, aggressive;
    bool merge_only; /* garbage is not looked for */
    unsigned jobs;
    unsigned threshold; /* percent */
    int64_t grace;      /* seconds */
    int64_t expire;     /* lines of reflogs from before this time go; seconds since 1970 */
    int level;          /* of compression */
};

int vmscm_gcsettings_read(struct vmscm_gcsettings *set, struct vmscm_repo *repo,
    const struct vmscm_gc_options *options, struct vmscm_error *err);

/* Let the next automatic gc merge small packs: several were made. Failing to is no failure. */
void vmscm_gcsettings_note_small(const struct vmscm_repo *repo);

/* vmscm_gc_is_due. */
int vmscm_gcsettings_is_due(int *due, struct vmscm_repo *repo, struct vmscm_error *err);

/* Whether there are more loose objects in the git directory than there should be. */
int vmscm_gcsettings_is_loose(bool *many, struct vmscm_repo *repo, struct vmscm_error *err);

/* What was noted is about to be done. */
void vmscm_gcsettings_begin(const struct vmscm_repo *repo);

#endif
