/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm ls: what is in a directory of a revision. */
#include "cmd.h"
#include "guestpath.h"
#include "inspection.h"
#include "interrupt.h"
#include "json.h"
#include "pager.h"
#include "report.h"
#include "table.h"
#include "text.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct opts {
    const char *device;
};

static int64_t number(const json_t *entry, const char *key)
{
    return json_integer_value(json_object_get(entry, key));
}

static void print_text(const json_t *list)
{
    static const char *const columns[] = {"", "", "", ">", "", "", NULL};
    struct table *table = table_new(columns);
    char mode[TEXT_MAX], date[TEXT_MAX];

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        const char *target = json_string_value(json_object_get(entry, "target"));
        table_cell(table, "%s", text_mode(mode, (mode_t)number(entry, "mode")));
        table_cell(table, "%" PRId64, number(entry, "uid"));
        table_cell(table, "%" PRId64, number(entry, "gid"));
        table_cell(table, "%" PRId64, number(entry, "size"));
        table_cell(table, "%s", text_local(date, number(entry, "mtime")));
        table_cell(table, "%s%s%s", name ? name : "", target ? " -> " : "", target ? target : "");
    }
    table_print(table, "");
    table_free(table);
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    struct inspection_options how = {.device = o->device};
    struct vmscm_revision *rev = NULL;
    char *answer = NULL;
    json_t *list = NULL;
    int rc;

    (void)argc;
    if ((rc = guestpath_split(&how.list, argv[0], err)) || (rc = ctx_repo(ctx, err)) ||
        (rc = vmscm_revision_resolve(&rev, ctx->repo, argv[0], err)))
        goto out;
    interrupt_catch();
    if ((rc = inspection_run(&answer, NULL, ctx, rev, &how, err)))
        goto out;
    list = json_loads(answer, 0, NULL);
    if (!json_is_array(list)) {
        rc = report_set(err, VMSCM_ETOOL, "vmscm-inspect: its answer is no list");
        goto out;
    }
    if (ctx->common.json) {
        json_print(json_incref(list));
    } else {
        pager_start(ctx);
        print_text(list);
    }
out:
    json_decref(list);
    free(answer);
    vmscm_revision_free(rev);
    return rc;
}

static const struct opt table[] = {
    {0, "device", OPT_STRING, offsetof(struct opts, device), "DEVICE", NULL,
        "look in this file system, such as vda:1, instead of the operating system's"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[--device=DEVICE] REV:/PATH", NULL};

const struct cmd cmd_ls = {
    .name = "ls",
    .summary = "list a directory of a revision",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "revision",
    .min_args = 1,
    .max_args = 1,
    .group = GROUP_HISTORY,
    .flags = CMD_JSON | CMD_PAGER,
    .run = run,
};
