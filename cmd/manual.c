/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "manual.h"

#include "commands.h"
#include "memory.h"
#include "options.h"
#include "pager.h"
#include "process.h"
#include <stdio.h>
#include <stdlib.h>

bool manual_show(const char *page)
{
    char *look[] = {(char *)"man", (char *)"-w", (char *)page, NULL};
    char *show[] = {(char *)"man", (char *)page, NULL};

    fflush(stdout);
    return process_run(look, true) == 0 && process_run(show, false) == 0;
}

void manual_command(struct ctx *ctx, const struct cmd *cmd)
{
    char *page = memory_printf("vmscm%s%s", cmd ? "-" : "", cmd ? cmd->name : "");

    if (!manual_show(page)) {
        pager_start(ctx);
        if (cmd)
            options_usage(stdout, cmd);
        else
            commands_overview(stdout);
    }
    free(page);
}
