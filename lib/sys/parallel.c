/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sys/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

struct run {
    struct vmscm_parallel shared;
    int (*work)(struct vmscm_parallel *, unsigned, struct vmscm_error *);
    pthread_mutex_t lock;
    int rc; /* of the first to fail */
    struct vmscm_error err;
};

struct thread {
    struct run *run;
    unsigned index;
    pthread_t id;
};

static void *start(void *arg)
{
    struct thread *t = arg;
    struct run *run = t->run;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    int rc = run->work(&run->shared, t->index, &err);

    if (rc) {
        pthread_mutex_lock(&run->lock);
        /* A thread told to stop because another failed is not the cause. */
        if (!run->rc || run->rc == VMSCM_ECANCELED) {
            run->rc = rc;
            run->err = err;
        }
        pthread_mutex_unlock(&run->lock);
        atomic_store(&run->shared.stop, true);
    }
    return NULL;
}

int vmscm_parallel_run(unsigned jobs,
    int (*work)(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err), void *data,
    struct vmscm_error *err)
{
    struct run run = {.shared = {.data = data, .jobs = jobs}, .work = work};
    struct thread threads[VMSCM_PARALLEL_MAX];
    unsigned started = 1;
    sigset_t all, old;

    if (jobs < 1)
        jobs = 1;
    if (jobs > VMSCM_PARALLEL_MAX)
        jobs = VMSCM_PARALLEL_MAX;
    run.shared.jobs = jobs;
    pthread_mutex_init(&run.lock, NULL);
    threads[0] = (struct thread){.run = &run};
    /* Signals are for the application's own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    for (; started < jobs; started++) {
        threads[started] = (struct thread){.run = &run, .index = started};
        if (pthread_create(&threads[started].id, NULL, start, &threads[started]))
            break;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    start(&threads[0]);
    for (unsigned i = 1; i < started; i++)
        pthread_join(threads[i].id, NULL);
    pthread_mutex_destroy(&run.lock);
    return run.rc ? vmscm_error_copy(err, &run.err) : 0;
}

unsigned vmscm_parallel_cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

    return n < 1 ? 1 : n > VMSCM_PARALLEL_MAX ? VMSCM_PARALLEL_MAX : (unsigned)n;
}
