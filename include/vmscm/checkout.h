/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Checkouts: a directory with a revision's disks and configuration that one can run and change,
 * and a file .vmscm-checkout that knows repository, machine and base revision.
 */
#ifndef VMSCM_CHECKOUT_H
#define VMSCM_CHECKOUT_H

#include <vmscm/checkin.h>
#include <stddef.h>
#include <stdint.h>
#include <vmscm/error.h>
#include <vmscm/events.h>
#include <vmscm/revision.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmscm_checkout_options {
    const char *format;  /* NULL: the recorded one, with its recorded options */
    const char *options; /* "NAME=VALUE,..." as qemu-img -o; NULL: recorded, or the format's own */
    unsigned jobs;       /* 0: core.jobs, or one a core */
    int verify;          /* read back all that is in the disks, and hash it */
    int force;           /* over a checkout: give up what was changed in it */
    const char *thin;    /* make a thin checkout, see <vmscm/thin.h>, over what is served at this Unix
                            socket, an absolute path; then without any of the above. NULL: no */
};

struct vmscm_checkout_result {
    char *dir;        /* absolute; free with vmscm_checkout_result_release */
    uint64_t size;    /* bytes of guest address space */
    uint64_t written; /* bytes of data, holes left out */
    double seconds;
};

/*
 * Write rev into dir (NULL: named after the machine, in the current directory), which is made if
 * need be and must be empty, or be an interrupted checkout of the same revision, which is then
 * completed, or be a checkout of this repository, which then becomes one of rev: it keeps its
 * format unless another is asked for, and of raw disks only what differs is written. Every byte is
 * verified by hash. A disk appears under its name only when it is whole; a checkout that is being
 * overwritten claims to be neither revision till then.
 * Errors: VMSCM_EREFUSED: not empty, a checkout of another repository, or files in it were changed
 * or are in the way; VMSCM_EBUSY: a machine that runs writes to a disk in it; VMSCM_EUNSUPPORTED:
 * the format cannot hold the disk; VMSCM_EIO, also: verify found something else than was written;
 * VMSCM_EDAMAGED; VMSCM_ECANCELED; VMSCM_ETOOL. A thin checkout is neither made over another checkout
 * nor overwritten by one (VMSCM_EREFUSED), and cannot be of a repository in a bucket
 * (VMSCM_EUNSUPPORTED).
 */
VMSCM_API int vmscm_checkout(struct vmscm_revision *rev, const char *dir,
    const struct vmscm_checkout_options *options, const struct vmscm_events *events,
    struct vmscm_checkout_result *result, struct vmscm_error *err);
VMSCM_API void vmscm_checkout_result_release(struct vmscm_checkout_result *result);

/* A checkout found on disk. Opaque. */
struct vmscm_workdir;

/* Open the checkout at or above start. VMSCM_ENOTFOUND if there is none; VMSCM_EDAMAGED. */
VMSCM_API int vmscm_workdir_open(struct vmscm_workdir **out, const char *start,
    struct vmscm_error *err);
VMSCM_API void vmscm_workdir_close(struct vmscm_workdir *dir); /* NULL is fine */

VMSCM_API const char *vmscm_workdir_path(const struct vmscm_workdir *dir);
VMSCM_API const char *vmscm_workdir_repository(const struct vmscm_workdir *dir);
VMSCM_API const char *vmscm_workdir_machine(const struct vmscm_workdir *dir);
VMSCM_API const char *vmscm_workdir_base(const struct vmscm_workdir *dir); /* 40 hex digits */

enum vmscm_workdir_state {
    VMSCM_WORKDIR_CLEAN,    /* size, times and inode are those of the checkout */
    VMSCM_WORKDIR_TOUCHED,  /* they are not: perhaps changed */
    VMSCM_WORKDIR_MISSING,  /* the file is gone */
};

struct vmscm_workdir_disk {
    const char *id;
    const char *file;   /* relative to the checkout */
    const char *format;
    uint64_t size;      /* bytes the guest sees, as checked out */
    enum vmscm_workdir_state state;
};

/* each(data, disk) for every disk of the checkout. Non-zero ends the walk and is returned. */
VMSCM_API int vmscm_workdir_status(struct vmscm_workdir *dir,
    int (*each)(void *data, const struct vmscm_workdir_disk *disk), void *data,
    struct vmscm_error *err);

/*
 * Check the checkout in, as vmscm_checkin does with the checkout's disks and machine. If
 * options->expected_base is NULL it is the checkout's base. onto (NULL: the checkout's machine)
 * names a new machine instead, whose parent is the checkout's base. On success the checkout's base
 * becomes the new revision.
 */
VMSCM_API int vmscm_workdir_checkin(struct vmscm_workdir *dir, struct vmscm_repo *repo,
    const char *onto, const struct vmscm_checkin_options *options,
    const struct vmscm_events *events, struct vmscm_checkin_result *result,
    struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
