/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Filling in a struct vmscm_error. Every function returns the code it was given, so that a failure
 * is one statement: return vmscm_error_set(err, VMSCM_EINPUT, "%s: not a qcow2 file", path);
 *
 * Text that came from outside (paths, names in images) may be passed as is: control characters
 * are replaced by '?' in the finished message.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <vmscm/error.h>
#include <stddef.h>

int vmscm_error_set(struct vmscm_error *err, int code, const char *fmt, ...) VMSCM_PRINTF(3, 4);

/* As vmscm_error_set, with ": " and the text of the errno value appended. ENOMEM becomes
 * VMSCM_ENOMEM whatever the code given; use VMSCM_EIO for ordinary system errors. */
int vmscm_error_errno(struct vmscm_error *err, int errnum, const char *fmt, ...) VMSCM_PRINTF(3, 4);

/* Out of memory; code VMSCM_ENOMEM. */
int vmscm_error_nomem(struct vmscm_error *err);

/* Put "PREFIX: " before the message that is there. Returns err->code (VMSCM_EIO if err is NULL). */
int vmscm_error_prefix(struct vmscm_error *err, const char *fmt, ...) VMSCM_PRINTF(2, 3);

/* Set the hint of an error that is already set. Returns err->code, as above. */
int vmscm_error_hint(struct vmscm_error *err, const char *fmt, ...) VMSCM_PRINTF(2, 3);

void vmscm_error_clear(struct vmscm_error *err);

/* Copy src over dst (either may be NULL) and return src's code. */
int vmscm_error_copy(struct vmscm_error *dst, const struct vmscm_error *src);

#endif
