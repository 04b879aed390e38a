/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finding revisions by what is inside them, and by what is said of them. The language is that of
 * vmscm-search(1). The first search after history changed reads what is new into the repository's catalog,
 * which may be removed at any time.
 *
 * Thread safety: as the repository's.
 */
#ifndef VMSCM_SEARCH_H
#define VMSCM_SEARCH_H

#include <stddef.h>
#include <stdint.h>
#include <vmscm/error.h>
#include <vmscm/repo.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A revision that matches. All of it lives during the call only. Text is others': clean it. */
struct vmscm_search_hit {
    const char *id;      /* 40 hex digits */
    const char *machine; /* whose tip it is, or whose history holds it; NULL: only a tag leads to it */
    int64_t time;        /* of the author, seconds since 1970 */
    const char *author;  /* "Name <email>" */
    const char *message;
    const char *summary; /* of the facts about it; "" if there are none */
    const char *const *why; /* what matched, in the order of the query */
    size_t why_count;
};

/*
 * Calls each(data, hit) for every revision that matches, in order of machines, the newest first: machines'
 * tips, or with history all revisions. A non-zero return ends the search and is returned.
 * Errors: VMSCM_EUSAGE: what is wrong with the query, with its column; VMSCM_EIO; VMSCM_EBUSY: another
 * process has been bringing the catalog up to date for long.
 */
VMSCM_API int vmscm_search(struct vmscm_repo *repo, const char *query, int history,
    int (*each)(void *data, const struct vmscm_search_hit *hit), void *data,
    struct vmscm_error *err);

/* Which revisions by what is known about their disks. */
enum vmscm_pending {
    VMSCM_PENDING_NEVER,  /* no facts that this library knows how to read */
    VMSCM_PENDING_FAILED, /* these, and those whose inspection failed */
    VMSCM_PENDING_ALL,    /* all that have disks */
};

/*
 * Calls each(data, id) for every such revision in the machines' histories, the newest first; several may
 * have the same disks, and some may be pruned. A non-zero return ends it and is returned. What takes time
 * is for afterwards: the catalog is held meanwhile.
 * Errors: as vmscm_search's.
 */
VMSCM_API int vmscm_pending_list(struct vmscm_repo *repo, enum vmscm_pending which,
    int (*each)(void *data, const char *id), void *data, struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
