/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The side that answers: requests one after the other, each by itself, but that what was pushed stays in
 * one quarantine until it is whole. It gives only what can be reached from refs that it shows.
 *
 * Threading: one thread at a time.
 */
#ifndef REMOTE_SERVE_H
#define REMOTE_SERVE_H

#include "remote/land.h"
#include "remote/stream.h"

#define VMSCM_SERVE_LACK_MAX (1u << 20) /* ids that it says are missing, at a time */
#define VMSCM_SERVE_UPDATES_MAX (1u << 15) /* refs of one push */

struct vmscm_serve {
    struct vmscm_repo *repo;
    struct vmscm_stream *stream;
    bool read_only;
    struct vmscm_mirror *mirror; /* NULL; else the repository is its */
    struct vmscm_receive *receive; /* NULL: nothing is being sent here */
    struct vmscm_lease *lease;     /* of what is being read */
};

/* As vmscm_remote_serve. mirror: see above. near: the other side is in this process, and neither loses
 * patience. */
int vmscm_serve_run(struct vmscm_repo *repo, struct vmscm_mirror *mirror, int in, int out,
    bool read_only, bool near,
    struct vmscm_error *err);

/* Begin an answer. */
int vmscm_serve_answer(struct vmscm_serve *s, unsigned op, struct vmscm_error *err);
/* End it. */
int vmscm_serve_end(struct vmscm_serve *s, struct vmscm_error *err);

/* Whether a ref is shown to the other side. */
bool vmscm_serve_shows(const struct vmscm_serve *s, const char *ref);

/* The requests of those who fetch: servefetch.c; and of those who push: servepush.c. All of the request's
 * frames after the first are still to be read. */
int vmscm_servefetch_history(struct vmscm_serve *s, struct vmscm_error *err);
int vmscm_servefetch_data(struct vmscm_serve *s, unsigned flags, struct vmscm_error *err);
int vmscm_servepush_ask(struct vmscm_serve *s, struct vmscm_error *err);
int vmscm_servepush_send(struct vmscm_serve *s, unsigned flags, struct vmscm_error *err);

#endif
