/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "completions.h"

#include <string.h>

static void start(FILE *out, const struct cmd *cmd)
{
    if (cmd)
        fprintf(out, "complete -c vmscm -n '__fish_seen_subcommand_from %s'", cmd->name);
    else
        fputs("complete -c vmscm -n __fish_use_subcommand", out);
}

/* The flags for what one kind of word is completed with. */
static void words(FILE *out, const char *kind, size_t len)
{
    if (len == 4 && memcmp(kind, "file", 4) == 0)
        fputs(" -F", out);
    else if (len == 3 && memcmp(kind, "dir", 3) == 0)
        fputs(" -f -a '(__fish_complete_directories)'", out);
    else
        fprintf(out, " -f -a '(vmscm complete-words %.*s 2>/dev/null)'", (int)len, kind);
}

static void option(FILE *out, const struct cmd *cmd, const struct opt *opt)
{
    start(out, cmd);
    if (opt->letter)
        fprintf(out, " -s %c", opt->letter);
    fprintf(out, " -l %s", opt->name);
    if (opt->arg && opt->words && strchr(opt->words, '|')) {
        fputs(" -x -a '", out);
        for (const char *p = opt->words; *p; p++)
            fputc(*p == '|' ? ' ' : *p, out);
        fputc('\'', out);
    } else if (opt->arg && opt->words) {
        fputs(" -r", out);
        words(out, opt->words, strlen(opt->words));
    } else if (opt->arg) {
        fputs(" -x", out);
    }
    fputs(" -d '", out);
    completions_quote(out, opt->help, "\\");
    fputs("'\n", out);
    if (opt->type == OPT_SWITCH) {
        start(out, cmd);
        fprintf(out, " -l no-%s\n", opt->name);
    }
}

/* fish has no notion of the third argument: offer what any of them can be. */
static void arguments(FILE *out, const struct cmd *cmd)
{
    for (const char *p = cmd->args; p && *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        start(out, cmd);
        words(out, p, len - (p[len - 1] == '*'));
        fputc('\n', out);
        p += len;
    }
}

void completions_fish(FILE *out)
{
    fputs("# fish completion of vmscm, made by 'vmscm completions fish'\n\n"
          "complete -c vmscm -f\n",
        out);
    completions_options(out, NULL, option);
    for (const struct cmd *const *c = commands_all; *c; c++) {
        if ((*c)->flags & CMD_HIDDEN)
            continue;
        start(out, NULL);
        fprintf(out, " -a %s -d '", (*c)->name);
        completions_quote(out, (*c)->summary, "\\");
        fputs("'\n", out);
        completions_options(out, *c, option);
        arguments(out, *c);
    }
}
