/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bucket/publish.h"
#include "base/path.h"
#include "base/str.h"
#include "bucket/genlog.h"
#include "bucket/histobj.h"
#include "bucket/stubs.h"
#include "bucket/sync.h"
#include "bucket/uploaded.h"
#include "history/novel.h"
#include "store/packlist.h"
#include "sys/file.h"
#include "sys/lockfile.h"
#include "sys/parallel.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define JOBS 4u
#define WHOLE_EVERY 64u /* generations: so many are read at most by who comes anew */
#define LOOK_BACK 4096u /* generations that are read to learn what was removed */
#define PROBED "probed" /* a file that says that the condition was seen to be honoured */

struct upload {
    uint8_t name[VMSCM_GENERATION_NAME]; /* in the bucket */
    uint8_t pack[VMSCM_GENERATION_NAME]; /* here: another, if that was removed meanwhile */
    char *path;
    int fd; /* stays open: who moves the file does not matter */
    uint64_t size;
    uint64_t sent; /* guarded by the lock of those that upload */
    bool done;
};

struct vmscm_publish {
    struct vmscm_mirror *m;
    int lock;
    uint64_t seen; /* the newest generation before anything was uploaded */
    VMSCM_VEC(struct upload) uploads;
    struct vmscm_generation next; /* its changes are the attempt's, its steps those that were asked for */
    bool rewrite;
};

int vmscm_publish_new(struct vmscm_publish **out, struct vmscm_mirror *m, struct vmscm_error *err)
{
    struct vmscm_publish *p = calloc(1, sizeof *p);

    if (!p)
        return vmscm_error_nomem(err);
    p->m = m;
    p->lock = -1;
    p->seen = m->number;
    *out = p;
    return 0;
}

static void release_changes(struct vmscm_generation *g)
{
    for (size_t i = 0; i < g->changes.len; i++)
        free(g->changes.items[i].name);
    g->changes.len = 0;
}

void vmscm_publish_free(struct vmscm_publish *p)
{
    if (!p)
        return;
    vmscm_lockfile_release(&p->lock);
    for (size_t i = 0; i < p->uploads.len; i++) {
        close(p->uploads.items[i].fd);
        free(p->uploads.items[i].path);
    }
    vmscm_vec_release(&p->uploads);
    vmscm_generation_release(&p->next);
    p->m->pending.len = 0;
    free(p);
}

/* Once for each bucket and user: it costs four requests. */
static int probe(struct vmscm_mirror *m, struct vmscm_error *err)
{
    char *path = NULL;
    int rc = vmscm_mirror_path(&path, m, PROBED, err);

    if (!rc && !vmscm_file_exists(path) && !(rc = vmscm_genlog_probe(m->s3, err)))
        rc = vmscm_file_replace(path, "", 0, 0600, err);
    free(path);
    return rc;
}

/* One upload at a time tells how far all are. */
struct work {
    struct vmscm_publish *p;
    atomic_size_t next;
    pthread_mutex_t lock;
    uint64_t total, done; /* bytes */
};

struct moving {
    struct work *work;
    struct upload *upload;
};

static void on_moved(void *data, uint64_t bytes)
{
    struct moving *moving = data;
    struct work *work = moving->work;
    const struct vmscm_events *events = work->p->m->events;
    struct vmscm_progress progress = {.phase = "uploading", .total = work->total};

    pthread_mutex_lock(&work->lock);
    work->done += bytes - moving->upload->sent;
    moving->upload->sent = bytes;
    progress.done = progress.read = work->done;
    if (events && events->progress)
        events->progress(events->data, &progress);
    pthread_mutex_unlock(&work->lock);
}

/* With what says so to who goes on with it, if this is interrupted later. */
static int upload_one(struct work *work, struct upload *u, struct vmscm_error *err)
{
    struct moving moving = {work, u};
    struct vmscm_mirror *m = work->p->m;
    struct vmscm_uploaded note = {.seen = m->number};
    char key[VMSCM_BLOCKS_KEY];
    int rc;

    memcpy(note.name, u->name, sizeof note.name);
    vmscm_blocks_key(key, u->name);
    if ((rc = vmscm_s3_put_file(m->s3, key, u->fd, u->size, on_moved, &moving, err)))
        return rc;
    u->done = true;
    return vmscm_uploaded_note(m, u->pack, &note, err);
}

