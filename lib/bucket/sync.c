/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bucket/sync.h"
#include "base/endian.h"
#include "base/path.h"
#include "base/str.h"
#include "bucket/genlog.h"
#include "bucket/histobj.h"
#include "bucket/stubs.h"
#include "history/pruned.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "repo/refnames.h"
#include "sys/file.h"
#include "sys/parallel.h"
#include "sys/tempdir.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STATE_FILE "generation"
#define STATE_HEAD 16 /* base and bytes since it, before a generation that is whole */
#define JOBS 8u             /* generations that are read at once */
#define SHORT (8u << 20)    /* bytes of one that is; longer ones are read by themselves */
#define APART_MAX 1024u     /* generations from a whole one to the next: G9 */
#define ANEW_MAX 8          /* times that what is listed may be gone */

static void forget(struct vmscm_mirror *m)
{
    vmscm_generation_release_state(&m->state);
    m->number = m->base = m->since = 0;
    memset(m->digest, 0, sizeof m->digest);
}

/* What cannot be read is got anew: it is but a copy. */
int vmscm_sync_load(struct vmscm_mirror *m, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_generation g = {0};
    char *path = NULL;
    int rc = vmscm_mirror_path(&path, m, STATE_FILE, err);

    if (rc)
        return rc;
    rc = vmscm_file_read(&buf, path, VMSCM_GENERATION_MAX + STATE_HEAD, &why);
    if (rc == VMSCM_ENOMEM)
        goto out;
    if (rc || buf.len < STATE_HEAD ||
        (rc = vmscm_generation_decode(&g, buf.data + STATE_HEAD, buf.len - STATE_HEAD, &why))) {
        forget(m);
        rc = rc == VMSCM_ENOMEM ? rc : 0;
        goto out;
    }
    if (g.number != m->number || memcmp(g.previous, m->digest, sizeof g.previous) != 0) {
        forget(m);
        m->number = g.number;
        m->base = vmscm_get_le64(buf.data);
        m->since = vmscm_get_le64(buf.data + 8);
        memcpy(m->digest, g.previous, sizeof m->digest);
        m->state = g.state;
        memset(&g.state, 0, sizeof g.state);
    }
    vmscm_generation_release(&g);
out:
    if (rc)
        vmscm_error_copy(err, &why);
    vmscm_buf_release(&buf);
    free(path);
    return rc;
}

/* As a generation of that number that is whole, whose previous digest is its own. */
static int save(struct vmscm_mirror *m, struct vmscm_error *err)
{
    struct vmscm_generation g = {.number = m->number, .base = m->number, .state = m->state};
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    char *path = NULL;
    int rc;

    memcpy(g.previous, m->digest, sizeof g.previous);
    if (!(rc = vmscm_buf_put64(&buf, m->base, err)) && !(rc = vmscm_buf_put64(&buf, m->since, err)) &&
        !(rc = vmscm_generation_encode(&buf, &g, err)) &&
        !(rc = vmscm_mirror_path(&path, m, STATE_FILE, err)))
        rc = vmscm_file_replace(path, buf.data, buf.len, 0600, err);
    vmscm_buf_release(&buf);
    free(path);
    return rc;
}

struct one {
    struct vmscm_generation g;
    uint8_t digest[VMSCM_GENERATION_DIGEST];
    uint64_t bytes;
    bool is_long; /* it is not read yet */
};

/* Generations that are to be read, `first` and those after it. */
struct work {
    struct vmscm_mirror *m;
    uint64_t first;
    size_t count;
    struct one list[JOBS];
    atomic_size_t next;
};

static int read_one(struct work *work, size_t i, size_t max, struct vmscm_error *err)
{
    struct one *one = &work->list[i];
    int rc = vmscm_genlog_read_short(
        &one->g, one->digest, &one->bytes, max, work->m->s3, work->first + i, err);

    if (rc == VMSCM_ENOTFOUND && err)
        err->code = VMSCM_EDAMAGED;
    return rc == VMSCM_ENOTFOUND ? VMSCM_EDAMAGED : rc;
}

