/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target of lib/history/gitconfig: a repository's config, and its values. */
#include "history/git.h"
#include "history/gitconfig.h"
#include "scratch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *dir;
static char path[512];

static void clean(void)
{
    vmscm_git_stop();
}

static void prepare(void)
{
    dir = scratch_dir();
    atexit(clean);
    /* Once: starting libgit2 takes longer than all the rest. */
    if (vmscm_git_start(NULL))
        abort();
    snprintf(path, sizeof path, "%s/config", dir);
    setenv("HOME", dir, 1);
    setenv("XDG_CONFIG_HOME", dir, 1);
}

static int see(void *data, enum vmscm_config_level level, const char *key, const char *value)
{
    if (level != VMSCM_CONFIG_REPOSITORY || !key[0] || !value)
        abort();
    return ++*(int *)data < 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitconfig *config = NULL;
    char *value = NULL;
    int64_t number;
    int count = 0, fd;

    /* What an include leads to is another file, and no matter of this one. */
    if (memmem(data, size, "nclude", 6) || memmem(data, size, "NCLUDE", 6))
        return 0;
    if (!dir)
        prepare();
    if ((fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600)) < 0 ||
        write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
    if (vmscm_gitconfig_open(&config, path, &err)) {
        if (config || !err.message[0])
            abort();
        return 0;
    }
    if (vmscm_gitconfig_list(config, see, &count, &err) && !err.message[0])
        abort();
    if (!vmscm_gitconfig_get(&value, config, "core.compression", &err))
        free(value);
    if (!vmscm_gitconfig_get_int(&number, config, "core.jobs", -7, &err) && !count && number != -7)
        abort();
    vmscm_gitconfig_close(config);
    return 0;
}
