/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Running a helper program, confined: rlimits (address space, CPU seconds, core), a seccomp filter
 * that allows no sockets but Unix ones, Landlock rules that leave it only the files it needs, no
 * inherited descriptors, an environment of PATH, LANG=C and TMPDIR, stdin from /dev/null, and a
 * parent-death signal. No shell is ever involved.
 */
#ifndef SYS_SPAWN_H
#define SYS_SPAWN_H

#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct vmscm_spawn_options {
    const char *const *argv;        /* argv[0] is looked up on PATH; NULL-terminated */
    const char *const *read_only;   /* files and directories it may read; NULL-terminated; NULL: none
                                       beyond what programs need to start (libraries, locale) */
    const char *const *read_write;  /* files and directories it may change; likewise */
    uint64_t max_memory;            /* RLIMIT_AS in bytes; 0: no limit */
    uint64_t max_cpu_seconds;       /* 0: no limit */
    uint64_t max_file_size;         /* RLIMIT_FSIZE; 0: no limit */
    bool outlives;                  /* killing it half-way would leave a user's file the worse: it is
                                       left to end by itself if this process is killed */
    bool confined;                  /* false: only the environment and the descriptors are cleaned */
};

/* A running program. Start it from any thread and wait for it in any other: it dies with this
 * process, not with the thread. Its stderr is drained meanwhile, so it never blocks on that. */
struct vmscm_spawn {
    pid_t pid;  /* 0: none */
    int out;    /* read end of its stdout, or -1 */
    char *name; /* of the program, for messages */
    struct vmscm_spawn_keeper *keeper;
};

#define VMSCM_SPAWN_INIT                                                                           \
    {                                                                                              \
        0, -1, NULL, NULL                                                                          \
    }

/* VMSCM_ETOOL "NAME: not installed" (hint: the Debian package) if it is not on PATH. */
int vmscm_spawn_start(struct vmscm_spawn *child, const struct vmscm_spawn_options *options,
    bool want_stdout, struct vmscm_error *err);

/* Is it still running? Does not wait. */
bool vmscm_spawn_alive(const struct vmscm_spawn *child);

/* Wait for it and release *child; VMSCM_ETOOL with the last message of its stderr if it did not exit
 * with 0. */
int vmscm_spawn_wait(struct vmscm_spawn *child, struct vmscm_error *err);

/* SIGTERM, then SIGKILL after two seconds; reaps and releases. Fine on one that is gone, and after
 * vmscm_spawn_wait. */
void vmscm_spawn_kill(struct vmscm_spawn *child);

/* Run to the end; stdout (at most max bytes; more is VMSCM_ETOOL) appended to out if not NULL.
 * canceled(data) (may be NULL) is polled; non-zero kills it: VMSCM_ECANCELED. */
int vmscm_spawn_run(struct vmscm_buf *out, size_t max, const struct vmscm_spawn_options *options,
    int (*canceled)(void *data), void *data, struct vmscm_error *err);

/* What of the confinement this kernel offers, e.g. "rlimits, seccomp, landlock 4". Static. See
 * sys/sandbox.h. */
const char *vmscm_spawn_confinement(void);

#endif
