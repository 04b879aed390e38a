/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Telling whoever checks a repository what was found. One thread at a time. */
#ifndef REPO_FINDINGS_H
#define REPO_FINDINGS_H

#include <vmscm/fsck.h>

struct vmscm_findings {
    void (*found)(void *, const struct vmscm_fsck_finding *); /* NULL: only counted */
    void *data;
    struct vmscm_fsck_result *result;
    const char *machine; /* whose history is being looked at, or NULL */
};

/* Damage, or, if finding->note is set, what is worth knowing; the machine is filled in. */
void vmscm_findings_tell(struct vmscm_findings *findings, struct vmscm_fsck_finding finding);

#endif
