/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Commands in a guest, through its agent: qemu-guest-agent's protocol, lines of JSON over a socket of qemu's.
 * What comes from there is a guest's word: it is bounded, and checked.
 *
 * Source: "QEMU Guest Agent Protocol Reference".
 */
#ifndef AGENT_H
#define AGENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vmscm/error.h>

enum agent_state {
    AGENT_CALLS,  /* asks whether anybody is there */
    AGENT_SYSTEM, /* what runs there */
    AGENT_STARTS, /* the command */
    AGENT_WAITS,  /* till it has ended */
    AGENT_DONE,
};

struct agent {
    const char *path;    /* of the socket */
    const char *command; /* for the guest's shell; agent_can_say it */
    int fd;              /* -1: not connected */
    enum agent_state state;
    bool asked;          /* an answer is to come */
    int64_t next, until; /* milliseconds: when to ask again; when to give up on an answer */
    int64_t call;        /* the number of the last one */
    int64_t pid;
    char *line;          /* that is being received */
    size_t len, room;
    int status;          /* once done: the command's */
};

/* Whether it can be put into JSON: it is UTF-8. */
bool agent_can_say(const char *command);

void agent_init(struct agent *agent, const char *path, const char *command);
void agent_release(struct agent *agent);

/* To be called a few times a second; now: a clock in milliseconds. When the command has ended, writes what
 * it printed to standard output and error, and the state is AGENT_DONE. VMSCM_ETOOL: the guest would not,
 * or talks nonsense. */
int agent_poll(struct agent *agent, int64_t now, struct vmscm_error *err);

/* Add what a machine with such a socket needs to qemu's arguments. */
struct qemuargs;
void agent_args(struct qemuargs *args, const char *path);

#endif
