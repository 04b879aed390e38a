/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A machine as a script that makes it in Hyper-V: see machine/hypervscript.h. Pure.
 *
 * What is not a comment in it is ASCII, whatever the machine is called: PowerShell takes several
 * characters for an apostrophe, and older ones take UTF-8 for something else; so no name gets out of its
 * quotes.
 */
#ifndef MACHINE_HYPERVWRITE_H
#define MACHINE_HYPERVWRITE_H

#include "base/buf.h"
#include "machine/description.h"

/* NVRAM is not for it. VMSCM_EUNSUPPORTED: more disks than there are places. */
int vmscm_hypervwrite_encode(struct vmscm_buf *out, const struct vmscm_description *description,
    struct vmscm_error *err);

#endif
