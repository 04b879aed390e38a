/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm rm: remove machines, and say how to bring them back. */
#include "cmd.h"
#include "json.h"
#include "report.h"
#include "text.h"
#include <vmscm/revision.h>

static void print_removed(const char *name, const char *id)
{
    char buf[TEXT_MAX];

    fputs("removed ", stdout);
    text_put(stdout, name);
    printf(", which was %s; to bring it back: vmscm clone %s ", text_id(buf, id), id);
    text_put(stdout, name);
    putchar('\n');
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    json_t *list = ctx->common.json ? json_array() : NULL;
    char id[VMSCM_ID_HEX + 1];
    int rc = ctx_repo(ctx, err), status = 0;

    (void)values;
    for (int i = 0; !rc && i < argc; i++) {
        int failed = vmscm_revision_remove(id, ctx->repo, argv[i], err);
        if (failed) {
            status = report_error(err); /* and on to the others */
        } else if (list) {
            json_t *entry = json_add(list, json_object());
            json_put(entry, "machine", json_text(argv[i]));
            json_put(entry, "id", json_text(id));
        } else if (!ctx->common.quiet) {
            print_removed(argv[i], id);
        }
    }
    if (list && !rc)
        json_print(list);
    else
        json_decref(list);
    return rc ? rc : status;
}

static const char *const usage[] = {"MACHINE...", NULL};

const struct cmd cmd_rm = {
    .name = "rm",
    .summary = "remove machines and their tags",
    .usage = usage,
    .args = "machine*",
    .min_args = 1,
    .max_args = -1,
    .group = GROUP_WORK,
    .flags = CMD_JSON,
    .run = run,
};
