/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scripts that complete vmscm's command line, made from the commands' own tables. Machine, tag and
 * key names are asked for with `vmscm complete-words` while one types. */
#ifndef COMPLETIONS_H
#define COMPLETIONS_H

#include "commands.h"
#include "options.h"
#include <stdio.h>

void completions_bash(FILE *out);
void completions_zsh(FILE *out);
void completions_fish(FILE *out);

/* Calls each for every option of a command; cmd NULL: those that stand before one. */
void completions_options(FILE *out, const struct cmd *cmd,
    void (*each)(FILE *out, const struct cmd *cmd, const struct opt *opt));
/* A string within single quotes, with `escape`d characters behind a backslash. */
void completions_quote(FILE *out, const char *s, const char *escaped);

#endif
