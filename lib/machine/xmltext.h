/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing XML as text, piece by piece. Pure. */
#ifndef MACHINE_XMLTEXT_H
#define MACHINE_XMLTEXT_H

#include "base/buf.h"

/* Once something failed, the rest does nothing: look at rc at the end. */
struct vmscm_xmltext {
    struct vmscm_buf *out;
    struct vmscm_error *err;
    int rc;
};

/* Append pieces, up to a NULL: the first as it is, the second escaped as text or the value of an attribute,
 * the third as it is, and so on. */
void vmscm_xmltext_put(struct vmscm_xmltext *to, ...) __attribute__((sentinel));

#endif
