/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "completions.h"

#include <string.h>

void completions_options(FILE *out, const struct cmd *cmd,
    void (*each)(FILE *out, const struct cmd *cmd, const struct opt *opt))
{
    struct opt_set sets[OPT_SETS] = {{commands_globals, NULL}};
    size_t n = cmd ? options_sets(sets, cmd, NULL, NULL) : 1;

    for (size_t i = 0; i < n; i++)
        for (const struct opt *opt = sets[i].table; opt && opt->name; opt++)
            each(out, cmd, opt);
}

void completions_quote(FILE *out, const char *s, const char *escaped)
{
    for (; *s; s++) {
        if (strchr(escaped, *s))
            fputc('\\', out);
        if (*s == '\'')
            fputs("'\\''", out);
        else
            fputc(*s, out);
    }
}
