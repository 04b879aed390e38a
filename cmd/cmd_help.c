/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm help: the manual, or a list of the commands. */
#include "cmd.h"
#include "commands.h"
#include "manual.h"
#include "memory.h"
#include "pager.h"
#include "report.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

struct opts {
    int all;
};

static int is_external(const struct dirent *entry)
{
    return strncmp(entry->d_name, "vmscm-", 6) == 0 && entry->d_name[6] != '\0';
}

/* The commands that others have put on the PATH. */
static void list_external(void)
{
    char *copy = memory_dup(getenv("PATH") ? getenv("PATH") : ""), *rest = copy, *dir;
    int any = 0;

    while ((dir = strsep(&rest, ":")) != NULL) {
        struct dirent **found = NULL;
        int n = *dir ? scandir(dir, &found, is_external, alphasort) : 0;
        for (int i = 0; i < n; i++) {
            printf("%s  %-10s %s/%s\n", any++ ? "" : "\nfrom elsewhere\n",
                found[i]->d_name + strlen("vmscm-"), dir, found[i]->d_name);
            free(found[i]);
        }
        free(found);
    }
    free(copy);
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    const struct cmd *cmd;
    char *page;
    int shown;

    if (argc == 0) {
        pager_start(ctx);
        commands_overview(stdout);
        if (o->all)
            list_external();
        return 0;
    }
    cmd = commands_find(argv[0]);
    if (cmd && !(cmd->flags & CMD_HIDDEN)) {
        manual_command(ctx, cmd);
        return 0;
    }
    page = memory_printf("vmscm-%s", argv[0]);
    shown = manual_show(page);
    free(page);
    if (shown)
        return 0;
    report_set(err, VMSCM_ENOTFOUND, "%.200s: no such command", argv[0]);
    if (commands_nearest(argv[0]))
        report_hint(err, "did you mean '%s'?", commands_nearest(argv[0])->name);
    return err->code;
}

static const struct opt table[] = {
    {'a', "all", OPT_FLAG, offsetof(struct opts, all), NULL, NULL,
        "list all commands, and those that others put on the PATH"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[COMMAND]", "-a", NULL};

const struct cmd cmd_help = {
    .name = "help",
    .summary = "show the manual of a command",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "command",
    .max_args = 1,
    .group = GROUP_HELP,
    .flags = CMD_PAGER,
    .run = run,
};
