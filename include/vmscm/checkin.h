/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checking a machine in: reading its disks, storing what is new, recording a revision. */
#ifndef VMSCM_CHECKIN_H
#define VMSCM_CHECKIN_H

#include <stddef.h>
#include <stdint.h>
#include <vmscm/error.h>
#include <vmscm/events.h>
#include <vmscm/repo.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Overrides of the refusals in vmscm-checkin(1), or-ed together. */
enum vmscm_allow {
    VMSCM_ALLOW_OUTSIDE = 1,   /* backing and data files outside the image's own directory */
    VMSCM_ALLOW_AMBIGUOUS = 2, /* a file that is of two formats at once (needs a format too) */
};

/* One disk to check in. */
struct vmscm_checkin_disk {
    const char *path;   /* the image file */
    const char *id;     /* its id in the machine; NULL: taken from the parent, the config, or made */
    const char *format; /* force a format instead of probing; NULL: probe */
    uint64_t offset;    /* of the image in the file, which may be an archive; it then can have no */
    uint64_t length;    /* other files. Both 0: all of it; length 0: up to the end */
};

struct vmscm_checkin_options {
    const char *message;       /* NULL: none */
    const char *config;        /* path of a libvirt domain XML; NULL: keep the parent's, or make one */
    const char *expected_base; /* 40 hex digits: refuse with VMSCM_ECONFLICT unless the machine's tip
                                  is this revision; "": refuse with VMSCM_EEXIST if the machine
                                  exists; NULL: build on whatever the tip is */
    const char *parent;        /* 40 hex digits: the new revision's parent if it is not the tip;
                                  NULL: the tip. With it, an existing tip is not lost: it becomes a
                                  second parent. */
    int compression_level;     /* zstd level; 0: core.compression, or 3 */
    unsigned jobs;             /* worker threads; 0: core.jobs, or one a core */
    unsigned allow;            /* enum vmscm_allow */
    int reread;                /* 1: read every disk whole, whatever is known to be unchanged */
};

struct vmscm_checkin_result {
    char id[41];            /* the new revision; the tip's if unchanged */
    int unchanged;          /* 1: nothing differs from the parent; no revision was made */
    uint64_t size;          /* bytes of guest address space */
    uint64_t read;          /* bytes read and hashed; holes and what is known to be unchanged are
                               not */
    uint64_t fresh;         /* bytes of those that the repository did not have */
    uint64_t stored;        /* bytes added to packs, map leaves included */
    uint64_t chunks;        /* chunks read */
    uint64_t fresh_chunks;  /* of those, new */
    double seconds;
};

/*
 * Check machine `name` in from disk images. Nothing is visible until it returns 0; after that it
 * survives kill -9 and power loss. What complete packs an interrupted check-in left are used again.
 * A disk of a checkout, and an overlay on one, is read only where it may have changed: see
 * vmscm-checkin(1).
 * `result` may be NULL. Errors: VMSCM_EUSAGE (name, two disks with one id), VMSCM_EINPUT (a source
 * that is no image, truncated, empty), VMSCM_EREFUSED (unsafe image), VMSCM_EBUSY (changed while
 * read, in use), VMSCM_ECONFLICT, VMSCM_ECANCELED, VMSCM_EIO, VMSCM_ETOOL, VMSCM_EDAMAGED.
 */
VMSCM_API int vmscm_checkin(struct vmscm_repo *repo, const char *name,
    const struct vmscm_checkin_disk *disks, size_t disk_count,
    const struct vmscm_checkin_options *options, const struct vmscm_events *events,
    struct vmscm_checkin_result *result, struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