static int upload_some(struct vmscm_parallel *par, unsigned index, struct vmscm_error *err)
{
    struct work *work = par->data;
    size_t i;
    int rc = 0;

    (void)index;
    while (!rc && !par->stop && (i = atomic_fetch_add(&work->next, 1)) < work->p->uploads.len)
        if (!work->p->uploads.items[i].done)
            rc = upload_one(work, &work->p->uploads.items[i], err);
    return rc;
}

static int upload(struct vmscm_publish *p, struct vmscm_error *err)
{
    struct work work = {.p = p};
    size_t count = 0;
    int rc;

    for (size_t i = 0; i < p->uploads.len; i++)
        if (!p->uploads.items[i].done) {
            count++;
            p->uploads.items[i].sent = 0;
            work.total += p->uploads.items[i].size;
        }
    if (!count)
        return 0;
    vmscm_handle_note(p->m->events, "uploading %zu packs, %llu bytes", count,
        (unsigned long long)work.total);
    pthread_mutex_init(&work.lock, NULL);
    rc = vmscm_parallel_run(count < JOBS ? (unsigned)count : JOBS, upload_some, &work, err);
    pthread_mutex_destroy(&work.lock);
    return rc;
}

static bool is_known(const struct vmscm_publish *p, const char *path)
{
    for (size_t i = 0; i < p->uploads.len; i++)
        if (strcmp(p->uploads.items[i].path, path) == 0)
            return true;
    return false;
}

static int add_upload(struct vmscm_publish *p, const char *dir, const uint8_t *name,
    struct vmscm_error *err)
{
    char file[VMSCM_PACKFILE_NAME], *path = NULL;
    struct upload *u;
    struct stat st;
    int fd = -1, rc;