static int read_some(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct work *work = p->data;
    size_t i;
    int rc = 0;

    (void)index;
    while (!rc && !p->stop && (i = atomic_fetch_add(&work->next, 1)) < work->count) {
        if ((rc = read_one(work, i, SHORT, err)) == VMSCM_EINPUT) {
            work->list[i].is_long = true;
            vmscm_error_clear(err);
            rc = 0;
        }
    }
    return rc;
}

static int take(struct vmscm_mirror *m, struct one *one, bool first, struct vmscm_error *err)
{
    int rc = 0;

    if (!first && memcmp(one->g.previous, m->digest, sizeof m->digest) != 0)
        return vmscm_error_set(err, VMSCM_EDAMAGED,
            "%s: generation %llu does not follow from the one before", vmscm_s3_identity(m->s3),
            (unsigned long long)one->g.number);
    if (first && one->g.base != one->g.number)
        return vmscm_error_set(err, VMSCM_EDAMAGED,
            "%s: generation %llu should tell all there is, and does not", vmscm_s3_identity(m->s3),
            (unsigned long long)one->g.number);
    if (first) {
        vmscm_generation_release_state(&m->state);
        m->state = one->g.state;
        memset(&one->g.state, 0, sizeof one->g.state);
    } else if ((rc = vmscm_generation_apply(&m->state, &one->g, err))) {
        return vmscm_error_prefix(err, "%s", vmscm_s3_identity(m->s3));
    }
    m->number = one->g.number;
    m->base = one->g.base;
    m->since = one->g.base == one->g.number ? 0 : m->since + one->bytes;
    memcpy(m->digest, one->digest, sizeof m->digest);
    return 0;
}

/* Up to JOBS generations from number on, which are read and taken in. */
static int take_some(struct vmscm_mirror *m, uint64_t number, size_t count, bool anew,
    struct vmscm_error *err)
{
    struct work work = {.m = m, .first = number, .count = count};
    int rc = vmscm_parallel_run((unsigned)count, read_some, &work, err);

    for (size_t i = 0; i < count; i++) {
        if (!rc && work.list[i].is_long)
            rc = read_one(&work, i, VMSCM_GENERATION_MAX, err);
        if (!rc)
            rc = take(m, &work.list[i], anew && i == 0, err);
        vmscm_generation_release(&work.list[i].g);
    }
    return rc ? rc : vmscm_handle_canceled(m->events, err);
}

/* From the newest, whose number is known, or from its base, to it. */
static int advance(struct vmscm_mirror *m, uint64_t newest, struct vmscm_error *err)
{
    struct one last = {0};
    uint64_t next;
    bool anew;
    int rc = vmscm_genlog_read(&last.g, last.digest, &last.bytes, m->s3, newest, err);

    if (rc)
        return rc;
    anew = m->number < last.g.base;
    next = anew ? last.g.base : m->number + 1;
    if (newest - next >= APART_MAX)
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "%s: its newest generation has no base near it",
            vmscm_s3_identity(m->s3));
    while (!rc && next < newest) {
        size_t count = newest - next < JOBS ? (size_t)(newest - next) : JOBS;
        rc = take_some(m, next, count, anew, err);
        next += count;
        anew = false;
    }
    if (!rc)
        rc = take(m, &last, anew, err);
    vmscm_generation_release(&last.g);
    return rc;
}

/* The history that is not here yet. */
static int take_history(struct vmscm_mirror *m, struct vmscm_error *err)
{
    struct vmscm_incoming *incoming = NULL;
    char *tmp = NULL, *dir = NULL, *git = NULL;
    int rc = 0;

    for (size_t i = 0; i < m->state.objects.len && !rc; i++) {
        const struct vmscm_generation_object *o = &m->state.objects.items[i];
        if (o->kind != VMSCM_GENERATION_HISTORY || !o->listed || vmscm_histobj_is_here(m, o->name))
            continue;
        if (!incoming &&
            ((rc = vmscm_mirror_path(&tmp, m, "tmp", err)) ||
                (rc = vmscm_tempdir_make(&dir, tmp, err)) ||
                (rc = vmscm_path_join(&git, dir, "git", err)) ||
                (rc = vmscm_incoming_open(&incoming, m->repo->git, git, err))))
            break;
        rc = vmscm_histobj_get(m, incoming, o, err);
    }
    if (!rc && incoming && !(rc = vmscm_incoming_install(incoming, err)))
        rc = vmscm_gitdb_reload(m->repo->git, err);
    for (size_t i = 0; i < m->state.objects.len && incoming && !rc; i++) {
        const struct vmscm_generation_object *o = &m->state.objects.items[i];
        if (o->kind == VMSCM_GENERATION_HISTORY && o->listed && !vmscm_histobj_is_here(m, o->name))
            rc = vmscm_histobj_note(m, o->name, err);
    }
    vmscm_incoming_close(incoming);
    vmscm_tempdir_remove(dir);
    free(tmp);
    free(git);
    return rc;
}

