/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a process that lives still needs though no ref says so: commits that it reads, packs that it
 * made for a revision that it did not record yet. Garbage collection leaves these alone.
 *
 * A lease is a file in leases/, locked (flock) as long as its process lives, with a line for each:
 * "commit HEX" or "pack HEX".
 *
 * Threading: one thread at a time per lease.
 */
#ifndef STORE_LEASE_H
#define STORE_LEASE_H

#include "base/error.h"
#include "format/midx.h"

struct vmscm_lease;

/* VMSCM_EACCESS or VMSCM_EIO where nothing can be written: readers then go without. */
int vmscm_lease_open(struct vmscm_lease **out, const char *repo_dir, struct vmscm_error *err);

/* Ends it. NULL is fine. */
void vmscm_lease_close(struct vmscm_lease *lease);

/* Before the pack can be seen under its name. */
int vmscm_lease_add_pack(struct vmscm_lease *lease, const uint8_t name[VMSCM_MIDX_NAME_SIZE],
    struct vmscm_error *err);

/* id: 40 hex digits. */
int vmscm_lease_add_commit(struct vmscm_lease *lease, const char *id, struct vmscm_error *err);

/* All leases of processes that live; those of others are removed. Either of the callbacks may be
 * NULL; non-zero ends the walk and is returned. */
int vmscm_lease_walk(const char *repo_dir, int (*on_pack)(void *data, const uint8_t *name),
    int (*on_commit)(void *data, const char *id), void *data, struct vmscm_error *err);

#endif
