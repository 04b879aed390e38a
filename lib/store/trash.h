/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Packs that nothing needs any more, in trash/, until it is certain. One process at a time moves them
 * there and out of it: the holder of locks/gc. Readers may look into them meanwhile.
 */
#ifndef STORE_TRASH_H
#define STORE_TRASH_H

#include "store/store.h"

struct vmscm_trash_entry {
    uint8_t name[VMSCM_MIDX_NAME_SIZE];
    uint64_t bytes;
    int64_t since; /* seconds; when it was moved there, by the file system's clock */
};

struct vmscm_trash {
    struct vmscm_trash_entry *entries; /* by name */
    size_t count;
};

int vmscm_trash_list(struct vmscm_trash *out, const char *repo_dir, struct vmscm_error *err);
void vmscm_trash_release(struct vmscm_trash *trash);

/* Durable when it returns. The first that cannot be moved ends it; those before it are moved. */
int vmscm_trash_move(const char *repo_dir, struct vmscm_packfile *const *packs, size_t count,
    struct vmscm_error *err);

/* Back to packs/, durably. */
int vmscm_trash_restore(const char *repo_dir, const uint8_t name[VMSCM_MIDX_NAME_SIZE],
    struct vmscm_error *err);

/* Whether all that is in a pack of the trash is in other packs as well, so that it goes without asking
 * what is needed. */
int vmscm_trash_is_covered(bool *yes, const char *repo_dir, struct vmscm_store *store,
    const uint8_t name[VMSCM_MIDX_NAME_SIZE], struct vmscm_error *err);

/* For good. Those that are not there any more are fine. */
int vmscm_trash_remove(const char *repo_dir, const uint8_t name[VMSCM_MIDX_NAME_SIZE],
    struct vmscm_error *err);

#endif
