/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/gitgc.h"
#include "history/gitfiles.h"
#include "history/gitmark.h"
#include "history/gitpack.h"

#include <stdlib.h>
#include <string.h>

#define TICK 1024 /* objects between two calls of progress */

struct pack {
    struct vmscm_gitfiles_pack file;
    uint64_t objects, dead;
    uint64_t fresh; /* live, and in none of those looked at before it */
    bool replace;
};

struct vmscm_gitgc {
    struct vmscm_gitdb *db;
    struct vmscm_gitgc_options options;
    struct vmscm_gitmark mark;
    VMSCM_VEC(git_oid) loose; /* those there were */
    VMSCM_VEC(struct pack) packs;
    VMSCM_VEC(struct vmscm_gitpack_item) live; /* all that is marked, until it is packed */
    struct vmscm_oidset doomed;                /* garbage in packs that are to go */
    struct vmscm_oidset twice;                 /* loose, and in a pack that stays or is new */
    struct vmscm_gitgc_counts counts;          /* what prepare did */
    bool sweeping;
    bool keep_packs; /* something came to life in one that was to go */
};

static int on_mark(void *data, const git_oid *oid, const char *name, struct vmscm_error *err)
{
    struct vmscm_gitgc *gc = data;
    struct vmscm_gitpack_item *item;
    size_t len = strlen(name);

    if (gc->sweeping) {
        gc->keep_packs |= vmscm_oidset_has(&gc->doomed, oid);
        return 0;
    }
    if (vmscm_vec_add(&gc->live, &item, err))
        return VMSCM_ENOMEM;
    item->oid = *oid;
    if (len >= sizeof item->name)
        name += len - sizeof item->name + 1;
    memcpy(item->name, name, strlen(name) + 1);
    if (gc->options.progress && gc->live.len % TICK == 0)
        return gc->options.progress(gc->options.data, gc->live.len, 0);
    return 0;
}

static int add_loose(void *data, const git_oid *oid, struct vmscm_error *err)
{
    struct vmscm_gitgc *gc = data;
    git_oid *slot;

    if (vmscm_vec_add(&gc->loose, &slot, err))
        return VMSCM_ENOMEM;
    *slot = *oid;
    return 0;
}

static int add_pack(void *data, struct vmscm_gitfiles_pack *file, struct vmscm_error *err)
{
    struct vmscm_gitgc *gc = data;
    struct pack *slot;

    if (vmscm_vec_add(&gc->packs, &slot, err)) {
        free(file->stem);
        return VMSCM_ENOMEM;
    }
    slot->file = *file;
    return 0;
}

enum walk {
    WALK_TEST,   /* only count */
    WALK_ALL,    /* all its ids into the set */
    WALK_GARBAGE /* the garbage */
};

struct ids {
    struct vmscm_gitgc *gc;
    struct pack *pack;
    struct vmscm_oidset *set;
    enum walk walk;
    struct vmscm_error *err;
    int rc;
};

static int on_id(const git_oid *oid, void *payload)
{
    struct ids *ids = payload;
    bool dead = !vmscm_oidset_has(&ids->gc->mark.marked, oid), added;

    if (ids->walk == WALK_ALL || (ids->walk == WALK_GARBAGE && dead))
        ids->rc = vmscm_oidset_add(ids->set, &added, oid, ids->err);
    if (ids->walk == WALK_TEST) {
        ids->pack->objects++;
        ids->pack->dead += dead;
        ids->pack->fresh += !dead && !vmscm_oidset_has(ids->set, oid);
    }
    return ids->rc ? GIT_EUSER : 0;
}

static int walk_pack(struct vmscm_gitgc *gc, struct pack *pack, struct vmscm_oidset *set,
    enum walk walk, struct vmscm_error *err)
{
    struct ids ids = {gc, pack, set, walk, err, 0};
    git_odb *odb;
    int rc = vmscm_gitpack_open(&odb, gc->db, "pack", pack->file.stem, err), e;

    if (rc)
        return rc;
    e = git_odb_foreach(odb, on_id, &ids);
    if (ids.rc)
        rc = ids.rc;
    else if (e < 0)
        rc = vmscm_git_error(err, e, VMSCM_EDAMAGED, "%s", pack->file.stem);
    git_odb_free(odb);
    return rc;
}

