/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm search: find revisions by what is inside them and what is said of them. */
#include "cmd.h"
#include "json.h"
#include "memory.h"
#include "pager.h"
#include "rowformat.h"
#include "table.h"
#include "text.h"
#include <stdlib.h>
#include <string.h>
#include <vmscm/search.h>

struct opts {
    int history;
    const char *format;
};

static const char *const fields[] = {"machine", "id", "date", "author", "subject", "inside", "why", NULL};

struct listing {
    json_t *json; /* one of the three */
    struct table *table;
    const char *format;
    size_t count;
};

static void add_json(json_t *list, const struct vmscm_search_hit *hit)
{
    json_t *object = json_add(list, json_object()), *why;

    json_put(object, "id", json_text(hit->id));
    json_put(object, "machine", json_text(hit->machine));
    json_put(object, "time", json_time(hit->time, 0));
    json_put(object, "author", json_text(hit->author));
    json_put(object, "message", json_text(hit->message));
    json_put(object, "inside", *hit->summary ? json_text(hit->summary) : json_null());
    why = json_put(object, "why", json_array());
    for (size_t i = 0; i < hit->why_count; i++)
        json_add(why, json_text(hit->why[i]));
}

static void print_formatted(const char *format, const struct vmscm_search_hit *hit, const char *why)
{
    char date[TEXT_MAX], *subject = memory_printf("%.*s", (int)strcspn(hit->message, "\n"), hit->message);
    const char *const values[] = {hit->machine, hit->id, text_iso(date, hit->time, 0), hit->author, subject,
        hit->summary, why};

    rowformat_print(format, fields, values);
    free(subject);
}

static int list_one(void *data, const struct vmscm_search_hit *hit)
{
    struct listing *listing = data;
    char buf[TEXT_MAX], *why = memory_dup("");

    listing->count++;
    for (size_t i = 0; i < hit->why_count && !listing->json; i++) {
        char *longer = memory_printf("%s%s%s", why, i ? "; " : "", hit->why[i]);
        free(why);
        why = longer;
    }
    if (listing->json) {
        add_json(listing->json, hit);
    } else if (listing->format) {
        print_formatted(listing->format, hit, why);
    } else {
        table_cell(listing->table, "%s", hit->machine ? hit->machine : "-");
        table_cell(listing->table, "%s", text_id(buf, hit->id));
        table_cell(listing->table, "%s", text_local(buf, hit->time));
        table_cell(listing->table, "%s", why);
    }
    free(why);
    return 0;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    static const char *const columns[] = {"MACHINE", "REVISION", "DATE", "WHY", NULL};
    const struct opts *o = values;
    struct listing listing = {NULL, NULL, o->format, 0};
    char *query = memory_dup(argv[0]);
    int rc = ctx_repo(ctx, err);

    for (int i = 1; i < argc; i++) {
        char *longer = memory_printf("%s %s", query, argv[i]);
        free(query);
        query = longer;
    }
    if (rc || (o->format && (rc = rowformat_check(o->format, fields, ctx->common.json, err))))
        goto out;
    if (o->format)
        pager_start(ctx);
    listing.json = ctx->common.json ? json_array() : NULL;
    listing.table = listing.json || o->format ? NULL : table_new(columns);
    if ((rc = vmscm_search(ctx->repo, query, o->history, list_one, &listing, err)))
        goto out;
    if (listing.json) {
        json_print(listing.json);
        listing.json = NULL;
    } else if (listing.count && listing.table && !ctx->common.quiet) {
        pager_start(ctx);
        table_print(listing.table, "");
    }
    rc = listing.count == 0;
out:
    json_decref(listing.json);
    table_free(listing.table);
    free(query);
    return rc;
}

static const struct opt table[] = {
    {0, "history", OPT_FLAG, offsetof(struct opts, history), NULL, NULL,
        "all revisions, not just the machines' newest"},
    {0, "format", OPT_STRING, offsetof(struct opts, format), "FORMAT", NULL,
        "a line for each, with %(machine), %(id) and the like in it"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[--history] [--format=FORMAT] QUERY...", NULL};

const struct cmd cmd_search = {
    .name = "search",
    .summary = "find revisions by what is inside them",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = -1,
    .group = GROUP_HISTORY,
    .flags = CMD_JSON | CMD_PAGER,
    .run = run,
};
