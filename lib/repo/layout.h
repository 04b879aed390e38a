/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Copying chunks into new packs in the order in which disks are read: first what boots read, by their
 * traces, in the traces' order; then machine by machine, its newest revision first, each disk from its
 * beginning to its end. What is read one after the other is then compressed together, and read in one go.
 *
 * Threading: one thread; it uses several.
 */
#ifndef REPO_LAYOUT_H
#define REPO_LAYOUT_H

#include "history/roots.h"
#include "repo/handle.h"
#include "store/repack.h"

/* Copy what is marked in chosen packs and belongs to a revision that the roots lead to, but for what is
 * stored against others. What cannot be found is left out: the marking knew it. */
int vmscm_layout_copy(struct vmscm_repo *repo, struct vmscm_repack *repack,
    const struct vmscm_roots *roots, struct vmscm_error *err);

#endif
