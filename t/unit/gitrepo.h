/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A fresh git directory for the tests of lib/history, and plain git to judge it by. */
#ifndef GITREPO_H
#define GITREPO_H

#include "history/gitdb.h"
#include "sys/file.h"
#include "sys/tempdir.h"
#include "unit.h"

#include <sys/wait.h>
#include <unistd.h>

struct gitrepo {
    char *dir; /* holds git/, locks/ and home/ */
    char git[512], locks[512], home[512];
    struct vmscm_gitdb *db;
};

static const struct vmscm_signature gitrepo_who = {"Ann Author", "ann@example.org", 1700000000, 60};

static inline int gitrepo_setup(void **state)
{
    struct gitrepo *r = calloc(1, sizeof *r);
    struct vmscm_error err = VMSCM_ERROR_INIT;

    assert_non_null(r);
    assert_done(vmscm_tempdir_make(&r->dir, "/tmp", &err), &err);
    snprintf(r->git, sizeof r->git, "%s/git", r->dir);
    snprintf(r->locks, sizeof r->locks, "%s/locks", r->dir);
    snprintf(r->home, sizeof r->home, "%s/home", r->dir);
    assert_done(vmscm_file_mkdirs(r->locks, &err), &err);
    assert_done(vmscm_file_mkdirs(r->home, &err), &err);
    setenv("HOME", r->home, 1);
    unsetenv("XDG_CONFIG_HOME");
    setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
    assert_done(vmscm_gitdb_init(r->git, &err), &err);
    assert_done(vmscm_gitdb_open(&r->db, r->git, r->locks, &err), &err);
    *state = r;
    return 0;
}

static inline int gitrepo_teardown(void **state)
{
    struct gitrepo *r = *state;

    vmscm_gitdb_close(r->db);
    vmscm_tempdir_remove(r->dir);
    free(r);
    return 0;
}

/* What plain git says: its standard output without the last newline, in fresh memory; NULL if it
 * did not exit with 0. */
static inline char *gitrepo_git(struct gitrepo *r, ...)
{
    const char *argv[32] = {"git", "--git-dir", r->git};
    char text[65536];
    size_t n = 3, len = 0;
    ssize_t got;
    int fds[2], status;
    va_list ap;

    va_start(ap, r);
    while (n < 31 && (argv[n] = va_arg(ap, const char *)))
        n++;
    va_end(ap);
    argv[n] = NULL;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 1);
        execvp("git", (char **)argv);
        _exit(127);
    }
    close(fds[1]);
    while (len < sizeof text - 1 && (got = read(fds[0], text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)got;
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (len && text[len - 1] == '\n')
        len--;
    text[len] = '\0';
    return status == 0 ? strdup(text) : NULL;
}

static inline void run_shell(const char *script)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", script, NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

#define assert_git(r, expected, ...)                                                               \
    do {                                                                                           \
        char *said_ = gitrepo_git(r, __VA_ARGS__, NULL);                                           \
        assert_non_null(said_);                                                                    \
        assert_string_equal(said_, expected);                                                      \
        free(said_);                                                                               \
    } while (0)

/* git finds nothing wrong. */
static inline void gitrepo_fsck(struct gitrepo *r)
{
    char *said = gitrepo_git(r, "fsck", "--strict", "--full", "--no-dangling", "--no-progress", NULL);
    if (!said)
        fail_msg("git fsck fails");
    free(said);
}

/* A commit of one file "machine.json" with this content. */
static inline void gitrepo_commit(char *id, struct gitrepo *r, const char *content,
    const char *parent, const char *message)
{
    struct vmscm_gitdb_file file = {"machine.json", content, strlen(content)};
    struct vmscm_error err = VMSCM_ERROR_INIT;

    assert_done(vmscm_gitdb_commit(id, r->db, &file, 1, &parent, parent ? 1 : 0, &gitrepo_who,
                    &gitrepo_who, message, &err),
        &err);
}

#endif
