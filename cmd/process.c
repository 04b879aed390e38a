/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "process.h"

#include "memory.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int null(posix_spawn_file_actions_t *actions, int fd, int flags)
{
    return posix_spawn_file_actions_addopen(actions, fd, "/dev/null", flags, 0);
}

/* input: -1: ours; output, errors: likewise. */
static pid_t start(char *const argv[], int input, int output, int errors, bool silent, bool leave)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t defaults;
    pid_t pid = -1;
    int rc;

    if (posix_spawn_file_actions_init(&actions) || posix_spawnattr_init(&attr))
        memory_die();
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGQUIT);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    posix_spawnattr_setflags(
        &attr, (short)(POSIX_SPAWN_SETSIGDEF | (leave ? POSIX_SPAWN_SETSID : 0)));
    rc = leave ? null(&actions, STDIN_FILENO, O_RDONLY) : 0;
    if (input >= 0)
        rc = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    if (output >= 0 && !rc)
        rc = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (errors >= 0 && !rc)
        rc = posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
    if (silent && !rc)
        rc = null(&actions, STDOUT_FILENO, O_WRONLY);
    if (silent && !rc)
        rc = posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    /* Who waits for the end of a pipe of ours would wait for this one, too. */
    if (leave && !rc)
        rc = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    if (!rc)
        rc = posix_spawnp(&pid, argv[0], &actions, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    errno = rc;
    return rc ? -1 : pid;
}

pid_t process_start(char *const argv[], int input, bool silent)
{
    return start(argv, input, -1, -1, silent, false);
}

void process_leave(char *const argv[])
{
    start(argv, -1, -1, -1, true, true);
}

pid_t process_detach(char *const argv[], const char *name, const char *value, int *out, int errors)
{
    const char *before = getenv(name);
    char *kept = before ? memory_dup(before) : NULL;
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0) {
        free(kept);
        return -1;
    }
    if (setenv(name, value, 1) < 0)
        memory_die();
    pid = start(argv, -1, ends[1], errors, false, true);
    int saved = errno;
    if (kept ? setenv(name, kept, 1) : unsetenv(name))
        memory_die();
    free(kept);
    close(ends[1]);
    if (pid < 0)
        close(ends[0]);
    else
        *out = ends[0];
    errno = saved;
    return pid;
}

int process_wait(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int process_run(char *const argv[], bool silent)
{
    pid_t pid = process_start(argv, -1, silent);

    return pid < 0 ? 127 : process_wait(pid);
}

char *process_find(const char *name)
{
    const char *path = getenv("PATH");

    if (name[0] == '/')
        return access(name, X_OK) == 0 ? memory_dup(name) : NULL;
    while (path && *path) {
        const char *end = strchrnul(path, ':');
        char *full = memory_printf("%.*s/%s", (int)(end - path), path, name);
        struct stat st;
        /* An empty entry would mean the current directory: nobody wants that one. */
        if (end > path && access(full, X_OK) == 0 && stat(full, &st) == 0 && S_ISREG(st.st_mode))
            return full;
        free(full);
        path = *end ? end + 1 : end;
    }
    return NULL;
}
