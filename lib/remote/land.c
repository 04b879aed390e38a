/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/land.h"
#include "base/path.h"
#include "base/str.h"
#include "history/ancestry.h"
#include "history/ident.h"
#include "history/notemerge.h"
#include "history/pruned.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "remote/landnames.h"
#include "sys/lockfile.h"

#include <stdlib.h>
#include <string.h>

#define NOTES "refs/notes/"

int vmscm_land_add(struct vmscm_land *land, struct vmscm_land_update **out, const char *ref,
    struct vmscm_error *err)
{
    if (vmscm_vec_add(&land->updates, out, err))
        return VMSCM_ENOMEM;
    return vmscm_str_dup(&(*out)->ref, ref, err);
}

int vmscm_land_add_bare(struct vmscm_land *land, const char *id, struct vmscm_error *err)
{
    struct vmscm_land_id *slot;

    if (vmscm_vec_add(&land->bare, &slot, err))
        return VMSCM_ENOMEM;
    memcpy(slot->id, id, sizeof slot->id);
    return 0;
}

void vmscm_land_release(struct vmscm_land *land)
{
    for (size_t i = 0; i < land->updates.len; i++)
        free(land->updates.items[i].ref);
    vmscm_vec_release(&land->updates);
    vmscm_vec_release(&land->bare);
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, VMSCM_ID_HEX);
}

static bool is_bare(const struct vmscm_land *land, const char *id)
{
    return land->bare.len &&
        bsearch(id, land->bare.items, land->bare.len, sizeof *land->bare.items, by_id);
}

/* What is new in a database: revisions, and commits of notes, which are none. */
struct news {
    struct vmscm_novel *revisions, *notes;
    struct vmscm_error *err;
};

static int know(void *data, const char *ref, const char *id)
{
    struct news *news = data;

    if (!id || strcmp(ref, VMSCM_PRUNED_REF) == 0)
        return 0;
    return vmscm_novel_know(
        vmscm_str_starts(ref, NOTES) ? news->notes : news->revisions, id, news->err);
}

static int read_news(struct news *news, const struct vmscm_land *land, struct vmscm_gitdb *refs,
    struct vmscm_gitdb *objects, struct vmscm_error *err)
{
    int rc;

    news->err = err;
    if ((rc = vmscm_novel_new(&news->revisions, objects, err)) ||
        (rc = vmscm_novel_new(&news->notes, objects, err)) ||
        (rc = vmscm_reflist_walk(refs, "refs/", know, news, err)))
        return rc;
    for (size_t i = 0; i < land->updates.len && !rc; i++) {
        const struct vmscm_land_update *u = &land->updates.items[i];
        if (u->after[0] && !u->why.code)
            rc = vmscm_novel_want(u->merge ? news->notes : news->revisions, u->after, err);
    }
    if (!rc && !(rc = vmscm_novel_objects(news->revisions, false, NULL, NULL, err)))
        rc = vmscm_novel_objects(news->notes, false, NULL, NULL, err);
    return rc;
}

static void release_news(struct news *news)
{
    vmscm_novel_free(news->revisions);
    vmscm_novel_free(news->notes);
}

/* What came is at fault for what it lacks. */
static int blame(int rc, struct vmscm_error *err)
{
    if (rc != VMSCM_EDAMAGED && rc != VMSCM_ENOTFOUND)
        return rc;
    if (err)
        err->code = VMSCM_EINPUT;
    vmscm_error_prefix(err, "what came is not whole");
    return VMSCM_EINPUT;
}

/* The commits that updates name and that were pruned here: their data is needed again. Each is told
 * once. */
static int each_returning(const struct vmscm_land *land, struct vmscm_gitdb *db,
    const struct vmscm_pruned *pruned, const struct vmscm_novel *revisions,
    int (*each)(void *data, const char *commit, struct vmscm_error *err), void *data,
    struct vmscm_error *err)
{
    char commit[VMSCM_GITDB_ID];
    int rc = 0;

