/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm inspect: find out what is inside revisions. */
#include "cmd.h"
#include "inspecting.h"
#include "interrupt.h"
#include "memory.h"
#include "report.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FACTS_MAX ((size_t)16 << 20)

struct opts {
    struct inspection_options how;
    int all, pending, force, automatic, wait;
    const char *from;
};

static int read_file(char **out, size_t *size, const char *path, struct vmscm_error *err)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *text = memory_grow(NULL, FACTS_MAX + 2, 1);
    int rc = 0;

    if (!file) {
        rc = report_set(err, VMSCM_EIO, "%s: %s", path, strerror(errno));
        goto out;
    }
    *size = fread(text, 1, FACTS_MAX + 1, file);
    text[*size] = '\0';
    if (ferror(file))
        rc = report_set(err, VMSCM_EIO, "%s: %s", path, strerror(errno));
    if (file != stdin)
        fclose(file);
out:
    if (rc)
        free(text);
    else
        *out = text;
    return rc;
}

static int keep(struct inspecting *w, const char *from, const char *spec, struct vmscm_error *err)
{
    struct vmscm_revision *rev = NULL;
    char *text = NULL;
    size_t size = 0;
    int rc = vmscm_revision_resolve(&rev, w->ctx->repo, spec, err);

    if (!rc && !(rc = read_file(&text, &size, from, err)) &&
        (rc = vmscm_inspect_record(rev, text, size, err)) == VMSCM_EINPUT)
        report_hint(err, "vmscm-format-facts(5) says what they are like");
    if (!rc)
        inspecting_tell(w, rev, text, 0);
    free(text);
    vmscm_revision_free(rev);
    return rc;
}

/* Who started this one in the background waits for the end of what it prints. */
static void begun(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        close(null);
    }
}

static int wait_for(struct inspecting *w, int argc, char **argv, struct vmscm_error *err)
{
    struct vmscm_revision **revs = memory_zero((size_t)argc * sizeof *revs + 1);
    bool left = false;
    int rc = 0;

    for (int i = 0; i < argc && !rc; i++)
        rc = vmscm_revision_resolve(&revs[i], w->ctx->repo, argv[i], err);
    if (!rc)
        rc = inspecting_wait(w, revs, (size_t)argc, &left, err);
    for (int i = 0; i < argc; i++)
        vmscm_revision_free(revs[i]);
    free(revs);
    return rc ? rc : left;
}

static int named(struct inspecting *w, int argc, char **argv, struct vmscm_error *err)
{
    int rc = 0;

    for (int i = 0; i < argc && !rc; i++) {
        struct vmscm_revision *rev = NULL;
        if (!(rc = vmscm_revision_resolve(&rev, w->ctx->repo, argv[i], err)))
            rc = inspecting_one(w, rev, err);
        vmscm_revision_free(rev);
    }
    return rc;
}

static int check(const struct opts *o, int argc, struct vmscm_error *err)
{
    if (o->all + o->pending + o->automatic + o->wait > 1)
        return report_set(err, VMSCM_EUSAGE, "--all, --pending, --auto, --wait: one of them");
    if ((o->all || o->pending || o->automatic) ? argc > 0 || o->from : argc == 0 && !o->wait)
        return report_set(err, VMSCM_EUSAGE, "inspect: revisions, --all or --pending: one of them");
    if (o->from && (argc != 1 || o->wait))
        return report_set(err, VMSCM_EUSAGE, "--from: of one revision");
    if (o->force && (o->pending || o->automatic || o->wait))
        return report_set(err, VMSCM_EUSAGE, "--force: with revisions or --all");
    if (o->how.timeout > 86400 || (o->how.memory && (o->how.memory < 256 || o->how.memory > 65536)))
        return report_set(err, VMSCM_EUSAGE,
            "--timeout, --memory: at most 86400 seconds, and 256 to 65536 MiB");
    return 0;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    struct inspecting w = {.ctx = ctx, .how = o->how, .force = o->force};
    int rc = check(o, argc, err);

    if (rc || (rc = ctx_repo(ctx, err)))
        return rc;
    interrupt_catch();
    w.json = ctx->common.json ? json_array() : NULL;
    if (o->from)
        rc = keep(&w, o->from, argv[0], err);
    else if (o->wait)
        rc = wait_for(&w, argc, argv, err);
    else if (o->automatic)
        rc = inspecting_background(&w, begun, err);
    else if (o->all || o->pending)
        rc = inspecting_all(&w, !o->all ? VMSCM_PENDING_NEVER
                : o->force              ? VMSCM_PENDING_ALL
                                        : VMSCM_PENDING_FAILED,
            err);
    else
        rc = named(&w, argc, argv, err);
    inspecting_release(&w);
    if (rc >= 0 && w.json)
        json_print(w.json);
    else
        json_decref(w.json);
    return rc ? rc : w.failed;
}

static const struct opt table[] = {
    {'a', "all", OPT_FLAG, offsetof(struct opts, all), NULL, NULL,
        "every revision of every machine of which nothing is known, or that failed"},
    {0, "pending", OPT_FLAG, offsetof(struct opts, pending), NULL, NULL,
        "every revision that was never inspected"},
    {'f', "force", OPT_FLAG, offsetof(struct opts, force), NULL, NULL,
        "also what is known already"},
    {0, "wait", OPT_FLAG, offsetof(struct opts, wait), NULL, NULL,
        "look into nothing, but wait till what is at work has ended"},
    {0, "auto", OPT_FLAG, offsetof(struct opts, automatic), NULL, NULL,
        "as check-ins do it in the background: what is pending, at the lowest priority"},
    {0, "from", OPT_STRING, offsetof(struct opts, from), "FILE", "file",
        "keep the facts in FILE, or of standard input for '-', instead of looking"},
    {0, "timeout", OPT_UINT, offsetof(struct opts, how.timeout), "SECONDS", NULL,
        "how long one may take; 1200 unless given"},
    {0, "memory", OPT_UINT, offsetof(struct opts, how.memory), "MIB", NULL,
        "memory of the appliance; 1024 unless given"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[-f] [--timeout=SECONDS] [--memory=MIB] REV...",
    "-a|--pending [-f] [--timeout=SECONDS] [--memory=MIB]", "--wait [REV...]", "--auto",
    "--from=FILE REV", NULL};

const struct cmd cmd_inspect = {
    .name = "inspect",
    .summary = "find out what is inside revisions",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "revision*",
    .max_args = -1,
    .group = GROUP_HISTORY,
    .flags = CMD_JSON,
    .run = run,
};
