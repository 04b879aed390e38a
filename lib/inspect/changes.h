/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What differs between facts, in a few words: "Debian GNU/Linux 12.4 -> 12.5, 12 packages upgraded". Pure. */
#ifndef INSPECT_CHANGES_H
#define INSPECT_CHANGES_H

#include "base/buf.h"
#include "inspect/facts.h"

/* Appended to out; nothing if nothing differs. Names are as guests say them. */
int vmscm_changes_put(struct vmscm_buf *out, const struct vmscm_facts *before,
    const struct vmscm_facts *after, struct vmscm_error *err);

/* Appended, with ", " before it where there is something already. */
int vmscm_changes_part(struct vmscm_buf *out, struct vmscm_error *err, const char *fmt, ...)
    VMSCM_PRINTF(3, 4);

/* Whether a name or value is short enough to stand in such a line. */
bool vmscm_changes_is_short(const char *text);

#endif
