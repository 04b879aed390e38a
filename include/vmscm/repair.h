/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Repairing a repository. */
#ifndef VMSCM_REPAIR_H
#define VMSCM_REPAIR_H

#include <stddef.h>
#include <vmscm/fsck.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmscm_repair_options {
    unsigned jobs;           /* 0: core.jobs, or one a core */
    const char *const *from; /* what may still have the data that is lost: paths of repositories and
                                of disk images */
    size_t from_count;
};

/* Something that was done, or left undone. */
struct vmscm_repair_action {
    const char *object; /* a path relative to the repository, or of a source */
    const char *text;
};

struct vmscm_repair_result {
    uint64_t set_aside; /* files moved to damaged/ */
    uint64_t saved;     /* chunks and leaves copied out of damaged packs */
    uint64_t restored;  /* chunks, leaves and objects of history taken from the sources */
    struct vmscm_fsck_result left; /* of the check afterwards; records and bytes are those of the one
                                      before */
};

/*
 * The first step, before the repository is opened, which fails if an index of one of git's packs is
 * damaged: such indexes are made anew from their packs; of packs that are damaged, good objects become
 * files of their own. What is damaged goes to damaged/. path: of the repository, as vmscm_repo_discover
 * has it; nothing in this process has it open. *set_aside (may be NULL): files that were. Errors as
 * below.
 */
VMSCM_API int vmscm_repair_prepare(const char *path, const struct vmscm_events *events,
    void (*done)(void *, const struct vmscm_repair_action *), void *data, uint64_t *set_aside,
    struct vmscm_error *err);

/*
 * All other steps. Read every pack; copy what is good in damaged ones into new packs, and move them to
 * damaged/; write damaged multi-pack indexes anew. Objects of history that are missing or damaged are
 * taken from the sources. Take what is then still missing in revisions from damaged/, trash/ and the
 * sources: nothing is believed that does not have the hash it should. Then check history again, and
 * call found for what remains. Nothing is removed, and nothing moved before what is good in it is
 * durable elsewhere; it can be interrupted at any point and run again, beside readers and writers.
 *
 * Each call of done tells of one action. Returns 0 if all is well afterwards, VMSCM_EDAMAGED if findings
 * remain; VMSCM_EBUSY if gc or another repair is at work; VMSCM_EINPUT, VMSCM_EREFUSED and others if a
 * source cannot be used, before anything is done.
 */
VMSCM_API int vmscm_repair(struct vmscm_repo *repo, const struct vmscm_repair_options *options,
    const struct vmscm_events *events, void (*done)(void *, const struct vmscm_repair_action *),
    void (*found)(void *, const struct vmscm_fsck_finding *), void *data,
    struct vmscm_repair_result *result, struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
