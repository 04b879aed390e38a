/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One pack on disk, for reading. Opening checks header, trailer and index; the file's descriptor
 * comes and goes with use, so that a repository may have more packs than a
 * process may have open files.
 *
 * Threading: after opening, lookups need no lock; `fd` and `users` belong to the store (store.c).
 */
#ifndef STORE_PACKFILE_H
#define STORE_PACKFILE_H

#include "format/midx.h"
#include "format/pack.h"
#include <stdatomic.h>
#include <stdbool.h>

#define VMSCM_PACKFILE_PREFIX "pack-"
#define VMSCM_PACKFILE_SUFFIX ".vpk"
#define VMSCM_PACKFILE_NAME (5 + 2 * VMSCM_MIDX_NAME_SIZE + 4 + 1) /* with NUL */

struct vmscm_packfile {
    char *path;
    uint8_t name[VMSCM_MIDX_NAME_SIZE];
    uint64_t file_size;
    struct vmscm_pack_trailer trailer;
    const uint8_t *index; /* mapped; sorted entries */
    void *map;
    size_t map_len;
    bool covered;     /* a multi-pack index lists it: no need to search it by itself */
    atomic_bool used; /* something was found in it that a check-in relies on */
    int fd;           /* -1 while closed; guarded by the owner's descriptor lock */
    unsigned users;   /* likewise */
};

/* The file name of a pack: "pack-" 32 hex digits ".vpk". */
void vmscm_packfile_format_name(char out[VMSCM_PACKFILE_NAME],
    const uint8_t name[VMSCM_MIDX_NAME_SIZE]);
bool vmscm_packfile_parse_name(uint8_t name[VMSCM_MIDX_NAME_SIZE], const char *file);

/* Errors: VMSCM_ENOTFOUND, VMSCM_EDAMAGED, VMSCM_EUNSUPPORTED, VMSCM_EIO. */
int vmscm_packfile_open(struct vmscm_packfile **out, const char *dir, const char *file,
    struct vmscm_error *err);
void vmscm_packfile_close(struct vmscm_packfile *pack); /* NULL is fine */

bool vmscm_packfile_find(const struct vmscm_packfile *pack, struct vmscm_pack_entry *entry,
    const struct vmscm_id *id);

/* Entry n in id order. */
void vmscm_packfile_entry(const struct vmscm_packfile *pack, struct vmscm_pack_entry *entry,
    uint32_t n);

#endif
