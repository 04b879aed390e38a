/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The files that git keeps objects in: loose ones, packs, and what writers that died left. Not for
 * other rooms. */
#ifndef HISTORY_GITFILES_H
#define HISTORY_GITFILES_H

#include "history/git.h"

/* Where packs are made, and where they go: below objects/. There is one collector at a time, so what
 * is there when one begins was left by one that died. */
#define VMSCM_GITFILES_WORK "vmscm-gc"

/* Every loose object, in no order. Non-zero from each ends the walk and is returned. */
int vmscm_gitfiles_loose(const struct vmscm_gitdb *db,
    int (*each)(void *data, const git_oid *oid, struct vmscm_error *err), void *data,
    struct vmscm_error *err);

enum vmscm_gitfiles_removal {
    VMSCM_GITFILES_LOOK,   /* change nothing */
    VMSCM_GITFILES_MOVE,   /* to the working directory, if it can be: soon done */
    VMSCM_GITFILES_UNLINK, /* which gives the space back, and may take longer */
};

/* Remove a loose object. *bytes: added to; one that is gone has none. */
int vmscm_gitfiles_remove_loose(const struct vmscm_gitdb *db, const git_oid *oid,
    enum vmscm_gitfiles_removal how, uint64_t *bytes, struct vmscm_error *err);

struct vmscm_gitfiles_pack {
    char *stem;     /* "pack-0123..." */
    uint64_t bytes; /* of all its files */
    bool kept;      /* has a .keep: plain git wants it left alone */
};

/* Every pack with an index. Release each stem. *midx: plain git made an index over several. */
int vmscm_gitfiles_packs(const struct vmscm_gitdb *db, bool *midx,
    int (*each)(void *data, struct vmscm_gitfiles_pack *pack, struct vmscm_error *err), void *data,
    struct vmscm_error *err);

/* Remove a pack, to the working directory if it can be. Killed at any point, it is there, or
 * vmscm_gitfiles_recover takes the rest. */
int vmscm_gitfiles_remove_pack(const struct vmscm_gitdb *db, const char *stem,
    struct vmscm_error *err);

/* Make the working directory; not on a full disk, which is no error. */
int vmscm_gitfiles_begin(const struct vmscm_gitdb *db, struct vmscm_error *err);

/* Finish what a collector began: the working directory goes, with all that was moved to it. */
int vmscm_gitfiles_recover(const struct vmscm_gitdb *db, struct vmscm_error *err);

/* Temporary files of libgit2. Its users hold the commit lock, so while it is held exclusively they
 * are dead. They are removed, or with dry only counted. */
int vmscm_gitfiles_remove_dead(const struct vmscm_gitdb *db, bool dry, uint64_t *bytes,
    struct vmscm_error *err);

/* Files that plain git makes of the others, and can make anew, and the reflog of HEAD, which keeps
 * nothing: they may name what is to go. */
int vmscm_gitfiles_remove_hints(const struct vmscm_gitdb *db, struct vmscm_error *err);

#endif
