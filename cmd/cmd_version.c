/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm version: its own, and those of the libraries it runs with. */
#include "cmd.h"
#include "json.h"
#include "memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vmscm/version.h>

/* "libgit2 1.5.1, OpenSSL 3.0.15" as {"libgit2": "1.5.1", ...}. */
static json_t *libraries_json(void)
{
    json_t *object = json_object();
    char *copy = memory_dup(vmscm_version_libraries()), *rest = copy, *item;

    while ((item = strsep(&rest, ",")) != NULL) {
        char *space;
        item += strspn(item, " ");
        space = strrchr(item, ' ');
        if (!space)
            continue;
        *space = '\0';
        json_put(object, item, json_text(space + 1));
    }
    free(copy);
    return object;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    (void)values;
    (void)argc;
    (void)argv;
    (void)err;
    if (ctx->common.json) {
        json_t *root = json_object();
        json_put(root, "version", json_text(vmscm_version()));
        json_put(root, "libraries", libraries_json());
        json_print(root);
        return 0;
    }
    printf("vmscm %s\n", vmscm_version());
    if (!ctx->common.quiet)
        printf("%s\n", vmscm_version_libraries());
    return 0;
}

static const char *const usage[] = {"", NULL};

const struct cmd cmd_version = {
    .name = "version",
    .summary = "show the version, and those of the libraries",
    .usage = usage,
    .group = GROUP_HELP,
    .flags = CMD_JSON,
    .run = run,
};
