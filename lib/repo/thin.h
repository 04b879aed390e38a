/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The disks of thin checkouts: qcow2 overlays whose backing file is a disk of a revision, which a
 * service of the repository serves over NBD at a local socket, as export "REVISION/DISK". Here they are
 * read without it: the overlay from its file, what is below it from the store.
 */
#ifndef REPO_THIN_H
#define REPO_THIN_H

#include "image/blockdev.h"
#include "image/probe.h"
#include "repo/handle.h"
#include "repo/workfile.h"

/* What a disk of a thin checkout is over. */
struct vmscm_thin {
    char *backing; /* the name of its backing file; NULL: it is no such disk */
    char base[41];
    char *disk;
};

/* What path, a file of that name in a checkout, should be over. That it still is, a probe tells. Fails
 * only without memory. */
int vmscm_thin_find(struct vmscm_thin *thin, const char *path, struct vmscm_error *err);
void vmscm_thin_release(struct vmscm_thin *thin);

/* As vmscm_probe_open, of such a disk. */
int vmscm_thin_probe(struct vmscm_probe **out, const struct vmscm_thin *thin, const char *path,
    unsigned allow, struct vmscm_error *err);

/* Make an overlay of `size` bytes at path, which must not be there. Synced when it returns. */
int vmscm_thin_create(const char *path, const char *socket, const char *base, const char *disk,
    uint64_t size, struct vmscm_error *err);

/* Whether overlays can be over that socket: VMSCM_EUSAGE. */
int vmscm_thin_check_socket(const char *socket, struct vmscm_error *err);

/* The disk as its guest sees it. probe, whose `over` is set, must outlive it. few: as
 * vmscm_reader_open. */
int vmscm_thin_open(struct vmscm_blockdev **out, struct vmscm_repo *repo,
    const struct vmscm_thin *thin, const struct vmscm_probe *probe, unsigned jobs, bool few,
    const struct vmscm_events *events, struct vmscm_error *err);

#endif
