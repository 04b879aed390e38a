/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Git objects that came from another repository, aside from our own until they are verified: in memory,
 * and once there are many in packs in a directory of their own. A database of both lets them be looked
 * at; installing moves them.
 *
 * Their ids are computed here, so an object is what its id says; that all that is needed is there is for
 * the user to see. Threading: one thread at a time.
 */
#ifndef HISTORY_INCOMING_H
#define HISTORY_INCOMING_H

#include "history/gitdb.h"
#include "history/novel.h"

struct vmscm_incoming;

/* dir: an empty place of their own. main outlives it. */
int vmscm_incoming_open(struct vmscm_incoming **out, struct vmscm_gitdb *main, const char *dir,
    struct vmscm_error *err);

/* VMSCM_EREFUSED: these are more than can be taken in at once. */
int vmscm_incoming_add(struct vmscm_incoming *in, enum vmscm_novel_type type, const void *bytes,
    size_t len, struct vmscm_error *err);

/* Bytes of packs that were written so far. */
uint64_t vmscm_incoming_stored(const struct vmscm_incoming *in);

/* What was added, and what main has. Only for looking. */
struct vmscm_gitdb *vmscm_incoming_db(struct vmscm_incoming *in);

/* All of it into main's directory, durably; main is to be reloaded. locks/commit is held, and until a ref
 * leads to it. */
int vmscm_incoming_install(struct vmscm_incoming *in, struct vmscm_error *err);

void vmscm_incoming_close(struct vmscm_incoming *in); /* NULL is fine */

#endif