    vmscm_packfile_format_name(file, name);
    if ((rc = vmscm_path_join(&path, dir, file, err)) || is_known(p, path))
        goto out;
    if ((rc = vmscm_file_open(&fd, path, O_RDONLY | O_NOFOLLOW, 0, err)))
        goto out;
    if (fstat(fd, &st) < 0) {
        rc = vmscm_error_errno(err, errno, "%s", path);
        goto out;
    }
    if ((rc = vmscm_vec_add(&p->uploads, &u, err)))
        goto out;
    memcpy(u->name, name, sizeof u->name);
    memcpy(u->pack, name, sizeof u->pack);
    u->path = path;
    u->fd = fd;
    u->size = (uint64_t)st.st_size;
    path = NULL;
    fd = -1;
out:
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

/* What an attempt before this one uploaded. It is looked for among what was removed since then. */
static int find_uploaded(struct vmscm_publish *p, struct vmscm_error *err)
{
    struct vmscm_uploaded was;
    bool there;
    int rc = 0;

    for (size_t i = 0; i < p->uploads.len && !rc; i++) {
        struct upload *u = &p->uploads.items[i];
        if (u->done || (rc = vmscm_uploaded_find(&was, &there, p->m, u->pack, u->size, err)) || !there)
            continue;
        memcpy(u->name, was.name, sizeof u->name);
        u->done = true;
        if (p->seen > was.seen)
            p->seen = was.seen;
    }
    return rc;
}

static void forget_uploaded(struct vmscm_publish *p)
{
    for (size_t i = 0; i < p->uploads.len; i++)
        vmscm_uploaded_forget(p->m, p->uploads.items[i].pack);
    vmscm_uploaded_sweep(p->m);
}

int vmscm_publish_packs(struct vmscm_publish *p, const char *dir, struct vmscm_error *err)
{
    struct vmscm_packlist list = {0};
    int rc;

    if ((rc = probe(p->m, err)) || (rc = vmscm_packlist_read(&list, dir, err)))
        return rc;
    for (size_t i = 0; i < list.packs.len && !rc; i++) {
        const uint8_t *name = list.packs.items[i].bytes;
        struct vmscm_packlist_name *slot;
        if (vmscm_generation_find(&p->m->state, VMSCM_GENERATION_PACK, name) ||
            (rc = add_upload(p, dir, name, err)))
            continue;
        if (!(rc = vmscm_vec_add(&p->m->pending, &slot, err)))
            memcpy(slot->bytes, name, sizeof slot->bytes);
    }
    vmscm_packlist_release(&list);
    return rc || (rc = find_uploaded(p, err)) ? rc : upload(p, err);
}

int vmscm_publish_condemn(struct vmscm_publish *p, unsigned kind,
    const uint8_t name[VMSCM_GENERATION_NAME], uint64_t size, struct vmscm_error *err)
{
    return vmscm_generation_step(&p->next, VMSCM_GENERATION_CONDEMN, kind, name, size, err);
}

int vmscm_publish_remove(struct vmscm_publish *p, unsigned kind,
    const uint8_t name[VMSCM_GENERATION_NAME], struct vmscm_error *err)
{
    return vmscm_generation_step(&p->next, VMSCM_GENERATION_REMOVE, kind, name, 0, err);
}

void vmscm_publish_forget(struct vmscm_publish *p)
{
    p->next.steps.len = 0;
    p->rewrite = false;
}

bool vmscm_publish_has(const struct vmscm_publish *p, const uint8_t name[VMSCM_GENERATION_NAME])
{
    for (size_t i = 0; i < p->uploads.len; i++)
        if (memcmp(p->uploads.items[i].name, name, VMSCM_GENERATION_NAME) == 0)
            return true;
    return false;
}

void vmscm_publish_rewrite_history(struct vmscm_publish *p)
{
    p->rewrite = true;
}

int vmscm_publish_begin(struct vmscm_publish *p, struct vmscm_error *err)
{
    bool changed;
    int rc;

    release_changes(&p->next);
    if (p->lock < 0 && (rc = vmscm_mirror_lock(&p->lock, p->m, err)))
        return rc;
    if ((rc = vmscm_sync_run(p->m, err)) || (rc = vmscm_gitdb_reload(p->m->repo->git, err)))
        return rc;
    if (!p->m->repo->store)
        return 0;
    /* What another process took in has stubs, maybe, that this one did not look for. */
    if ((rc = vmscm_stubs_update(p->m, NULL, err)))
        return rc;
    return vmscm_store_reload(p->m->repo->store, &changed, err);
}

int vmscm_publish_ref(struct vmscm_publish *p, const char *ref, const char *id,
    struct vmscm_error *err)
{
    static const uint8_t zeros[VMSCM_GENERATION_OID];
    const struct vmscm_generation_ref *now = vmscm_generation_find_ref(&p->m->state, ref);
    const uint8_t *before = now ? now->id : zeros;
    uint8_t after[VMSCM_GENERATION_OID] = {0};

