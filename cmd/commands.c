/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "commands.h"

#include "options.h"
#include "text.h"
#include <string.h>

const struct cmd *const commands_all[] = {&cmd_init, &cmd_checkin, &cmd_checkout, &cmd_thicken,
    &cmd_status, &cmd_cat, &cmd_nbd, &cmd_mount, &cmd_unmount, &cmd_run, &cmd_export, &cmd_list,
    &cmd_clone, &cmd_rename, &cmd_rm, &cmd_log, &cmd_show, &cmd_diff, &cmd_tag, &cmd_comment,
    &cmd_inspect, &cmd_ls, &cmd_search, &cmd_sbom, &cmd_remote, &cmd_push, &cmd_bundle, &cmd_fetch, &cmd_pull,
    &cmd_remote_serve, &cmd_stats, &cmd_prune, &cmd_gc, &cmd_fsck, &cmd_service, &cmd_config,
    &cmd_help, &cmd_version, &cmd_completions, &cmd_complete_words, NULL};

const struct opt commands_globals[] = {
    {'C', "directory", OPT_LIST, offsetof(struct globals, directories), "DIR", "dir",
        "work in DIR; each further one is relative to the last"},
    {0, "color", OPT_CHOICE, offsetof(struct globals, common.color), "WHEN", "auto|always|never",
        "colour the output: auto, always or never"},
    {0, "pager", OPT_SWITCH, offsetof(struct globals, common.pager), NULL, NULL,
        "page the output; the default on a terminal"},
    {0, "version", OPT_FLAG, offsetof(struct globals, version), NULL, NULL, "show the version"},
    {'h', "usage", OPT_FLAG, offsetof(struct globals, common.usage), NULL, NULL, "show this text"},
    {0, "help", OPT_FLAG, offsetof(struct globals, common.manual), NULL, NULL,
        "show the manual page"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

const struct cmd *commands_find(const char *name)
{
    for (const struct cmd *const *c = commands_all; *c; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}

const struct cmd *commands_nearest(const char *name)
{
    const struct cmd *nearest = NULL;
    unsigned least = 3;

    for (const struct cmd *const *c = commands_all; *c; c++) {
        unsigned distance = text_distance(name, (*c)->name);
        if (!((*c)->flags & CMD_HIDDEN) && distance < least && distance < strlen((*c)->name)) {
            least = distance;
            nearest = *c;
        }
    }
    return nearest;
}

void commands_overview(FILE *out)
{
    static const char *const titles[GROUPS] = {[GROUP_START] = "start a repository",
        [GROUP_WORK] = "work with machines",
        [GROUP_HISTORY] = "look at history",
        [GROUP_REMOTE] = "share with other repositories",
        [GROUP_REPOSITORY] = "look after the repository",
        [GROUP_HELP] = "find help"};

    fputs("usage: vmscm [-C DIR]... [OPTION]... COMMAND [ARGUMENT]...\n"
          "\nGit for virtual machines.\n",
        out);
    for (int group = 0; group < GROUPS; group++) {
        fprintf(out, "\n%s\n", titles[group]);
        for (const struct cmd *const *c = commands_all; *c; c++)
            if ((int)(*c)->group == group && !((*c)->flags & CMD_HIDDEN))
                fprintf(out, "  %-12s %s\n", (*c)->name, (*c)->summary);
    }
    fputs("\nOptions:\n", out);
    options_print(out, commands_globals);
    fputs("\n'vmscm COMMAND -h' lists the options of a command, 'vmscm help COMMAND' shows its "
          "manual.\n",
        out);
}