struct refs {
    struct vmscm_mirror *m;
    VMSCM_VEC(struct vmscm_generation_ref) list; /* that are here; id zeros: cannot be read */
    struct vmscm_error *err;
};

static int add_ref(void *data, const char *ref, const char *id)
{
    struct refs *refs = data;
    struct vmscm_generation_ref *slot;

    if (vmscm_vec_add(&refs->list, &slot, refs->err))
        return VMSCM_ENOMEM;
    if (id)
        vmscm_str_unhex(slot->id, sizeof slot->id, id);
    return vmscm_str_dup(&slot->name, ref, refs->err);
}

static bool is_good_name(const char *name)
{
    return vmscm_refnames_kind(name, NULL, NULL) != VMSCM_REFNAMES_NONE ||
        strcmp(name, VMSCM_PRUNED_REF) == 0;
}

/* Those that are to go before those that are to come: names may clash. */
static int set_refs(struct vmscm_mirror *m, struct vmscm_error *err)
{
    const struct vmscm_signature who = {
        .name = (char *)"vmscm", .email = (char *)"vmscm@localhost", .time = (int64_t)time(NULL)};
    struct refs refs = {.m = m, .err = err};
    struct vmscm_generation_state here = {0};
    char id[VMSCM_GITDB_ID];
    int rc = vmscm_reflist_walk(m->repo->git, "refs/", add_ref, &refs, err);

    for (size_t i = 0; i < refs.list.len && !rc; i++)
        if (!vmscm_generation_find_ref(&m->state, refs.list.items[i].name))
            rc = vmscm_refs_delete(m->repo->git, refs.list.items[i].name, NULL, err);
    here.refs.items = refs.list.items;
    here.refs.len = refs.list.len;
    for (size_t i = 0; i < m->state.refs.len && !rc; i++) {
        const struct vmscm_generation_ref *ref = &m->state.refs.items[i];
        const struct vmscm_generation_ref *is = vmscm_generation_find_ref(&here, ref->name);
        if (is && memcmp(is->id, ref->id, sizeof ref->id) == 0)
            continue;
        if (!is_good_name(ref->name)) {
            rc = vmscm_error_set(err, VMSCM_EDAMAGED, "%s: has a ref named %s, which none can be",
                vmscm_s3_identity(m->s3), ref->name);
            break;
        }
        vmscm_str_hex(id, ref->id, sizeof ref->id);
        if ((rc = vmscm_refs_update(m->repo->git, ref->name, NULL, id, &who, "as in the bucket", err)))
            vmscm_error_prefix(err, "%s", ref->name);
    }
    for (size_t i = 0; i < refs.list.len; i++)
        free(refs.list.items[i].name);
    vmscm_vec_release(&refs.list);
    return rc;
}

/* The rest of what a new state means here. */
static int follow(struct vmscm_mirror *m, struct vmscm_error *err)
{
    bool changed;
    int rc;

    if ((rc = take_history(m, err)) || (rc = set_refs(m, err)))
        return rc;
    if (m->repo->store && ((rc = vmscm_stubs_update(m, NULL, err)) ||
                              (rc = vmscm_store_reload(m->repo->store, &changed, err))))
        return rc;
    return save(m, err);
}

