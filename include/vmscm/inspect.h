/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is inside a revision's disks: facts, as JSON, that an inspection found and that are kept for the
 * content of the disks. So every revision with the same disks has them, and they travel with history.
 *
 * The form of facts is vmscm-format-facts(5). What inspects is a program of its own, not this library.
 * Thread safety: as the repository's.
 */
#ifndef VMSCM_INSPECT_H
#define VMSCM_INSPECT_H

#include <stddef.h>
#include <vmscm/error.h>
#include <vmscm/revision.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMSCM_INSPECT_SCHEMA 1

/*
 * What facts are kept for: into key, which has room for VMSCM_ID_HEX + 1 bytes. Revisions with the same
 * disks have the same.
 * Errors: VMSCM_ENOTFOUND: the revision has no disks; VMSCM_EDAMAGED.
 */
VMSCM_API int vmscm_inspect_key(char *key, struct vmscm_revision *rev, struct vmscm_error *err);

/*
 * The facts about a revision, one line of JSON, into *facts, which is the caller's (vmscm_free). Of
 * several, the newest that did not fail, else the newest failure.
 * Errors: VMSCM_ENOTFOUND: there are none that this library knows how to read; VMSCM_EDAMAGED.
 */
VMSCM_API int vmscm_inspect_read(char **facts, struct vmscm_revision *rev,
    struct vmscm_error *err);

/*
 * Keep facts about a revision: size bytes of JSON, which are checked.
 * Errors: VMSCM_EINPUT: they are not what vmscm-format-facts(5) says; VMSCM_EUNSUPPORTED: of another
 * schema; VMSCM_ENOTFOUND: the revision has no disks; VMSCM_EREFUSED: the repository is not written to.
 */
VMSCM_API int vmscm_inspect_record(struct vmscm_revision *rev, const void *facts, size_t size,
    struct vmscm_error *err);

/*
 * Facts in a few words, "Debian GNU/Linux 12, x86_64", into *out, the caller's (vmscm_free). They have what
 * guests say: clean them before they are printed.
 * Errors: as vmscm_inspect_record's about facts.
 */
VMSCM_API int vmscm_inspect_summary(char **out, const char *facts, struct vmscm_error *err);

enum vmscm_inspect_kind {
    VMSCM_INSPECT_ADDED,
    VMSCM_INSPECT_REMOVED,
    VMSCM_INSPECT_CHANGED,
    VMSCM_INSPECT_UPGRADED, /* packages: to a version that is newer by the rules of the system's packages */
    VMSCM_INSPECT_DOWNGRADED,
};

/* What differs between two inspections. All of it lives during the call only. Text is others': clean it. */
struct vmscm_inspect_change {
    const char *system; /* the device of the operating system it is in; "": it is in none */
    const char *title;  /* that one's product, or its distribution, afterwards; "" */
    const char *what;   /* "system", "package", "user", "group", "service", "kernel", "network",
                         * "nameserver", "swap", "agent", "license", "filesystem" */
    enum vmscm_inspect_kind kind;
    const char *name;
    const char *before; /* a version, or what is said of it, maybe ""; NULL: it was not there */
    const char *after;  /* likewise */
};

/*
 * Calls each(data, change) for what differs between two documents of facts, by systems, kinds and names; a
 * non-zero return ends it and is returned. Errors: as vmscm_inspect_record's about facts.
 */
VMSCM_API int vmscm_inspect_compare(const char *before, const char *after,
    int (*each)(void *data, const struct vmscm_inspect_change *change), void *data,
    struct vmscm_error *err);

/* *automatic: whether what is checked in is to be looked into in the background: inspect.auto, which is
 * true unless set. Errors: VMSCM_EUSAGE: it is set to something else. */
VMSCM_API int vmscm_inspect_automatic(int *automatic, struct vmscm_repo *repo,
    struct vmscm_error *err);

/* The right to inspect in this repository, which one process has at a time. */
struct vmscm_inspect_turn;
/* VMSCM_EBUSY if another has it. */
VMSCM_API int vmscm_inspect_begin(struct vmscm_inspect_turn **out, struct vmscm_repo *repo,
    struct vmscm_error *err);
VMSCM_API void vmscm_inspect_end(struct vmscm_inspect_turn *turn); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
