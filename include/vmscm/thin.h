/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Thin checkouts: their disks are qcow2 overlays that hold only what was changed, over disks of a
 * revision, which a service of the repository serves over NBD at a local socket. See
 * vmscm-service(1). vmscm_checkout makes one when its options say where that socket is.
 */
#ifndef VMSCM_THIN_H
#define VMSCM_THIN_H

#include <vmscm/checkout.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Absolute path of the socket; NULL: not a thin checkout. Borrowed. */
VMSCM_API const char *vmscm_workdir_thin_socket(const struct vmscm_workdir *dir);
/* The revision that its overlays are over, 40 hex digits; NULL as above. Borrowed. */
VMSCM_API const char *vmscm_workdir_thin_base(const struct vmscm_workdir *dir);

/*
 * Tell the repository where a thin checkout is, which is what keeps garbage collection from what it
 * needs, though no name may lead to it any more: it may have been moved, or copied, or been forgotten
 * (vmscm_thin_forget). Does nothing with a checkout of another kind. VMSCM_ENOTFOUND: what it stands on
 * is gone from the repository; VMSCM_EIO: it cannot be written down.
 */
VMSCM_API int vmscm_workdir_thin_hold(struct vmscm_workdir *dir, struct vmscm_repo *repo,
    struct vmscm_error *err);

/*
 * See that its disks are what another program may be given by their names: qcow2 images over what they
 * should be over, or over nothing, which lead to no other file. Does nothing with a checkout of another
 * kind. VMSCM_EREFUSED, VMSCM_EINPUT: a disk is not; VMSCM_ENOTFOUND: it is not there.
 */
VMSCM_API int vmscm_workdir_thin_check(struct vmscm_workdir *dir, struct vmscm_error *err);

struct vmscm_thicken_result {
    uint64_t size;    /* bytes of guest address space */
    uint64_t written; /* bytes of data that were read for it */
    double seconds;
};

/*
 * Make a thin checkout a full one: each disk becomes a qcow2 of its own, whole before it takes its
 * overlay's place, with jobs threads (0: core.jobs, or one a core). What was interrupted goes on with
 * the disks that are left. Of a disk that was written to the next check-in reads all. result may be
 * NULL. VMSCM_EUSAGE: it is no thin checkout; VMSCM_EBUSY: a running machine writes to a disk;
 * VMSCM_EDAMAGED, VMSCM_EIO, VMSCM_ETOOL, VMSCM_ECANCELED.
 */
VMSCM_API int vmscm_workdir_thicken(struct vmscm_workdir *dir, struct vmscm_repo *repo,
    unsigned jobs, const struct vmscm_events *events, struct vmscm_thicken_result *result,
    struct vmscm_error *err);

/* A thin checkout that the repository knows of. */
struct vmscm_thin_item {
    const char *dir;      /* absolute */
    const char *revision; /* that it is over, 40 hex digits */
    int present;          /* it is there */
};

/* each(data, item) for all of them. Non-zero ends the walk and is returned. */
VMSCM_API int vmscm_thin_list(struct vmscm_repo *repo,
    int (*each)(void *data, const struct vmscm_thin_item *item), void *data,
    struct vmscm_error *err);

/*
 * Keep nothing any more for the thin checkout that was at dir, or, with NULL, for all that are not
 * there; *count (may be NULL): how many. A checkout that is only out of sight, on a disk that is not
 * mounted or moved, may lose what it stands on by that. VMSCM_EREFUSED: it is there; VMSCM_ENOTFOUND:
 * none is known at dir.
 */
VMSCM_API int vmscm_thin_forget(struct vmscm_repo *repo, const char *dir, uint64_t *count,
    struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