    for (size_t i = 0; i < land->updates.len && !rc; i++) {
        const struct vmscm_land_update *u = &land->updates.items[i];
        if (!u->after[0] || u->merge || u->why.code)
            continue;
        if (!(rc = vmscm_refs_peel(commit, db, u->after, err)) && vmscm_pruned_has(pruned, commit) &&
            !vmscm_novel_is_new(revisions, commit))
            rc = each(data, commit, err);
    }
    return rc;
}

static int look_at_one(void *data, const char *commit, struct vmscm_error *err)
{
    return vmscm_closure_commit(data, commit, false, err);
}

/* Everything that is new, and what comes back. */
static int look(struct vmscm_land *land, struct vmscm_closure *c, const struct news *news,
    const struct vmscm_pruned *pruned, struct vmscm_gitdb *db, struct vmscm_error *err)
{
    size_t n = vmscm_novel_commit_count(news->revisions);
    int rc = 0;

    for (size_t i = 0; i < vmscm_novel_edge_count(news->revisions) && !rc; i++)
        rc = vmscm_closure_edge(c, vmscm_novel_edge(news->revisions, i), err);
    for (size_t i = 0; i < n && !rc; i++) {
        const char *id = vmscm_novel_commit(news->revisions, i);
        rc = vmscm_closure_commit(c, id, land->lazy || is_bare(land, id), err);
    }
    return rc || land->lazy
        ? rc
        : each_returning(land, db, pruned, news->revisions, look_at_one, c, err);
}

/* A revision whose data does not come may be in a history, but have no name. */
static int check_tips(const struct vmscm_land *land, struct vmscm_gitdb *db,
    const struct news *news, struct vmscm_error *err)
{
    char commit[VMSCM_GITDB_ID];
    int rc = 0;

    for (size_t i = 0; i < land->updates.len && !rc; i++) {
        const struct vmscm_land_update *u = &land->updates.items[i];
        if (!u->after[0] || u->merge || (rc = vmscm_refs_peel(commit, db, u->after, err)))
            continue;
        if (is_bare(land, commit) && vmscm_novel_is_new(news->revisions, commit)) {
            rc = vmscm_error_set(err, VMSCM_EREFUSED,
                "revision %.12s: was pruned where it comes from; its data cannot be had", commit);
            vmscm_error_hint(err, "name a revision that was not pruned");
        }
    }
    return rc;
}

int vmscm_land_look(struct vmscm_land *land, struct vmscm_closure *closure, struct vmscm_error *err)
{
    struct vmscm_repo *repo = vmscm_receive_repo(land->receive);
    struct vmscm_gitdb *db = vmscm_receive_db(land->receive);
    struct vmscm_pruned *pruned = NULL;
    struct news news = {0};
    int rc;

    if (land->bare.len)
        qsort(land->bare.items, land->bare.len, sizeof *land->bare.items, by_id);
    closure->repo = repo;
    closure->receive = land->receive;
    vmscm_closure_release(closure);
    if ((rc = vmscm_receive_flush(land->receive, err)) ||
        (rc = vmscm_pruned_load(&pruned, repo->git, err)))
        goto out;
    if ((rc = read_news(&news, land, repo->git, db, err)) ||
        (rc = check_tips(land, db, &news, err))) {
        rc = blame(rc, err);
        goto out;
    }
    rc = look(land, closure, &news, pruned, db, err);
out:
    release_news(&news);
    vmscm_pruned_free(pruned);
    return rc;
}

/* A machine is a revision itself, not a tag that leads to one: who reads it would meet what is no commit. */
static int check_kind(struct vmscm_land_update *u, struct vmscm_gitdb *db)
{
    char commit[VMSCM_GITDB_ID];
    int rc;

    if (!u->after[0] || (!vmscm_str_starts(u->ref, VMSCM_HANDLE_HEADS) &&
                            !vmscm_str_starts(u->ref, VMSCM_HANDLE_TRACKED)))
        return 0;
    if ((rc = vmscm_refs_peel(commit, db, u->after, &u->why)) || strcmp(commit, u->after) == 0)
        return rc;
    return vmscm_error_set(&u->why, VMSCM_EREFUSED, "is a tag object, which no machine can be");
}

