/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "completions.h"

/* It reads COMP_LINE itself: bash cuts words at colons, which revisions are full of. */
static const char engine[] =
    "_vmscm()\n"
    "{\n"
    "    local line=${COMP_LINE:0:COMP_POINT} cur cmd='' kind='' prefix='' n=0 i w\n"
    "    local -a words dirs=()\n"
    "    read -ra words <<<\"$line\"\n"
    "    [[ $line == *[[:space:]] ]] && words+=('')\n"
    "    cur=${words[${#words[@]} - 1]}\n"
    "    for ((i = 1; i < ${#words[@]} - 1; i++)); do\n"
    "        w=${words[i]} kind=''\n"
    "        _vmscm_value \"$cmd\" \"$w\"\n"
    "        if [[ -n $kind ]]; then\n"
    "            ((i + 1 == ${#words[@]} - 1)) && break\n"
    "            [[ -z $cmd && $w == -C ]] && dirs+=(-C \"${words[i + 1]}\")\n"
    "            ((++i)) && kind=''\n"
    "        elif [[ $w == -?* ]]; then\n"
    "            continue\n"
    "        elif [[ -z $cmd ]]; then\n"
    "            cmd=$w\n"
    "        else\n"
    "            ((++n))\n"
    "        fi\n"
    "    done\n"
    "    if [[ -z $kind && $cur == --*=* ]]; then\n"
    "        prefix=${cur%%=*}=\n"
    "        _vmscm_value \"$cmd\" \"${cur%%=*}\"\n"
    "        cur=${cur#*=}\n"
    "    elif [[ -z $kind && $cur == -* ]]; then\n"
    "        kind=options\n"
    "    elif [[ -z $kind && -z $cmd ]]; then\n"
    "        kind=command\n"
    "    elif [[ -z $kind ]]; then\n"
    "        local -a args=()\n"
    "        _vmscm_arguments \"$cmd\"\n"
    "        ((n >= ${#args[@]} && ${#args[@]} > 0)) && [[ ${args[${#args[@]} - 1]} == *'*' ]] &&\n"
    "            n=$((${#args[@]} - 1))\n"
    "        kind=${args[n]:-none}\n"
    "        kind=${kind%'*'}\n"
    "    fi\n"
    "    local IFS=$'\\n'\n"
    "    case $kind in\n"
    "    none) COMPREPLY=() ;;\n"
    "    options) COMPREPLY=($(compgen -W \"$(_vmscm_options \"$cmd\")\" -- \"$cur\")) ;;\n"
    "    file) compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
    "    dir) compopt -o filenames; COMPREPLY=($(compgen -d -- \"$cur\")) ;;\n"
    "    *'|'*) COMPREPLY=($(compgen -W \"${kind//|/$'\\n'}\" -- \"$cur\")) ;;\n"
    "    *) COMPREPLY=($(compgen -W \"$(command vmscm \"${dirs[@]}\" complete-words \"$kind\" "
    "2>/dev/null)\" \\\n"
    "        -- \"$cur\")) ;;\n"
    "    esac\n"
    "    if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then\n"
    "        w=${cur%\"${cur##*:}\"}\n"
    "        COMPREPLY=(\"${COMPREPLY[@]#\"$w\"}\")\n"
    "    elif [[ -n $prefix && $COMP_WORDBREAKS != *=* ]]; then\n"
    "        COMPREPLY=(\"${COMPREPLY[@]/#/$prefix}\")\n"
    "    fi\n"
    "    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == --*= ]] && compopt -o nospace\n"
    "    return 0\n"
    "}\n"
    "complete -F _vmscm vmscm\n";

/* One name a line: IFS is a newline where this is read. */
static void option_word(FILE *out, const struct cmd *cmd, const struct opt *opt)
{
    (void)cmd;
    fprintf(out, " --%s%s", opt->name, opt->arg ? "=" : "");
    if (opt->type == OPT_SWITCH)
        fprintf(out, " --no-%s", opt->name);
}

static void option_value(FILE *out, const struct cmd *cmd, const struct opt *opt)
{
    const char *name = cmd ? cmd->name : "";

    if (!opt->arg)
        return;
    fprintf(out, "    '%s --%s'", name, opt->name);
    if (opt->letter)
        fprintf(out, " | '%s -%c'", name, opt->letter);
    fprintf(out, ") kind='%s' ;;\n", opt->words ? opt->words : "none");
}

void completions_bash(FILE *out)
{
    fputs("# bash completion of vmscm, made by 'vmscm completions bash'\n\n"
          "_vmscm_options()\n{\n    case $1 in\n    '') printf '%s\\n'",
        out);
    completions_options(out, NULL, option_word);
    fputs(" ;;\n", out);
    for (const struct cmd *const *c = commands_all; *c; c++) {
        if ((*c)->flags & CMD_HIDDEN)
            continue;
        fprintf(out, "    %s) printf '%%s\\n'", (*c)->name);
        completions_options(out, *c, option_word);
        fputs(" ;;\n", out);
    }
    fputs("    esac\n}\n\n_vmscm_value()\n{\n    case \"$1 $2\" in\n", out);
    completions_options(out, NULL, option_value);
    for (const struct cmd *const *c = commands_all; *c; c++)
        if (!((*c)->flags & CMD_HIDDEN))
            completions_options(out, *c, option_value);
    fputs("    esac\n}\n\n_vmscm_arguments()\n{\n    case $1 in\n", out);
    for (const struct cmd *const *c = commands_all; *c; c++)
        if ((*c)->args && !((*c)->flags & CMD_HIDDEN)) {
            fprintf(out, "    %s) args=(", (*c)->name);
            for (const char *p = (*c)->args; *p; p++)
                fprintf(out, *p == '*' ? "\\%c" : "%c", *p);
            fputs(") ;;\n", out);
        }
    fputs("    esac\n}\n\n", out);
    fputs(engine, out);
}
