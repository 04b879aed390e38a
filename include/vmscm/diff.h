/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What differs between two revisions: configuration, and each disk's bytes. */
#ifndef VMSCM_DIFF_H
#define VMSCM_DIFF_H

#include <stddef.h>
#include <stdint.h>
#include <vmscm/error.h>
#include <vmscm/revision.h>

#ifdef __cplusplus
extern "C" {
#endif

enum vmscm_diff_kind { VMSCM_DIFF_SAME, VMSCM_DIFF_CHANGED, VMSCM_DIFF_ADDED, VMSCM_DIFF_REMOVED };

struct vmscm_diff_field {
    const char *path;   /* e.g. "memory", "disks.sda.bus", "config/domain.xml" */
    const char *before; /* NULL: was not there */
    const char *after;  /* NULL: is not there now */
};

/* Bytes of the guest's address space that are in different chunks. A change of one byte shows as
 * its whole chunk: the granularity is that of the store, 4 KiB blocks up to 256 KiB. */
struct vmscm_diff_range {
    uint64_t offset;
    uint64_t length;
};

struct vmscm_diff_disk {
    const char *id;
    enum vmscm_diff_kind kind;
    uint64_t before_size; /* 0 if added */
    uint64_t after_size;  /* 0 if removed */
    uint64_t changed;     /* bytes in the ranges */
    uint64_t stored;      /* bytes in packs of the chunks that, of the segments that differ, only
                             `after` has; 0 in a brief diff */
    int at_most;          /* 1: of a brief diff, `changed` may be less: of segments whose leaves are not
                             here, all of their length counts */
    const struct vmscm_diff_range *ranges;
    size_t range_count;
};

struct vmscm_diff_sink {
    void *data;
    int (*field)(void *data, const struct vmscm_diff_field *field); /* non-zero ends the diff */
    int (*disk)(void *data, const struct vmscm_diff_disk *disk);    /* same disks are told too */
    int brief; /* 1: how much differs is enough. Nothing is looked for that the repository lacks, as it is
                  lazy or the revision was pruned, and what is stored is not counted. */
};

/* *differs becomes 1 if anything does. Compares leaves; reads no chunk. */
VMSCM_API int vmscm_diff(struct vmscm_revision *before, struct vmscm_revision *after,
    const struct vmscm_diff_sink *sink, int *differs, struct vmscm_error *err);

/*
 * What differs between two texts, as a unified diff without its two first lines, which name them:
 * each(data, text, size) is called with pieces of it, in order; a non-zero return ends it and is returned.
 * Nothing is said if they are the same, and if one is no text, which *binary tells. Texts may be NULL if
 * their sizes are 0.
 * Thread safety: any. Errors: VMSCM_ENOMEM.
 */
VMSCM_API int vmscm_diff_text(int *binary, const void *before, size_t before_size, const void *after,
    size_t after_size, int (*each)(void *data, const char *text, size_t size), void *data,
    struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