/* Whether an update may be done. */
static int check_update(struct vmscm_land_update *u, struct vmscm_gitdb *db)
{
    char now[VMSCM_GITDB_ID] = "";
    bool follows = true;
    int rc = vmscm_refs_read(now, db, u->ref, &u->why);

    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(&u->why);
        rc = 0;
    }
    /* That it is so already may be this very update, whose answer was lost. */
    if (rc || u->merge || strcmp(now, u->after) == 0 || (rc = check_kind(u, db)))
        return rc;
    if (strcmp(now, u->before) != 0) {
        vmscm_error_set(&u->why, VMSCM_ECONFLICT, "has moved meanwhile");
        return vmscm_error_hint(&u->why, "fetch, and look at what is there now");
    }
    if (!u->before[0] || !u->after[0] || u->force)
        return 0;
    if (vmscm_str_starts(u->ref, VMSCM_HANDLE_TAGS)) {
        vmscm_error_set(&u->why, VMSCM_ECONFLICT, "there is another tag of that name");
        return vmscm_error_hint(&u->why, "--force moves it");
    }
    if ((rc = vmscm_ancestry_leads(&follows, db, u->after, u->before, &u->why)) || follows)
        return rc;
    vmscm_error_set(&u->why, VMSCM_ECONFLICT, "has revisions that would be lost");
    return vmscm_error_hint(
        &u->why, "fetch and build on what is there, or --force to let go of it");
}

static void do_update(struct vmscm_land_update *u, struct vmscm_gitdb *db, const char *reason,
    const struct vmscm_signature *who)
{
    char now[VMSCM_GITDB_ID] = "";
    int rc = vmscm_refs_read(now, db, u->ref, &u->why);

    if (rc && rc != VMSCM_ENOTFOUND)
        return;
    vmscm_error_clear(&u->why);
    memcpy(u->was, now, sizeof u->was);
    u->tried = true;
    if (u->merge) {
        vmscm_notemerge_run(&u->changed, db, u->ref, u->after, who, &u->why);
    } else if (strcmp(now, u->after) == 0) {
        if (now[0])
            vmscm_refs_sync(db, u->ref, &u->why);
    } else if (u->after[0]) {
        u->changed =
            !vmscm_refs_update(db, u->ref, u->before, u->after, who, reason, &u->why);
    } else {
        u->changed = !vmscm_refs_delete(db, u->ref, u->before, &u->why);
    }
}

static void refuse_rest(struct vmscm_land_update *u)
{
    vmscm_error_set(
        &u->why, VMSCM_ECONFLICT, "not done, since another was not: all or nothing");
}

/* Which of them may be done. *any: something is left to be done. */
static int check_updates(struct vmscm_land *land, bool *any, struct vmscm_gitdb *db,
    struct vmscm_error *err)
{
    size_t bad = 0;
    int rc;

    for (size_t i = 0; i < land->updates.len; i++)
        if (!land->updates.items[i].why.code)
            check_update(&land->updates.items[i], db);
    if ((rc = vmscm_landnames_check(land, vmscm_receive_repo(land->receive)->git, err)))
        return rc;
    for (size_t i = 0; i < land->updates.len; i++)
        bad += land->updates.items[i].why.code != 0;
    *any = bad < land->updates.len && !(bad && land->atomic);
    for (size_t i = 0; i < land->updates.len && bad && land->atomic; i++)
        if (!land->updates.items[i].why.code)
            refuse_rest(&land->updates.items[i]);
    return 0;
}

/* Back to what the ref was, unless somebody has moved it since. Its reflog says so; one that was removed has
 * lost its reflog. */
