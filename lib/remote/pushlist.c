/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/pushlist.h"
#include "base/str.h"
#include "history/ancestry.h"
#include "history/nearest.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "repo/refnames.h"
#include "remote/wanted.h"
#include "repo/snapshot.h"

#include <stdlib.h>
#include <string.h>

struct making {
    struct vmscm_items *items;
    struct vmscm_repo *repo;
    const struct vmscm_session *session;
    const struct vmscm_remote_options *options;
    bool *named; /* of options' names: something is called so */
    struct vmscm_error *err;
};

/* What is at the other side follows, is the same, or would be lost. */
static int compare(struct making *m, struct vmscm_items_item *item,
    const struct vmscm_session_ref *there, struct vmscm_error *err)
{
    char commit[VMSCM_GITDB_ID], remote_commit[VMSCM_GITDB_ID];
    bool follows = false;
    int rc;

    if ((rc = vmscm_refs_peel(commit, m->repo->git, item->after, err)))
        return rc;
    if (there && strcmp(there->id, item->after) == 0) {
        item->change = VMSCM_REMOTE_SAME;
        return 0;
    }
    if ((rc = vmscm_snapshot_kept(m->repo, commit, &item->why))) {
        item->change = VMSCM_REMOTE_REFUSED;
        return 0;
    }
    if (!there) {
        item->change = VMSCM_REMOTE_NEW;
        return 0;
    }
    /* What is not here cannot be followed by what is. */
    if (!item->tag && !vmscm_refs_peel(remote_commit, m->repo->git, there->id, NULL) &&
        (rc = vmscm_ancestry_leads(&follows, m->repo->git, commit, remote_commit, err)))
        return rc;
    item->change = follows ? VMSCM_REMOTE_FORWARD
        : item->force      ? VMSCM_REMOTE_FORCED
                           : VMSCM_REMOTE_REFUSED;
    if (item->change != VMSCM_REMOTE_REFUSED)
        return 0;
    vmscm_error_set(&item->why, VMSCM_ECONFLICT, "%s",
        item->tag ? "there is another tag of that name" : "has revisions there that are not here");
    vmscm_error_hint(&item->why, "%s",
        item->tag ? "--force moves it"
                  : "vmscm pull brings them here, to build on; --force lets go of them there");
    return 0;
}

static int add_local(void *data, const char *ref, const char *id)
{
    struct making *m = data;
    const struct vmscm_session_ref *there;
    struct vmscm_items_item *item;
    char *machine = NULL;
    const char *tag = NULL;
    enum vmscm_refnames_kind kind = vmscm_refnames_kind(ref, &machine, &tag);
    bool force = false, wanted = false;
    int rc = 0;

    if (kind == VMSCM_REFNAMES_MACHINE || kind == VMSCM_REFNAMES_TAG)
        wanted = vmscm_wanted_match(m->options, machine, tag, &force, m->named);
    there = vmscm_session_find(m->session, ref);
    /* Where none is named, what is on both sides. */
    if (wanted && !m->options->name_count && !m->options->all) {
        char *head = NULL;
        wanted = !vmscm_handle_head(&head, machine, NULL) && vmscm_session_find(m->session, head);
        free(head);
    }
    free(machine);
    if (!wanted || m->options->remove)
        return 0;
    if (!id)
        return vmscm_error_set(m->err, VMSCM_EDAMAGED, "%s: cannot be read", ref);
    if ((rc = vmscm_items_add(m->items, &item, ref, ref, m->err)))
        return rc;
    item->force = force;
    memcpy(item->after, id, sizeof item->after);
    if (there)
        memcpy(item->before, there->id, sizeof item->before);
    return compare(m, item, there, m->err);
}

/* The id of a ref; "": it is not there. */
static int read_ref(char id[VMSCM_GITDB_ID], struct making *m, const char *ref)
{
    int rc = vmscm_refs_read(id, m->repo->git, ref, m->err);

    if (rc != VMSCM_ENOTFOUND)
        return rc;
    vmscm_error_clear(m->err);
    id[0] = '\0';
    return 0;
}

/* Whether pruning is about a ref of the other side: it is not here. known: what is remembered of it; of
 * what is not, nobody here has seen what would be lost. */
static int look_for(struct making *m, bool *gone, char known[VMSCM_GITDB_ID],
    const struct vmscm_session_ref *there)
{
    char *track = NULL;
    int rc = read_ref(known, m, there->name);

    *gone = !rc && !known[0];
    if (*gone && !(rc = vmscm_refnames_track(&track, m->session->remote, there->name, m->err)))
        rc = read_ref(known, m, track);
    free(track);
    return rc;
}

/* Whether the machine of a tag is pruned. */
static int goes_with_machine(struct making *m, bool *goes, const char *machine)
{
    const struct vmscm_session_ref *there;
    char known[VMSCM_GITDB_ID], *head = NULL;
    bool force;
    int rc = vmscm_handle_head(&head, machine, m->err);

    *goes = !rc && (there = vmscm_session_find(m->session, head)) &&
        vmscm_wanted_match(m->options, machine, NULL, &force, NULL) &&
        !(rc = look_for(m, goes, known, there)) && *goes && strcmp(known, there->id) == 0;
    free(head);
    return rc;
}

