/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm gc: give back the space of what nothing needs. */
#include "cmd.h"
#include "json.h"
#include "progress.h"
#include "report.h"
#include "text.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <vmscm/gc.h>
#include <vmscm/remote.h>
#include <vmscm/thin.h>

struct opts {
    int dry_run, aggressive, automatic;
    unsigned jobs;
    const char *threshold, *grace;
};

static const struct figure {
    const char *key;
    size_t offset;
} figures[] = {
    {"packs", offsetof(struct vmscm_gc_result, packs)},
    {"pack_bytes", offsetof(struct vmscm_gc_result, pack_bytes)},
    {"needed_bytes", offsetof(struct vmscm_gc_result, needed_bytes)},
    {"dropped_packs", offsetof(struct vmscm_gc_result, dropped_packs)},
    {"repacked_packs", offsetof(struct vmscm_gc_result, repacked_packs)},
    {"moved_bytes", offsetof(struct vmscm_gc_result, moved_bytes)},
    {"written_bytes", offsetof(struct vmscm_gc_result, written_bytes)},
    {"freed_bytes", offsetof(struct vmscm_gc_result, freed_bytes)},
    {"trash_bytes", offsetof(struct vmscm_gc_result, trash_bytes)},
    {"reflog_entries", offsetof(struct vmscm_gc_result, reflog_entries)},
    {"history_objects", offsetof(struct vmscm_gc_result, history_objects)},
    {"history_bytes", offsetof(struct vmscm_gc_result, history_bytes)},
};

static void print_json(const struct vmscm_gc_result *r)
{
    json_t *root = json_object();

    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        json_put(root, figures[i].key,
            json_number(*(const uint64_t *)((const char *)r + figures[i].offset)));
    json_print(root);
}

/* "12 packs, 1.2 GiB: 3 dropped, 2 written anew; 310.0 MiB freed, 0 bytes in the trash" */
static void print_line(const struct vmscm_gc_result *r, bool would)
{
    char packs[TEXT_MAX], bytes[TEXT_MAX], moved[TEXT_MAX], freed[TEXT_MAX], trash[TEXT_MAX];

    /* What is copied takes room again. */
    uint64_t back = r->moved_bytes > r->written_bytes ? r->moved_bytes - r->written_bytes : 0;

    printf("%s, %s: %" PRIu64 " %sdropped, %" PRIu64 " %swritten anew; ",
        text_count(packs, r->packs, "pack"), text_size(bytes, r->pack_bytes), r->dropped_packs,
        would ? "would be " : "", r->repacked_packs, would ? "would be " : "");
    if (would)
        printf("%s would come back\n",
            text_size(moved, back + r->freed_bytes + r->trash_bytes));
    else
        printf("%s freed, %s in the trash\n", text_size(freed, r->freed_bytes),
            text_size(trash, r->trash_bytes));
}

static int read_options(struct vmscm_gc_options *out, const struct opts *o,
    struct vmscm_error *err)
{
    char *end;
    long n;

    *out = (struct vmscm_gc_options){.dry_run = o->dry_run,
        .aggressive = o->aggressive,
        .automatic = o->automatic,
        .jobs = o->jobs,
        .threshold = VMSCM_GC_DEFAULT,
        .grace = o->grace};
    if (o->automatic && o->aggressive)
        return report_set(err, VMSCM_EUSAGE, "--auto and --aggressive exclude each other");
    if (!o->threshold)
        return 0;
    n = strtol(o->threshold, &end, 10);
    if (end == o->threshold || *end || n < 0 || n > 100)
        return report_set(err, VMSCM_EUSAGE, "--threshold: %.100s: 0 to 100 percent are possible",
            o->threshold);
    out->threshold = (int)n;
    return 0;
}

static int count_gone(void *data, const struct vmscm_thin_item *item)
{
    *(uint64_t *)data += !item->present;
    return 0;
}

/* What is kept for nobody, perhaps: only the user knows. */
static void warn_of_gone(struct ctx *ctx)
{
    char count[TEXT_MAX], text[TEXT_MAX + 200];
    uint64_t gone = 0;

    if (ctx->common.quiet || vmscm_thin_list(ctx->repo, count_gone, &gone, NULL) || !gone)
        return;
    snprintf(text, sizeof text,
        "%s not found, and what they stand on is kept: 'vmscm service' lists them, 'vmscm service "
        "forget' lets it go",
        text_count(count, gone, "thin checkout"));
    report_warning(text);
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    const char *dir = argc > 0 ? argv[0] : getenv("VMSCM_DIR");
    struct vmscm_gc_options options;
    struct vmscm_gc_result result = {0};
    int rc = read_options(&options, o, err);

    if (rc)
        return rc;
    if (argc > 0 && !vmscm_remote_is_bucket(dir)) {
        report_set(err, VMSCM_EUSAGE, "%.300s: no repository in a bucket", dir);
        return report_hint(err, "-C DIR names one that is none");
    }
    if (dir && vmscm_remote_is_bucket(dir))
        rc = vmscm_remote_gc(dir, &options, progress_events(ctx), &result, err);
    else if (!(rc = ctx_repo(ctx, err)))
        rc = vmscm_gc(ctx->repo, &options, progress_events(ctx), &result, err);
    progress_clear();
    if (rc)
        return rc;
    if (ctx->common.json)
        print_json(&result);
    else if (!ctx->common.quiet)
        print_line(&result, o->dry_run);
    if (ctx->repo && !o->automatic)
        warn_of_gone(ctx);
    return 0;
}

static const struct opt table[] = {
    {'n', "dry-run", OPT_FLAG, offsetof(struct opts, dry_run), NULL, NULL,
        "only tell what would be done"},
    {0, "aggressive", OPT_FLAG, offsetof(struct opts, aggressive), NULL, NULL,
        "write all packs anew, compressed as well as can be"},
    {0, "auto", OPT_FLAG, offsetof(struct opts, automatic), NULL, NULL,
        "only merge small packs, if there are several"},
    {0, "threshold", OPT_STRING, offsetof(struct opts, threshold), "PERCENT", NULL,
        "write packs anew of which more than this is garbage"},
    {0, "grace", OPT_STRING, offsetof(struct opts, grace), "TIME", NULL,
        "let packs stay in the trash for TIME; 0 removes them at once"},
    {'j', "jobs", OPT_UINT, offsetof(struct opts, jobs), "N", NULL, "work with N threads"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {
    "[-n] [--threshold PERCENT] [--grace TIME] [--aggressive] [-j N] [s3://BUCKET/PREFIX]", "--auto", NULL};

const struct cmd cmd_gc = {
    .name = "gc",
    .summary = "give back the space of what no revision needs",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .max_args = 1,
    .group = GROUP_REPOSITORY,
    .flags = CMD_JSON | CMD_PROGRESS,
    .run = run,
};