static void undo(struct vmscm_land_update *u, struct vmscm_gitdb *db, const char *done,
    const struct vmscm_signature *who)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = u->was[0] ? vmscm_refs_update(db, u->ref, done, u->was, who, "undone: all or nothing", &why)
                       : vmscm_refs_delete(db, u->ref, done, &why);

    if (!rc)
        return;
    vmscm_error_copy(&u->why, &why);
    vmscm_error_prefix(&u->why, "done, though another was not, and cannot be undone");
}

/* Even one that says it failed may have been. now: what the ref is. */
static bool was_done(const struct vmscm_land_update *u, char now[VMSCM_GITDB_ID],
    struct vmscm_gitdb *db)
{
    int rc = u->tried ? vmscm_refs_read(now, db, u->ref, NULL) : VMSCM_ENOTFOUND;

    if (rc)
        now[0] = '\0';
    return u->tried && (!rc || rc == VMSCM_ENOTFOUND) && strcmp(now, u->was) != 0 &&
        (u->merge || strcmp(now, u->after) == 0);
}

/* What was made goes before what was removed is made again: names may clash. */
static void undo_all(struct vmscm_land *land, struct vmscm_gitdb *db,
    const struct vmscm_signature *who)
{
    char now[VMSCM_GITDB_ID];

    for (int making = 1; making >= 0; making--)
        for (size_t i = land->updates.len; i--;) {
            struct vmscm_land_update *u = &land->updates.items[i];
            if ((u->after[0] != '\0') != making)
                continue;
            u->changed = false;
            if (!u->why.code)
                refuse_rest(u);
            if (was_done(u, now, db))
                undo(u, db, now, who);
        }
}

/* Whether one that is to be done must not be. */
static bool is_let_down(const struct vmscm_land *land, size_t i)
{
    return i && land->updates.items[i].rests && land->updates.items[i - 1].why.code;
}

/* Removals come first: what is made may need the name. */
static void do_updates(struct vmscm_land *land, struct vmscm_gitdb *db,
    const struct vmscm_signature *who)
{
    for (int making = 0; making < 2; making++)
        for (size_t i = 0; i < land->updates.len; i++) {
            struct vmscm_land_update *u = &land->updates.items[i];
            if (u->why.code || (u->after[0] != '\0') != making)
                continue;
            if (is_let_down(land, i))
                vmscm_error_set(&u->why, VMSCM_ECONFLICT,
                    "not done, since what is remembered of it could not be changed");
            else
                do_update(u, db, land->reason, who);
            if (u->why.code && land->atomic) {
                undo_all(land, db, who);
                return;
            }
        }
}

struct ids {
    VMSCM_VEC(const char *) list;
    VMSCM_VEC(struct vmscm_land_id) texts;
};

static int collect(void *data, const char *commit, struct vmscm_error *err)
{
    struct ids *ids = data;
    struct vmscm_land_id *slot;

    if (vmscm_vec_add(&ids->texts, &slot, err))
        return VMSCM_ENOMEM;
    memcpy(slot->id, commit, sizeof slot->id);
    return 0;
}

/* Revisions whose data is here again lose their note; new ones whose data is not get one. Of what is new a
 * note may be left from when it was here before. locks/commit is held, for those that get one alone. */
