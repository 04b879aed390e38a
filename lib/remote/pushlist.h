/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a push is to change at the other side, by what both have. One thread at a time. */
#ifndef REMOTE_PUSHLIST_H
#define REMOTE_PUSHLIST_H

#include "remote/items.h"
#include "remote/session.h"

/* An item for every machine and tag that is meant, with what is to become of it; those that cannot be done
 * are refused, and say why. VMSCM_ENOTFOUND: something is named that is not there. */
int vmscm_pushlist_make(struct vmscm_items *items, struct vmscm_repo *repo,
    const struct vmscm_session *session, const struct vmscm_remote_options *options,
    struct vmscm_error *err);

#endif
