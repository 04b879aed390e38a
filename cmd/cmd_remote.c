/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm remote: the other repositories that are known by name. */
#include "cmd.h"
#include "json.h"
#include "report.h"
#include "table.h"
#include "text.h"
#include <string.h>
#include <vmscm/remote.h>

struct output {
    json_t *json; /* one of the two; or neither */
    struct table *table;
};

static int list_one(void *data, const char *name, const char *url)
{
    struct output *out = data;

    if (out->json) {
        json_t *object = json_add(out->json, json_object());
        json_put(object, "name", json_text(name));
        json_put(object, "url", json_text(url));
    } else {
        table_cell(out->table, "%s", name);
        table_cell(out->table, "%s", url);
    }
    return 0;
}

static int show_one(void *data, const struct vmscm_remote_ref *ref)
{
    struct output *out = data;
    char id[TEXT_MAX];

    if (out->json) {
        json_t *object = json_add(out->json, json_object());
        json_put(object, "machine", json_text(ref->machine));
        json_put(object, "tag", json_text(ref->tag));
        json_put(object, "id", json_text(ref->id));
    } else {
        table_cell(out->table, "%s%s%s", ref->machine, ref->tag ? ":" : "", ref->tag ? ref->tag : "");
        table_cell(out->table, "%s", text_id(id, ref->id));
    }
    return 0;
}

static int print(struct ctx *ctx, const char *shown, struct vmscm_error *err)
{
    static const char *const remotes[] = {"REMOTE", "URL", NULL};
    static const char *const refs[] = {"MACHINE", "REVISION", NULL};
    struct output out = {0};
    int rc;

    if (ctx->common.json)
        out.json = json_array();
    else
        out.table = table_new(shown ? refs : remotes);
    if (!shown)
        rc = vmscm_remote_list(ctx->repo, list_one, &out, err);
    else
        rc = vmscm_remote_show(ctx->repo, shown, show_one, &out, err);
    if (!rc && out.json) {
        json_print(out.json);
        out.json = NULL;
    } else if (!rc && !ctx->common.quiet) {
        table_print(out.table, "");
    }
    json_decref(out.json);
    table_free(out.table);
    return rc;
}

static const char *const usage[] = {"[list]", "add NAME URL", "show NAME|URL", "rename OLD NEW",
    "remove NAME", "set-url NAME URL", NULL};

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    static const struct {
        const char *name;
        int args;
    } actions[] = {{"list", 0}, {"add", 2}, {"show", 1}, {"rename", 2}, {"remove", 1}, {"set-url", 2}};
    size_t action = 0;
    int rc;

    (void)values;
    while (argc > 0 && action < sizeof actions / sizeof actions[0] &&
        strcmp(argv[0], actions[action].name) != 0)
        action++;
    if (action == sizeof actions / sizeof actions[0]) {
        report_set(err, VMSCM_EUSAGE, "remote: %.100s: no such action", argv[0]);
        return report_hint(err, "list, add, show, rename, remove or set-url");
    }
    if (argc > 0 && argc - 1 != actions[action].args) {
        report_set(err, VMSCM_EUSAGE, "remote %s: too %s arguments", actions[action].name,
            argc - 1 < actions[action].args ? "few" : "many");
        return report_hint(err, "usage: vmscm remote %s", usage[action]);
    }
    if ((rc = ctx_repo(ctx, err)))
        return rc;
    switch (action) {
    case 1:
        return vmscm_remote_add(ctx->repo, argv[1], argv[2], err);
    case 2:
        return print(ctx, argv[1], err);
    case 3:
        return vmscm_remote_rename(ctx->repo, argv[1], argv[2], err);
    case 4:
        return vmscm_remote_remove(ctx->repo, argv[1], err);
    case 5:
        return vmscm_remote_set_url(ctx->repo, argv[1], argv[2], err);
    }
    return print(ctx, NULL, err);
}

const struct cmd cmd_remote = {
    .name = "remote",
    .summary = "name other repositories",
    .usage = usage,
    .args = "remote-action remote",
    .max_args = 3,
    .group = GROUP_REMOTE,
    .flags = CMD_JSON,
    .run = run,
};