static int note_pruned(struct vmscm_land *land, struct vmscm_repo *repo, const struct news *news,
    const struct vmscm_pruned *pruned, const struct vmscm_signature *who, struct vmscm_error *err)
{
    struct ids back = {0}, gone = {0};
    const char **slot;
    int rc = each_returning(land, repo->git, pruned, news->revisions, collect, &back, err);

    for (size_t i = 0; i < vmscm_novel_commit_count(news->revisions) && !rc; i++) {
        const char *id = vmscm_novel_commit(news->revisions, i);
        if (vmscm_pruned_has(pruned, id) && !is_bare(land, id))
            rc = collect(&back, id, err);
    }
    for (size_t i = 0; i < land->bare.len && !rc; i++)
        if (vmscm_novel_is_new(news->revisions, land->bare.items[i].id))
            rc = collect(&gone, land->bare.items[i].id, err);
    for (size_t i = 0; i < back.texts.len && !rc; i++)
        if (!(rc = vmscm_vec_add(&back.list, &slot, err)))
            *slot = back.texts.items[i].id;
    for (size_t i = 0; i < gone.texts.len && !rc; i++)
        if (!(rc = vmscm_vec_add(&gone.list, &slot, err)))
            *slot = gone.texts.items[i].id;
    if (!rc && back.list.len)
        rc = vmscm_pruned_remove(repo->git, back.list.items, back.list.len, who, err);
    if (!rc && gone.list.len)
        rc = vmscm_pruned_add(repo->git, gone.list.items, gone.list.len,
            "came without its data from another repository", who, err);
    vmscm_vec_release(&back.list);
    vmscm_vec_release(&back.texts);
    vmscm_vec_release(&gone.list);
    vmscm_vec_release(&gone.texts);
    return rc;
}

/* With the lock: what is here now stays until it is released. */
static int settle(struct vmscm_land *land, struct vmscm_repo *repo,
    const struct vmscm_signature *who, struct vmscm_error *err)
{
    struct vmscm_closure closure = {.repo = repo};
    struct vmscm_pruned *pruned = NULL;
    struct vmscm_store *store;
    struct news news = {0};
    bool changed, any;
    int rc;

    if ((rc = vmscm_receive_install_history(land->receive, err)))
        goto out;
    /* What is refused brings nothing, so nothing is noted of it. */
    if ((rc = check_updates(land, &any, repo->git, err)) || !any)
        goto out;
    if ((rc = vmscm_handle_store(&store, repo, err)) ||
        (rc = vmscm_store_reload(store, &changed, err)) ||
        (rc = vmscm_pruned_load(&pruned, repo->git, err)) ||
        (rc = read_news(&news, land, repo->git, repo->git, err)) ||
        (rc = look(land, &closure, &news, pruned, repo->git, err)))
        goto out;
    if (closure.missing) {
        rc = vmscm_error_set(err, VMSCM_EBUSY, "what was relied on has gone meanwhile");
        vmscm_error_hint(err, "gc or prune was at work; try again");
        goto out;
    }
    /* Its directory may have been changed by others that did not come further. */
    if (!(rc = vmscm_store_confirm(store, err)) &&
        !(rc = note_pruned(land, repo, &news, pruned, who, err)))
        do_updates(land, repo->git, who);
out:
    vmscm_closure_release(&closure);
    release_news(&news);
    vmscm_pruned_free(pruned);
    return rc;
}

/* What each ref is to be: of notes, the union. */
static int publish_refs(struct vmscm_land *land, struct vmscm_repo *repo,
    const struct vmscm_signature *who, struct vmscm_error *err)
{
    char now[VMSCM_GITDB_ID] = "", fresh[VMSCM_GITDB_ID];
    int rc = 0;

    for (size_t i = 0; i < land->updates.len && !rc; i++) {
        struct vmscm_land_update *u = &land->updates.items[i];
        if (u->why.code)
            continue;
        memcpy(fresh, u->after, sizeof fresh);
        if (u->merge &&
            vmscm_notemerge_make(fresh, now, repo->git, u->ref, u->after, who, &u->why))
            continue;
        if (!u->merge && (rc = vmscm_refs_read(now, repo->git, u->ref, err)) == VMSCM_ENOTFOUND) {
            vmscm_error_clear(err);
            now[0] = '\0';
            rc = 0;
        }
        u->changed = strcmp(now, fresh) != 0;
        rc = rc ? rc : vmscm_publish_ref(land->publish, u->ref, fresh, err);
    }
    if (rc || (rc = vmscm_refs_read(now, repo->git, VMSCM_PRUNED_REF, err)) == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        return rc == VMSCM_ENOTFOUND ? 0 : rc;
    }
    return rc ? rc : vmscm_publish_ref(land->publish, VMSCM_PRUNED_REF, now, err);
}

