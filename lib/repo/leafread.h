/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A segment's leaf, from the store to its entries. As thread-safe as the fetch it is given. */
#ifndef REPO_LEAFREAD_H
#define REPO_LEAFREAD_H

#include "base/buf.h"
#include "format/leaf.h"
#include "store/fetch.h"

/* *entries is the caller's to free, and NULL if this fails. length: of the segment, which the leaf must
 * be for. bytes is for use in between, so that many leaves need one buffer. VMSCM_EDAMAGED as
 * vmscm_fetch_read, or the leaf is not one, or of another length. */
int vmscm_leafread_entries(struct vmscm_leaf_entry **entries, size_t *count,
    struct vmscm_fetch *fetch, struct vmscm_buf *bytes, const struct vmscm_id *id,
    uint32_t length, struct vmscm_error *err);

#endif
