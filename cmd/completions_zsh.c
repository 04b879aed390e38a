/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "completions.h"

#include <string.h>

/* What completes a value or an argument: the last field of a specification of _arguments. */
static void action(FILE *out, const char *words, size_t len)
{
    if (words && memchr(words, '|', len)) {
        fputc('(', out);
        for (size_t i = 0; i < len; i++)
            fputc(words[i] == '|' ? ' ' : words[i], out);
        fputc(')', out);
    } else if (words && len == 4 && memcmp(words, "file", 4) == 0) {
        fputs("_files", out);
    } else if (words && len == 3 && memcmp(words, "dir", 3) == 0) {
        fputs("_files -/", out);
    } else if (words) {
        fprintf(out, "_vmscm_words %.*s", (int)len, words);
    } else {
        fputc(' ', out);
    }
}

static void one(FILE *out, const struct opt *opt, const char *flag)
{
    fprintf(out, " \\\n            '%s%s[", opt->type == OPT_LIST ? "*" : "", flag);
    completions_quote(out, opt->help, "[]:");
    fputc(']', out);
    if (opt->arg) {
        fprintf(out, ":%s:", opt->arg);
        action(out, opt->words, opt->words ? strlen(opt->words) : 0);
    }
    fputc('\'', out);
}

static void option(FILE *out, const struct cmd *cmd, const struct opt *opt)
{
    char flag[64];

    (void)cmd;
    snprintf(flag, sizeof flag, "--%s%s", opt->name, opt->arg ? "=" : "");
    one(out, opt, flag);
    if (opt->type == OPT_SWITCH) {
        snprintf(flag, sizeof flag, "--no-%s", opt->name);
        one(out, opt, flag);
    }
    if (opt->letter) {
        snprintf(flag, sizeof flag, "-%c%s", opt->letter, opt->arg ? "+" : "");
        one(out, opt, flag);
    }
}

static void arguments(FILE *out, const char *args)
{
    for (int n = 1; args && *args; n++) {
        size_t len = strcspn(args, " "), word = len - (args[len - 1] == '*');
        if (word < len)
            fprintf(out, " \\\n            '*:%.*s:", (int)word, args);
        else
            fprintf(out, " \\\n            '%d:%.*s:", n, (int)word, args);
        action(out, args, word);
        fputc('\'', out);
        args += len;
        args += strspn(args, " ");
    }
}

void completions_zsh(FILE *out)
{
    fputs("#compdef vmscm\n"
          "# zsh completion of vmscm, made by 'vmscm completions zsh'\n\n"
          "_vmscm_words() {\n"
          "    local -a found\n"
          "    found=(${(f)\"$(vmscm $vmscm_dirs complete-words ${@[-1]} 2>/dev/null)\"})\n"
          "    compadd \"${@[1,-2]}\" -a found\n"
          "}\n\n"
          "_vmscm_commands() {\n"
          "    local -a commands=(\n",
        out);
    for (const struct cmd *const *c = commands_all; *c; c++)
        if (!((*c)->flags & CMD_HIDDEN)) {
            fprintf(out, "        '%s:", (*c)->name);
            completions_quote(out, (*c)->summary, ":");
            fputs("'\n", out);
        }
    fputs("    )\n"
          "    _describe command commands\n"
          "}\n\n"
          "_vmscm() {\n"
          "    local curcontext=$curcontext state line\n"
          "    local -a vmscm_dirs\n"
          "    typeset -A opt_args\n"
          "    local i\n"
          "    for ((i = 2; i < CURRENT - 1; i++)); do\n"
          "        [[ $words[i] == -C ]] || break\n"
          "        vmscm_dirs+=(-C ${(Q)words[++i]})\n"
          "    done\n"
          "    _arguments -C -S",
        out);
    completions_options(out, NULL, option);
    fputs(" \\\n            '1: :_vmscm_commands' \\\n            '*:: :->arguments' && return\n"
          "    [[ $state == arguments ]] || return\n"
          "    case $words[1] in\n",
        out);
    for (const struct cmd *const *c = commands_all; *c; c++)
        if (!((*c)->flags & CMD_HIDDEN)) {
            fprintf(out, "    %s)\n        _arguments -s -S", (*c)->name);
            completions_options(out, *c, option);
            arguments(out, (*c)->args);
            fputs(" ;;\n", out);
        }
    fputs("    *) _files ;;\n    esac\n}\n\n"
          "(( $+functions[compdef] )) && compdef _vmscm vmscm\n",
        out);
}
