/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A revision on its way out: what every format's writer gets, and how files of a bundle are written.
 * Internal to lib/bundle.
 */
#ifndef BUNDLE_EXPORT_H
#define BUNDLE_EXPORT_H

#include "base/buf.h"
#include "base/vec.h"
#include "codec/digest.h"
#include "image/blockdev.h"
#include <vmscm/bundle.h>

/* A small file that an archive has besides. */
struct vmscm_export_beside {
    const char *name; /* static */
    struct vmscm_buf bytes;
};

struct vmscm_export {
    struct vmscm_revision *rev;
    const struct vmscm_machine *machine;
    struct vmscm_blockdev **disks; /* parallel to the machine's */
    const struct vmscm_bundle_export_options *options;
    const struct vmscm_events *events;
    unsigned jobs;
    int level;
    char *stem;    /* what the bundle's files are called after */
    char *place;   /* absolute: the directory in which the files will be; NULL: to fd */
    char *dir;     /* NULL: to fd; else files are made in this directory, and moved when done */
    int fd;
    VMSCM_VEC(char *) made; /* names of the files in dir, the one that counts last */
    VMSCM_VEC(struct vmscm_export_beside) beside;
    uint64_t done, total;   /* of all that is to be read */
    uint64_t written;
};

/* Writes one file, or counts and digests what it would be: zero-initialised but for export, it only
 * counts. */
struct vmscm_export_file {
    struct vmscm_export *export;
    int fd;             /* written to if `writes` */
    bool writes;
    bool in_place;      /* at `at`, not where fd stands */
    uint64_t at;
    uint64_t size;      /* bytes put so far */
    struct vmscm_digest *digest; /* of them; NULL: none is wanted */
};

/* A callback for writers: data is the struct vmscm_export_file. */
int vmscm_export_put(void *data, const void *bytes, size_t len, struct vmscm_error *err);

/* The path of a file NAME that is about to be made in x->dir; the caller's. */
int vmscm_export_name(char **path, struct vmscm_export *x, const char *name, struct vmscm_error *err);
/* Make the file NAME in x->dir, for writing. */
int vmscm_export_create(int *fd, struct vmscm_export *x, const char *name, struct vmscm_error *err);
/* Sync and close it. */
int vmscm_export_close(int *fd, const char *name, struct vmscm_error *err);

/* Tell of progress: so much of the disk at hand is done. Non-zero: canceled. */
int vmscm_export_progress(struct vmscm_export *x, const char *disk, uint64_t done);

/* What files are called after: a plain word of a name (NULL: there is none). The caller's. */
int vmscm_export_stem(char **stem, const char *name, struct vmscm_error *err);

/* The recorded configuration file whose path ends so, if there is just one; *bytes NULL: there is none. The
 * caller's. */
int vmscm_export_config(void **bytes, size_t *size, struct vmscm_export *x, const char *suffix,
    struct vmscm_error *err);

/* Say what is lost, and append it to notes. */
int vmscm_export_loss(struct vmscm_export *x, struct vmscm_buf *notes, const char *text,
    struct vmscm_error *err);

#endif
