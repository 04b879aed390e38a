/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm tag: name a revision; list names; take one away. */
#include "cmd.h"
#include "json.h"
#include "message.h"
#include "report.h"
#include "table.h"
#include "text.h"
#include <stdlib.h>
#include <string.h>
#include <vmscm/revision.h>

struct opts {
    struct opt_list message;
    const char *file;
    int list;
    int remove;
    int force;
};

struct listing {
    json_t *json;        /* one of the two */
    struct table *table;
};

static json_t *tag_json(const char *machine, const char *tag, const char *id)
{
    json_t *entry = json_object();

    json_put(entry, "machine", json_text(machine));
    json_put(entry, "tag", json_text(tag));
    json_put(entry, "id", json_text(id));
    return entry;
}

static int list_one(void *data, const struct vmscm_tag_entry *tag)
{
    struct listing *listing = data;
    char id[TEXT_MAX], date[TEXT_MAX];

    if (listing->json) {
        json_t *entry = json_add(listing->json, tag_json(tag->machine, tag->tag, tag->id));
        json_put(entry, "pruned", json_boolean(tag->pruned));
        json_put(entry, "message", json_text(tag->message));
        json_put(entry, "tagger", json_person(&tag->tagger));
        json_put(entry, "time", json_time(tag->tagger.time, tag->tagger.offset));
        return 0;
    }
    table_cell(listing->table, "%s:%s", tag->machine, tag->tag);
    table_cell(listing->table, "%s", text_id(id, tag->id));
    table_cell(listing->table, "%s", text_local(date, tag->tagger.time));
    table_cell(listing->table, "%s%.*s", tag->pruned ? "(pruned) " : "",
        (int)strcspn(tag->message ? tag->message : "", "\n"),
        tag->message ? tag->message : "");
    return 0;
}

static int list(struct ctx *ctx, const char *machine, struct vmscm_error *err)
{
    static const char *const columns[] = {"TAG", "REVISION", "TAGGED", "MESSAGE", NULL};
    struct listing listing = {NULL, NULL};
    int rc;

    if (ctx->common.json)
        listing.json = json_array();
    else
        listing.table = table_new(columns);
    rc = vmscm_revision_tags(ctx->repo, machine, list_one, &listing, err);
    if (!rc && listing.json) {
        json_print(listing.json);
        listing.json = NULL;
    } else if (!rc) {
        table_print(listing.table, "");
    }
    json_decref(listing.json);
    table_free(listing.table);
    return rc;
}

static int untag(struct ctx *ctx, char *name, struct vmscm_error *err)
{
    char *colon = strchr(name, ':');
    int rc;

    if (!colon || colon == name || !colon[1]) {
        report_set(err, VMSCM_EUSAGE, "%.300s: not MACHINE:TAG", name);
        return report_hint(err, "'vmscm tag -l' lists the tags");
    }
    *colon = '\0';
    rc = vmscm_revision_untag(ctx->repo, name, colon + 1, err);
    *colon = ':';
    if (!rc && !ctx->common.quiet) {
        fputs("removed ", stdout);
        text_put(stdout, name);
        putchar('\n');
    }
    return rc;
}

static int tag(struct ctx *ctx, const struct opts *o, char **argv, struct vmscm_error *err)
{
    struct vmscm_revision *rev = NULL;
    char *message = NULL, id[TEXT_MAX];
    int rc = message_read(&message, &o->message, o->file, err);

    if (!rc)
        rc = vmscm_revision_resolve(&rev, ctx->repo, argv[0], err);
    if (!rc)
        rc = vmscm_revision_tag(rev, argv[1], message, o->force, err);
    if (rc == VMSCM_EEXIST && !err->hint[0])
        report_hint(err, "-f moves it");
    if (!rc && ctx->common.json) {
        json_print(tag_json(vmscm_revision_machine_name(rev), argv[1], vmscm_revision_id(rev)));
    } else if (!rc && !ctx->common.quiet) {
        const char *machine = vmscm_revision_machine_name(rev);
        text_put(stdout, machine ? machine : "");
        putchar(':');
        text_put(stdout, argv[1]);
        printf(" %s\n", text_id(id, vmscm_revision_id(rev)));
    }
    vmscm_revision_free(rev);
    free(message);
    return rc;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    int want = o->remove ? 1 : 2, rc;

    if (o->list && o->remove)
        return report_set(err, VMSCM_EUSAGE, "-l: not together with -d");
    if (argc == 0 && !o->remove && o->message.len == 0 && !o->file && !o->force)
        want = 0;
    if (o->list ? argc > 1 : argc != want) {
        report_set(err, VMSCM_EUSAGE, "tag: too %s arguments", argc < want ? "few" : "many");
        return report_hint(err, "'vmscm tag -h' shows its forms");
    }
    rc = ctx_repo(ctx, err);
    if (rc)
        return rc;
    if (o->list || want == 0)
        return list(ctx, argc > 0 ? argv[0] : NULL, err);
    return o->remove ? untag(ctx, argv[0], err) : tag(ctx, o, argv, err);
}

static const struct opt table[] = {
    {'m', "message", OPT_LIST, offsetof(struct opts, message), "TEXT", NULL,
        "what it stands for; each further one is a paragraph"},
    {'F', "file", OPT_STRING, offsetof(struct opts, file), "FILE", "file",
        "read the message from FILE, or standard input for '-'"},
    {'f', "force", OPT_FLAG, offsetof(struct opts, force), NULL, NULL, "move a tag that exists"},
    {'l', "list", OPT_FLAG, offsetof(struct opts, list), NULL, NULL,
        "list the tags of MACHINE, or of all"},
    {'d', "delete", OPT_FLAG, offsetof(struct opts, remove), NULL, NULL, "remove a tag"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[-f] [-m TEXT | -F FILE] REV NAME", "-l [MACHINE]",
    "-d MACHINE:TAG", NULL};

const struct cmd cmd_tag = {
    .name = "tag",
    .summary = "name a revision, or list such names",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "revision",
    .max_args = 2,
    .group = GROUP_HISTORY,
    .flags = CMD_JSON,
    .run = run,
};
