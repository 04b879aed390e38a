/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm fsck: check a repository. */
#include "cmd.h"
#include "json.h"
#include "progress.h"
#include "report.h"
#include "text.h"
#include <inttypes.h>
#include <vmscm/repair.h>

struct opts {
    int full;
    int repair;
    struct opt_list from;
    unsigned jobs;
};

struct found {
    json_t *findings, *notes, *actions; /* NULL: print them */
    int quiet;
};

static void add_json(const struct found *found, const struct vmscm_fsck_finding *finding)
{
    json_t *object = json_add(finding->note ? found->notes : found->findings, json_object());

    json_put(object, "object", json_text(finding->object));
    json_put(object, "text", json_text(finding->text));
    json_put(object, "hint", json_text(finding->hint));
    json_put(object, "machine", json_text(finding->machine));
    json_put(object, "revision", json_text(finding->revision));
    json_put(object, "disk", json_text(finding->disk));
    json_put(object, "offset", json_number(finding->offset));
    json_put(object, "length", json_number(finding->length));
}

/* "packs/0a1b.pack: record 7: bad checksum (web 3f2a91c, disk sda, 64.0 KiB at 1048576)" */
static void print_finding(const struct vmscm_fsck_finding *finding)
{
    char id[TEXT_MAX], length[TEXT_MAX];
    const char *separator = " (";

    progress_clear();
    text_put(stdout, finding->object ? finding->object : "?");
    fputs(": ", stdout);
    text_put(stdout, finding->text);
    if (finding->machine || finding->revision) {
        fputs(separator, stdout);
        text_put(stdout, finding->machine ? finding->machine : "");
        if (finding->revision)
            printf("%s%s", finding->machine ? " " : "", text_id(id, finding->revision));
        separator = ", ";
    }
    if (finding->disk) {
        printf("%sdisk ", separator);
        text_put(stdout, finding->disk);
        separator = ", ";
    }
    if (finding->length > 0) {
        printf("%s%s at %" PRIu64, separator, text_size(length, finding->length), finding->offset);
        separator = ", ";
    }
    puts(*separator == ',' ? ")" : "");
    if (finding->hint) {
        fputs("hint: ", stdout);
        text_put(stdout, finding->hint);
        putchar('\n');
    }
    fflush(stdout);
}

static void on_found(void *data, const struct vmscm_fsck_finding *finding)
{
    const struct found *found = data;

    if (found->findings)
        add_json(found, finding);
    else if (!finding->note || !found->quiet)
        print_finding(finding);
}

static void on_done(void *data, const struct vmscm_repair_action *action)
{
    const struct found *found = data;

    if (found->actions) {
        json_t *object = json_add(found->actions, json_object());
        json_put(object, "object", json_text(action->object));
        json_put(object, "text", json_text(action->text));
    } else if (!found->quiet) {
        progress_clear();
        text_put(stdout, action->object);
        fputs(": ", stdout);
        text_put(stdout, action->text);
        putchar('\n');
        fflush(stdout);
    }
}

static json_t *make_json(const struct found *found, const struct vmscm_fsck_result *r)
{
    json_t *root = json_object();

    json_put(root, "findings", found->findings);
    json_put(root, "notes", found->notes);
    json_put(root, "machines", json_number(r->machines));
    json_put(root, "revisions", json_number(r->revisions));
    json_put(root, "packs", json_number(r->packs));
    json_put(root, "records", json_number(r->records));
    json_put(root, "bytes", json_number(r->bytes));
    json_put(root, "elsewhere", json_number(r->elsewhere));
    return root;
}

static void print_line(const struct vmscm_fsck_result *r)
{
    char machines[TEXT_MAX], revisions[TEXT_MAX], packs[TEXT_MAX], records[TEXT_MAX],
        bytes[TEXT_MAX], found[TEXT_MAX];

    printf("%s: %s, %s, %s, %s, %s read\n",
        r->findings ? text_count(found, r->findings, "finding") : "no damage",
        text_count(machines, r->machines, "machine"),
        text_count(revisions, r->revisions, "revision"), text_count(packs, r->packs, "pack"),
        text_count(records, r->records, "record"), text_size(bytes, r->bytes));
    if (r->elsewhere)
        printf("only at the remote: %s\n", text_count(found, r->elsewhere, "part"));
}

