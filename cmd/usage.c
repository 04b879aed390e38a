/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The options that every command has, and the text of -h. */
#include "options.h"

#include "memory.h"
#include <ctype.h>
#include <stdlib.h>

static const struct opt base[] = {
    {'q', "quiet", OPT_FLAG, offsetof(struct common, quiet), NULL, NULL,
        "print nothing but warnings and errors"},
    {'v', "verbose", OPT_FLAG, offsetof(struct common, verbose), NULL, NULL,
        "say what was decided, and why"},
    {0, "color", OPT_CHOICE, offsetof(struct common, color), "WHEN", "auto|always|never",
        "colour the output: auto, always or never"},
    {'h', "usage", OPT_FLAG, offsetof(struct common, usage), NULL, NULL, "show this text"},
    {0, "help", OPT_FLAG, offsetof(struct common, manual), NULL, NULL, "show the manual page"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const struct opt json[] = {
    {0, "json", OPT_FLAG, offsetof(struct common, json), NULL, NULL, "print JSON, for programs"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const struct opt progress[] = {
    {0, "progress", OPT_SWITCH, offsetof(struct common, progress), NULL, NULL,
        "show progress; the default on a terminal"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const struct opt pager[] = {
    {0, "pager", OPT_SWITCH, offsetof(struct common, pager), NULL, NULL,
        "page the output; the default on a terminal"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

size_t options_sets(struct opt_set sets[OPT_SETS], const struct cmd *cmd, void *own,
    struct common *common)
{
    size_t n = 0;

    sets[n++] = (struct opt_set){cmd->options, own};
    if (cmd->flags & CMD_JSON)
        sets[n++] = (struct opt_set){json, common};
    if (cmd->flags & CMD_PROGRESS)
        sets[n++] = (struct opt_set){progress, common};
    if (cmd->flags & CMD_PAGER)
        sets[n++] = (struct opt_set){pager, common};
    sets[n++] = (struct opt_set){base, common};
    return n;
}

/* "-m, --message=MSG"; the caller's. */
static char *synopsis(const struct opt *opt)
{
    char letter[] = {opt->letter ? '-' : ' ', opt->letter ? opt->letter : ' ',
        opt->letter ? ',' : ' ', '\0'};

    return memory_printf("%s --%s%s%s%s", letter, opt->type == OPT_SWITCH ? "[no-]" : "",
        opt->name, opt->arg ? "=" : "", opt->arg ? opt->arg : "");
}

void options_print(FILE *out, const struct opt *table)
{
    for (; table && table->name; table++) {
        char *left = synopsis(table);
        fprintf(out, "  %-26s %s\n", left, table->help);
        free(left);
    }
}

void options_usage(FILE *out, const struct cmd *cmd)
{
    struct opt_set sets[OPT_SETS];
    struct common common;
    size_t n = options_sets(sets, cmd, NULL, &common);
    const char *lead = "usage:";

    for (const char *const *form = cmd->usage; *form; form++) {
        fprintf(out, "%s vmscm %s%s%s\n", lead, cmd->name, **form ? " " : "", *form);
        lead = "   or:";
    }
    fprintf(out, "\n%c%s.\n", toupper((unsigned char)cmd->summary[0]), cmd->summary + 1);
    if (cmd->options && cmd->options->name) {
        fputs("\nOptions:\n", out);
        options_print(out, cmd->options);
    }
    fputs("\nCommon options:\n", out);
    for (size_t i = 1; i < n; i++)
        options_print(out, sets[i].table);
}
