/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checking a repository. */
#ifndef VMSCM_FSCK_H
#define VMSCM_FSCK_H

#include <stdint.h>
#include <vmscm/error.h>
#include <vmscm/events.h>
#include <vmscm/repo.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmscm_fsck_options {
    int full;         /* also read and hash every record of every pack, or, with a spec, all that it
                         needs */
    unsigned jobs;    /* 0: core.jobs, or one a core */
    const char *spec; /* only this machine's history, or this revision alone if it is written as
                         one; NULL: everything */
};

struct vmscm_fsck_finding {
    const char *object;   /* a path relative to the repository, or a revision's id */
    const char *text;     /* what is wrong with it */
    const char *hint;     /* what can be done about it; NULL */
    int note;             /* 1: no damage, only worth knowing */
    const char *machine;  /* whose revision it touches; NULL if not known */
    const char *revision; /* 40 hex digits; NULL */
    const char *disk;     /* NULL */
    uint64_t offset;      /* of the disk's bytes that are touched */
    uint64_t length;      /* 0 if there are none */
};

struct vmscm_fsck_result {
    uint64_t findings;
    uint64_t notes;
    uint64_t machines;
    uint64_t revisions;
    uint64_t packs;
    uint64_t records;
    uint64_t bytes; /* read from packs */
    uint64_t elsewhere; /* leaves and chunks that are not here since a remote has them: no findings */
};

/* Calls found(data, finding) for each damage and note. Returns 0 with result->findings 0 if all is well,
 * VMSCM_EDAMAGED if anything was found; another code if it could not look. */
VMSCM_API int vmscm_fsck(struct vmscm_repo *repo, const struct vmscm_fsck_options *options,
    const struct vmscm_events *events, void (*found)(void *, const struct vmscm_fsck_finding *),
    void *data, struct vmscm_fsck_result *result, struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
