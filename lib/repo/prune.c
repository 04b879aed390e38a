/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Letting go of old revisions. What is let go follows from the refs, the commits they lead to, and the
 * notes of what was pruned before. So it is decided without a lock, and then, with the commit lock
 * held exclusively, the refs are read again: if they are what they were, the notes are written; else
 * all begins anew. Whoever names a revision holds that lock shared, and looks at the notes under it.
 * So either prune sees the name, or the other sees the note.
 */
#include <vmscm/prune.h>

#include "base/str.h"
#include "history/ident.h"
#include "history/pruned.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "history/revspec.h"
#include "repo/handle.h"
#include "repo/lineage.h"
#include "repo/retain.h"
#include "store/pin.h"
#include "sys/lockfile.h"

#include <fnmatch.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ATTEMPTS 3 /* before others have to wait while it is decided */
#define NOTES "refs/notes/"

/* Flags of nodes, above those of enum vmscm_prune_reason. */
#define BEFORE (1u << 16) /* pruned already */
#define LISTED (1u << 17) /* the rules were asked about it */
#define RULED (1u << 18)  /* and one of them keeps it */

#define ANYWAY (VMSCM_PRUNE_TAG | VMSCM_PRUNE_CURRENT | VMSCM_PRUNE_REF | VMSCM_PRUNE_SHARED | \
    VMSCM_PRUNE_THIN)

struct ref {
    char *name;
    char id[VMSCM_GITDB_ID];
};

struct ref_list {
    VMSCM_VEC(struct ref) refs; /* sorted by name */
    struct vmscm_error *err;
};

struct verdict {
    uint32_t node;
    unsigned kept;
};

struct machine {
    const char *name; /* in a ref's */
    uint32_t tip;
    bool selected;
    struct verdict *verdicts; /* newest first */
    size_t count;
};

struct prune {
    struct vmscm_repo *repo;
    const struct vmscm_prune_options *options;
    int64_t now;
    struct ref_list list;
    struct vmscm_lineage lineage;
    VMSCM_VEC(struct machine) machines; /* sorted by name */
};

static void list_release(struct ref_list *list)
{
    for (size_t i = 0; i < list->refs.len; i++)
        free(list->refs.items[i].name);
    vmscm_vec_release(&list->refs);
}

static void reset(struct prune *p)
{
    for (size_t i = 0; i < p->machines.len; i++)
        free(p->machines.items[i].verdicts);
    vmscm_vec_release(&p->machines);
    vmscm_lineage_release(&p->lineage);
    p->lineage = (struct vmscm_lineage){0};
    list_release(&p->list);
}

/* Notes are no names; but what was pruned counts. */
static int add_ref(void *data, const char *name, const char *id)
{
    struct ref_list *list = data;
    struct ref *ref;

    if (vmscm_str_starts(name, NOTES) && strcmp(name, VMSCM_PRUNED_REF) != 0)
        return 0;
    if (!id) {
        vmscm_error_set(list->err, VMSCM_EDAMAGED, "%s: cannot be read", name);
        return vmscm_error_hint(list->err, "vmscm fsck tells what is damaged");
    }
    if (vmscm_vec_add(&list->refs, &ref, list->err))
        return VMSCM_ENOMEM;
    memcpy(ref->id, id, sizeof ref->id);
    return vmscm_str_dup(&ref->name, name, list->err);
}

static int read_refs(struct ref_list *list, struct vmscm_repo *repo, struct vmscm_error *err)
{
    list->err = err;
    return vmscm_reflist_walk(repo->git, "refs/", add_ref, list, err);
}

struct pin_check {
    const struct prune *p;
    bool *same;
};

static int find_new_pin(void *data, const struct vmscm_pin *pin)
{
    struct pin_check *c = data;
    uint32_t node = vmscm_lineage_find(&c->p->lineage, pin->commit);

    if (node != VMSCM_LINEAGE_NONE &&
        !(c->p->lineage.nodes.items[node].flags & VMSCM_PRUNE_THIN))
        *c->same = false;
    return 0;
}

