/* SPDX-License-Identifier: GPL-3.0-or-later */
/* To a repository on this machine: it is served by a thread, through the same protocol and the same
 * checks as from afar. */
#ifndef REMOTE_PATHWAY_H
#define REMOTE_PATHWAY_H

#include "remote/transport.h"

const struct vmscm_transport_kind *vmscm_pathway_kind(void);

/* "~/X" below the user's home directory; others as they are. *out is the caller's. */
int vmscm_pathway_expand(char **out, const char *path, struct vmscm_error *err);

#endif
