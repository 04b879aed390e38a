/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is remembered of a remote, after a push to it. One thread at a time. */
#ifndef REMOTE_TRACK_H
#define REMOTE_TRACK_H

#include "remote/items.h"
#include "remote/session.h"

/* What was pushed is what the remote has. The push is done, whatever becomes of this: failures are
 * warnings. What is remembered of names that the remote does not have any more gives way where git could
 * not keep it beside a new one. */
void vmscm_track_pushed(struct vmscm_repo *repo, const struct vmscm_session *session,
    const struct vmscm_items *items, const struct vmscm_events *events);

#endif