/* Whether the generation that was taken in last is still there as it was. */
static int is_same(bool *same, struct vmscm_mirror *m, struct vmscm_error *err)
{
    struct one one = {0};
    int rc = vmscm_genlog_read(&one.g, one.digest, &one.bytes, m->s3, m->number, err);

    *same = !rc && memcmp(one.digest, m->digest, sizeof m->digest) == 0;
    vmscm_generation_release(&one.g);
    if (rc != VMSCM_ENOTFOUND)
        return rc;
    vmscm_error_clear(err);
    return 0;
}

/* The newest that is listed, or that is known otherwise. */
static int find_newest(uint64_t *newest, struct vmscm_mirror *m, struct vmscm_error *err)
{
    int rc = vmscm_genlog_newest(newest, m->s3, err);

    if (!rc && *newest < m->made)
        *newest = m->made;
    return rc;
}

static int catch_up(struct vmscm_mirror *m, uint64_t newest, struct vmscm_error *err)
{
    int rc = advance(m, newest, err);

    if (rc == VMSCM_EDAMAGED && m->number) {
        vmscm_error_clear(err);
        forget(m);
        rc = advance(m, newest, err);
    }
    return rc ? rc : follow(m, err);
}

int vmscm_sync_run(struct vmscm_mirror *m, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    uint64_t newest, before;
    int anew = 0;
    bool same;
    int rc;

    if ((rc = vmscm_sync_load(m, err)) || (rc = find_newest(&newest, m, err)))
        return rc;
    /* A list that is behind is one thing, a bucket that was made anew another. */
    if (m->number && newest <= m->number) {
        same = m->seen && newest == m->number;
        if (!same && (rc = is_same(&same, m, err)))
            return rc;
        m->seen = true;
        if (same)
            return set_refs(m, err);
        vmscm_handle_note(m->events, "%s: is not what it was; all of it is read", m->url);
        forget(m);
    }
    m->seen = true;
    /* What is gone may have been removed since: G12. */
    do {
        vmscm_error_clear(&why);
        rc = catch_up(m, before = newest, &why);
    } while (rc == VMSCM_ENOTFOUND && !find_newest(&newest, m, NULL) && newest > before &&
        ++anew < ANEW_MAX);
    if (rc == VMSCM_ENOTFOUND && anew == ANEW_MAX) {
        vmscm_error_set(err, VMSCM_EIO, "%s: what it lists is gone, and so %d times in a row: %s",
            vmscm_s3_identity(m->s3), ANEW_MAX, why.message);
        return vmscm_error_hint(err, "somebody collects garbage there with too short a grace, over and over");
    }
    return rc ? vmscm_error_copy(err, &why) : 0;
}

int vmscm_sync_packs(struct vmscm_mirror *m, struct vmscm_error *err)
{
    struct vmscm_mirror now = {
        .s3 = m->s3, .url = m->url, .dir = m->dir, .events = m->events, .apart = m->apart};
    uint64_t newest = 0, before = 0;
    size_t gone = 0;
    int rc = vmscm_sync_load(&now, err);

    for (int anew = 0; !rc && anew < ANEW_MAX; anew++, before = newest) {
        if ((rc = vmscm_genlog_newest(&newest, now.s3, err)) || (anew && newest <= before))
            break;
        if (newest > now.number && (rc = advance(&now, newest, err)) == VMSCM_EDAMAGED && now.number) {
            vmscm_error_clear(err);
            forget(&now);
            rc = advance(&now, newest, err);
        }
        if (rc || (rc = vmscm_stubs_add(&now, &gone, err)) || !gone)
            break;
    }
    if (!rc && gone)
        vmscm_handle_warn(m->events, "%zu packs are gone", gone);
    forget(&now);
    return rc;
}

int vmscm_sync_advance(struct vmscm_mirror *m, const struct vmscm_generation *g,
    const uint8_t digest[VMSCM_GENERATION_DIGEST], uint64_t bytes, struct vmscm_error *err)
{
    int rc = vmscm_generation_apply(&m->state, g, err);

    if (rc)
        return rc;
    m->number = g->number;
    m->base = g->base;
    m->since = g->base == g->number ? 0 : m->since + bytes;
    memcpy(m->digest, digest, sizeof m->digest);
    return follow(m, err);
}
