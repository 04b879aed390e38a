/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sys/workqueue.h"
#include "sys/parallel.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#define WAITING 64u

struct worker {
    struct vmscm_workqueue *queue;
    pthread_t id;
    const void *owner; /* of what it does; NULL: it waits */
};

struct vmscm_workqueue {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t more;  /* there is a task, or it ends */
    pthread_cond_t done;  /* a task was done */
    struct vmscm_workqueue_task tasks[WAITING]; /* a ring */
    unsigned first, count;
    struct worker *workers;
    unsigned wanted, started;
    bool tried; /* to start them */
    bool stop;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct vmscm_workqueue *q = w->queue;

    pthread_mutex_lock(&q->lock);
    while (!q->stop) {
        struct vmscm_workqueue_task task;
        if (!q->count) {
            pthread_cond_wait(&q->more, &q->lock);
            continue;
        }
        task = q->tasks[q->first];
        q->first = (q->first + 1) % WAITING;
        q->count--;
        w->owner = task.owner;
        pthread_mutex_unlock(&q->lock);
        task.run(task.owner, task.from, task.to);
        pthread_mutex_lock(&q->lock);
        w->owner = NULL;
        pthread_cond_broadcast(&q->done);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

int vmscm_workqueue_new(struct vmscm_workqueue **out, unsigned threads, struct vmscm_error *err)
{
    struct vmscm_workqueue *q = calloc(1, sizeof *q);

    if (threads > VMSCM_PARALLEL_MAX)
        threads = VMSCM_PARALLEL_MAX;
    if (!q || !(q->workers = calloc(threads ? threads : 1, sizeof *q->workers))) {
        free(q);
        return vmscm_error_nomem(err);
    }
    q->wanted = threads;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->more, NULL);
    pthread_cond_init(&q->done, NULL);
    *out = q;
    return 0;
}

/* Called with the lock held. Those that cannot be had are done without. */
static void start(struct vmscm_workqueue *q)
{
    sigset_t all, old;

    q->tried = true;
    /* Signals are for the application's own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    while (q->started < q->wanted) {
        struct worker *w = &q->workers[q->started];
        w->queue = q;
        if (pthread_create(&w->id, NULL, work, w))
            break;
        q->started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void vmscm_workqueue_add(struct vmscm_workqueue *q, const struct vmscm_workqueue_task *task)
{
    pthread_mutex_lock(&q->lock);
    if (!q->tried)
        start(q);
    if (q->started) {
        if (q->count == WAITING) {
            q->first = (q->first + 1) % WAITING;
            q->count--;
        }
        q->tasks[(q->first + q->count++) % WAITING] = *task;
        pthread_cond_signal(&q->more);
    }
    pthread_mutex_unlock(&q->lock);
}

static bool is_busy(const struct vmscm_workqueue *q, const void *owner)
{
    for (unsigned i = 0; i < q->started; i++)
        if (q->workers[i].owner == owner)
            return true;
    return false;
}

void vmscm_workqueue_forget(struct vmscm_workqueue *q, const void *owner)
{
    unsigned kept = 0;

    pthread_mutex_lock(&q->lock);
    for (unsigned i = 0; i < q->count; i++) {
        const struct vmscm_workqueue_task task = q->tasks[(q->first + i) % WAITING];
        if (task.owner != owner)
            q->tasks[(q->first + kept++) % WAITING] = task;
    }
    q->count = kept;
    while (is_busy(q, owner))
        pthread_cond_wait(&q->done, &q->lock);
    pthread_mutex_unlock(&q->lock);
}

void vmscm_workqueue_free(struct vmscm_workqueue *q)
{
    if (!q)
        return;
    pthread_mutex_lock(&q->lock);
    q->stop = true;
    pthread_cond_broadcast(&q->more);
    pthread_mutex_unlock(&q->lock);
    for (unsigned i = 0; i < q->started; i++)
        pthread_join(q->workers[i].id, NULL);
    pthread_cond_destroy(&q->done);
    pthread_cond_destroy(&q->more);
    pthread_mutex_destroy(&q->lock);
    free(q->workers);
    free(q);
}
