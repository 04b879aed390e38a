/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which stored chunks a new chunk can be compressed against, so that what a guest changed in a few
 * places of it costs just these: a chunk of which at least half is found in them, 512 bytes at a
 * time. A base is never itself stored against another: where the chunk at a place is, its bases are
 * taken, so that reading a chunk reads one more record and no chain of them.
 *
 * Threading: one struct vmscm_delta per thread.
 */
#ifndef STORE_DELTA_H
#define STORE_DELTA_H

#include "base/buf.h"
#include "store/fetch.h"

struct vmscm_delta;

/* fetch reads what is in store; both are the caller's. */
int vmscm_delta_new(struct vmscm_delta **out, struct vmscm_store *store,
    struct vmscm_fetch *fetch, struct vmscm_error *err);
void vmscm_delta_free(struct vmscm_delta *delta); /* NULL is fine */

/* near: chunks that an earlier revision has where data comes from, at most VMSCM_PACK_BASES_MAX of
 * them; others are not looked at. *count is how many bases there are, 0 if it does not pay;
 * *prefix has their plain bytes, until the next call. The packs of bases are marked as relied on.
 * A chunk that cannot be read is passed over. */
int vmscm_delta_find(struct vmscm_delta *delta, const struct vmscm_id *near, size_t near_count,
    const void *data, size_t len, struct vmscm_id bases[VMSCM_PACK_BASES_MAX], size_t *count,
    const struct vmscm_buf **prefix, struct vmscm_error *err);

#endif