/* A ref there that is not here: it goes if it is what is remembered of it. */
static int prune(struct making *m, const struct vmscm_session_ref *there, bool wanted,
    const char *machine, const char *tag)
{
    char known[VMSCM_GITDB_ID];
    struct vmscm_items_item *item;
    bool gone = false, along = false;
    int rc = tag ? goes_with_machine(m, &along, machine) : 0;

    if (rc || !(wanted || along) || (rc = look_for(m, &gone, known, there)) || !gone)
        return rc;
    /* What others have brought there since is left to them, unless it is named. */
    if (!along && !known[0] && !m->options->name_count)
        return 0;
    if ((rc = vmscm_items_add(m->items, &item, there->name, there->name, m->err)))
        return rc;
    memcpy(item->before, there->id, sizeof item->before);
    item->change = VMSCM_REMOTE_GONE;
    if (along || strcmp(known, there->id) == 0)
        return 0;
    item->change = VMSCM_REMOTE_REFUSED;
    vmscm_error_set(&item->why, VMSCM_ECONFLICT, "is not what is remembered of it here");
    vmscm_error_hint(&item->why, "vmscm fetch, and look at it; --delete removes it in any case");
    return 0;
}

/* What is to go there. */
static int add_remote(struct making *m, const struct vmscm_session_ref *there)
{
    struct vmscm_remote_options options = *m->options;
    char *machine = NULL;
    const char *tag = NULL;
    enum vmscm_refnames_kind kind = vmscm_refnames_kind(there->name, &machine, &tag);
    struct vmscm_items_item *item;
    bool force = false, wanted;
    int rc = 0;

    if (kind != VMSCM_REFNAMES_MACHINE && kind != VMSCM_REFNAMES_TAG)
        return 0;
    /* A machine is removed with its tags. */
    options.tags = options.tags || options.remove;
    wanted = vmscm_wanted_match(&options, machine, tag, &force, m->named);
    if (!options.remove) {
        rc = prune(m, there, wanted, machine, tag);
    } else if (wanted &&
        !(rc = vmscm_items_add(m->items, &item, there->name, there->name, m->err))) {
        memcpy(item->before, there->id, sizeof item->before);
        item->change = VMSCM_REMOTE_GONE;
    }
    free(machine);
    return rc;
}

static int check_prune(const struct making *m, struct vmscm_error *err)
{
    if (!m->options->prune)
        return 0;
    if (!m->options->name_count && !m->options->all)
        return vmscm_error_set(
            err, VMSCM_EUSAGE, "--prune: say of which machines, by names or patterns, or --all");
    if (m->session->remote)
        return 0;
    vmscm_error_set(err, VMSCM_EUSAGE, "--prune: nothing is remembered of what a URL has");
    return vmscm_error_hint(err, "vmscm remote add NAME URL first, then name it");
}

static int check_named(struct making *m, struct vmscm_error *err)
{
    for (size_t i = 0; i < m->options->name_count; i++) {
        bool pattern;
        const char *text = vmscm_wanted_text(m->options->names[i], &pattern);
        const char *colon = strchr(text, ':');
        char *machine = NULL;
        int rc;
        if (m->named[i])
            continue;
        if (m->options->remove || pattern)
            return vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: no machine or tag is called so%s", text,
                m->options->remove ? " there" : "");
        if (!colon)
            return vmscm_nearest_machine(m->repo->git, text, err);
        if ((rc = vmscm_str_printf(&machine, err, "%.*s", (int)(colon - text), text)))
            return rc;
        rc = vmscm_nearest_tag(m->repo->git, machine, colon + 1, err);
        free(machine);
        return rc;
    }
    return 0;
}

int vmscm_pushlist_make(struct vmscm_items *items, struct vmscm_repo *repo,
    const struct vmscm_session *session, const struct vmscm_remote_options *options,
    struct vmscm_error *err)
{
    struct making m = {items, repo, session, options, NULL, err};
    size_t refused = 0;
    int rc;

    if ((rc = vmscm_wanted_check(options, err)) || (rc = check_prune(&m, err)))
        return rc;
    if (!(m.named = calloc(options->name_count + 1, sizeof *m.named)))
        return vmscm_error_nomem(err);
    if (!(rc = vmscm_reflist_walk(repo->git, "refs/heads/", add_local, &m, err)))
        rc = vmscm_reflist_walk(repo->git, "refs/tags/", add_local, &m, err);
    for (size_t i = 0; i < session->refs.len && !rc && (options->prune || options->remove); i++)
        rc = add_remote(&m, &session->refs.items[i]);
    if (!rc)
        rc = check_named(&m, err);
    for (size_t i = 0; i < items->list.len && !rc; i++)
        refused += items->list.items[i].change == VMSCM_REMOTE_REFUSED;
    for (size_t i = 0; i < items->list.len && refused && options->atomic && !rc; i++) {
        struct vmscm_items_item *item = &items->list.items[i];
        if (!vmscm_items_is_change(item))
            continue;
        item->change = VMSCM_REMOTE_REFUSED;
        vmscm_error_set(
            &item->why, VMSCM_ECONFLICT, "not done, since another was not: all or nothing");
    }
    free(m.named);
    return rc;
}
