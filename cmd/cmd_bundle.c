/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm bundle: history in a file, to be carried where no connection goes. */
#include "cmd.h"
#include "json.h"
#include "memory.h"
#include "progress.h"
#include "report.h"
#include "text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vmscm/remote.h>
#include <vmscm/revision.h>

struct opts {
    struct opt_list since;
    const char *known_by;
};

/* The ids of revisions that the other side has: those of --since, and of "^REV". */
struct known {
    char **ids;
    size_t count;
};

static int add_known(struct known *known, struct ctx *ctx, const char *spec,
    struct vmscm_error *err)
{
    struct vmscm_revision *rev = NULL;
    int rc = vmscm_revision_resolve(&rev, ctx->repo, spec, err);

    if (!rc)
        known->ids[known->count++] = memory_printf("%s", vmscm_revision_id(rev));
    vmscm_revision_free(rev);
    return rc;
}

static void tell_made(struct ctx *ctx, const char *file, const struct vmscm_remote_result *result)
{
    char size[TEXT_MAX], seconds[TEXT_MAX];

    progress_clear();
    if (ctx->common.json) {
        json_t *root = json_object();
        json_put(root, "file", json_text(file));
        json_put(root, "size", json_number(result->sent));
        json_print(root);
    } else if (!ctx->common.quiet) {
        text_put(stdout, file);
        printf("  %s, %s\n", text_size(size, result->sent), text_seconds(seconds, result->seconds));
    }
}

static int create(struct ctx *ctx, const struct opts *o, int argc, char **argv,
    struct vmscm_error *err)
{
    struct vmscm_remote_result result = {0};
    struct known known = {.count = 0};
    const char **names = memory_zero(((size_t)argc + 1) * sizeof *names);
    struct vmscm_remote_bundle what = {.names = names, .known_by = o->known_by};
    const char *file = strcmp(argv[0], "-") == 0 ? NULL : argv[0];
    int rc = ctx_repo(ctx, err);

    known.ids = memory_zero(((size_t)argc + o->since.len + 1) * sizeof *known.ids);
    for (size_t i = 0; !rc && i < o->since.len; i++)
        rc = add_known(&known, ctx, o->since.items[i], err);
    for (int i = 1; !rc && i < argc; i++) {
        if (argv[i][0] == '^')
            rc = add_known(&known, ctx, argv[i] + 1, err);
        else
            names[what.name_count++] = argv[i];
    }
    what.known = (const char *const *)known.ids;
    what.known_count = known.count;
    if (!rc)
        rc = vmscm_remote_bundle(ctx->repo, file, &what, progress_events(ctx), &result, err);
    if (!rc && file)
        tell_made(ctx, file, &result);
    progress_clear();
    while (known.count)
        free(known.ids[--known.count]);
    free(known.ids);
    free(names);
    return rc;
}

struct shown {
    json_t *refs, *needs; /* NULL: as text */
    int quiet, missing;
};

static int show_ref(void *data, const struct vmscm_remote_ref *ref)
{
    struct shown *shown = data;
    char id[TEXT_MAX];

    if (shown->refs) {
        json_t *object = json_add(shown->refs, json_object());
        json_put(object, "machine", json_text(ref->machine));
        json_put(object, "tag", json_text(ref->tag));
        json_put(object, "id", json_text(ref->id));
    } else if (!shown->quiet) {
        text_put(stdout, ref->machine);
        if (ref->tag) {
            putchar(':');
            text_put(stdout, ref->tag);
        }
        printf("  %s\n", text_id(id, ref->id));
    }
    return 0;
}

static int show_need(void *data, const char *id, int here)
{
    struct shown *shown = data;
    char text[TEXT_MAX];

    shown->missing += !here;
    if (shown->needs) {
        json_t *object = json_add(shown->needs, json_object());
        json_put(object, "id", json_text(id));
        json_put(object, "here", json_boolean(here));
    } else if (!shown->quiet) {
        printf("builds on %s%s\n", text_id(text, id), here ? "" : ", which is not here");
    }
    return 0;
}

/* Without a repository, nothing is here. verify: then what it builds on is. */
static int show(struct ctx *ctx, const char *file, int verify, struct vmscm_error *err)
{
    struct shown shown = {.quiet = ctx->common.quiet};
    struct vmscm_error none = {0};
    int rc, found = ctx_repo(ctx, &none) == 0;

    if (ctx->common.json) {
        shown.refs = json_array();
        shown.needs = json_array();
    }
    rc = vmscm_remote_bundle_show(file, found ? ctx->repo : NULL, verify, progress_events(ctx),
        show_ref, show_need, &shown, err);
    progress_clear();
    if (shown.refs) {
        json_t *root = json_object();
        json_put(root, "refs", shown.refs);
        json_put(root, "needs", shown.needs);
        if (rc)
            json_decref(root);
        else
            json_print(root);
    }
    if (!rc && verify && found && shown.missing)
        return 1;
    if (!rc && verify && !ctx->common.quiet && !ctx->common.json)
        puts("whole");
    return rc;
}

static const char *const usage[] = {"create [--since=REV] [--known-by=REMOTE] FILE|- [NAME|^REV...]",
    "verify FILE", "list FILE", NULL};

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    const char *action = argv[0];

    if (strcmp(action, "create") == 0 && argc > 1)
        return create(ctx, o, argc - 1, argv + 1, err);
    if (o->since.len || o->known_by)
        return report_set(err, VMSCM_EUSAGE, "bundle: only create takes --since and --known-by");
    if (argc == 2 && (strcmp(action, "verify") == 0 || strcmp(action, "list") == 0))
        return show(ctx, argv[1], *action == 'v', err);
    if (strcmp(action, "create") == 0 || strcmp(action, "verify") == 0 || strcmp(action, "list") == 0)
        report_set(err, VMSCM_EUSAGE, "bundle %s: too %s arguments", action, argc < 2 ? "few" : "many");
    else
        report_set(err, VMSCM_EUSAGE, "bundle: %.100s: no such action", action);
    return report_hint(err, "create, verify or list, and a file");
}

static const struct opt table[] = {
    {0, "since", OPT_LIST, offsetof(struct opts, since), "REV", "revision",
        "leave out a revision that is there already, and all before it"},
    {0, "known-by", OPT_STRING, offsetof(struct opts, known_by), "REMOTE", "remote",
        "leave out what is remembered of a remote"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

const struct cmd cmd_bundle = {
    .name = "bundle",
    .summary = "put history into a file, to be carried elsewhere",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "bundle-action file revision*",
    .min_args = 1,
    .max_args = -1,
    .group = GROUP_REMOTE,
    .flags = CMD_JSON | CMD_PROGRESS,
    .run = run,
};