/* *same: the refs are as they were read, and no pin came. */
static int compare_refs(bool *same, const struct prune *p, struct vmscm_error *err)
{
    struct ref_list now = {0};
    int rc = read_refs(&now, p->repo, err);

    *same = !rc && now.refs.len == p->list.refs.len;
    for (size_t i = 0; *same && i < now.refs.len; i++)
        *same = strcmp(now.refs.items[i].name, p->list.refs.items[i].name) == 0 &&
            strcmp(now.refs.items[i].id, p->list.refs.items[i].id) == 0;
    list_release(&now);
    return *same ? vmscm_pin_walk(p->repo->path, find_new_pin, &(struct pin_check){p, same}, err)
                 : rc;
}

static int find_machines(struct prune *p, struct vmscm_error *err)
{
    struct machine *machine;
    int rc = 0;

    for (size_t i = 0; i < p->list.refs.len && !rc; i++) {
        const struct ref *ref = &p->list.refs.items[i];
        if (!vmscm_str_starts(ref->name, VMSCM_HANDLE_HEADS))
            continue;
        if ((rc = vmscm_vec_add(&p->machines, &machine, err)))
            break;
        machine->name = ref->name + strlen(VMSCM_HANDLE_HEADS);
        machine->selected = p->options->all;
        if ((rc = vmscm_lineage_read(
                 &p->lineage, &machine->tip, p->repo->git, ref->id, err)))
            vmscm_error_prefix(err, "machine %s", machine->name);
    }
    return rc;
}

/* A name that is no pattern is looked up, for the message with the nearest ones. */
static int no_machine(struct prune *p, const char *wanted, struct vmscm_error *err)
{
    struct vmscm_revspec spec = {0};
    int rc = VMSCM_ENOTFOUND;

    if (!strpbrk(wanted, "*?["))
        rc = vmscm_revspec_resolve(&spec, p->repo->git, wanted, err);
    vmscm_revspec_release(&spec);
    if (rc && strpbrk(wanted, "*?["))
        vmscm_error_set(err, rc, "%s: no machine is named so", wanted);
    return rc ? rc : vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: not a machine's name", wanted);
}

static int select_machines(struct prune *p, struct vmscm_error *err)
{
    for (size_t n = 0; n < p->options->machine_count; n++) {
        const char *wanted = p->options->machines[n];
        bool found = false;
        for (size_t i = 0; i < p->machines.len; i++) {
            struct machine *machine = &p->machines.items[i];
            if (fnmatch(wanted, machine->name, 0) == 0)
                machine->selected = found = true;
        }
        if (!found)
            return no_machine(p, wanted, err);
    }
    return 0;
}

static const struct machine *machine_of_tag(const struct prune *p, const char *name)
{
    const char *slash = strrchr(name, '/');

    for (size_t i = 0; slash && i < p->machines.len; i++) {
        const char *machine = p->machines.items[i].name;
        if (strlen(machine) == (size_t)(slash - name) &&
            strncmp(machine, name, (size_t)(slash - name)) == 0)
            return &p->machines.items[i];
    }
    return NULL;
}

static bool tag_keeps(const struct vmscm_prune_options *options, const char *tag)
{
    bool keeps = options->tagged >= 0;

    for (size_t i = 0; i < options->tag_count && !keeps; i++)
        keeps = fnmatch(options->tags[i], tag, 0) == 0;
    return keeps;
}

static void flag(struct prune *p, const char *commit, unsigned reason)
{
    uint32_t node = vmscm_lineage_find(&p->lineage, commit);

    if (node != VMSCM_LINEAGE_NONE)
        p->lineage.nodes.items[node].flags |= reason;
}

