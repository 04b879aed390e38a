/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/track.h"
#include "base/str.h"
#include "history/ident.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "repo/refnames.h"
#include "sys/lockfile.h"

#include <stdlib.h>
#include <string.h>

/* Names that stand in the way of another. */
struct clash {
    const struct vmscm_session *session;
    const char *room;   /* prefix of what is remembered: refs/remotes/REMOTE/ or its tags' */
    const char *theirs; /* prefix of the same at the remote */
    const char *ref;    /* that is to be made */
    VMSCM_VEC(char *) list;
    struct vmscm_error *err;
};

static bool is_above(const char *dir, const char *ref)
{
    size_t len = strlen(dir);

    return strncmp(dir, ref, len) == 0 && ref[len] == '/';
}

/* One that the remote still has is no reason to let go of it: git's own rules keep both from being there. */
static int find_stale(void *data, const char *ref, const char *id)
{
    struct clash *c = data;
    char *there = NULL, **slot;
    int rc;

    (void)id;
    if (!is_above(ref, c->ref) && !is_above(c->ref, ref))
        return 0;
    if ((rc = vmscm_str_printf(&there, c->err, "%s%s", c->theirs, ref + strlen(c->room))))
        return rc;
    if (!vmscm_session_find(c->session, there) && !(rc = vmscm_vec_add(&c->list, &slot, c->err)))
        rc = vmscm_str_dup(slot, ref, c->err);
    free(there);
    return rc;
}

/* With locks/commit held. */
static int make_way(struct vmscm_repo *repo, const struct vmscm_session *session, const char *ref,
    bool tag, struct vmscm_error *err)
{
    struct clash clash = {.session = session,
        .theirs = tag ? VMSCM_HANDLE_TAGS : VMSCM_HANDLE_HEADS,
        .ref = ref,
        .err = err};
    char *room = NULL;
    int rc = vmscm_str_printf(
        &room, err, "%s%s/", tag ? VMSCM_REFNAMES_TAGS : VMSCM_REFNAMES_TRACKED, session->remote);

    if (!rc) {
        clash.room = room;
        rc = vmscm_reflist_walk(repo->git, room, find_stale, &clash, err);
    }
    for (size_t i = 0; i < clash.list.len && !rc; i++)
        rc = vmscm_refs_delete(repo->git, clash.list.items[i], NULL, err);
    for (size_t i = 0; i < clash.list.len; i++)
        free(clash.list.items[i]);
    vmscm_vec_release(&clash.list);
    free(room);
    return rc;
}

static int track(struct vmscm_repo *repo, const struct vmscm_session *session,
    const struct vmscm_items_item *item, const struct vmscm_signature *who,
    struct vmscm_error *err)
{
    char now[VMSCM_GITDB_ID] = "", *ref = NULL;
    int rc = vmscm_refnames_track(&ref, session->remote, item->ref, err);

    if (rc)
        return rc;
    vmscm_refs_read(now, repo->git, ref, NULL);
    if (strcmp(now, item->after) == 0)
        goto out;
    if (!item->after[0])
        rc = vmscm_refs_delete(repo->git, ref, NULL, err);
    else if (now[0] || !(rc = make_way(repo, session, ref, item->tag != NULL, err)))
        rc = vmscm_refs_update(repo->git, ref, NULL, item->after, who, "push", err);
out:
    free(ref);
    return rc;
}

void vmscm_track_pushed(struct vmscm_repo *repo, const struct vmscm_session *session,
    const struct vmscm_items *items, const struct vmscm_events *events)
{
    struct vmscm_error err = VMSCM_ERROR_INIT, first = VMSCM_ERROR_INIT;
    struct vmscm_signature who = {0};
    int lock = -1, rc;

    if (!session->remote)
        return;
    if ((rc = vmscm_handle_who(&who, NULL, repo, &first)) ||
        (rc = vmscm_handle_commit_lock(&lock, repo, &first)))
        goto out;
    /* What went there first, as its name may be needed. */
    for (int making = 0; making < 2; making++)
        for (size_t i = 0; i < items->list.len; i++) {
            const struct vmscm_items_item *item = &items->list.items[i];
            if (item->change == VMSCM_REMOTE_REFUSED || (item->after[0] != '\0') != making)
                continue;
            if (track(repo, session, item, &who, &err) && !rc)
                rc = vmscm_error_copy(&first, &err);
        }
out:
    if (rc)
        vmscm_handle_warn(events,
            "pushed, but what is remembered of %s could not be updated (vmscm fetch does): %s",
            session->remote, first.message);
    vmscm_lockfile_release(&lock);
    vmscm_ident_release(&who);
}
