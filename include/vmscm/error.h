/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Errors as values.
 *
 * Every fallible function of the library returns 0 or a negative enum vmscm_code and fills the
 * caller's struct vmscm_error, its last parameter. The message is one line without a final period
 * or newline, in the form "WHAT: WHY". A hint, where there is one, says what to do about it.
 * Passing NULL for the error is allowed everywhere; the code is still returned.
 *
 * Thread safety: a struct vmscm_error belongs to one thread at a time.
 */
#ifndef VMSCM_ERROR_H
#define VMSCM_ERROR_H

#include <vmscm/visibility.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The names say what a caller can do about it, not where it happened. */
enum vmscm_code {
    VMSCM_OK = 0,
    VMSCM_ENOTFOUND = -1,    /* no such machine, revision, tag, disk, object */
    VMSCM_EDAMAGED = -2,     /* something stored is not what was written */
    VMSCM_EUSAGE = -3,       /* an argument can never be valid: a bad name, a bad number */
    VMSCM_EIO = -4,          /* the operating system refused: read, write, permission, space */
    VMSCM_ENOMEM = -5,       /* out of memory */
    VMSCM_EEXIST = -6,       /* the name is taken */
    VMSCM_EBUSY = -7,        /* in use by someone else, or changed while it was read */
    VMSCM_EINPUT = -8,       /* a source is malformed, truncated or of an unknown kind */
    VMSCM_EUNSUPPORTED = -9, /* understood, but this version or format cannot do it */
    VMSCM_EREFUSED = -10,    /* unsafe input, or a policy forbids it */
    VMSCM_ECONFLICT = -11,   /* someone else moved it first; doing it would overwrite their work */
    VMSCM_ECANCELED = -12,   /* the caller's cancel callback asked to stop */
    VMSCM_ETOOL = -13,       /* a helper program is missing or failed */
};

#define VMSCM_ERROR_MESSAGE_MAX 1024
#define VMSCM_ERROR_HINT_MAX 512

struct vmscm_error {
    enum vmscm_code code;
    char message[VMSCM_ERROR_MESSAGE_MAX]; /* "" when there is no error; always terminated */
    char hint[VMSCM_ERROR_HINT_MAX];       /* "" when there is no hint; always terminated */
};

#define VMSCM_ERROR_INIT                                                                           \
    {                                                                                              \
        VMSCM_OK, "", ""                                                                           \
    }

/* The exit status a command should end with for a code: 0 done, 1 the answer is "no", 2 usage,
 * 3 the operation failed, 4 refused. Never fails. */
VMSCM_API int vmscm_error_exit_status(int code);

/* A short lower-case name for a code, e.g. "not-found", for machine-readable output. Static. */
VMSCM_API const char *vmscm_error_name(int code);

#ifdef __cplusplus
}
#endif
#endif
