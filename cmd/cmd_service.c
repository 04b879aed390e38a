/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm service: what thin checkouts read through, and which there are. */
#include "cmd.h"
#include "json.h"
#include "memory.h"
#include "report.h"
#include "service.h"
#include "table.h"
#include "text.h"
#include "userunit.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <vmscm/thin.h>

struct opts {
    const char *socket;
    const char *idle;
    int gone;
};

/* Where: as was said, or as the checkout that we are in has it, or the repository's own. running: if nobody
 * serves that, where the repository was served before it was moved, if it still is. */
static char *choose_socket(struct ctx *ctx, const struct opts *o, bool running, struct vmscm_error *err)
{
    const char *repo = vmscm_repo_path(ctx->repo);
    struct vmscm_workdir *dir = NULL;
    char *socket = NULL, *other;

    if (o->socket && o->socket[0] != '/') {
        report_set(err, VMSCM_EUSAGE, "--socket: %s: not an absolute path", o->socket);
        return NULL;
    }
    if (o->socket)
        return memory_dup(o->socket);
    if (!vmscm_workdir_open(&dir, ".", NULL) && vmscm_workdir_thin_socket(dir))
        socket = memory_dup(vmscm_workdir_thin_socket(dir));
    vmscm_workdir_close(dir);
    if (socket || !(socket = service_socket(repo, err)) || !running || service_runs(socket, NULL) ||
        !(other = service_find(repo, socket)))
        return socket;
    free(socket);
    return other;
}

struct listing {
    json_t *json; /* one of the two */
    struct table *table;
    size_t count;
};

static int list_one(void *data, const struct vmscm_thin_item *item)
{
    struct listing *l = data;
    char id[TEXT_MAX];

    l->count++;
    if (l->json) {
        json_t *object = json_add(l->json, json_object());
        json_put(object, "dir", json_text(item->dir));
        json_put(object, "revision", json_text(item->revision));
        json_put(object, "present", json_boolean(item->present));
        return 0;
    }
    table_cell(l->table, "%s", item->dir);
    table_cell(l->table, "%s", text_id(id, item->revision));
    table_cell(l->table, "%s", item->present ? "there" : "gone");
    return 0;
}

static int list(struct ctx *ctx, const char *socket, struct vmscm_error *err)
{
    static const char *const columns[] = {"THIN CHECKOUT", "REVISION", "STATE", NULL};
    struct listing l = {0};
    pid_t pid;
    bool runs = service_runs(socket, &pid);
    int rc;

    if (ctx->common.json)
        l.json = json_array();
    else
        l.table = table_new(columns);
    rc = vmscm_thin_list(ctx->repo, list_one, &l, err);
    if (!rc && ctx->common.json) {
        json_t *root = json_object();
        json_put(root, "socket", json_text(socket));
        json_put(root, "runs", json_boolean(runs));
        json_put(root, "pid", pid ? json_number((uint64_t)pid) : json_null());
        json_put(root, "checkouts", l.json);
        l.json = NULL;
        json_print(root);
    } else if (!rc && !ctx->common.quiet) {
        text_put(stdout, socket);
        if (runs && pid)
            printf("  runs, process %ld\n", (long)pid);
        else
            puts(runs ? "  waits to be needed" : "  does not run");
        if (l.count) {
            putchar('\n');
            table_print(l.table, "  ");
        }
    }
    json_decref(l.json);
    table_free(l.table);
    return rc;
}

static int forget(struct ctx *ctx, const char *dir, int gone, struct vmscm_error *err)
{
    char *full = dir ? realpath(dir, NULL) : NULL, count[TEXT_MAX];
    uint64_t n = 0;
    int rc;

    if (!dir == !gone) {
        free(full);
        return report_set(err, VMSCM_EUSAGE, "service forget: a directory or --gone, and not both");
    }
    rc = vmscm_thin_forget(ctx->repo, full ? full : dir, &n, err);
    free(full);
    if (!rc && !ctx->common.quiet)
        printf("%s forgotten\n", text_count(count, n, "thin checkout"));
    return rc;
}