/* Those that must stay first, then the largest: of packs of which one has all that another has, the
 * smaller goes. */
static int compare_packs(const void *a, const void *b)
{
    const struct pack *x = a, *y = b;

    if (x->file.kept != y->file.kept)
        return x->file.kept ? -1 : 1;
    return x->file.bytes < y->file.bytes ? 1 : x->file.bytes > y->file.bytes ? -1 : 0;
}

/* Which packs are to be written anew, or are not needed; stay becomes all that is in the others.
 * Plain git's index over several packs does not say when one of them goes, and readers would not look
 * elsewhere: leave them all. */
static int choose_packs(struct vmscm_gitgc *gc, bool midx, struct vmscm_oidset *stay,
    struct vmscm_error *err)
{
    size_t count = 0;
    int rc = 0;

    if (gc->packs.len)
        qsort(gc->packs.items, gc->packs.len, sizeof *gc->packs.items, compare_packs);
    for (size_t i = 0; i < gc->packs.len; i++)
        count += !gc->packs.items[i].file.kept;
    for (size_t i = 0; i < gc->packs.len && !rc; i++) {
        struct pack *pack = &gc->packs.items[i];
        bool leave = midx || pack->file.kept;
        if ((rc = walk_pack(gc, pack, stay, WALK_TEST, err)))
            break;
        pack->replace = !leave &&
            (pack->fresh == 0 || count > gc->options.packs_max ||
                (pack->dead && pack->dead * 100 >= pack->objects * gc->options.dead_percent) ||
                (gc->options.aggressive && (count > 1 || gc->loose.len || pack->dead)));
        if (!pack->replace)
            rc = walk_pack(gc, pack, stay, WALK_ALL, err);
    }
    return rc;
}

/* What is also in a pack that stays can go if it is whole there. */
static int check_twice(struct vmscm_gitgc *gc, const struct vmscm_oidset *stay,
    const struct vmscm_oidset *loose, const struct vmscm_oidset *old, struct vmscm_error *err)
{
    VMSCM_VEC(git_oid) doubles = {0};
    git_oid *slot;
    bool added;
    int rc = 0;

    for (size_t i = 0; i < gc->live.len && !rc; i++) {
        const git_oid *oid = &gc->live.items[i].oid;
        if (vmscm_oidset_has(stay, oid) &&
            (vmscm_oidset_has(loose, oid) || vmscm_oidset_has(old, oid)) &&
            !(rc = vmscm_vec_add(&doubles, &slot, err)))
            *slot = *oid;
    }
    for (size_t p = 0; p < gc->packs.len && doubles.len && !rc; p++) {
        git_odb *odb;
        if (gc->packs.items[p].replace)
            continue;
        rc = vmscm_gitpack_open(&odb, gc->db, "pack", gc->packs.items[p].file.stem, err);
        for (size_t i = 0; i < doubles.len && !rc; i++) {
            git_odb_object *object;
            if (git_odb_read(&object, odb, &doubles.items[i]) == 0) {
                git_odb_object_free(object);
                rc = vmscm_oidset_add(&gc->twice, &added, &doubles.items[i], err);
            }
        }
        git_odb_free(odb);
    }
    vmscm_vec_release(&doubles);
    return rc;
}

/* Keep in gc->live just what is to go into the new pack. */
static int choose_objects(struct vmscm_gitgc *gc, const struct vmscm_oidset *stay,
    struct vmscm_error *err)
{
    struct vmscm_oidset loose = {0}, old = {0};
    size_t n = 0, loose_live = 0;
    bool added, replaces = false;
    int rc = 0;

