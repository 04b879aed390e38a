/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm config: read and change settings. */
#include "cmd.h"
#include "json.h"
#include "report.h"
#include "text.h"
#include <stdlib.h>

struct opts {
    int list;
    int unset;
    int user;
};

static int list_one(void *data, enum vmscm_config_level level, const char *key, const char *value)
{
    if (data) {
        json_t *entry = json_add(data, json_object());
        json_put(entry, "key", json_text(key));
        json_put(entry, "value", json_text(value));
        json_put(entry, "level", json_text(level == VMSCM_CONFIG_USER ? "user" : "repository"));
        return 0;
    }
    text_put(stdout, key);
    putchar('=');
    text_put(stdout, value);
    putchar('\n');
    return 0;
}

static int list(struct ctx *ctx, struct vmscm_error *err)
{
    json_t *json = ctx->common.json ? json_array() : NULL;
    int rc = vmscm_repo_config_list(ctx->repo, list_one, json, err);

    if (json && !rc)
        json_print(json);
    else
        json_decref(json);
    return rc;
}

static int get(struct ctx *ctx, const char *key, struct vmscm_error *err)
{
    char *value = NULL;
    int rc = vmscm_repo_config_get(&value, ctx->repo, key, err);

    if (rc == VMSCM_ENOTFOUND)
        return 1; /* quietly, as git does: scripts ask */
    if (rc)
        return rc;
    if (ctx->common.json) {
        json_t *root = json_object();
        json_put(root, "key", json_text(key));
        json_put(root, "value", json_text(value));
        json_print(root);
    } else {
        text_put(stdout, value);
        putchar('\n');
    }
    vmscm_free(value);
    return 0;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    enum vmscm_config_level level = o->user ? VMSCM_CONFIG_USER : VMSCM_CONFIG_REPOSITORY;
    int reads = o->list || (argc == 1 && !o->unset), rc;

    if (o->list && o->unset)
        return report_set(err, VMSCM_EUSAGE, "--list: not together with --unset");
    if (o->list ? argc != 0 : o->unset ? argc != 1 : argc == 0) {
        report_set(err, VMSCM_EUSAGE, "config: too %s arguments", argc == 0 ? "few" : "many");
        return report_hint(err, "'vmscm config -h' shows its forms");
    }
    rc = o->user ? 0 : ctx_repo(ctx, err);
    if (rc == VMSCM_ENOTFOUND && reads && !getenv("VMSCM_DIR"))
        rc = 0; /* outside a repository there are the user's settings */
    else if (rc == VMSCM_ENOTFOUND)
        report_hint(err, "--user changes your own settings");
    if (rc)
        return rc;
    if (o->list)
        return list(ctx, err);
    if (reads)
        return get(ctx, argv[0], err);
    return vmscm_repo_config_set(ctx->repo, level, argv[0], o->unset ? NULL : argv[1], err);
}

static const struct opt table[] = {
    {'l', "list", OPT_FLAG, offsetof(struct opts, list), NULL, NULL, "list all settings"},
    {0, "unset", OPT_FLAG, offsetof(struct opts, unset), NULL, NULL, "remove a setting"},
    {0, "user", OPT_FLAG, offsetof(struct opts, user), NULL, NULL,
        "use your own settings, not the repository's"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[--user] KEY [VALUE]", "[--user] --unset KEY", "[--user] -l",
    NULL};

const struct cmd cmd_config = {
    .name = "config",
    .summary = "read and change settings",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "config-key",
    .max_args = 2,
    .group = GROUP_REPOSITORY,
    .flags = CMD_JSON,
    .run = run,
};
