/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm complete-words: what the completions ask for while someone types; one word a line. Where
 * there is nothing to offer it is silent: nobody wants an error in the middle of a line. */
#include "cmd.h"
#include "commands.h"
#include <stdio.h>
#include <string.h>
#include <vmscm/remote.h>
#include <vmscm/revision.h>

/* A name goes to a shell: leave out what is not plain. */
static void put(const char *a, const char *b)
{
    for (int part = 0; part < 2; part++)
        for (const char *p = part ? b : a; *p; p++)
            if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("'\"`$\\;&|<>()", *p))
                return;
    printf("%s%s%s\n", a, *b ? ":" : "", b);
}

static int machine(void *data, const struct vmscm_machine_entry *entry)
{
    (void)data;
    put(entry->name, "");
    return 0;
}

static int tag(void *data, const struct vmscm_tag_entry *entry)
{
    (void)data;
    put(entry->machine, entry->tag);
    return 0;
}

static int remote(void *data, const char *name, const char *url)
{
    (void)data;
    (void)url;
    put(name, "");
    return 0;
}

static int key(void *data, enum vmscm_config_level level, const char *name, const char *value)
{
    (void)data;
    (void)level;
    (void)value;
    put(name, "");
    return 0;
}

static void config_keys(struct vmscm_repo *repo)
{
    static const char *const known[] = {"core.bitmaps", "core.compression", "core.jobs", "core.pager",
        "cache.size",
        "inspect.auto",
        "user.email",
        "user.name"};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        puts(known[i]);
    vmscm_repo_config_list(repo, key, NULL, NULL);
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    int found = ctx_repo(ctx, err) == 0;

    (void)values;
    (void)argc;
    if (strcmp(argv[0], "config-key") == 0)
        config_keys(ctx->repo);
    static const char *const actions[] = {"list", "add", "show", "rename", "remove", "set-url"};
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(argv[0], "remote-action") == 0)
            puts(actions[i]);
    static const char *const bundle[] = {"create", "verify", "list"};
    for (size_t i = 0; i < sizeof bundle / sizeof bundle[0]; i++)
        if (strcmp(argv[0], "bundle-action") == 0)
            puts(bundle[i]);
    static const char *const service[] = {
        "list", "start", "stop", "run", "enable", "disable", "forget"};
    for (size_t i = 0; i < sizeof service / sizeof service[0]; i++)
        if (strcmp(argv[0], "service-action") == 0)
            puts(service[i]);
    if (strcmp(argv[0], "command") == 0)
        for (const struct cmd *const *c = commands_all; *c; c++)
            if (!((*c)->flags & CMD_HIDDEN))
                puts((*c)->name);
    if (!found)
        return 0;
    if (strcmp(argv[0], "machine") == 0 || strcmp(argv[0], "revision") == 0)
        vmscm_revision_machines(ctx->repo, NULL, machine, NULL, NULL);
    if (strcmp(argv[0], "remote") == 0)
        vmscm_remote_list(ctx->repo, remote, NULL, NULL);
    if (strcmp(argv[0], "revision") == 0)
        vmscm_remote_machines(ctx->repo, NULL, machine, NULL, NULL);
    if (strcmp(argv[0], "tag") == 0 || strcmp(argv[0], "revision") == 0)
        vmscm_revision_tags(ctx->repo, NULL, tag, NULL, NULL);
    return 0;
}

static const char *const usage[] = {
    "machine|tag|revision|remote|remote-action|bundle-action|service-action|config-key|command", NULL};

const struct cmd cmd_complete_words = {
    .name = "complete-words",
    .summary = "list words for the completions",
    .usage = usage,
    .min_args = 1,
    .max_args = 1,
    .group = GROUP_HELP,
    .flags = CMD_HIDDEN,
    .run = run,
};
