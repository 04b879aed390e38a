/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a repository holds and what it costs. */
#ifndef VMSCM_STATS_H
#define VMSCM_STATS_H

#include <stdint.h>
#include <vmscm/error.h>
#include <vmscm/repo.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmscm_stats {
    uint64_t machines;
    uint64_t revisions;     /* reachable from machines and tags */
    uint64_t pruned;        /* of those: their disks' data is no longer kept, nor counted */
    uint64_t tags;
    uint64_t guest_bytes;   /* of all other reachable revisions' disks, as the guests see them */
    uint64_t data_bytes;    /* of those, not zero runs, as far as is known here: see elsewhere */
    uint64_t unique_bytes;  /* plain bytes of all stored chunks */
    uint64_t chunks;        /* stored */
    uint64_t leaves;        /* stored */
    uint64_t packs;
    uint64_t pack_bytes;    /* files, indexes inside them included */
    uint64_t index_bytes;   /* of pack footers and multi-pack indexes */
    uint64_t history_bytes; /* the git directory */
    uint64_t temporary_bytes; /* tmp, quarantine and trash */
    uint64_t garbage_bytes;   /* of pack_bytes, what no revision needs, about: vmscm_gc gives it back.
                                 VMSCM_STATS_UNKNOWN if something that is needed is missing */
    /* Of a lazy repository; else 0. */
    uint64_t elsewhere;   /* leaves, each of 16 MiB of a disk, that only its remote has */
    uint64_t cache_packs; /* of what was brought from there, and may go */
    uint64_t cache_bytes; /* their size; in none of the above */
};

#define VMSCM_STATS_UNKNOWN UINT64_MAX


VMSCM_API int vmscm_stats(struct vmscm_stats *out, struct vmscm_repo *repo,
    struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
