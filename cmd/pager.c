/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pager.h"

#include "memory.h"
#include "process.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pid_t running = -1;

/* The command line of the pager, the caller's; NULL if none is wanted. */
static char *choose(void)
{
    char *chosen = NULL, *configured = NULL;
    const char *set = getenv("VMSCM_PAGER");

    /* Of the user's own settings only: a repository may come from anyone, and this is a command. */
    if (!set) {
        struct vmscm_error ignored = VMSCM_ERROR_INIT;
        if (vmscm_repo_config_get(&configured, NULL, "core.pager", &ignored) == 0)
            set = configured;
        else
            set = getenv("PAGER");
    }
    if (!set)
        set = "less";
    if (*set && strcmp(set, "cat") != 0)
        chosen = memory_dup(set);
    vmscm_free(configured);
    return chosen;
}

void pager_start(struct ctx *ctx)
{
    char *argv[] = {(char *)"sh", (char *)"-c", NULL, NULL};
    int fds[2] = {-1, -1};

    if (running >= 0 || ctx->common.pager < 0 || ctx->common.quiet || !isatty(STDOUT_FILENO))
        return;
    argv[2] = choose();
    if (!argv[2] || pipe2(fds, O_CLOEXEC) < 0)
        goto out;
    setenv("LESS", "FRX", 0);
    setenv("LV", "-c", 0);
    fflush(stdout);
    running = process_start(argv, fds[0], false);
    if (running < 0)
        goto out;
    dup2(fds[1], STDOUT_FILENO);
    if (isatty(STDERR_FILENO))
        dup2(fds[1], STDERR_FILENO);
    /* Ctrl-C is the pager's: without us it would fight the shell for the terminal. */
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
out:
    if (fds[0] >= 0)
        close(fds[0]);
    if (fds[1] >= 0)
        close(fds[1]);
    free(argv[2]);
}

bool pager_running(void)
{
    return running >= 0;
}

void pager_finish(void)
{
    if (running < 0)
        return;
    fclose(stdout);
    fclose(stderr);
    process_wait(running);
    running = -1;
}
