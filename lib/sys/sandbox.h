/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The confinement of a helper program, built before fork and entered between fork and exec: what
 * the child does there must be async-signal-safe, since the parent may have threads.
 *
 * seccomp: no sockets but Unix ones, no io_uring (which would get around that), none of the calls
 * an image tool never needs (ptrace, mount, bpf, namespaces, modules, keys). Landlock: the files
 * named and what dynamic linking needs; by the kernel's ABI also no TCP, no abstract sockets and
 * no signals to others. Root's capabilities, but those that open other users' files, are dropped.
 * A kernel without Landlock or seccomp gives the rest: see vmscm_spawn_confinement.
 */
#ifndef SYS_SANDBOX_H
#define SYS_SANDBOX_H

#include "base/error.h"
#include <linux/filter.h>
#include <stdbool.h>

struct vmscm_sandbox {
    struct sock_fprog filter; /* filter.filter is malloced */
    int landlock;             /* ruleset, or -1: the kernel has none */
    bool calls_only;          /* capabilities stay */
};

#define VMSCM_SANDBOX_INIT                                                                         \
    {                                                                                              \
        {0, NULL}, -1, false                                                                       \
    }

/* program: the file that will be executed; NULL: it starts others that nobody can list, and only calls
 * are filtered. The lists are those of struct vmscm_spawn_options. */
int vmscm_sandbox_prepare(struct vmscm_sandbox *box, const char *program,
    const char *const *read_only, const char *const *read_write, struct vmscm_error *err);
void vmscm_sandbox_release(struct vmscm_sandbox *box);

/* In the child, for good: 0 or an errno value. */
int vmscm_sandbox_enter(const struct vmscm_sandbox *box);

/* The kernel's Landlock ABI; 0: none. */
int vmscm_sandbox_landlock_abi(void);

#endif
