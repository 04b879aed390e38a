/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/fetchlist.h"
#include "base/str.h"
#include "history/ancestry.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "repo/refnames.h"
#include "remote/wanted.h"

#include <stdlib.h>
#include <string.h>

struct making {
    struct vmscm_fetching *f;
    bool *named;
    const char *prefix; /* of what is being pruned */
    struct vmscm_error *err;
};

/* What a ref of ours is; "" if it is not there. */
static int read_here(char *id, struct vmscm_repo *repo, const char *ref, struct vmscm_error *err)
{
    int rc = vmscm_refs_read(id, repo->git, ref, err);

    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        id[0] = '\0';
        return 0;
    }
    return rc;
}

/* A ref of ours that is to be what the remote's is. */
static int add_item(struct making *m, struct vmscm_items_item **out, const char *ref,
    const struct vmscm_session_ref *there, struct vmscm_error *err)
{
    int rc = vmscm_items_add(m->f->items, out, ref, there->name, err);

    if (rc || (rc = read_here((*out)->before, m->f->repo, ref, err)))
        return rc;
    memcpy((*out)->after, there->id, sizeof (*out)->after);
    (*out)->change = !(*out)->before[0]                ? VMSCM_REMOTE_NEW
        : strcmp((*out)->before, there->id) == 0 ? VMSCM_REMOTE_SAME
                                                 : VMSCM_REMOTE_FORWARD;
    return 0;
}

static void let_be(struct vmscm_items_item *item)
{
    item->change = VMSCM_REMOTE_SAME;
    memcpy(item->after, item->before, sizeof item->after);
}

/* Ahead of the remote, a machine need not follow it. */
static int look_ahead(struct making *m, struct vmscm_items_item *item,
    const struct vmscm_session_ref *there, struct vmscm_error *err)
{
    char commit[VMSCM_GITDB_ID];
    bool leads = false;
    int rc = 0;

    if (item->change != VMSCM_REMOTE_FORWARD ||
        vmscm_refs_peel(commit, m->f->repo->git, there->commit, NULL))
        return 0;
    if (!(rc = vmscm_ancestry_leads(&leads, m->f->repo->git, item->before, commit, err)) && leads)
        let_be(item);
    return rc;
}

/* Our own tag of that name, which differs, stays: only tags that are asked for are to be the same. */
static bool leaves_alone(const struct making *m, const struct vmscm_items_item *item)
{
    bool force;

    return item->change == VMSCM_REMOTE_FORWARD && !item->force &&
        !vmscm_wanted_match(m->f->options, item->machine, item->tag, &force, NULL);
}

static bool is_here(struct vmscm_repo *repo, const char *machine)
{
    char *head = NULL, id[VMSCM_GITDB_ID];
    bool yes = !vmscm_handle_head(&head, machine, NULL) && !vmscm_refs_read(id, repo->git, head, NULL);

    free(head);
    return yes;
}

/* Whether our own machine or tag of that name is to follow. */
static bool follows(const struct making *m, const char *machine, const char *tag)
{
    const struct vmscm_fetching *f = m->f;

    switch (f->what) {
    case VMSCM_FETCHING_CLONE:
    case VMSCM_FETCHING_MIRROR:
        return true;
    case VMSCM_FETCHING_PULL:
        return f->options->name_count || is_here(f->repo, machine);
    case VMSCM_FETCHING_TRACK:
        break;
    }
    return tag && f->options->tags && is_here(f->repo, machine);
}

static int add_ref(struct making *m, const struct vmscm_session_ref *there, struct vmscm_error *err)
{
    struct vmscm_fetching *f = m->f;
    struct vmscm_remote_options options = *f->options;
    struct vmscm_items_item *item;
    char *machine = NULL, *tracked = NULL;
    const char *tag = NULL;
    enum vmscm_refnames_kind kind = vmscm_refnames_kind(there->name, &machine, &tag);
    bool force = false;
    int rc = 0;

    if (kind != VMSCM_REFNAMES_MACHINE && kind != VMSCM_REFNAMES_TAG)
        return 0;
    /* What is remembered of a machine has its tags, too. */
    options.tags = 1;
    if (!vmscm_wanted_match(&options, machine, tag, &force, m->named))
        goto out;
    if ((rc = vmscm_refnames_track(&tracked, f->session->remote, there->name, err)) ||
        (rc = add_item(m, &item, tracked, there, err)))
        goto out;
    item->force = true;
    if (!follows(m, machine, tag))
        goto out;
    if ((rc = add_item(m, &item, there->name, there, err)))
        goto out;
    item->local = true;
    item->force = force || f->what == VMSCM_FETCHING_MIRROR;
    if (f->what == VMSCM_FETCHING_MIRROR) {
        /* It is as it is there, whatever it was here. */
    } else if (!tag) {
        rc = look_ahead(m, item, there, err);
    } else if (leaves_alone(m, item)) {
        let_be(item);
        vmscm_error_set(&item->why, VMSCM_ECONFLICT, "is another there; --force takes that one");
    }
out:
    free(machine);
    free(tracked);
    return rc;
}

