/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The files that an archive's members leave behind when they are unpacked one after the other: a later member
 * replaces an earlier one of its name, hard links share a file, what leads through a symbolic link is where
 * that leads to, within the tree, and directories that no member is are there, too. Only names are kept, some
 * 100 bytes for each. Internal to lib/bundle.
 */
#ifndef BUNDLE_FILETREE_H
#define BUNDLE_FILETREE_H

#include "base/vec.h"
#include <stdbool.h>
#include <stdint.h>

#define VMSCM_FILETREE_NONE UINT32_MAX
#define VMSCM_FILETREE_ROOT 0u /* the root's file */

struct vmscm_filetree_file {
    uint32_t member;  /* the one that counts; VMSCM_FILETREE_NONE: no member, but a directory in a name */
    uint32_t links;   /* names of it, or, of a directory, of directories in it; 0 names: it is gone */
    uint32_t entries; /* a directory's first; see vmscm_filetree_entry */
    uint32_t last;
    uint32_t parent;  /* a directory's */
    uint32_t live;    /* a directory's names */
    char type;        /* as of format/tarmember.h */
    bool gone;
    uint64_t target;  /* a symbolic link's, within the names */
};

struct vmscm_filetree_entry {
    uint64_t name; /* within the names */
    uint32_t dir, file; /* file VMSCM_FILETREE_NONE: it was removed */
    uint32_t next, chain; /* in the directory; of the same hash. VMSCM_FILETREE_NONE: no more */
};

/* Zero-initialise, then begin. */
struct vmscm_filetree {
    VMSCM_VEC(struct vmscm_filetree_file) files;
    VMSCM_VEC(struct vmscm_filetree_entry) entries;
    char *names;
    uint64_t names_len, names_cap;
    uint32_t *buckets;
    uint32_t bucket_count; /* a power of two */
};

int vmscm_filetree_begin(struct vmscm_filetree *t, struct vmscm_error *err);
void vmscm_filetree_release(struct vmscm_filetree *t);

/* The next member, by its number: path NULL for the root; link: where a link leads to. *file: what it is the
 * content of; VMSCM_FILETREE_NONE: of none, as a hard link is. VMSCM_EINPUT: it cannot be unpacked, which err
 * says with its name; VMSCM_EREFUSED: a name that leaves the tree. */
int vmscm_filetree_add(struct vmscm_filetree *t, uint32_t *file, uint32_t member, char type, const char *path,
    const char *link, struct vmscm_error *err);

/* A directory in the root, if there is nothing of that name. */
int vmscm_filetree_ensure(struct vmscm_filetree *t, const char *name, struct vmscm_error *err);

static inline const char *vmscm_filetree_name(const struct vmscm_filetree *t,
    const struct vmscm_filetree_entry *entry)
{
    return t->names + entry->name;
}

#endif