    if (*id && !vmscm_str_unhex(after, sizeof after, id))
        return vmscm_error_set(err, VMSCM_EUSAGE, "%.100s: no id", id);
    if (memcmp(before, after, sizeof after) == 0)
        return 0;
    return vmscm_generation_change(&p->next, ref, before, after, err);
}

/* gc may have removed what was uploaded here and not made known yet, as garbage: G15. It says so in some
 * generation since; what it removed has its name no more. */
static int upload_again(struct vmscm_publish *p, struct vmscm_error *err)
{
    uint8_t digest[VMSCM_GENERATION_DIGEST];
    struct vmscm_generation g = {0};
    uint64_t bytes;
    int rc = 0;

    /* So many make it likely that all was removed, and nobody's word is taken that they exist. */
    if (p->m->number > p->seen && p->m->number - p->seen > LOOK_BACK) {
        for (size_t k = 0; k < p->uploads.len; k++)
            p->uploads.items[k].done = false;
        p->seen = p->m->number;
    }
    for (uint64_t n = p->seen + 1; p->uploads.len && n <= p->m->number && !rc; n++) {
        if ((rc = vmscm_genlog_read(&g, digest, &bytes, p->m->s3, n, err)))
            break;
        for (size_t i = 0; i < g.steps.len; i++) {
            const struct vmscm_generation_step *s = &g.steps.items[i];
            for (size_t k = 0; k < p->uploads.len && s->op == VMSCM_GENERATION_REMOVE; k++)
                if (memcmp(p->uploads.items[k].name, s->name, sizeof s->name) == 0)
                    p->uploads.items[k].done = false;
        }
        vmscm_generation_release(&g);
        p->seen = n;
    }
    for (size_t k = 0; k < p->uploads.len && !rc; k++)
        if (!p->uploads.items[k].done &&
            getrandom(p->uploads.items[k].name, VMSCM_GENERATION_NAME, 0) != VMSCM_GENERATION_NAME)
            rc = vmscm_error_set(err, VMSCM_EIO, "random numbers: there are none");
    return rc ? rc : upload(p, err);
}

/* What is condemned and was relied on stays. */
static int rescue(struct vmscm_publish *p, struct vmscm_generation *g, struct vmscm_error *err)
{
    struct vmscm_store *store = p->m->repo->store;
    int rc = 0;

    for (size_t i = 0; store && i < vmscm_store_pack_count(store) && !rc; i++) {
        struct vmscm_packfile *pack = vmscm_store_pack(store, i);
        const struct vmscm_generation_object *o =
            atomic_load(&pack->used)
            ? vmscm_generation_find(&p->m->state, VMSCM_GENERATION_PACK, pack->name)
            : NULL;
        if (o && o->condemned)
            rc = vmscm_generation_step(
                g, VMSCM_GENERATION_ADD, VMSCM_GENERATION_PACK, o->name, o->size, err);
    }
    return rc;
}

/* All that the refs as they will be lead to, and those of now do not; or all. */
static int find_news(struct vmscm_novel **out, struct vmscm_publish *p, struct vmscm_error *err)
{
    static const uint8_t zeros[VMSCM_GENERATION_OID];
    const struct vmscm_generation_state *state = &p->m->state;
    struct vmscm_novel *novel = NULL;
    char id[VMSCM_GITDB_ID];
    int rc = vmscm_novel_new(&novel, p->m->repo->git, err);

    for (size_t i = 0; i < state->refs.len && !rc; i++) {
        vmscm_str_hex(id, state->refs.items[i].id, VMSCM_GENERATION_OID);
        rc = p->rewrite ? vmscm_novel_want(novel, id, err) : vmscm_novel_know(novel, id, err);
    }
    for (size_t i = 0; i < p->next.changes.len && !rc; i++) {
        const struct vmscm_generation_change *c = &p->next.changes.items[i];
        if (memcmp(c->after, zeros, sizeof zeros) == 0)
            continue;
        vmscm_str_hex(id, c->after, VMSCM_GENERATION_OID);
        rc = vmscm_novel_want(novel, id, err);
    }
    if (rc)
        vmscm_novel_free(novel);
    else
        *out = novel;
    return rc;
}

/* The history that is new into an object; *name is its. */
static int add_history(struct vmscm_publish *p, struct vmscm_generation *g, bool *any,
    uint8_t name[VMSCM_GENERATION_NAME], struct vmscm_error *err)
{
    const struct vmscm_generation_state *state = &p->m->state;
    struct vmscm_novel *novel = NULL;
    uint64_t size = 0;
    int rc;

    *any = false;
    if (!p->rewrite && !p->next.changes.len)
        return 0;
    if ((rc = find_news(&novel, p, err)) || (rc = vmscm_histobj_put(name, &size, p->m, novel, err)))
        goto out;
    *any = size > 0;
    if (size)
        rc = vmscm_generation_step(
            g, VMSCM_GENERATION_ADD, VMSCM_GENERATION_HISTORY, name, size, err);
    for (size_t i = 0; p->rewrite && i < state->objects.len && !rc; i++) {
        const struct vmscm_generation_object *o = &state->objects.items[i];
        if (o->kind == VMSCM_GENERATION_HISTORY && o->listed && !o->condemned)
            rc = vmscm_generation_step(g, VMSCM_GENERATION_CONDEMN, o->kind, o->name, o->size, err);
    }
out:
    vmscm_novel_free(novel);
    return rc;
}

/* What the new generation changes. */
static int fill(struct vmscm_publish *p, struct vmscm_generation *g, bool *any,
    uint8_t history[VMSCM_GENERATION_NAME], struct vmscm_error *err)
{
    int rc = add_history(p, g, any, history, err);

    for (size_t i = 0; i < p->next.changes.len && !rc; i++) {
        const struct vmscm_generation_change *c = &p->next.changes.items[i];
        rc = vmscm_generation_change(g, c->name, c->before, c->after, err);
    }
    for (size_t i = 0; i < p->uploads.len && !rc; i++)
        rc = vmscm_generation_step(g, VMSCM_GENERATION_ADD, VMSCM_GENERATION_PACK,
            p->uploads.items[i].name, p->uploads.items[i].size, err);
    if (!rc)
        rc = rescue(p, g, err);
    for (size_t i = 0; i < p->next.steps.len && !rc; i++) {
        const struct vmscm_generation_step *s = &p->next.steps.items[i];
        rc = vmscm_generation_step(g, s->op, s->kind, s->name, s->size, err);
    }
    return rc;
}

/* Whether the next one is to tell all there is: once those since the last take as many bytes, or are many. */
static int complete(struct vmscm_publish *p, struct vmscm_generation *g, struct vmscm_error *err)
{
    const struct vmscm_mirror *m = p->m;
    uint64_t whole = vmscm_generation_size(&m->state), more = g->steps.len * (uint64_t)48;
    int rc;

    for (size_t i = 0; i < g->changes.len; i++)
        more += VMSCM_GENERATION_OID + 2 + strlen(g->changes.items[i].name);
    /* Nobody could read on from there. */
    if (whole + more > VMSCM_GENERATION_MAX / 2)
        return vmscm_error_set(err, VMSCM_EREFUSED, "%s: more refs and packs than one repository can have",
            vmscm_s3_identity(m->s3));
    g->base = m->base;
    if (g->number - m->base < WHOLE_EVERY && (m->since < whole || g->number - m->base < WHOLE_EVERY / 4))
        return 0;
    if ((rc = vmscm_generation_copy(&g->state, &m->state, err)) ||
        (rc = vmscm_generation_apply(&g->state, g, err)))
        return rc;
    g->base = g->number;
    return 0;
}

/* The packs that were uploaded, as far as is known of those of others. */
static int make_stubs(struct vmscm_publish *p, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < p->uploads.len && !rc; i++) {
        const struct upload *u = &p->uploads.items[i];
        rc = vmscm_stubs_make(p->m, u->fd, u->size, u->name, err);
    }
    return rc;
}