static int protect_tag(struct prune *p, const struct ref *ref, struct vmscm_error *err)
{
    const char *name = ref->name + strlen(VMSCM_HANDLE_TAGS);
    const struct machine *machine = machine_of_tag(p, name);
    char commit[VMSCM_GITDB_ID];
    uint32_t node;
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = vmscm_refs_peel(commit, p->repo->git, ref->id, &why);

    /* Plain git can tag other things than revisions, but not as a machine's. */
    if (rc == VMSCM_EDAMAGED && !machine)
        return 0;
    if (rc) {
        vmscm_error_prefix(&why, "%s", ref->name);
        return vmscm_error_copy(err, &why);
    }
    if (machine && machine->selected && !tag_keeps(p->options, strrchr(name, '/') + 1))
        return 0;
    /* A tag that was moved may be all that leads to a part of its machine's history. */
    if (machine && !machine->selected &&
        ((rc = vmscm_lineage_read(&p->lineage, &node, p->repo->git, commit, err)) ||
            (rc = vmscm_lineage_spread(&p->lineage, node, VMSCM_PRUNE_SHARED, err))))
        return rc;
    flag(p, commit, VMSCM_PRUNE_TAG);
    return 0;
}

static int protect_pinned(void *data, const struct vmscm_pin *pin)
{
    flag(data, pin->commit, VMSCM_PRUNE_THIN);
    return 0;
}

/* What is kept whatever the rules say. */
static int protect(struct prune *p, struct vmscm_error *err)
{
    char commit[VMSCM_GITDB_ID];
    int rc = 0;

    for (size_t i = 0; i < p->machines.len && !rc; i++) {
        const struct machine *machine = &p->machines.items[i];
        p->lineage.nodes.items[machine->tip].flags |= VMSCM_PRUNE_CURRENT;
        if (!machine->selected)
            rc = vmscm_lineage_spread(&p->lineage, machine->tip, VMSCM_PRUNE_SHARED, err);
    }
    for (size_t i = 0; i < p->list.refs.len && !rc; i++) {
        const struct ref *ref = &p->list.refs.items[i];
        if (vmscm_str_starts(ref->name, VMSCM_HANDLE_TAGS))
            rc = protect_tag(p, ref, err);
        else if (!vmscm_str_starts(ref->name, VMSCM_HANDLE_HEADS) &&
            !vmscm_str_starts(ref->name, NOTES) &&
            !vmscm_refs_peel(commit, p->repo->git, ref->id, NULL))
            flag(p, commit, VMSCM_PRUNE_REF);
    }
    return rc ? rc : vmscm_pin_walk(p->repo->path, protect_pinned, p, err);
}

