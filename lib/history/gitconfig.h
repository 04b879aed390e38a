/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Configuration files in git's syntax: the user's ($XDG_CONFIG_HOME/vmscm/config) under the
 * repository's. */
#ifndef HISTORY_GITCONFIG_H
#define HISTORY_GITCONFIG_H

#include "base/error.h"
#include <stdint.h>
#include <vmscm/repo.h>

struct vmscm_gitconfig;

/* repo_file may be NULL. Missing files are as empty ones. */
int vmscm_gitconfig_open(struct vmscm_gitconfig **out, const char *repo_file,
    struct vmscm_error *err);
void vmscm_gitconfig_close(struct vmscm_gitconfig *config);

/* *value is the caller's. VMSCM_ENOTFOUND. */
int vmscm_gitconfig_get(char **value, struct vmscm_gitconfig *config, const char *key,
    struct vmscm_error *err);
/* As git reads booleans and "64k"; the default if unset; VMSCM_EUSAGE if malformed. */
int vmscm_gitconfig_get_int(int64_t *value, struct vmscm_gitconfig *config, const char *key,
    int64_t unset, struct vmscm_error *err);
/* value NULL removes. The file and its directory are made if need be; written atomically. */
int vmscm_gitconfig_set(struct vmscm_gitconfig *config, enum vmscm_config_level level,
    const char *key, const char *value, struct vmscm_error *err);
/* Remove what processes that died over it left beside the repository's file. */
int vmscm_gitconfig_sweep(struct vmscm_gitconfig *config, struct vmscm_error *err);
int vmscm_gitconfig_list(struct vmscm_gitconfig *config,
    int (*each)(void *data, enum vmscm_config_level level, const char *key, const char *value),
    void *data, struct vmscm_error *err);

/* A value from git's own configuration (the user's and the system's). VMSCM_ENOTFOUND. */
int vmscm_gitconfig_get_git(char **value, const char *key, struct vmscm_error *err);

#endif
