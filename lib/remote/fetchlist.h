/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a fetch is to change here, by what both sides have. One thread at a time. */
#ifndef REMOTE_FETCHLIST_H
#define REMOTE_FETCHLIST_H

#include "remote/fetching.h"

/* An item for every ref of ours that may change. VMSCM_ENOTFOUND: something is named that is not there. */
int vmscm_fetchlist_make(struct vmscm_fetching *f, struct vmscm_error *err);

#endif