static int apply_rules(struct prune *p, struct machine *machine, struct vmscm_error *err)
{
    struct vmscm_retain_item *items = NULL;
    uint32_t *list = NULL;
    size_t all = 0, n = 0;
    int rc = vmscm_lineage_history(&p->lineage, &list, &all, machine->tip, err);

    if (rc)
        return rc;
    if (!(items = calloc(all, sizeof *items)) ||
        !(machine->verdicts = calloc(all, sizeof *machine->verdicts))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    for (size_t i = 0; i < all; i++) {
        struct vmscm_lineage_node *node = &p->lineage.nodes.items[list[i]];
        node->flags |= LISTED;
        if (node->flags & BEFORE)
            continue;
        items[n] = (struct vmscm_retain_item){node->time, node->offset, 0};
        machine->verdicts[n++].node = list[i];
    }
    vmscm_retain_apply(items, n, p->options, p->now);
    for (size_t i = 0; i < n; i++) {
        struct vmscm_lineage_node *node = &p->lineage.nodes.items[machine->verdicts[i].node];
        machine->verdicts[i].kept = items[i].kept | (node->flags & ANYWAY);
        node->flags |= items[i].kept ? RULED : 0;
    }
    machine->count = n;
out:
    free(items);
    free(list);
    return rc;
}

static bool is_let_go(const struct vmscm_lineage_node *node)
{
    return (node->flags & LISTED) && !(node->flags & (BEFORE | RULED | ANYWAY));
}

static int decide(struct prune *p, struct vmscm_error *err)
{
    struct vmscm_pruned *pruned = NULL;
    int rc;

    reset(p);
    if ((rc = read_refs(&p->list, p->repo, err)) || (rc = find_machines(p, err)) ||
        (rc = select_machines(p, err)) || (rc = protect(p, err)) ||
        (rc = vmscm_pruned_load(&pruned, p->repo->git, err)))
        goto out;
    for (size_t i = 0; i < p->lineage.nodes.len; i++)
        if (vmscm_pruned_has(pruned, p->lineage.nodes.items[i].id))
            p->lineage.nodes.items[i].flags |= BEFORE;
    for (size_t i = 0; i < p->machines.len && !rc; i++)
        if (p->machines.items[i].selected)
            rc = apply_rules(p, &p->machines.items[i], err);
    /* What no rule of this machine keeps may be kept by one of another. */
    for (size_t i = 0; i < p->machines.len && !rc; i++)
        for (size_t v = 0; v < p->machines.items[i].count; v++) {
            struct verdict *verdict = &p->machines.items[i].verdicts[v];
            if (!verdict->kept && !is_let_go(&p->lineage.nodes.items[verdict->node]))
                verdict->kept = VMSCM_PRUNE_SHARED;
        }
out:
    vmscm_pruned_free(pruned);
    return rc;
}

static int add_count(struct vmscm_buf *text, const char *name, int count, struct vmscm_error *err)
{
    if (count < 0)
        return vmscm_buf_printf(text, err, " --keep-%s unlimited", name);
    return count ? vmscm_buf_printf(text, err, " --keep-%s %d", name, count) : 0;
}

/* The rules as one would write them. */
static int describe_rules(struct vmscm_buf *text, const struct vmscm_prune_options *o,
    struct vmscm_error *err)
{
    const struct {
        unsigned number;
        char unit;
    } span[] = {{o->within.years, 'y'}, {o->within.months, 'm'}, {o->within.days, 'd'},
        {o->within.hours, 'h'}};
    bool first = true;
    int rc;

    if ((rc = add_count(text, "last", o->last, err)) ||
        (rc = add_count(text, "hourly", o->hourly, err)) ||
        (rc = add_count(text, "daily", o->daily, err)) ||
        (rc = add_count(text, "weekly", o->weekly, err)) ||
        (rc = add_count(text, "monthly", o->monthly, err)) ||
        (rc = add_count(text, "yearly", o->yearly, err)))
        return rc;
    for (size_t i = 0; i < 4 && !rc; i++)
        if (span[i].number) {
            rc = vmscm_buf_printf(text, err, "%s%u%c", first ? " --keep-within " : "",
                span[i].number, span[i].unit);
            first = false;
        }
    for (size_t i = 0; i < o->tag_count && !rc; i++)
        rc = vmscm_buf_printf(text, err, " --keep-tag %s", o->tags[i]);
    if (!rc && o->tagged)
        rc = vmscm_buf_puts(text, o->tagged > 0 ? " --keep-tagged" : " --no-keep-tagged", err);
    return rc;
}

/* Write the notes; the commit lock is held exclusively, and the refs are those of the decision. */
static int let_go(struct prune *p, struct vmscm_error *err)
{
    struct vmscm_signature who = {0};
    struct vmscm_buf rules = VMSCM_BUF_INIT;
    const char **ids = calloc(p->lineage.nodes.len + 1, sizeof *ids);
    size_t count = 0;
    int rc = ids ? 0 : vmscm_error_nomem(err);

    for (size_t i = 0; i < p->lineage.nodes.len && !rc; i++)
        if (is_let_go(&p->lineage.nodes.items[i]))
            ids[count++] = p->lineage.nodes.items[i].id;
    if (!rc && count && !(rc = describe_rules(&rules, p->options, err)) &&
        !(rc = vmscm_handle_who(&who, NULL, p->repo, err)))
        rc = vmscm_pruned_add(
            p->repo->git, ids, count, vmscm_buf_str(&rules) + 1, &who, err);
    vmscm_ident_release(&who);
    vmscm_buf_release(&rules);
    free(ids);
    return rc;
}

static int decide_and_let_go(struct prune *p, struct vmscm_error *err)
{
    bool same = false;
    int lock = -1, rc = 0;

    for (int attempt = 1; !rc && !same; attempt++) {
        if (attempt < ATTEMPTS && (rc = decide(p, err)))
            break;
        if ((rc = vmscm_handle_commit_lock_alone(&lock, p->repo, err)))
            break;
        if (attempt >= ATTEMPTS)
            rc = decide(p, err);
        if (!rc && !(rc = compare_refs(&same, p, err)) && same)
            rc = let_go(p, err);
        vmscm_lockfile_release(&lock);
    }
    return rc;
}

static int tell(struct prune *p, const struct machine *machine,
    int (*each)(void *data, const struct vmscm_prune_item *item), void *data,
    struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < machine->count && !rc; i++) {
        const struct vmscm_lineage_node *node =
            &p->lineage.nodes.items[machine->verdicts[i].node];
        struct vmscm_prune_item item = {.machine = machine->name,
            .id = node->id,
            .time = node->time,
            .offset = node->offset,
            .kept = machine->verdicts[i].kept};
        struct vmscm_gitdb_info info = {0};
        char *summary = NULL;
        if (!(rc = vmscm_gitdb_read_commit(&info, p->repo->git, node->id, err)) &&
            !(rc = vmscm_str_printf(
                  &summary, err, "%.*s", (int)strcspn(info.message, "\n"), info.message))) {
            item.summary = summary;
            rc = each(data, &item);
        }
        vmscm_gitdb_info_release(&info);
        free(summary);
    }
    return rc;
}

