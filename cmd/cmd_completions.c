/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm completions: the completion script for a shell. */
#include "completions.h"
#include "report.h"
#include <string.h>

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    static const struct {
        const char *name;
        void (*print)(FILE *out);
    } shells[] = {{"bash", completions_bash}, {"zsh", completions_zsh}, {"fish", completions_fish}};

    (void)ctx;
    (void)values;
    (void)argc;
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++)
        if (strcmp(argv[0], shells[i].name) == 0) {
            shells[i].print(stdout);
            return 0;
        }
    report_set(err, VMSCM_EUSAGE, "%.100s: no such shell", argv[0]);
    return report_hint(err, "one of bash, zsh, fish");
}

static const char *const usage[] = {"bash|zsh|fish", NULL};

const struct cmd cmd_completions = {
    .name = "completions",
    .summary = "print the completion script for a shell",
    .usage = usage,
    .min_args = 1,
    .max_args = 1,
    .group = GROUP_HELP,
    .flags = CMD_HIDDEN,
    .run = run,
};