    for (size_t i = 0; i < gc->packs.len && !rc; i++)
        if (gc->packs.items[i].replace) {
            replaces |= gc->packs.items[i].fresh != 0;
            rc = walk_pack(gc, &gc->packs.items[i], &old, WALK_ALL, err);
        }
    for (size_t i = 0; i < gc->loose.len && !rc; i++)
        rc = vmscm_oidset_add(&loose, &added, &gc->loose.items[i], err);
    if (rc || (rc = check_twice(gc, stay, &loose, &old, err)))
        goto out;
    for (size_t i = 0; i < gc->live.len; i++)
        loose_live += vmscm_oidset_has(&loose, &gc->live.items[i].oid) &&
            !vmscm_oidset_has(&gc->twice, &gc->live.items[i].oid);
    bool pack_loose = replaces || loose_live > gc->options.loose_max ||
        (gc->options.aggressive && loose_live);
    for (size_t i = 0; i < gc->live.len; i++) {
        const git_oid *oid = &gc->live.items[i].oid;
        if (!vmscm_oidset_has(&gc->twice, oid) &&
            (vmscm_oidset_has(&old, oid) || (pack_loose && vmscm_oidset_has(&loose, oid))))
            gc->live.items[n++] = gc->live.items[i];
    }
    gc->live.len = n;
out:
    vmscm_oidset_release(&loose);
    vmscm_oidset_release(&old);
    return rc;
}

/* Write the new pack. Without space for it, or memory, gc goes on: it may be what makes space. */
static int write_pack(struct vmscm_gitgc *gc, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    char *stem = NULL;
    bool added;
    int rc;

    gc->counts.packed = gc->live.len;
    if (gc->options.dry_run || !gc->live.len)
        return 0;
    rc = vmscm_gitpack_write(&stem, &gc->counts.written, gc->db, gc->live.items, gc->live.len,
        gc->options.jobs, gc->options.progress, gc->options.data, &why);
    if (rc == VMSCM_EIO || rc == VMSCM_ENOMEM) {
        gc->counts.packing = why;
        gc->counts.packed = gc->live.len = 0;
        for (size_t i = 0; i < gc->packs.len; i++)
            gc->packs.items[i].replace = false;
        rc = vmscm_gitfiles_recover(gc->db, err);
        return rc ? rc : vmscm_gitfiles_begin(gc->db, err);
    }
    if (rc) {
        vmscm_error_copy(err, &why);
        return rc;
    }
    for (size_t i = 0; i < gc->packs.len; i++)
        /* The very same pack again. */
        if (strcmp(gc->packs.items[i].file.stem, stem) == 0)
            gc->packs.items[i].replace = false;
    for (size_t i = 0; i < gc->live.len && !rc; i++)
        rc = vmscm_oidset_add(&gc->twice, &added, &gc->live.items[i].oid, err);
    free(stem);
    return rc;
}

int vmscm_gitgc_prepare(struct vmscm_gitgc **out, struct vmscm_gitdb *db,
    const struct vmscm_roots *roots, const struct vmscm_gitgc_options *options,
    struct vmscm_error *err)
{
    static const struct vmscm_gitgc_options defaults = VMSCM_GITGC_OPTIONS_INIT;
    struct vmscm_gitgc *gc = calloc(1, sizeof *gc);
    struct vmscm_oidset stay = {0};
    bool midx;
    int rc;

    *out = NULL;
    if (!gc)
        return vmscm_error_nomem(err);
    gc->db = db;
    gc->options = options ? *options : defaults;
    gc->mark = (struct vmscm_gitmark){.db = db, .fresh = on_mark, .data = gc};
    if ((!gc->options.dry_run &&
            ((rc = vmscm_gitfiles_recover(db, err)) || (rc = vmscm_gitfiles_begin(db, err)))) ||
        (rc = vmscm_gitfiles_loose(db, add_loose, gc, err)) ||
        (rc = vmscm_gitfiles_packs(db, &midx, add_pack, gc, err)) ||
        (rc = vmscm_gitmark_roots(&gc->mark, roots, err)))
        goto out;
    gc->counts.objects = gc->mark.marked.count;
    if ((rc = choose_packs(gc, midx, &stay, err)) || (rc = choose_objects(gc, &stay, err)) ||
        (rc = write_pack(gc, err)))
        goto out;
    vmscm_vec_release(&gc->live);
    for (size_t i = 0; i < gc->packs.len && !rc; i++)
        if (gc->packs.items[i].replace)
            rc = walk_pack(gc, &gc->packs.items[i], &gc->doomed, WALK_GARBAGE, err);
    if (rc)
        goto out;
    *out = gc;
    gc = NULL;
out:
    vmscm_oidset_release(&stay);
    vmscm_gitgc_free(gc);
    return rc;
}

