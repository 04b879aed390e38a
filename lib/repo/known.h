/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is known of a disk before it is read: that it is a checkout's, and what may differ from the
 * revision that the checkout stands on. Four things tell:
 *
 *   - its files have the size, times and inode that .vmscm-checkout beside them records, and the
 *     record is from after the last change: nothing differs;
 *   - it is an overlay on such a disk: what the overlay holds may differ;
 *   - it is the overlay of a thin checkout: what it holds may differ from what that was made of;
 *   - it is a qcow2 with the dirty bitmap that .vmscm-checkout names: what is dirty may differ.
 *
 * Whatever is missing or does not fit makes it an unknown disk, which is read whole; the note says
 * why. Which revision is the parent does not matter here.
 */
#ifndef REPO_KNOWN_H
#define REPO_KNOWN_H

#include "format/map.h"
#include "image/blockdev.h"
#include "image/changes.h"
#include "image/probe.h"
#include "repo/handle.h"
#include "repo/promises.h"
#include "repo/workfile.h"

struct vmscm_known {
    bool usable;       /* else the rest means nothing */
    bool by_bitmap;    /* vmscm_known_check is still to be asked */
    char revision[41]; /* the one it is compared with */
    struct vmscm_map base;
    struct vmscm_changes changes;
};

/* id: of the disk, for notes. promises (may be NULL): what need not be here of its revision. Fails only
 * where nothing can be done: VMSCM_ENOMEM, VMSCM_ECANCELED. */
int vmscm_known_find(struct vmscm_known *known, struct vmscm_repo *repo,
    const struct vmscm_probe *probe, const char *id, const struct vmscm_promises *promises,
    const struct vmscm_events *events, struct vmscm_error *err);
void vmscm_known_release(struct vmscm_known *known);

/* What a bitmap cannot tell: a disk that was made smaller and then as large as before has zeros at
 * its end, in which nothing is dirty. Reads the last chunk that seems unchanged; if it is another
 * one now, the disk is not known. dev: the disk. */
int vmscm_known_check(struct vmscm_known *known, struct vmscm_repo *repo,
    struct vmscm_blockdev *dev, const char *id, const struct vmscm_events *events,
    struct vmscm_error *err);

/* Whether path is a disk of a checkout whose files prove it unchanged: it was looked at before. */
bool vmscm_known_is_unchanged(const char *path);

/* Whether gc must still know the revision, so that what it consists of can be relied on: it is
 * `tip`, or in some machine's history, and was not pruned. Under the commit lock. */
bool vmscm_known_is_kept(const struct vmscm_known *known, struct vmscm_repo *repo,
    const char *tip);

/* Both of these do nothing with core.bitmaps false.
 *
 * Prepare a disk of a checkout for its next check-in, before it is read for this one: a qcow2 whose
 * files do not prove it unchanged (or `anew`) gets a new dirty bitmap, and fresh->bitmap its name;
 * else the old name stays. work is what the checkout was so far. Failing is noted, no more. */
void vmscm_known_prepare(struct vmscm_workfile_disk *fresh, struct vmscm_repo *repo,
    const struct vmscm_workfile *work, const struct vmscm_workfile_disk *disk, const char *dir,
    bool anew, unsigned allow, const struct vmscm_events *events);

/* Lay the first bitmap of a qcow2 that was just made, at path: disk->bitmap. As above. */
void vmscm_known_begin(struct vmscm_workfile_disk *disk, struct vmscm_repo *repo,
    const char *path, const struct vmscm_events *events);

#endif
