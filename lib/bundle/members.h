/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The files of a bundle: members of a tar archive, which are read where they are in it; files below a
 * directory; or what was unpacked to scratch files of names of ours. They are looked up by the names that
 * descriptors use, and nothing outside is ever opened: names are plain ones, symbolic links are not
 * followed, and only regular files count.
 *
 * Threading: one thread at a time opens and looks up; what was found may be read by any.
 */
#ifndef BUNDLE_MEMBERS_H
#define BUNDLE_MEMBERS_H

#include "base/buf.h"
#include <stdbool.h>
#include <sys/stat.h>

#define VMSCM_MEMBERS_MAX 65536

/* A file of a bundle; lives as long as the bundle's members. */
struct vmscm_member {
    char *name;
    char *path;       /* of the file that it is in */
    uint64_t offset;  /* in that file */
    uint64_t length;
    struct stat st;   /* of that file, when it was looked at */
    bool whole;       /* it is all of that file */
};

struct vmscm_members;

/* A tar archive. Errors as vmscm_tar_walk, and VMSCM_EREFUSED: two members of one name, more than
 * VMSCM_MEMBERS_MAX. What macOS adds is left out. */
int vmscm_members_open_tar(struct vmscm_members **out, const char *path, struct vmscm_error *err);
/* The files below a directory. */
int vmscm_members_open_dir(struct vmscm_members **out, const char *path, struct vmscm_error *err);
/* None yet. */
int vmscm_members_new(struct vmscm_members **out, struct vmscm_error *err);
void vmscm_members_close(struct vmscm_members *members); /* NULL is fine */

/* A file that was made by us for a member. Errors as of a tar's. */
int vmscm_members_add(struct vmscm_members *members, const char *name, const char *path,
    struct vmscm_error *err);
/* After the last one: sort them, so that they can be found; VMSCM_EREFUSED: two of one name. where:
 * for messages. */
int vmscm_members_settle(struct vmscm_members *members, const char *where, struct vmscm_error *err);

/* VMSCM_ENOTFOUND: there is none; VMSCM_EREFUSED: the name leaves the bundle, or it is no regular file. */
int vmscm_members_find(const struct vmscm_member **out, struct vmscm_members *members,
    const char *name, struct vmscm_error *err);

/* The names that are there: of a directory only those in itself, not below. The first non-zero from each
 * ends it and is returned. */
int vmscm_members_walk(struct vmscm_members *members,
    int (*each)(void *data, const char *name, struct vmscm_error *err), void *data,
    struct vmscm_error *err);

/* The same, with those of a directory that are in up to three folders; what is a link is not followed. */
int vmscm_members_walk_all(struct vmscm_members *members,
    int (*each)(void *data, const char *name, struct vmscm_error *err), void *data,
    struct vmscm_error *err);

/* Open it for reading: *fd is the caller's. VMSCM_EBUSY: another file is there now. */
int vmscm_members_open(int *fd, const struct vmscm_member *member, struct vmscm_error *err);
/* All of a small one, appended to buf; VMSCM_EINPUT if it is over max bytes. */
int vmscm_members_read(struct vmscm_buf *buf, const struct vmscm_member *member, size_t max,
    struct vmscm_error *err);

/* What a Mac adds to every archive: "._NAME", "__MACOSX/", ".DS_Store". */
bool vmscm_members_is_noise(const char *name);

#endif