static int add_removal(struct making *m, const char *ref, const char *there, const char *id, bool local)
{
    struct vmscm_items_item *item;
    int rc = vmscm_items_add(m->f->items, &item, ref, there, m->err);

    if (rc)
        return rc;
    memcpy(item->before, id, sizeof item->before);
    item->force = true;
    item->local = local;
    item->change = VMSCM_REMOTE_GONE;
    return 0;
}

/* What is remembered, and not there any more; of a mirror, first what is here, whose data it may promise. */
static int add_gone(void *data, const char *ref, const char *id)
{
    struct making *m = data;
    struct vmscm_remote_options options = *m->f->options;
    bool tags = vmscm_str_starts(ref, VMSCM_REFNAMES_TAGS), force, wanted;
    char *name = NULL, *machine = NULL, here[VMSCM_GITDB_ID] = "";
    const char *tag = NULL;
    int rc = vmscm_str_printf(&name, m->err, "%s%s", tags ? VMSCM_HANDLE_TAGS : VMSCM_HANDLE_HEADS,
        ref + strlen(m->prefix));

    if (rc)
        return rc;
    options.tags = 1;
    wanted = id && vmscm_refnames_kind(name, &machine, &tag) != VMSCM_REFNAMES_NONE && machine &&
        vmscm_wanted_match(&options, machine, tag, &force, NULL) &&
        !vmscm_session_find(m->f->session, name);
    free(machine);
    if (wanted && m->f->what == VMSCM_FETCHING_MIRROR &&
        !(rc = read_here(here, m->f->repo, name, m->err)) && here[0])
        rc = add_removal(m, name, name, here, true);
    if (wanted && !rc)
        rc = add_removal(m, ref, name, id, false);
    free(name);
    return rc;
}

/* What is here, and neither there nor remembered: of a mirror. */
static int add_gone_here(void *data, const char *ref, const char *id)
{
    struct making *m = data;
    struct vmscm_remote_options options = *m->f->options;
    char *machine = NULL, *tracked = NULL, remembered[VMSCM_GITDB_ID] = "";
    const char *tag = NULL;
    bool force, wanted;
    int rc = 0;

    options.tags = 1;
    wanted = id && vmscm_refnames_kind(ref, &machine, &tag) != VMSCM_REFNAMES_NONE && machine &&
        vmscm_wanted_match(&options, machine, tag, &force, NULL) &&
        !vmscm_session_find(m->f->session, ref);
    free(machine);
    if (wanted && !(rc = vmscm_refnames_track(&tracked, m->f->session->remote, ref, m->err)) &&
        !(rc = read_here(remembered, m->f->repo, tracked, m->err)) && !remembered[0])
        rc = add_removal(m, ref, ref, id, true);
    free(tracked);
    return rc;
}

static int add_all_gone(struct making *m, struct vmscm_error *err)
{
    static const char *const rooms[] = {VMSCM_REFNAMES_TRACKED, VMSCM_REFNAMES_TAGS};
    char *prefix = NULL;
    int rc = 0;

    for (size_t i = 0; i < 2 && !rc; i++) {
        free(prefix);
        prefix = NULL;
        if ((rc = vmscm_str_printf(&prefix, err, "%s%s/", rooms[i], m->f->session->remote)))
            break;
        m->prefix = prefix;
        rc = vmscm_reflist_walk(m->f->repo->git, prefix, add_gone, m, err);
    }
    free(prefix);
    return rc;
}

int vmscm_fetchlist_make(struct vmscm_fetching *f, struct vmscm_error *err)
{
    struct making m = {.f = f, .err = err};
    int rc = vmscm_wanted_check(f->options, err);

    if (rc)
        return rc;
    if (!(m.named = calloc(f->options->name_count + 1, sizeof *m.named)))
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < f->session->refs.len && !rc; i++)
        rc = add_ref(&m, &f->session->refs.items[i], err);
    if (!rc && f->options->prune)
        rc = add_all_gone(&m, err);
    if (!rc && f->what == VMSCM_FETCHING_MIRROR &&
        !(rc = vmscm_reflist_walk(f->repo->git, VMSCM_HANDLE_HEADS, add_gone_here, &m, err)))
        rc = vmscm_reflist_walk(f->repo->git, VMSCM_HANDLE_TAGS, add_gone_here, &m, err);
    for (size_t i = 0; i < f->options->name_count && !rc; i++)
        if (!m.named[i] && !f->options->prune) {
            bool pattern;
            rc = vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: %s has no machine or tag of that name",
                vmscm_wanted_text(f->options->names[i], &pattern), f->session->remote);
        }
    free(m.named);
    return rc;
}
