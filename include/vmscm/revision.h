/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Revisions and the names that lead to them: machines, tags, comments, history.
 *
 * A revision is written MACHINE, MACHINE:TAG, either followed by any of ~N, ^, @{N}, @{DATE}; or as
 * a commit id or a unique prefix of one, of at least 4 hexadecimal digits, followed by ~N or ^.
 * Where there is no such machine here, REMOTE/MACHINE is what is remembered of a remote's.
 */
#ifndef VMSCM_REVISION_H
#define VMSCM_REVISION_H

#include <stddef.h>
#include <stdint.h>
#include <vmscm/error.h>
#include <vmscm/machine.h>
#include <vmscm/repo.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMSCM_ID_HEX 40 /* hexadecimal digits of a commit id */

/* Who did something, and when. */
struct vmscm_signature {
    const char *name;
    const char *email;
    int64_t time;   /* seconds since 1970 */
    int offset;     /* minutes east of UTC */
};

/* An immutable state of a machine. Opaque; free with vmscm_revision_free. */
struct vmscm_revision;

/*
 * Look up a revision by what a user writes.
 * Errors: VMSCM_ENOTFOUND, with the nearest machine names or the machine's tags as a hint;
 * VMSCM_EUSAGE: malformed, or an ambiguous prefix (the candidates are the hint); VMSCM_EDAMAGED.
 */
VMSCM_API int vmscm_revision_resolve(struct vmscm_revision **out, struct vmscm_repo *repo,
    const char *spec, struct vmscm_error *err);
VMSCM_API void vmscm_revision_free(struct vmscm_revision *rev); /* NULL is fine */

/* Getters borrow from the revision. */
VMSCM_API const char *vmscm_revision_id(const struct vmscm_revision *rev); /* 40 hex digits */
/* The machine it was looked up under; for one looked up by id, a machine whose history holds it,
 * or NULL if none does. */
VMSCM_API const char *vmscm_revision_machine_name(const struct vmscm_revision *rev);
VMSCM_API const char *vmscm_revision_message(const struct vmscm_revision *rev);
VMSCM_API struct vmscm_signature vmscm_revision_author(const struct vmscm_revision *rev);
VMSCM_API size_t vmscm_revision_parent_count(const struct vmscm_revision *rev);
VMSCM_API const char *vmscm_revision_parent(const struct vmscm_revision *rev, size_t n);

/* The machine as recorded; read on first use. Errors: VMSCM_EDAMAGED. */
VMSCM_API int vmscm_revision_machine(const struct vmscm_machine **out, struct vmscm_revision *rev,
    struct vmscm_error *err);

/* 0 if its machine has disks that something could attach. VMSCM_EUNSUPPORTED: it is a container, see
 * vmscm_machine_is_container, and the hint says what can be done with it. Others as of the machine. */
VMSCM_API int vmscm_revision_check_disks(struct vmscm_revision *rev, struct vmscm_error *err);

/* The vendor's own files that were recorded: each(data, path, size) for every file under config/,
 * path relative to it. A non-zero return ends the walk and is returned. */
VMSCM_API int vmscm_revision_config_files(struct vmscm_revision *rev,
    int (*each)(void *data, const char *path, uint64_t size), void *data, struct vmscm_error *err);

/* Contents of one of them; *bytes is the caller's, NUL-terminated past *size. At most 64 MiB. */
VMSCM_API int vmscm_revision_config_read(void **bytes, size_t *size, struct vmscm_revision *rev,
    const char *path, struct vmscm_error *err);

/* Whether it was pruned, vmscm-prune(1): *pruned is 1, and its disks' data is no longer kept. *by
 * says who did it and when, *rule by which rules; either may be NULL. What they hold lives as long as
 * the revision. Errors: VMSCM_EDAMAGED. */
VMSCM_API int vmscm_revision_pruned(int *pruned, struct vmscm_signature *by, const char **rule,
    struct vmscm_revision *rev, struct vmscm_error *err);

/* How much of a revision's disks can be read without the remote of a lazy repository, in bytes of guest
 * data; what several segments or disks share is counted for each. */
struct vmscm_revision_here {
    int lazy;      /* 0: the repository lacks nothing, and nothing was counted */
    uint64_t here; /* in the repository or in its cache, from where it may be evicted */
    uint64_t away; /* only at the remote */
    int at_most;   /* 1: away may be less: of segments of which nothing is here, all of their length
                    * counts, as it is not known where they have data */
};

/* Asks nobody. It looks at every chunk that is here: some seconds for a TiB. VMSCM_ENOTFOUND if rev was
 * pruned; VMSCM_EDAMAGED. */
VMSCM_API int vmscm_revision_here(struct vmscm_revision_here *out, struct vmscm_revision *rev,
    struct vmscm_error *err);

