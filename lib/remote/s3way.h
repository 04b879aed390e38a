/* SPDX-License-Identifier: GPL-3.0-or-later */
/* To a repository in a bucket: its mirror is served by a thread, through the same protocol and the same
 * checks as from afar. */
#ifndef REMOTE_S3WAY_H
#define REMOTE_S3WAY_H

#include "remote/transport.h"

const struct vmscm_transport_kind *vmscm_s3way_kind(void);

#endif
