/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading a command line by option tables, and printing them as usage. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "cmd.h"
#include <stdio.h>

/* A table and the structure it fills. */
struct opt_set {
    const struct opt *table;
    void *values;
};

#define OPT_SETS 5 /* the most that one command has */

/* The tables that a command understands, its own first; returns how many. own and common are what
 * they fill. */
size_t options_sets(struct opt_set sets[OPT_SETS], const struct cmd *cmd, void *own,
    struct common *common);

enum { OPTIONS_STOP = 1 }; /* stop at the first argument that is no option */

/*
 * Take the options out of argv: clusters of letters, --long[=VALUE], --no-LONG, unambiguous
 * prefixes of long names, "--". What is left is argv[0] to argv[*argc - 1]. VMSCM_EUSAGE.
 */
int options_parse(const struct opt_set *sets, size_t count, int *argc, char **argv, unsigned flags,
    struct vmscm_error *err);
void options_release(const struct opt_set *sets, size_t count);

/* "-m, --message=MSG   help", one option a line. */
void options_print(FILE *out, const struct opt *table);
/* The whole of vmscm NAME -h. */
void options_usage(FILE *out, const struct cmd *cmd);

#endif
