/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm prune: let go of the data of old revisions, by rules. */
#include "cmd.h"
#include "json.h"
#include "report.h"
#include "table.h"
#include "text.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vmscm/prune.h>

struct opts {
    const char *last, *hourly, *daily, *weekly, *monthly, *yearly;
    const char *within;
    struct opt_list tags;
    int tagged;
    int all;
    int dry_run;
    int undo;
};

struct listing {
    json_t *json;        /* one of the two */
    struct table *table; /* NULL, too: nothing is listed */
    json_t *revisions;   /* of the machine at hand */
    const char *machine;
    bool kept_too;
};

/* What a rule's number or a reason is called. */
static const struct reason {
    unsigned reason;
    const char *name;
} reasons[] = {{VMSCM_PRUNE_LAST, "last"}, {VMSCM_PRUNE_HOURLY, "hourly"},
    {VMSCM_PRUNE_DAILY, "daily"}, {VMSCM_PRUNE_WEEKLY, "weekly"},
    {VMSCM_PRUNE_MONTHLY, "monthly"}, {VMSCM_PRUNE_YEARLY, "yearly"},
    {VMSCM_PRUNE_WITHIN, "within"}, {VMSCM_PRUNE_TAG, "tag"}, {VMSCM_PRUNE_CURRENT, "current"},
    {VMSCM_PRUNE_REF, "ref"}, {VMSCM_PRUNE_SHARED, "shared"},
    {VMSCM_PRUNE_THIN, "thin"}};

#define REASONS (sizeof reasons / sizeof reasons[0])

static void add_json(struct listing *l, const struct vmscm_prune_item *item)
{
    json_t *object, *kept;

    /* The library's text of a machine's name is the same for all of its revisions. */
    if (!l->revisions || l->machine != item->machine) {
        object = json_add(l->json, json_object());
        json_put(object, "machine", json_text(item->machine));
        l->revisions = json_put(object, "revisions", json_array());
        l->machine = item->machine;
    }
    object = json_add(l->revisions, json_object());
    json_put(object, "id", json_text(item->id));
    json_put(object, "time", json_time(item->time, item->offset));
    json_put(object, "message", json_text(item->summary));
    json_put(object, "pruned", json_boolean(!item->kept));
    kept = json_put(object, "kept", json_array());
    for (size_t i = 0; i < REASONS; i++)
        if (item->kept & reasons[i].reason)
            json_add(kept, json_text(reasons[i].name));
}

/* "last, daily"; "pruned" for none. */
static void join_reasons(char *out, size_t size, unsigned kept)
{
    size_t len = 0;

    snprintf(out, size, "%s", kept ? "" : "pruned");
    for (size_t i = 0; i < REASONS && len < size; i++)
        if (kept & reasons[i].reason) {
            int n = snprintf(out + len, size - len, "%s%s", len ? ", " : "", reasons[i].name);
            len += n > 0 ? (size_t)n : 0;
        }
}

static int list_one(void *data, const struct vmscm_prune_item *item)
{
    struct listing *l = data;
    char buf[TEXT_MAX], kept[128];

    if (l->json) {
        add_json(l, item);
        return 0;
    }
    if (!l->table || (item->kept && !l->kept_too))
        return 0;
    join_reasons(kept, sizeof kept, item->kept);
    table_cell(l->table, "%s", item->machine);
    table_cell(l->table, "%s", text_id(buf, item->id));
    table_cell(l->table, "%s", text_date(buf, item->time, item->offset));
    table_cell(l->table, "%s", kept);
    table_cell(l->table, "%s", item->summary);
    return 0;
}

static void print_line(const struct vmscm_prune_result *r, int dry_run)
{
    char pruned[TEXT_MAX], machines[TEXT_MAX];

    printf("%s%s of %s, %llu kept", dry_run ? "would prune " : "pruned ",
        text_count(pruned, r->pruned, "revision"), text_count(machines, r->machines, "machine"),
        (unsigned long long)r->kept);
    if (r->before)
        printf(", %llu pruned before", (unsigned long long)r->before);
    puts(r->pruned && !dry_run ? "; vmscm gc gives their space back" : "");
}

static int prune(struct ctx *ctx, const struct vmscm_prune_options *options,
    struct vmscm_error *err)
{
    static const char *const columns[] = {"MACHINE", "REVISION", "DATE", "KEPT", "MESSAGE", NULL};
    struct listing listing = {.kept_too = options->dry_run || ctx->common.verbose};
    struct vmscm_prune_result result;
    json_t *root;
    int rc;

    if (ctx->common.json)
        listing.json = json_array();
    else if (!ctx->common.quiet)
        listing.table = table_new(columns);
    rc = vmscm_prune(ctx->repo, options, list_one, &listing, &result, err);
    if (!rc && listing.json) {
        root = json_object();
        json_put(root, "dry_run", json_boolean(options->dry_run));
        json_put(root, "machines", listing.json);
        json_put(root, "kept", json_number(result.kept));
        json_put(root, "pruned", json_number(result.pruned));
        json_put(root, "pruned_before", json_number(result.before));
        json_print(root);
        listing.json = NULL;
    } else if (!rc && listing.table) {
        if (result.pruned || listing.kept_too)
            table_print(listing.table, "");
        print_line(&result, options->dry_run);
    }
    json_decref(listing.json);
    table_free(listing.table);
    return rc;
}

