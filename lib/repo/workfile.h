/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file .vmscm-checkout in a checkout: where it came from, and what its files looked like when
 * they were written. JSON, specified in vmscm-format-repository(5). While a checkout is being made
 * the same contents are in .vmscm-partial/checkout.
 */
#ifndef REPO_WORKFILE_H
#define REPO_WORKFILE_H

#include "base/error.h"
#include "base/vec.h"
#include "store/pin.h"
#include <stdbool.h>
#include <stdint.h>

#define VMSCM_WORKFILE_NAME ".vmscm-checkout"
#define VMSCM_WORKFILE_PARTIAL ".vmscm-partial"
#define VMSCM_WORKFILE_STATE "checkout" /* in it: what is being checked out */
#define VMSCM_WORKFILE_MAX (4u << 20)

/* One file of a disk. */
struct vmscm_workfile_file {
    char *name; /* relative to the checkout, confined */
    uint64_t size;
    int64_t mtime_ns, ctime_ns; /* since 1970 */
    uint64_t inode;
};

struct vmscm_workfile_disk {
    char *id;
    char *format;
    uint64_t size; /* bytes the guest sees */
    char *bitmap;  /* qcow2: name of the dirty bitmap that was made at the base; NULL: none */
    VMSCM_VEC(struct vmscm_workfile_file) files; /* [0] is the one to open */
};

/* A thin checkout: its disks are overlays, but for those that have no backing file any more. */
struct vmscm_workfile_thin {
    char *socket;  /* where the revision below them is served; NULL: this is none */
    char base[41]; /* that revision: what `base` was when they were made */
    char pin[VMSCM_PIN_NAME];
};

struct vmscm_workfile {
    char *repository; /* absolute path */
    char *machine;
    char base[41];
    int64_t clock; /* the file system's, before the files were looked at; 0: not known */
    struct vmscm_workfile_thin thin;
    char *request; /* --format and -o as given: a resumed checkout must ask for the same */
    VMSCM_VEC(struct vmscm_workfile_disk) disks;
};

/* dir: the checkout. VMSCM_ENOTFOUND: no such file in it; VMSCM_EDAMAGED. */
int vmscm_workfile_read(struct vmscm_workfile *work, const char *dir, struct vmscm_error *err);
int vmscm_workfile_read_at(struct vmscm_workfile *work, const char *dir, const char *name,
    struct vmscm_error *err); /* name: such a file's, below dir */
int vmscm_workfile_read_partial(struct vmscm_workfile *work, const char *dir,
    struct vmscm_error *err);
int vmscm_workfile_write(const struct vmscm_workfile *work, const char *dir,
    struct vmscm_error *err);
int vmscm_workfile_write_partial(const struct vmscm_workfile *work, const char *dir,
    struct vmscm_error *err);
/* The contents of such a file. */
int vmscm_workfile_decode(struct vmscm_workfile *work, const void *data, size_t len,
    struct vmscm_error *err);
void vmscm_workfile_release(struct vmscm_workfile *work);

/* A copy of what another says of that. */
int vmscm_workfile_set_thin(struct vmscm_workfile *work, const struct vmscm_workfile_thin *thin,
    struct vmscm_error *err);

/* Append a disk with copies of these. */
int vmscm_workfile_add_disk(struct vmscm_workfile_disk **out, struct vmscm_workfile *work,
    const char *id, const char *format, uint64_t size, struct vmscm_error *err);

/* Append a file to a disk and record how it looks now. */
int vmscm_workfile_add_file(struct vmscm_workfile_disk *disk, const char *dir, const char *name,
    struct vmscm_error *err);

/* Whether a file still looks as recorded. *missing: it is not there. */
bool vmscm_workfile_same(const struct vmscm_workfile_file *file, const char *dir, bool *missing);

/* Set work->clock: wait, a few milliseconds, until the file system's clock is past the last change
 * of every file, so that any later change shows. Where it does not get there, as with whole
 * seconds, the files prove nothing. */
void vmscm_workfile_settle(struct vmscm_workfile *work, const char *dir);

/* Whether the disk's files all look as recorded, and would not if they had been written to. */
bool vmscm_workfile_proves(const struct vmscm_workfile *work,
    const struct vmscm_workfile_disk *disk, const char *dir);

#endif