/* The same as settle, of a mirror: what came stays aside until it is known where the repository is kept. */
static int settle_far(struct vmscm_land *land, struct vmscm_repo *repo,
    const struct vmscm_signature *who, bool *lost, struct vmscm_error *err)
{
    struct vmscm_closure closure = {.repo = repo, .receive = land->receive};
    struct vmscm_pruned *pruned = NULL;
    struct news news = {0};
    bool any;
    int rc;

    for (size_t i = 0; i < land->updates.len; i++) {
        vmscm_error_clear(&land->updates.items[i].why);
        land->updates.items[i].changed = false;
    }
    *lost = false;
    if ((rc = check_updates(land, &any, repo->git, err)) || !any ||
        (rc = vmscm_pruned_load(&pruned, repo->git, err)) ||
        (rc = read_news(&news, land, repo->git, repo->git, err)) ||
        (rc = look(land, &closure, &news, pruned, repo->git, err)))
        goto out;
    if (closure.missing) {
        rc = vmscm_error_set(err, VMSCM_EBUSY, "what was relied on has gone meanwhile");
        vmscm_error_hint(err, "gc or prune was at work; try again");
    } else if (!(rc = note_pruned(land, repo, &news, pruned, who, err)) &&
        !(rc = publish_refs(land, repo, who, err))) {
        rc = vmscm_publish_run(land->publish, lost, err);
    }
out:
    vmscm_closure_release(&closure);
    release_news(&news);
    vmscm_pruned_free(pruned);
    return rc;
}

/* Until nobody else is quicker. */
static int run_far(struct vmscm_land *land, struct vmscm_repo *repo, struct vmscm_error *err)
{
    struct vmscm_signature who = {0};
    char *packs = NULL;
    bool lost = true;
    int lock = -1, rc;

    if ((rc = vmscm_handle_who(&who, NULL, repo, err)) ||
        (rc = vmscm_receive_flush(land->receive, err)) ||
        (rc = vmscm_path_join(&packs, vmscm_receive_dir(land->receive), "packs", err)) ||
        (rc = vmscm_publish_packs(land->publish, packs, err)) ||
        (rc = vmscm_receive_install_history(land->receive, err)))
        goto out;
    while (!rc && lost) {
        if (!(rc = vmscm_publish_begin(land->publish, err)) &&
            !(rc = vmscm_handle_commit_lock_alone(&lock, repo, err)))
            rc = settle_far(land, repo, &who, &lost, err);
        vmscm_lockfile_release(&lock);
    }
out:
    vmscm_ident_release(&who);
    free(packs);
    return rc;
}

int vmscm_land_run(struct vmscm_land *land, struct vmscm_error *err)
{
    struct vmscm_repo *repo = vmscm_receive_repo(land->receive);
    struct vmscm_signature who = {0};
    struct vmscm_lease *lease = NULL;
    bool any;
    int lock = -1, rc;

    /* As far as can be told before anything is moved. */
    if ((rc = check_updates(land, &any, vmscm_receive_db(land->receive), err)) || !any)
        return rc;
    if (land->publish)
        return run_far(land, repo, err);
    if ((rc = vmscm_handle_who(&who, NULL, repo, err)) ||
        (rc = vmscm_lease_open(&lease, repo->path, err)) ||
        (rc = vmscm_receive_install_packs(land->receive, lease, err)))
        goto out;
    rc = land->atomic || land->bare.len ? vmscm_handle_commit_lock_alone(&lock, repo, err)
                                        : vmscm_handle_commit_lock(&lock, repo, err);
    if (!rc)
        rc = settle(land, repo, &who, err);
out:
    vmscm_lockfile_release(&lock);
    vmscm_lease_close(lease);
    vmscm_ident_release(&who);
    return rc;
}
