/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/packing.h"
#include "base/str.h"
#include "store/idset.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define PARTS_MAX 131072u /* of a pack */

struct vmscm_packing {
    char *dir;
    struct vmscm_store *store;
    uint64_t full;
    bool alone;
    struct vmscm_packwriter *writer; /* NULL: the next record begins a pack */
    struct vmscm_idset ids;          /* in that pack */
    uint64_t written;                /* bytes of it */
    uint64_t done;                   /* bytes of those before; about, of one not yet durable */
    /* The one before, while it is made durable. */
    bool finishing;
    pthread_t thread;
    struct vmscm_packwriter *last; /* the thread's, as what follows, down to err */
    char file[VMSCM_PACKFILE_NAME];
    uint64_t bytes;
    int rc;
    struct vmscm_error err;
    struct vmscm_idset last_ids;
    uint64_t last_written;
};

int vmscm_packing_open(struct vmscm_packing **out, const char *dir, struct vmscm_store *store,
    uint64_t full, bool alone, struct vmscm_error *err)
{
    struct vmscm_packing *p = calloc(1, sizeof *p);
    int rc;

    if (!p)
        return vmscm_error_nomem(err);
    p->store = store;
    p->full = full;
    p->alone = alone;
    if ((rc = vmscm_str_dup(&p->dir, dir, err)))
        free(p);
    else
        *out = p;
    return rc;
}

void vmscm_packing_close(struct vmscm_packing *p)
{
    if (!p)
        return;
    if (p->finishing)
        pthread_join(p->thread, NULL);
    vmscm_packwriter_abort(p->writer);
    vmscm_idset_release(&p->ids);
    vmscm_idset_release(&p->last_ids);
    free(p->dir);
    free(p);
}

static void *finish(void *data)
{
    struct vmscm_packing *p = data;

    p->rc = vmscm_packwriter_finish(p->last, p->file, &p->bytes, &p->err);
    return NULL;
}

/* What became of the pack before. */
static int take(struct vmscm_packing *p, struct vmscm_error *err)
{
    vmscm_idset_release(&p->last_ids);
    p->done -= p->last_written;
    if (p->rc) {
        vmscm_error_copy(err, &p->err);
        return p->rc;
    }
    if (!*p->file)
        return 0;
    p->done += p->bytes;
    return vmscm_store_add(p->store, p->file, err);
}

int vmscm_packing_settle(struct vmscm_packing *p, struct vmscm_error *err)
{
    if (!p->finishing)
        return 0;
    pthread_join(p->thread, NULL);
    p->finishing = false;
    return take(p, err);
}

/* End the pack that is being written. */
static int end(struct vmscm_packing *p, struct vmscm_error *err)
{
    sigset_t all, old;
    int rc = vmscm_packing_settle(p, err);

    if (rc || !p->writer)
        return rc;
    p->last = p->writer;
    p->last_ids = p->ids;
    p->last_written = p->written;
    p->done += p->written;
    p->writer = NULL;
    p->ids = (struct vmscm_idset){0};
    p->written = 0;
    p->err = (struct vmscm_error)VMSCM_ERROR_INIT;
    if (!p->alone) {
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &old);
        p->finishing = !pthread_create(&p->thread, NULL, finish, p);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    if (p->finishing)
        return 0;
    finish(p);
    return take(p, err);
}

int vmscm_packing_flush(struct vmscm_packing *p, struct vmscm_error *err)
{
    int rc = end(p, err);

    return rc ? rc : vmscm_packing_settle(p, err);
}

enum vmscm_packing_where vmscm_packing_find(const struct vmscm_packing *p, const struct vmscm_id *id)
{
    return vmscm_idset_find(&p->ids, id)        ? VMSCM_PACKING_OPEN
        : vmscm_idset_find(&p->last_ids, id) ? VMSCM_PACKING_FULL
                                             : VMSCM_PACKING_NOT;
}

int vmscm_packing_add(struct vmscm_packing *p, const struct vmscm_packwriter_record *record,
    struct vmscm_error *err)
{
    uint64_t *value;
    bool added;
    int rc = p->writer ? 0 : vmscm_packwriter_open(&p->writer, p->dir, false, err);

    if (rc || (rc = vmscm_packwriter_add(p->writer, record, err)))
        return rc;
    for (size_t i = 0; i < record->part_count && !rc; i++)
        rc = vmscm_idset_get(&p->ids, &value, &added, &record->parts[i].id, err);
    p->written += record->len;
    if (!rc && (p->written >= p->full || p->ids.count >= PARTS_MAX))
        rc = end(p, err);
    return rc;
}

uint64_t vmscm_packing_bytes(const struct vmscm_packing *p)
{
    return p->done + p->written;
}

bool vmscm_packing_begins(const struct vmscm_packing *p)
{
    return !p->writer;
}