static int sweep_packs(struct vmscm_gitgc *gc, struct vmscm_gitgc_counts *counts,
    struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < gc->packs.len && !rc; i++) {
        const struct pack *pack = &gc->packs.items[i];
        if (!pack->replace || gc->keep_packs) {
            counts->garbage += pack->dead;
            continue;
        }
        if (!gc->options.dry_run &&
            (rc = vmscm_gitfiles_remove_pack(gc->db, pack->file.stem, err)))
            break;
        counts->packs++;
        counts->removed += pack->dead;
        /* In a dry run what is live would be written anew. */
        counts->freed += gc->options.dry_run && pack->objects
            ? pack->file.bytes / pack->objects * pack->dead
            : pack->file.bytes;
    }
    return rc;
}

int vmscm_gitgc_sweep(struct vmscm_gitgc *gc, const struct vmscm_roots *now,
    struct vmscm_gitgc_counts *counts, struct vmscm_error *err)
{
    bool dry = gc->options.dry_run, hints_gone = dry;
    int rc;

    gc->sweeping = true;
    if ((rc = vmscm_gitmark_roots(&gc->mark, now, err)))
        return rc;
    counts->objects += gc->mark.marked.count;
    counts->packed += gc->counts.packed;
    counts->written += gc->counts.written;
    counts->packing = gc->counts.packing;
    for (size_t i = 0; i < gc->loose.len; i++) {
        if (vmscm_oidset_has(&gc->mark.marked, &gc->loose.items[i]))
            continue;
        if (!hints_gone && (rc = vmscm_gitfiles_remove_hints(gc->db, err)))
            return rc;
        hints_gone = true;
        if ((rc = vmscm_gitfiles_remove_loose(gc->db, &gc->loose.items[i],
                 dry ? VMSCM_GITFILES_LOOK : VMSCM_GITFILES_MOVE, &counts->freed, err)))
            return rc;
        counts->removed++;
    }
    if (gc->doomed.count && !hints_gone && (rc = vmscm_gitfiles_remove_hints(gc->db, err)))
        return rc;
    if ((rc = sweep_packs(gc, counts, err)))
        return rc;
    return vmscm_gitfiles_remove_dead(gc->db, dry, &counts->freed, err);
}

int vmscm_gitgc_finish(
    struct vmscm_gitgc *gc, struct vmscm_gitgc_counts *counts, struct vmscm_error *err)
{
    struct vmscm_git_objects gone = {{false}};
    int rc = 0;

    for (size_t i = 0; i < gc->loose.len && !rc; i++) {
        bool dead = !vmscm_oidset_has(&gc->mark.marked, &gc->loose.items[i]);
        if (!dead && !vmscm_oidset_has(&gc->twice, &gc->loose.items[i]))
            continue;
        vmscm_git_objects_add(&gone, &gc->loose.items[i]);
        if (!dead)
            rc = vmscm_gitfiles_remove_loose(gc->db, &gc->loose.items[i],
                gc->options.dry_run ? VMSCM_GITFILES_LOOK : VMSCM_GITFILES_UNLINK, &counts->freed,
                err);
    }
    if (rc || gc->options.dry_run)
        return rc;
    rc = vmscm_git_objects_sync(&gone, gc->db, err);
    return rc ? rc : vmscm_gitfiles_recover(gc->db, err);
}

void vmscm_gitgc_free(struct vmscm_gitgc *gc)
{
    if (!gc)
        return;
    vmscm_gitmark_release(&gc->mark);
    for (size_t i = 0; i < gc->packs.len; i++)
        free(gc->packs.items[i].file.stem);
    vmscm_vec_release(&gc->packs);
    vmscm_vec_release(&gc->loose);
    vmscm_vec_release(&gc->live);
    vmscm_oidset_release(&gc->doomed);
    vmscm_oidset_release(&gc->twice);
    free(gc);
}
