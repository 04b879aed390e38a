/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A program that works beside us: what it says on standard error is ours to tell, and it ends when we
 * do, however that happens.
 */
#ifndef CHILD_H
#define CHILD_H

#include <stdbool.h>
#include <sys/types.h>
#include <vmscm/error.h>

#define CHILD_LINE 400

struct child {
    const char *name; /* argv[0], which outlives it */
    pid_t pid;        /* 0: none */
    int err;          /* read end of its standard error; -1: it was left ours */
    int out;          /* read end of its standard output, the caller's to close; -1: none */
    int in;           /* write end of its standard input, the caller's to close; -1: none */
    bool ended;
    int status;            /* then: as process_wait's */
    char line[CHILD_LINE]; /* that is being read */
    size_t len;
    char last[CHILD_LINE]; /* that was whole */
    const char *bad;       /* text of a line that is to be looked into; NULL: none is */
    bool noticed;          /* one came: that is `last`, and what follows is not told; the caller's to undo */
};

#define CHILD_INIT                                                                                 \
    {                                                                                              \
        .err = -1, .out = -1, .in = -1                                                                       \
    }

enum child_flag {
    CHILD_STDERR = 1, /* leave it our standard error */
    CHILD_NULL = 2,   /* nothing to read, nowhere to print */
    CHILD_OUT = 4,    /* nothing to read; what it prints comes from `out`, which does not block */
    CHILD_IN = 8,     /* with CHILD_OUT: it reads what is written to `in`, which blocks */
};

/* VMSCM_ETOOL if argv[0] is not on the PATH, with `package` as what to install. */
int child_start(struct child *child, const char *const argv[], unsigned flags,
    const char *package, struct vmscm_error *err);

/* The same for a server that takes the listening socket `listener` over, by systemd's protocol, as its
 * descriptor 3; it is told nothing, and prints nothing. For a process without threads. */
int child_start_listening(struct child *child, const char *const argv[], int listener,
    const char *package, struct vmscm_error *err);

/* Whether it runs. Reads what it said meanwhile; each line is a warning of ours, if tell is set. */
bool child_alive(struct child *child, bool tell);

/* What it said when it ended: VMSCM_ETOOL "NAME: ...". */
int child_failed(const struct child *child, struct vmscm_error *err);

/* SIGTERM, and SIGKILL three seconds later. Fine on one that has ended, or was never started. */
void child_stop(struct child *child, bool tell);

/* SIGKILL, and wait for it. Likewise. */
void child_kill(struct child *child, bool tell);

#endif
