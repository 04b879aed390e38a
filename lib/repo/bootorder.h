/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What boot traces say is read, in their order: the leaves and chunks of these places, each once, so that
 * they can be laid together. What lies so is read ahead in a few large reads.
 *
 * Memory: 40 bytes for each of them, while they are listed 100. Threading: one thread at a time.
 */
#ifndef REPO_BOOTORDER_H
#define REPO_BOOTORDER_H

#include "base/vec.h"
#include "repo/handle.h"
#include "store/fetch.h"
#include "store/idset.h"
#include <vmscm/machine.h>

struct vmscm_bootorder_item {
    struct vmscm_id id;
    uint32_t len; /* plain bytes */
};

/* Zero-initialised is empty. */
struct vmscm_bootorder {
    VMSCM_VEC(struct vmscm_bootorder_item) items;
    struct vmscm_idset seen;
};

/* Append what a revision's trace names and is not listed yet, if it has a trace. Who wrote a note may have
 * written anything: what no disk has, or cannot be read, is passed over. */
int vmscm_bootorder_add(struct vmscm_bootorder *order, struct vmscm_repo *repo, const char *commit,
    const struct vmscm_machine *machine, struct vmscm_fetch *fetch, struct vmscm_error *err);

/* All are there that are going to be. */
void vmscm_bootorder_end(struct vmscm_bootorder *order);

void vmscm_bootorder_release(struct vmscm_bootorder *order);

#endif