static int check(struct ctx *ctx, const struct opts *o, const char *spec, struct found *found,
    struct vmscm_error *err)
{
    struct vmscm_fsck_options options = {o->full, o->jobs, spec};
    struct vmscm_fsck_result result = {0};
    int rc = vmscm_fsck(ctx->repo, &options, progress_events(ctx), on_found, found, &result, err);

    if (rc == VMSCM_EDAMAGED && result.findings > 0)
        rc = 1; /* told one by one */
    if (rc < 0)
        return rc;
    progress_clear();
    if (found->findings)
        json_print(make_json(found, &result));
    else if (!found->quiet)
        print_line(&result);
    return rc;
}

static int repair(struct ctx *ctx, const struct opts *o, struct found *found,
    struct vmscm_error *err)
{
    struct vmscm_repair_options options = {o->jobs, o->from.items, o->from.len};
    struct vmscm_repair_result result = {0};
    char aside[TEXT_MAX], saved[TEXT_MAX], restored[TEXT_MAX], *path = NULL;
    uint64_t before = 0;
    int rc = ctx_path(&path, err);

    if (!rc)
        rc = vmscm_repair_prepare(path, progress_events(ctx), on_done, found, &before, err);
    vmscm_free(path);
    if (rc || (rc = ctx_repo(ctx, err)))
        return rc;
    rc = vmscm_repair(
        ctx->repo, &options, progress_events(ctx), on_done, on_found, found, &result, err);
    result.set_aside += before;
    if (rc == VMSCM_EDAMAGED && result.left.findings > 0)
        rc = 1;
    if (rc < 0)
        return rc;
    progress_clear();
    if (found->findings) {
        json_t *root = make_json(found, &result.left);
        json_put(root, "actions", found->actions);
        json_put(root, "set_aside", json_number(result.set_aside));
        json_put(root, "saved", json_number(result.saved));
        json_put(root, "restored", json_number(result.restored));
        json_print(root);
    } else if (!found->quiet) {
        printf("%s set aside, %s saved, %s restored\n",
            text_count(aside, result.set_aside, "file"),
            text_count(saved, result.saved, "chunk"),
            text_count(restored, result.restored, "chunk"));
        print_line(&result.left);
    }
    return rc;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    struct found found = {.quiet = ctx->common.quiet};
    int rc;

    if (o->repair && argc > 0)
        return report_set(err, VMSCM_EUSAGE, "--repair: of the whole repository: no REV with it");
    if (o->from.len && !o->repair)
        return report_set(err, VMSCM_EUSAGE, "--from: only with --repair");
    if (!o->repair && (rc = ctx_repo(ctx, err)))
        return rc;
    if (ctx->common.json) {
        found.findings = json_array();
        found.notes = json_array();
        found.actions = o->repair ? json_array() : NULL;
    }
    rc = o->repair ? repair(ctx, o, &found, err)
                   : check(ctx, o, argc > 0 ? argv[0] : NULL, &found, err);
    if (rc < 0) {
        json_decref(found.findings);
        json_decref(found.notes);
        json_decref(found.actions);
    }
    return rc;
}

static const struct opt table[] = {
    {0, "full", OPT_FLAG, offsetof(struct opts, full), NULL, NULL,
        "also read and hash every record of every pack"},
    {0, "repair", OPT_FLAG, offsetof(struct opts, repair), NULL, NULL,
        "save what is good in damaged files, and set these aside"},
    {0, "from", OPT_LIST, offsetof(struct opts, from), "SOURCE", "file",
        "take what is lost from a repository or disk image"},
    {'j', "jobs", OPT_UINT, offsetof(struct opts, jobs), "N", NULL, "work with N threads"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[--full] [-j N] [REV]", "--repair [--from SOURCE]... [-j N]", NULL};

const struct cmd cmd_fsck = {
    .name = "fsck",
    .summary = "check the repository",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "revision",
    .max_args = 1,
    .group = GROUP_REPOSITORY,
    .flags = CMD_JSON | CMD_PROGRESS,
    .run = run,
};
