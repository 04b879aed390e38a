/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Small tasks done by threads of its own, in the order they were given; for what may as well not be
 * done: where too many wait, the oldest is forgotten. Threads are started with the first task.
 *
 * Threading: any thread may call anything but free.
 */
#ifndef SYS_WORKQUEUE_H
#define SYS_WORKQUEUE_H

#include "base/error.h"
#include <stdint.h>

struct vmscm_workqueue;

/* What to do: run(owner, from, to). */
struct vmscm_workqueue_task {
    void (*run)(void *owner, uint64_t from, uint64_t to);
    void *owner;
    uint64_t from, to;
};

int vmscm_workqueue_new(struct vmscm_workqueue **out, unsigned threads, struct vmscm_error *err);
/* Waits for what is being done; what waits is forgotten. NULL is fine. */
void vmscm_workqueue_free(struct vmscm_workqueue *queue);

void vmscm_workqueue_add(struct vmscm_workqueue *queue, const struct vmscm_workqueue_task *task);

/* No task of this owner runs or waits any more, once it returns; none may be added meanwhile. */
void vmscm_workqueue_forget(struct vmscm_workqueue *queue, const void *owner);

#endif
