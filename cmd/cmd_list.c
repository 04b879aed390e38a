/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm list: the machines there are. */
#include "cmd.h"
#include "here.h"
#include "json.h"
#include "report.h"
#include "rowformat.h"
#include "table.h"
#include "text.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <vmscm/brief.h>
#include <vmscm/remote.h>
#include <vmscm/revision.h>

struct opts {
    int details;
    int remotes;
    const char *format;
};

static const char *const fields[] = {"machine", "id", "date", "disks", "size", "inside", "subject",
    "pruned", "damage", "changes", NULL};

struct listing {
    struct ctx *ctx;
    const struct opts *opts;
    bool lazy;   /* and what is here is to be told */
    bool inside, changes; /* and these lines */
    struct vmscm_brief *brief;
    struct vmscm_error *err;
    json_t *json;        /* one of these, or neither: a format */
    struct table *table;
    size_t count;
    bool damaged;
};

static void add_json(json_t *list, const struct vmscm_machine_entry *entry,
    const struct vmscm_revision_here *here, const char *inside, const char *changes)
{
    json_t *object = json_add(list, json_object());

    json_put(object, "machine", json_text(entry->name));
    json_put(object, "id", json_text(entry->id));
    json_put(object, "summary", entry->damage ? json_null() : json_text(entry->summary));
    json_put(object, "time", entry->damage ? json_null() : json_time(entry->time, 0));
    json_put(object, "disks", entry->damage ? json_null() : json_number(entry->disk_count));
    json_put(object, "size", entry->damage ? json_null() : json_number(entry->size));
    json_put(object, "pruned", json_boolean(entry->pruned));
    json_put(object, "damage", json_text(entry->damage));
    if (here) {
        json_put(object, "inside", json_text(inside));
        json_put(object, "changes", json_text(changes));
        here_json(object, here);
    }
}

/* What of both is asked for. They are borrowed. */
static int get_brief(const char **inside, const char **changes, const struct listing *listing, const char *id)
{
    struct vmscm_revision *rev = NULL;
    int rc = vmscm_revision_resolve(&rev, listing->ctx->repo, id, listing->err);

    if (!rc)
        rc = vmscm_brief_get(listing->inside ? inside : NULL, listing->changes ? changes : NULL,
            listing->brief, rev, listing->err);
    vmscm_revision_free(rev);
    if (rc != VMSCM_EDAMAGED && rc != VMSCM_ENOTFOUND)
        return rc;
    *listing->err = (struct vmscm_error)VMSCM_ERROR_INIT;
    return 0;
}

/* What is not known of a damaged machine is "". */
static void print_formatted(const char *format, const struct vmscm_machine_entry *entry, const char *inside,
    const char *changes)
{
    char date[TEXT_MAX] = "", disks[TEXT_MAX] = "", size[TEXT_MAX] = "";
    const char *const values[] = {entry->name, entry->id, date, disks, size, inside,
        entry->damage ? NULL : entry->summary, entry->pruned ? "pruned" : NULL, entry->damage,
        changes};

    if (!entry->damage) {
        text_iso(date, entry->time, 0);
        snprintf(disks, sizeof disks, "%zu", entry->disk_count);
        snprintf(size, sizeof size, "%" PRIu64, entry->size);
    }
    rowformat_print(format, fields, values);
}

static void add_row(struct listing *listing, const struct vmscm_machine_entry *entry,
    const struct vmscm_revision_here *here, const char *inside, const char *changes)
{
    struct table *table = listing->table;
    char buf[TEXT_MAX], part[HERE_MAX];

    table_cell(table, "%s", entry->name);
    table_cell(table, "%s", text_id(buf, entry->id));
    table_cell(table, "%s", entry->damage ? "-" : text_local(buf, entry->time));
    if (listing->opts->details) {
        if (entry->damage)
            table_cell(table, "-");
        else
            table_cell(table, "%zu", entry->disk_count);
        table_cell(table, "%s", entry->damage ? "-" : text_size(buf, entry->size));
    }
    if (listing->opts->details) {
        table_cell(table, "%s", inside ? inside : "-");
        table_cell(table, "%s", changes ? changes : "-");
    }
    if (listing->lazy)
        table_cell(table, "%s", here->lazy ? here_short(part, here) : "-");
    if (entry->damage)
        table_cell(table, "damaged: %s", entry->damage);
    else
        table_cell(table, "%s%s", entry->pruned ? "(pruned) " : "",
            entry->summary ? entry->summary : "");
}

