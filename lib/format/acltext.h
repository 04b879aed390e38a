/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Access control lists as archives have them, the text form of POSIX 1003.1e draft 17 with the number of
 * star(4) after it ("user:lisa:rwx:502,mask::r-x"), to what Linux keeps in system.posix_acl_access,
 * linux/posix_acl_xattr.h. Pure; thread-safe.
 */
#ifndef FORMAT_ACLTEXT_H
#define FORMAT_ACLTEXT_H

#include "base/buf.h"
#include <stdbool.h>

/* Appends to out. *names: an entry with a name but no number was left out. VMSCM_EINPUT: malformed. */
int vmscm_acltext_encode(struct vmscm_buf *out, bool *names, const char *text, struct vmscm_error *err);

#endif
