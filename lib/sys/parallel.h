/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The same work on several threads. */
#ifndef SYS_PARALLEL_H
#define SYS_PARALLEL_H

#include "base/error.h"
#include <stdatomic.h>
#include <stdbool.h>

#define VMSCM_PARALLEL_MAX 256 /* threads */

/* What the threads of one run share. */
struct vmscm_parallel {
    void *data;
    unsigned jobs;
    atomic_bool stop; /* set once any of them failed: the others should end soon */
};

/* Run work(p, index) on `jobs` threads (1 to VMSCM_PARALLEL_MAX; the calling thread is one), and
 * wait for all. The error is that of the first to fail. Fewer threads run if the system has no
 * more to give. */
int vmscm_parallel_run(unsigned jobs,
    int (*work)(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err), void *data,
    struct vmscm_error *err);

/* Cores this process may run on. At least 1. */
unsigned vmscm_parallel_cores(void);

#endif