static int list_one(void *data, const struct vmscm_machine_entry *entry)
{
    struct listing *listing = data;
    struct vmscm_revision_here here = {0};
    const char *inside = NULL, *changes = NULL;
    int rc;

    listing->count++;
    listing->damaged = listing->damaged || entry->damage;
    if (listing->lazy && !entry->damage &&
        (rc = here_get(&here, listing->ctx, entry->id, listing->err)))
        return rc;
    if ((listing->inside || listing->changes) && !entry->damage &&
        (rc = get_brief(&inside, &changes, listing, entry->id)))
        return rc;
    if (listing->json)
        add_json(listing->json, entry, listing->opts->details ? &here : NULL, inside, changes);
    else if (listing->table)
        add_row(listing, entry, &here, inside, changes);
    else
        print_formatted(listing->opts->format, entry, inside, changes);
    return 0;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    static const char *const brief[] = {"MACHINE", "REVISION", "DATE", "MESSAGE", NULL};
    static const char *const full[] = {"MACHINE", "REVISION", "DATE", ">DISKS", ">SIZE", "INSIDE",
        "CHANGE", "MESSAGE", NULL};
    static const char *const lazy[] = {"MACHINE", "REVISION", "DATE", ">DISKS", ">SIZE", "INSIDE",
        "CHANGE", ">HERE", "MESSAGE", NULL};
    const struct opts *o = values;
    struct listing listing = {.ctx = ctx, .opts = o, .inside = o->details,
        .changes = o->details, .err = err};
    int rc = 0;

    if (o->format && o->details)
        rc = report_set(err, VMSCM_EUSAGE, "--format: not together with --long");
    else if (o->format)
        rc = rowformat_check(o->format, fields, ctx->common.json, err);
    if (rc || (rc = ctx_repo(ctx, err)))
        return rc;
    listing.lazy = o->details && vmscm_remote_promisor(ctx->repo);
    if (ctx->common.json) {
        listing.json = json_array();
    } else if (o->format) {
        listing.inside = rowformat_has(o->format, "inside");
        listing.changes = rowformat_has(o->format, "changes");
    } else {
        listing.table = table_new(listing.lazy ? lazy : listing.opts->details ? full : brief);
    }
    if ((listing.inside || listing.changes) && (rc = vmscm_brief_open(&listing.brief, ctx->repo, err)))
        goto out;
    rc = o->remotes
        ? vmscm_remote_machines(ctx->repo, argc > 0 ? argv[0] : NULL, list_one, &listing, err)
        : vmscm_revision_machines(ctx->repo, argc > 0 ? argv[0] : NULL, list_one, &listing, err);
    if (rc)
        goto out;
    if (listing.json) {
        json_print(listing.json);
        listing.json = NULL;
    } else if (listing.table && !ctx->common.quiet) {
        table_print(listing.table, "");
    }
    /* The answer is "no": nothing is named so, or not all of it is whole. */
    if (listing.damaged || (argc > 0 && listing.count == 0))
        rc = 1;
out:
    json_decref(listing.json);
    table_free(listing.table);
    vmscm_brief_close(listing.brief);
    return rc;
}

static const struct opt table[] = {
    {'l', "long", OPT_FLAG, offsetof(struct opts, details), NULL, NULL,
        "also the number of disks, their size, what is inside, what changed and, if lazy, what is here"},
    {'r', "remotes", OPT_FLAG, offsetof(struct opts, remotes), NULL, NULL,
        "what is remembered of other repositories' instead"},
    {0, "format", OPT_STRING, offsetof(struct opts, format), "FORMAT", NULL,
        "a line for each, with %(machine), %(id) and the like in it"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[-lr] [--format=FORMAT] [PATTERN]", NULL};

const struct cmd cmd_list = {
    .name = "list",
    .summary = "list the machines",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "machine",
    .max_args = 1,
    .group = GROUP_WORK,
    .flags = CMD_JSON,
    .run = run,
};
