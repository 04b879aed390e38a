/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Repositories: making, finding and opening them, and their configuration.
 *
 * A struct vmscm_repo may be used by one thread at a time; open it once per thread otherwise.
 * Several processes may work on one repository at once. The layout is vmscm-format-repository(5).
 */
#ifndef VMSCM_REPO_H
#define VMSCM_REPO_H

#include <vmscm/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmscm_repo;

/*
 * Make a repository. If bare is 0 it is the directory ".vmscm" in dir, else dir itself. dir is made
 * if need be. On success *path (caller frees) is the absolute path of the repository.
 * Errors: VMSCM_EEXIST if there is one already; VMSCM_EIO.
 */
VMSCM_API int vmscm_repo_init(char **path, const char *dir, int bare, struct vmscm_error *err);

/*
 * Find the repository that serves directory start: start itself if it is a repository, else
 * ".vmscm" in it or in the nearest directory above it, or the one that a checkout at or above start
 * was made from, whichever comes first. *path is the caller's.
 * Errors: VMSCM_ENOTFOUND; VMSCM_EIO.
 */
VMSCM_API int vmscm_repo_discover(char **path, const char *start, struct vmscm_error *err);

/*
 * Open the repository at path: the repository itself (".vmscm", "NAME.vmscm"), or a directory that
 * holds ".vmscm".
 * Errors: VMSCM_ENOTFOUND: not a repository; VMSCM_EUNSUPPORTED: of a newer format;
 * VMSCM_EDAMAGED; VMSCM_EIO.
 */
VMSCM_API int vmscm_repo_open(struct vmscm_repo **out, const char *path, struct vmscm_error *err);

/* NULL is fine. */
VMSCM_API void vmscm_repo_close(struct vmscm_repo *repo);

/* Absolute path of the repository itself. Borrowed. */
VMSCM_API const char *vmscm_repo_path(const struct vmscm_repo *repo);

/* The free()-like function for every string the library hands out. NULL is fine. */
VMSCM_API void vmscm_free(void *memory);

/*
 * Configuration, in git's syntax: keys are SECTION.NAME or SECTION.SUBSECTION.NAME. The user's
 * own file is $XDG_CONFIG_HOME/vmscm/config (~/.config/vmscm/config); the repository's overrides
 * it. repo may be NULL: then only the user's file is used.
 */
enum vmscm_config_level { VMSCM_CONFIG_REPOSITORY, VMSCM_CONFIG_USER };

/* *value (caller frees) of key; VMSCM_ENOTFOUND if it is not set anywhere. */
VMSCM_API int vmscm_repo_config_get(char **value, struct vmscm_repo *repo, const char *key,
    struct vmscm_error *err);

/* Set a key in one file; value NULL removes it (VMSCM_ENOTFOUND if it was not there).
 * VMSCM_EUSAGE for a malformed key, or for a known key a value it cannot have. */
VMSCM_API int vmscm_repo_config_set(struct vmscm_repo *repo, enum vmscm_config_level level,
    const char *key, const char *value, struct vmscm_error *err);

/* Calls each(data, level, key, value) for every setting, user's first; a non-zero return ends the
 * walk and is returned. */
VMSCM_API int vmscm_repo_config_list(struct vmscm_repo *repo,
    int (*each)(void *data, enum vmscm_config_level level, const char *key, const char *value),
    void *data, struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
