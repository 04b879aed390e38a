/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm log: the history of a machine, or of all. */
#include "cmd.h"
#include "history.h"
#include "pager.h"
#include "report.h"
#include "view.h"
#include <vmscm/checkout.h>

struct opts {
    unsigned max;
    int oneline;
    const char *format;
};

struct printer {
    struct ctx *ctx;
    struct vmscm_brief *brief;
    enum view view;
    const char *format; /* NULL: as view says */
    json_t *json; /* NULL: as text */
    const char *machine;
    size_t printed;
    int rc;
    struct vmscm_error *err;
};

/* Non-zero ends the walk: an error, or nobody reads on. */
static int print(void *data, struct vmscm_revision *rev)
{
    struct printer *p = data;
    json_t *object;

    if (p->json) {
        p->rc = view_json(&object, p->brief, rev, p->machine, p->err);
        if (!p->rc)
            json_add(p->json, object);
    } else if (p->format) {
        p->rc = view_format(p->format, p->brief, rev, p->machine, p->err);
    } else {
        if (p->printed++ > 0 && p->view == VIEW_INSIDE)
            putchar('\n');
        p->rc = view_print(p->ctx, p->brief, rev, p->view, p->err);
    }
    return p->rc || ferror(stdout) ? 1 : 0;
}

/* What the walk ended with: not an error if print stopped it for want of a reader. */
static int settle(const struct printer *p, int walked)
{
    return walked < 0 ? walked : p->rc < 0 ? p->rc : 0;
}

static int log_one(struct printer *p, const char *spec, size_t max, struct vmscm_error *err)
{
    struct vmscm_revision *rev = NULL;
    int rc = vmscm_revision_resolve(&rev, p->ctx->repo, spec, err);

    if (!rc) {
        if (!p->json)
            pager_start(p->ctx);
        p->machine = vmscm_revision_machine_name(rev);
        rc = settle(p, vmscm_revision_log(rev, max, print, p, err));
    }
    vmscm_revision_free(rev);
    return rc;
}

static int log_all(struct printer *p, size_t max, struct vmscm_error *err)
{
    struct history history = {NULL, 0, 0};
    int rc = history_collect(&history, p->ctx->repo, max, err), stop = 0;

    if (!rc && !p->json)
        pager_start(p->ctx);
    for (size_t i = 0; !rc && !stop && i < history.len; i++) {
        struct vmscm_revision *rev = NULL;
        p->machine = history.entries[i].machine;
        rc = vmscm_revision_resolve(&rev, p->ctx->repo, history.entries[i].id, err);
        if (!rc) {
            stop = print(p, rev);
            rc = settle(p, 0);
        }
        vmscm_revision_free(rev);
    }
    history_release(&history);
    return rc;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    struct printer printer = {.ctx = ctx, .view = o->oneline ? VIEW_SHORT : VIEW_INSIDE,
        .format = o->format, .err = err};
    struct vmscm_workdir *dir = NULL;
    int rc = 0;

    if (o->format && o->oneline)
        rc = report_set(err, VMSCM_EUSAGE, "--format: not together with --oneline");
    else if (o->format)
        rc = view_format_check(ctx, o->format, err);
    if (!rc && argc == 0) {
        rc = vmscm_workdir_open(&dir, ".", err);
        if (rc == VMSCM_ENOTFOUND)
            rc = 0;
    }
    if (!rc)
        rc = dir ? ctx_repo_at(ctx, vmscm_workdir_repository(dir), err) : ctx_repo(ctx, err);
    if (rc)
        goto out;
    if (ctx->common.json)
        printer.json = json_array();
    /* Looked up once, not for every revision. */
    if ((rc = vmscm_revision_names_hold(ctx->repo, err)) ||
        (rc = vmscm_brief_open(&printer.brief, ctx->repo, err)))
        goto out;
    if (argc > 0 || dir)
        rc = log_one(&printer, argc > 0 ? argv[0] : vmscm_workdir_machine(dir), o->max, err);
    else
        rc = log_all(&printer, o->max, err);
    if (!rc && printer.json) {
        json_print(printer.json);
        printer.json = NULL;
    }
out:
    json_decref(printer.json);
    vmscm_brief_close(printer.brief);
    vmscm_workdir_close(dir);
    return rc;
}

static const struct opt table[] = {
    {'n', "max-count", OPT_UINT, offsetof(struct opts, max), "N", NULL,
        "show the newest N revisions only"},
    {0, "oneline", OPT_FLAG, offsetof(struct opts, oneline), NULL, NULL, "one line a revision"},
    {0, "format", OPT_STRING, offsetof(struct opts, format), "FORMAT", NULL,
        "a line for each, with %(id), %(subject) and the like in it"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[-n N] [--oneline | --format=FORMAT] [REV]", NULL};

const struct cmd cmd_log = {
    .name = "log",
    .summary = "show the history of a machine, or of all",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "revision",
    .max_args = 1,
    .group = GROUP_HISTORY,
    .flags = CMD_JSON | CMD_PAGER,
    .run = run,
};
