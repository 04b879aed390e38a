/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where what comes from other repositories is until it is verified: a directory of its own in
 * quarantine/, laid out so that packs can be written and read in it as in a repository. It is alive as
 * long as its process holds the lock (flock) on the file "lock" in it; what a dead one left is whole
 * packs, which the next transfer uses, or gc removes.
 *
 * Threading: one thread at a time per quarantine.
 */
#ifndef STORE_QUARANTINE_H
#define STORE_QUARANTINE_H

#include "store/lease.h"
#include <stdbool.h>

struct vmscm_quarantine;

int vmscm_quarantine_open(struct vmscm_quarantine **out, const char *repo_dir,
    struct vmscm_error *err);

/* Its directory, which has packs/, tmp/ and locks/. */
const char *vmscm_quarantine_dir(const struct vmscm_quarantine *q);

/* Take over the packs of quarantines that died, of the same user only: another's are not this one's to
 * know of. Those that are damaged go. *packs: how many were taken over. */
int vmscm_quarantine_adopt(struct vmscm_quarantine *q, size_t *packs, struct vmscm_error *err);

/* Whether there is anything to adopt. */
bool vmscm_quarantine_any(const char *repo_dir);

/* Move its packs into the repository's, durably; lease gets their names before they can be seen.
 * each(data, file, err) for every one that was moved; non-zero ends it and is returned. */
int vmscm_quarantine_install(struct vmscm_quarantine *q, struct vmscm_lease *lease,
    int (*each)(void *data, const char *file, struct vmscm_error *err), void *data,
    struct vmscm_error *err);

/* Ends it. keep: its whole packs stay for the next transfer. NULL is fine. */
void vmscm_quarantine_close(struct vmscm_quarantine *q, bool keep);

/* Remove those that died. */
int vmscm_quarantine_sweep(const char *repo_dir, struct vmscm_error *err);

/* Bytes of files in dead ones, and how many there are of these; nothing there is nothing. */
int vmscm_quarantine_measure(const char *repo_dir, uint64_t *count, uint64_t *bytes,
    struct vmscm_error *err);

#endif