static int stop(struct ctx *ctx, const char *socket, struct vmscm_error *err)
{
    bool was = false;
    int rc = service_stop(socket, &was, err);

    if (!rc && !was && !ctx->common.quiet)
        report_warning("it did not run");
    return rc;
}

static const char *const usage[] = {"[list] [--socket=PATH]", "start [--socket=PATH]",
    "stop [--socket=PATH]", "run [--socket=PATH] [--idle=SECONDS]", "enable [--socket=PATH]",
    "disable [--socket=PATH]", "forget DIR", "forget --gone", NULL};

enum action { LIST, START, STOP, RUN, ENABLE, DISABLE, FORGET, ACTIONS };

static int find_action(enum action *action, int argc, char **argv, const struct opts *o,
    struct vmscm_error *err)
{
    static const char *const names[ACTIONS] = {
        "list", "start", "stop", "run", "enable", "disable", "forget"};
    unsigned a = 0;

    while (argc > 0 && a < ACTIONS && strcmp(argv[0], names[a]) != 0)
        a++;
    if (a == ACTIONS) {
        report_set(err, VMSCM_EUSAGE, "service: %.100s: no such action", argv[0]);
        return report_hint(err, "list, start, stop, run, enable, disable or forget");
    }
    if (argc > 1 && a != FORGET)
        return report_set(err, VMSCM_EUSAGE, "service %s: too many arguments", names[a]);
    if (o->idle && a != RUN)
        return report_set(err, VMSCM_EUSAGE, "--idle: only with run");
    if (o->gone && a != FORGET)
        return report_set(err, VMSCM_EUSAGE, "--gone: only with forget");
    *action = (enum action)a;
    return 0;
}

static int parse_idle(unsigned *idle, const char *text, struct vmscm_error *err)
{
    char *end;
    unsigned long n;

    *idle = SERVICE_IDLE;
    if (!text)
        return 0;
    n = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || n > INT_MAX / 10)
        return report_set(err, VMSCM_EUSAGE, "--idle: %s: not a number of seconds", text);
    *idle = (unsigned)n;
    return 0;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    enum action action = LIST;
    unsigned idle;
    char *socket = NULL;
    int rc;

    if ((rc = find_action(&action, argc, argv, o, err)) || (rc = parse_idle(&idle, o->idle, err)) ||
        (rc = ctx_repo(ctx, err)))
        return rc;
    if (action == FORGET)
        return forget(ctx, argc > 1 ? argv[1] : NULL, o->gone, err);
    if (!(socket = choose_socket(ctx, o, action == LIST || action == STOP, err)))
        return err->code;
    switch (action) {
    case START:
        rc = service_ensure(ctx, socket, err);
        break;
    case STOP:
        rc = stop(ctx, socket, err);
        break;
    case RUN:
        rc = service_serve(ctx, socket, idle, err);
        break;
    case ENABLE:
        rc = userunit_enable(vmscm_repo_path(ctx->repo), socket, err);
        break;
    case DISABLE:
        rc = userunit_disable(socket, err);
        break;
    default:
        rc = list(ctx, socket, err);
    }
    free(socket);
    return rc;
}

static const struct opt table[] = {
    {0, "socket", OPT_STRING, offsetof(struct opts, socket), "PATH", "file",
        "at this Unix socket, not the one that the checkout or the repository has"},
    {0, "idle", OPT_STRING, offsetof(struct opts, idle), "SECONDS", NULL,
        "end when nobody was connected for so long; 0: never; the default is 600"},
    {0, "gone", OPT_FLAG, offsetof(struct opts, gone), NULL, NULL,
        "forget all thin checkouts that are not there"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

const struct cmd cmd_service = {
    .name = "service",
    .summary = "serve revisions to thin checkouts",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "service-action dir",
    .max_args = 2,
    .group = GROUP_REPOSITORY,
    .flags = CMD_JSON,
    .run = run,
};
