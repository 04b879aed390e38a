/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every record of a store once, however many packs have it, in the order of ids. Merges the packs'
 * sorted indexes, so that it needs memory for the packs, 4 KiB each, not for what is in them. A pack
 * that goes meanwhile ends it. One thread. */
#ifndef STORE_WALK_H
#define STORE_WALK_H

#include "store/store.h"

/* each(data, pack, entry); non-zero ends the walk and is returned. */
int vmscm_walk_records(struct vmscm_store *store,
    int (*each)(void *data, const struct vmscm_packfile *pack,
        const struct vmscm_pack_entry *entry),
    void *data, struct vmscm_error *err);

#endif