int vmscm_publish_run(struct vmscm_publish *p, bool *lost, struct vmscm_error *err)
{
    struct vmscm_generation g = {
        .number = p->m->number + 1, .when = (int64_t)time(NULL)};
    uint8_t digest[VMSCM_GENERATION_DIGEST], history[VMSCM_GENERATION_NAME];
    uint64_t bytes;
    bool any = false;
    int rc;

    *lost = false;
    if (!p->next.changes.len && !p->next.steps.len && !p->rewrite)
        return 0; /* uploads alone are of use to nobody */
    memcpy(g.previous, p->m->digest, sizeof g.previous);
    if ((rc = probe(p->m, err)) || (rc = upload_again(p, err)) ||
        (rc = fill(p, &g, &any, history, err)) || (rc = complete(p, &g, err)))
        goto out;
    if ((rc = vmscm_genlog_create(&g, digest, &bytes, p->m->s3, err)) == VMSCM_ECONFLICT) {
        *lost = true;
        p->m->made = g.number; /* by another */
        vmscm_error_clear(err);
        rc = 0;
        goto out;
    }
    if (rc)
        goto out;
    /* It is done. What follows is only about this copy of it, and done anew by the next who looks. */
    forget_uploaded(p);
    if ((any && vmscm_histobj_note(p->m, history, NULL)) || make_stubs(p, NULL) ||
        vmscm_sync_advance(p->m, &g, digest, bytes, NULL))
        vmscm_handle_note(p->m->events, "%s: what is kept of it here is behind", p->m->url);
out:
    vmscm_generation_release(&g);
    return rc;
}
