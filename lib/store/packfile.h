/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One pack on disk, for reading. A pack is known by its name before it is looked at. Its index is
 * mapped, after header, trailer and index were checked, and unmapped again; the file's descriptor
 * comes and goes with use: a repository may have more packs than a process may have mappings or open
 * files.
 *
 * Threading: while the index is mapped, lookups need no lock; all that changes belongs to the store
 * (store.c).
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
    uint8_t name[VMSCM_MIDX_NAME_SIZE];
    bool covered;         /* a multi-pack index lists it: no need to search it by itself */
    bool gone;            /* no longer in the directory, or damaged */
    atomic_bool used;     /* something was found in it that a check-in relies on */
    atomic_bool searched; /* something was found in it since this was last reset */
    unsigned pins;        /* who needs the index mapped */
    unsigned users;       /* of fd; guarded, as fd, by the owner's descriptor lock */
    size_t marks;         /* its place among those that are marked in, from 1: live.c */
    int fd;               /* -1 while closed */
    /* Not known before the index is mapped for the first time, and then for good. */
    char *path;
    uint64_t file_size;
    struct vmscm_pack_trailer trailer;
    /* While it is mapped, else NULL. */
    const uint8_t *index; /* sorted entries */
    void *map;
    size_t map_len;
};

/* The file name of a pack: "pack-" 32 hex digits ".vpk". */
void vmscm_packfile_format_name(char out[VMSCM_PACKFILE_NAME],
    const uint8_t name[VMSCM_MIDX_NAME_SIZE]);
bool vmscm_packfile_parse_name(uint8_t name[VMSCM_MIDX_NAME_SIZE], const char *file);

int vmscm_packfile_new(struct vmscm_packfile **out, const uint8_t name[VMSCM_MIDX_NAME_SIZE],
    struct vmscm_error *err);
void vmscm_packfile_free(struct vmscm_packfile *pack); /* NULL is fine */

/* Check the file and map its index; nothing if it is mapped. Errors: VMSCM_ENOTFOUND, VMSCM_EDAMAGED,
 * VMSCM_EUNSUPPORTED, VMSCM_EIO. */
int vmscm_packfile_map(struct vmscm_packfile *pack, const char *dir, struct vmscm_error *err);
void vmscm_packfile_unmap(struct vmscm_packfile *pack);

/* The index is mapped, and stays so: give back the memory it takes; reading takes it again. */
void vmscm_packfile_forget(const struct vmscm_packfile *pack);

/* These want the index mapped. */
bool vmscm_packfile_find(const struct vmscm_packfile *pack, struct vmscm_pack_entry *entry,
    const struct vmscm_id *id);

/* Entry n in id order. */
void vmscm_packfile_entry(const struct vmscm_packfile *pack, struct vmscm_pack_entry *entry,
    uint32_t n);

#endif
