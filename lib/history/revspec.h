/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a user writes for a revision, to a commit. The grammar is in <vmscm/revision.h>. */
#ifndef HISTORY_REVSPEC_H
#define HISTORY_REVSPEC_H

#include "history/gitdb.h"

struct vmscm_revspec {
    char id[VMSCM_GITDB_ID];
    char *machine; /* the machine named in the spec, or NULL when it was an id, or "REMOTE/MACHINE" of
                      what is remembered of a remote; the caller's */
    char *tag;     /* likewise */
};

/* Errors: VMSCM_ENOTFOUND with nearest names as a hint; VMSCM_EUSAGE. */
int vmscm_revspec_resolve(struct vmscm_revspec *out, struct vmscm_gitdb *db, const char *spec,
    struct vmscm_error *err);
void vmscm_revspec_release(struct vmscm_revspec *spec);

/* Machine and tag names; the rules are at vmscm_revision_name_check. 0 or VMSCM_EUSAGE. */
int vmscm_revspec_check_machine(const char *name, struct vmscm_error *err);
int vmscm_revspec_check_tag(const char *name, struct vmscm_error *err);

#endif
