/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * To a repository on another machine: the user's own ssh runs "vmscm remote-serve PATH" there. Nothing
 * goes through a shell here; over there, one gets the path in quotes. A forced command does as well.
 */
#ifndef REMOTE_SSHWAY_H
#define REMOTE_SSHWAY_H

#include "remote/transport.h"

const struct vmscm_transport_kind *vmscm_sshway_kind(void);

/* The arguments to run, NULL at the end, in one block of memory that is the caller's. */
int vmscm_sshway_arguments(char ***out, const struct vmscm_url *url,
    const struct vmscm_transport_options *options, struct vmscm_error *err);

#endif