/* Calls each(data, rev) for rev and then its ancestors along first parents, newest first, at most
 * max of them (0: all). The revision passed lives during the call. Non-zero ends the walk and is
 * returned. */
VMSCM_API int vmscm_revision_log(struct vmscm_revision *rev, size_t max,
    int (*each)(void *data, struct vmscm_revision *rev), void *data, struct vmscm_error *err);

/* Names of a revision: each(data, machine, tag) for every machine whose tip it is (tag NULL) and
 * every tag that names it. */
VMSCM_API int vmscm_revision_names(struct vmscm_revision *rev,
    int (*each)(void *data, const char *machine, const char *tag), void *data,
    struct vmscm_error *err);

/* From now on vmscm_revision_names tells, for all revisions of repo, the names there are at this
 * moment, without looking again, and vmscm_revision_pruned what is pruned: for showing many. May be
 * called again. */
VMSCM_API int vmscm_revision_names_hold(struct vmscm_repo *repo, struct vmscm_error *err);

/* What the machine list tells of each. */
struct vmscm_machine_entry {
    const char *name;
    const char *id;      /* its tip, 40 hex digits; NULL if the ref is damaged */
    const char *summary; /* first line of the tip's message */
    int64_t time;        /* the tip's author time */
    size_t disk_count;
    uint64_t size; /* bytes its disks hold as the guest sees them */
    int pruned; /* 1: its tip's data is no longer kept; only other tools can make that so */
    const char *damage; /* NULL, or why the rest could not be read */
};

/* Every machine, sorted by name; pattern (glob, NULL: all) selects. */
VMSCM_API int vmscm_revision_machines(struct vmscm_repo *repo, const char *pattern,
    int (*each)(void *data, const struct vmscm_machine_entry *entry), void *data,
    struct vmscm_error *err);

/* True (1) if name can be a machine's: UTF-8 of at most 200 bytes; components separated by '/',
 * none empty, starting with '-' or '.', or ending with ".lock" or '.'; no control character,
 * space, or any of ~ ^ : ? * [ \ @{ "..". err says what is wrong. */
VMSCM_API int vmscm_revision_name_check(const char *name, struct vmscm_error *err);

/* Point new machine `name` at rev; no storage. VMSCM_EEXIST if it is taken; VMSCM_ENOTFOUND if rev
 * was pruned. */
VMSCM_API int vmscm_revision_clone(struct vmscm_revision *rev, const char *name,
    struct vmscm_error *err);

/* Rename a machine with its tags and reflog. VMSCM_EEXIST, VMSCM_ENOTFOUND. */
VMSCM_API int vmscm_revision_rename(struct vmscm_repo *repo, const char *from, const char *to,
    struct vmscm_error *err);

/* Remove a machine and its tags. id (41 bytes) gets the tip it had. VMSCM_ENOTFOUND. */
VMSCM_API int vmscm_revision_remove(char *id, struct vmscm_repo *repo, const char *name,
    struct vmscm_error *err);

/* Tags. The machine is the one rev was looked up under. message may be NULL (""). With force an
 * existing tag is moved; otherwise VMSCM_EEXIST. VMSCM_ENOTFOUND if rev was pruned. */
VMSCM_API int vmscm_revision_tag(struct vmscm_revision *rev, const char *tag, const char *message,
    int force, struct vmscm_error *err);
VMSCM_API int vmscm_revision_untag(struct vmscm_repo *repo, const char *machine, const char *tag,
    struct vmscm_error *err);

struct vmscm_tag_entry {
    const char *machine;
    const char *tag;
    const char *id; /* the revision's */
    int pruned;     /* 1: the revision's data is no longer kept */
    const char *message;
    struct vmscm_signature tagger;
};

/* Tags of one machine (NULL: of all), sorted by machine and tag. */
VMSCM_API int vmscm_revision_tags(struct vmscm_repo *repo, const char *machine,
    int (*each)(void *data, const struct vmscm_tag_entry *entry), void *data,
    struct vmscm_error *err);

/* Add a remark to a revision; there may be any number, by anyone. VMSCM_EUSAGE if it is empty. */
VMSCM_API int vmscm_revision_comment(struct vmscm_revision *rev, const char *text,
    struct vmscm_error *err);

/* Its comments, oldest first. */
VMSCM_API int vmscm_revision_comments(struct vmscm_revision *rev,
    int (*each)(void *data, const struct vmscm_signature *author, const char *text), void *data,
    struct vmscm_error *err);

/* Override who acts, and when, for everything that follows on this repository. Each may be NULL:
 * author "Name <email>"; date "@SECONDS [+-]HHMM", "YYYY-MM-DD[ T]HH:MM[:SS][ ][Z|+-HH[:]MM]" or
 * "YYYY-MM-DD". VMSCM_EUSAGE if malformed. */
VMSCM_API int vmscm_revision_set_author(struct vmscm_repo *repo, const char *author,
    const char *date, struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
