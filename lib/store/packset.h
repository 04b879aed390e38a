/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The packs and multi-pack indexes there are. Packs that no index lists are mapped; the others are
 * names until something in them is needed.
 *
 * Threading: what changes it is for a thread that is alone; any number may look meanwhile.
 */
#ifndef STORE_PACKSET_H
#define STORE_PACKSET_H

#include "store/midxfile.h"
#include "store/packcache.h"

struct vmscm_packset_damage {
    char *file;
    struct vmscm_error why;
};

/* Zero-initialised but for dir, it is empty. */
struct vmscm_packset {
    char *dir;
    VMSCM_VEC(struct vmscm_packfile *) all;   /* there ever were: the owner */
    VMSCM_VEC(struct vmscm_packfile *) packs; /* in the directory, as far as known; by name */
    VMSCM_VEC(struct vmscm_packfile *) loose; /* those of them in no multi-pack index; mapped */
    VMSCM_VEC(struct vmscm_midxfile *) midxs;
    VMSCM_VEC(struct vmscm_packset_damage) damage;
    struct vmscm_packcache cache;
};

/* Look at the directory; *changed: packs came or went. */
int vmscm_packset_load(struct vmscm_packset *set, bool *changed, struct vmscm_error *err);

/* Add a pack that came, by its name. */
int vmscm_packset_add(struct vmscm_packset *set, struct vmscm_packfile **out, const uint8_t *name,
    struct vmscm_error *err);

/* Map a pack of the set. One that cannot be used leaves it, and is damage unless it is no longer
 * there. */
int vmscm_packset_map(struct vmscm_packset *set, struct vmscm_packfile *pack,
    struct vmscm_error *err);

void vmscm_packset_release(struct vmscm_packset *set);

#endif
