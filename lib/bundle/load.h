/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A bundle on its way in: what its kind's reader finds in its members becomes a machine, where its disks
 * are, and the files to keep. Internal to lib/bundle.
 */
#ifndef BUNDLE_LOAD_H
#define BUNDLE_LOAD_H

#include "base/vec.h"
#include "bundle/members.h"
#include "image/blockdev.h"
#include "repo/intake.h"
#include <vmscm/bundle.h>

#define VMSCM_LOAD_KEEP_MAX (16u << 20)     /* bytes of a file that is kept */
#define VMSCM_LOAD_KEEP_ALL_MAX (64u << 20) /* of all of them */

/* Where a disk of the machine is. */
struct vmscm_load_disk {
    char *name; /* as the bundle calls it, for messages */
    char *path; /* the image file, or what it is in; NULL: see device */
    uint64_t offset, length; /* length 0: all of it */
    const char *format; /* static; NULL: by its content */
    struct vmscm_blockdev *device; /* the disk itself; owned */
    dev_t dev; /* of the file that was found, as its members say */
    ino_t ino; /* 0: not known */
};

struct vmscm_load {
    const char *path; /* as the user gave it */
    char *archive; /* the tar archive it is in, unpacked if need be; NULL: it is in none, or see packed */
    bool packed; /* path is a tar archive that is compressed, and is read as it is */
    const char *main; /* the descriptor's name among the members */
    struct vmscm_members *members;
    const char *repo; /* a repository's directory: scratch files are made in its tmp/ */
    const struct vmscm_bundle_options *options;
    const struct vmscm_events *events;
    unsigned jobs;

    char *scratch; /* directory of scratch files; NULL: none yet */
    int scratch_lock;
    unsigned scratch_files;

    struct vmscm_machine *machine;
    VMSCM_VEC(struct vmscm_load_disk) disks; /* parallel to the machine's */
    VMSCM_VEC(struct vmscm_intake_file) files; /* names and contents owned */
    uint64_t kept; /* bytes of them */
};

/* Frees all but the members, and removes the scratch files. */
void vmscm_load_release(struct vmscm_load *load);

/* The name of a scratch file that is not there yet; the caller's. */
int vmscm_load_scratch(char **path, struct vmscm_load *load, struct vmscm_error *err);

/* The next disk is this member. */
int vmscm_load_add_member(struct vmscm_load *load, const struct vmscm_member *member,
    const char *format, struct vmscm_error *err);
/* The next disk is this file of ours, which holds what the bundle calls name. Takes path over. */
int vmscm_load_add_file(struct vmscm_load *load, const char *name, char *path, const char *format,
    struct vmscm_error *err);
/* The next disk is this device. Takes it over. */
int vmscm_load_add_device(struct vmscm_load *load, const char *name,
    struct vmscm_blockdev *device, struct vmscm_error *err);
/* The next disk is all zeros. */
int vmscm_load_add_empty(struct vmscm_load *load, const char *name, uint64_t size,
    struct vmscm_error *err);

/* Keep a member as it is below config/. What is too long, or has a name that history cannot keep, is left
 * out, with a warning. */
int vmscm_load_keep(struct vmscm_load *load, const struct vmscm_member *member,
    struct vmscm_error *err);

/* The same of what is in memory. */
int vmscm_load_keep_bytes(struct vmscm_load *load, const char *name, const void *bytes, size_t len,
    struct vmscm_error *err);

/* "DIR/" of a descriptor, or "": what the names in it count from. *out is the caller's. */
int vmscm_load_folder(char **out, const char *name, struct vmscm_error *err);

/* A member that a descriptor in that folder names. VMSCM_EREFUSED, VMSCM_ENOTFOUND: as
 * vmscm_members_find. */
int vmscm_load_find(const struct vmscm_member **out, struct vmscm_load *load, const char *folder,
    const char *name, struct vmscm_error *err);

#endif