/* Each by itself: one that cannot be taken back does not keep the others. */
static int undo(struct ctx *ctx, int argc, char **argv, struct vmscm_error *err)
{
    json_t *list = ctx->common.json ? json_array() : NULL;
    char id[TEXT_MAX];
    int status = 0;

    for (int i = 0; i < argc; i++) {
        struct vmscm_revision *rev = NULL;
        int rc = vmscm_revision_resolve(&rev, ctx->repo, argv[i], err);
        if (!rc)
            rc = vmscm_prune_undo(rev, err);
        if (rc)
            status = report_error(err);
        else if (list)
            json_add(list, json_text(vmscm_revision_id(rev)));
        else if (!ctx->common.quiet)
            printf("took back %s\n", text_id(id, vmscm_revision_id(rev)));
        vmscm_revision_free(rev);
    }
    if (list)
        json_print(list);
    return status;
}

static int take_number(int *out, const char *name, const char *text, struct vmscm_error *err)
{
    char *end = NULL;
    long n;

    if (!text)
        return 0;
    if (strcmp(text, "unlimited") == 0) {
        *out = VMSCM_PRUNE_UNLIMITED;
        return 0;
    }
    n = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || n > 1000000000)
        return report_set(err, VMSCM_EUSAGE,
            "--keep-%s: %.60s: not a number of at most 1000000000, nor 'unlimited'", name,
            *text ? text : "\"\"");
    *out = (int)n;
    return 0;
}

static int take_rules(struct vmscm_prune_options *to, const struct opts *o,
    struct vmscm_error *err)
{
    int rc;

    if ((rc = take_number(&to->last, "last", o->last, err)) ||
        (rc = take_number(&to->hourly, "hourly", o->hourly, err)) ||
        (rc = take_number(&to->daily, "daily", o->daily, err)) ||
        (rc = take_number(&to->weekly, "weekly", o->weekly, err)) ||
        (rc = take_number(&to->monthly, "monthly", o->monthly, err)) ||
        (rc = take_number(&to->yearly, "yearly", o->yearly, err)))
        return rc;
    to->tags = o->tags.items;
    to->tag_count = o->tags.len;
    to->tagged = o->tagged;
    return o->within ? vmscm_prune_span_parse(&to->within, o->within, err) : 0;
}

static bool has_rules(const struct opts *o)
{
    return o->last || o->hourly || o->daily || o->weekly || o->monthly || o->yearly || o->within ||
        o->tags.len || o->tagged;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    struct vmscm_prune_options options = {.machines = (const char *const *)argv,
        .machine_count = (size_t)argc,
        .all = o->all,
        .dry_run = o->dry_run};
    int rc = take_rules(&options, o, err);

    if (!rc && o->undo && (o->all || o->dry_run || has_rules(o)))
        rc = report_set(err, VMSCM_EUSAGE, "--undo: goes with revisions, and no other option");
    if (!rc && o->undo && argc == 0)
        rc = report_set(err, VMSCM_EUSAGE, "--undo: no revision is named");
    if (!rc)
        rc = ctx_repo(ctx, err);
    if (rc)
        return rc;
    return o->undo ? undo(ctx, argc, argv, err) : prune(ctx, &options, err);
}

static const struct opt table[] = {
    {0, "keep-last", OPT_STRING, offsetof(struct opts, last), "N", NULL, "keep the newest N"},
    {0, "keep-hourly", OPT_STRING, offsetof(struct opts, hourly), "N", NULL,
        "keep the last of each of the newest N hours that have any"},
    {0, "keep-daily", OPT_STRING, offsetof(struct opts, daily), "N", NULL, "the same by days"},
    {0, "keep-weekly", OPT_STRING, offsetof(struct opts, weekly), "N", NULL, "by weeks"},
    {0, "keep-monthly", OPT_STRING, offsetof(struct opts, monthly), "N", NULL, "by months"},
    {0, "keep-yearly", OPT_STRING, offsetof(struct opts, yearly), "N", NULL, "by years"},
    {0, "keep-within", OPT_STRING, offsetof(struct opts, within), "DURATION", NULL,
        "keep what is at most so much older than the newest, as 1y5m7d2h"},
    {0, "keep-tag", OPT_LIST, offsetof(struct opts, tags), "PATTERN", NULL,
        "keep what has such a tag"},
    {0, "keep-tagged", OPT_SWITCH, offsetof(struct opts, tagged), NULL, NULL,
        "keep what has any tag; the default"},
    {'a', "all", OPT_FLAG, offsetof(struct opts, all), NULL, NULL, "of all machines"},
    {'n', "dry-run", OPT_FLAG, offsetof(struct opts, dry_run), NULL, NULL,
        "only show what would be kept, and why"},
    {0, "undo", OPT_FLAG, offsetof(struct opts, undo), NULL, NULL,
        "take revisions back whose data is still there"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[-n] RULE... MACHINE...", "[-n] RULE... --all",
    "--undo REV...", NULL};

const struct cmd cmd_prune = {
    .name = "prune",
    .summary = "let go of the data of old revisions",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "revision*",
    .max_args = -1,
    .group = GROUP_REPOSITORY,
    .flags = CMD_JSON,
    .run = run,
};