static void count_all(struct vmscm_prune_result *result, const struct prune *p)
{
    for (size_t i = 0; i < p->machines.len; i++)
        result->machines += p->machines.items[i].selected;
    for (size_t i = 0; i < p->lineage.nodes.len; i++) {
        const struct vmscm_lineage_node *node = &p->lineage.nodes.items[i];
        if (!(node->flags & LISTED))
            continue;
        if (node->flags & BEFORE)
            result->before++;
        else if (is_let_go(node))
            result->pruned++;
        else
            result->kept++;
    }
}

static int check_options(const struct vmscm_prune_options *o, struct vmscm_error *err)
{
    const int counts[] = {o->last, o->hourly, o->daily, o->weekly, o->monthly, o->yearly};

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i] < VMSCM_PRUNE_UNLIMITED)
            return vmscm_error_set(
                err, VMSCM_EUSAGE, "%d: not a number of revisions", counts[i]);
    if (o->within.years > 100000 || o->within.months > 100000 || o->within.days > 100000 ||
        o->within.hours > 100000)
        return vmscm_error_set(err, VMSCM_EUSAGE, "duration: too long");
    if (!o->all && !o->machine_count) {
        vmscm_error_set(err, VMSCM_EUSAGE, "prune: no machine is named");
        return vmscm_error_hint(err, "--all is for all machines");
    }
    if (o->all && o->machine_count)
        return vmscm_error_set(err, VMSCM_EUSAGE, "prune: all machines, and some of them by name");
    if (!vmscm_retain_has_rule(o)) {
        vmscm_error_set(err, VMSCM_EUSAGE, "prune: nothing says what to keep");
        return vmscm_error_hint(err, "--keep-last N, --keep-daily N, --keep-within DURATION, ...");
    }
    return 0;
}

int vmscm_prune(struct vmscm_repo *repo, const struct vmscm_prune_options *options,
    int (*each)(void *data, const struct vmscm_prune_item *item), void *data,
    struct vmscm_prune_result *result, struct vmscm_error *err)
{
    struct prune p = {.repo = repo, .options = options, .now = time(NULL)};
    int rc = check_options(options, err);

    if (rc || (rc = options->dry_run ? decide(&p, err) : decide_and_let_go(&p, err)))
        goto out;
    if (result) {
        *result = (struct vmscm_prune_result){0};
        count_all(result, &p);
    }
    for (size_t i = 0; each && i < p.machines.len && !rc; i++)
        rc = tell(&p, &p.machines.items[i], each, data, err);
out:
    reset(&p);
    return rc;
}
