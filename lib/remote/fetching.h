/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bringing what a remote has here: what fetch, pull and clone share. One thread at a time. */
#ifndef REMOTE_FETCHING_H
#define REMOTE_FETCHING_H

#include "remote/items.h"
#include "remote/session.h"

enum vmscm_fetching_what {
    VMSCM_FETCHING_TRACK, /* only remember what is there */
    VMSCM_FETCHING_PULL,  /* and machines of this repository follow */
    VMSCM_FETCHING_MIRROR, /* all of this repository is as it is there, and what is not there goes */
    VMSCM_FETCHING_CLONE, /* all of them, made if they are not there, with their tags */
};

struct vmscm_fetching {
    struct vmscm_repo *repo;
    const struct vmscm_remote_options *options;
    const struct vmscm_events *events;
    enum vmscm_fetching_what what;
    struct vmscm_session *session; /* open, and has a name */
    struct vmscm_items *items;     /* out */
    struct vmscm_remote_result *result;
};

/* With a session that is open. */
int vmscm_fetching_run(struct vmscm_fetching *f, struct vmscm_error *err);

#endif
