/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm inspect: find out what is inside revisions. */
#include "cmd.h"
#include "history.h"
#include "inspection.h"
#include "interrupt.h"
#include "json.h"
#include "memory.h"
#include "report.h"
#include "text.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vmscm/inspect.h>

#define FACTS_MAX ((size_t)16 << 20)

struct opts {
    struct inspection_options how;
    int all, pending, force;
    const char *from;
};

struct work {
    struct ctx *ctx;
    const struct opts *opts;
    struct vmscm_inspect_turn *turn;
    json_t *json; /* NULL: as text */
    char (*done)[VMSCM_ID_HEX + 1]; /* keys of this run */
    size_t done_count;
    bool failed;
};

/* Seconds; negative: it was known. */
static void tell(struct work *w, struct vmscm_revision *rev, const char *facts, double seconds)
{
    char id[TEXT_MAX], time[TEXT_MAX], *summary = NULL;
    const char *machine = vmscm_revision_machine_name(rev);
    json_t *parsed = json_loads(facts, 0, NULL);
    const char *status = json_string_value(json_object_get(parsed, "status"));

    w->failed = w->failed || (status && strcmp(status, "failed") == 0);
    if (w->json) {
        json_t *object = json_add(w->json, json_object());
        json_put(object, "id", json_text(vmscm_revision_id(rev)));
        json_put(object, "machine", json_text(machine));
        json_put(object, "known", json_boolean(seconds < 0));
        json_put(object, "facts", parsed);
        return;
    }
    json_decref(parsed);
    if (w->ctx->common.quiet || vmscm_inspect_summary(&summary, facts, NULL))
        return;
    if (machine)
        text_put(stdout, machine);
    printf("%s%s  ", machine ? " " : "", text_id(id, vmscm_revision_id(rev)));
    text_put(stdout, summary);
    if (seconds < 0)
        fputs(", known", stdout);
    else if (seconds > 0)
        printf(", %s", text_seconds(time, seconds));
    putchar('\n');
    fflush(stdout);
    vmscm_free(summary);
}

/* Whether there is nothing to do: *facts are there, or the same disks were had in this run. */
static int is_known(bool *known, char **facts, struct work *w, struct vmscm_revision *rev,
    struct vmscm_error *err)
{
    char key[VMSCM_ID_HEX + 1];
    int rc = vmscm_inspect_key(key, rev, err);
    bool failed;

    *known = false;
    if (rc)
        return rc;
    rc = vmscm_inspect_read(facts, rev, err);
    if (rc && rc != VMSCM_ENOTFOUND)
        return rc;
    *err = (struct vmscm_error)VMSCM_ERROR_INIT;
    for (size_t i = 0; i < w->done_count; i++)
        if (strcmp(w->done[i], key) == 0) {
            *known = true;
            return 0;
        }
    json_t *parsed = *facts ? json_loads(*facts, 0, NULL) : NULL;
    const char *status = json_string_value(json_object_get(parsed, "status"));
    failed = status && strcmp(status, "failed") == 0;
    json_decref(parsed);
    *known = *facts && !w->opts->force && (!failed || w->opts->pending);
    w->done = memory_grow(w->done, w->done_count + 1, sizeof *w->done);
    memcpy(w->done[w->done_count++], key, sizeof key);
    return 0;
}

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

/* One appliance at a time: it takes memory. */
static int wait_turn(struct work *w, struct vmscm_error *err)
{
    int rc = VMSCM_EBUSY;

    while (!w->turn && rc == VMSCM_EBUSY) {
        rc = vmscm_inspect_begin(&w->turn, w->ctx->repo, err);
        if (rc == VMSCM_EBUSY && interrupt_pending())
            return report_set(err, VMSCM_ECANCELED, "inspect: interrupted");
        if (rc == VMSCM_EBUSY)
            poll(NULL, 0, 100);
    }
    if (w->turn)
        *err = (struct vmscm_error)VMSCM_ERROR_INIT;
    return w->turn ? 0 : rc;
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int one(struct work *w, struct vmscm_revision *rev, bool skip_unkept,
    struct vmscm_error *err)
{
    char *facts = NULL, *found = NULL;
    bool known = false;
    double began;
    int pruned = 0, rc = wait_turn(w, err);

    if (!rc && skip_unkept)
        rc = vmscm_revision_pruned(&pruned, NULL, NULL, rev, err);
    if (rc || pruned || (rc = is_known(&known, &facts, w, rev, err)))
        goto out;
    if (known) {
        if (facts && !skip_unkept)
            tell(w, rev, facts, -1);
        goto out;
    }
    began = now();
    if ((rc = inspection_run(&found, w->ctx, rev, &w->opts->how, err)) ||
        (rc = vmscm_inspect_record(rev, found, strlen(found), err)))
        goto out;
    tell(w, rev, found, now() - began);
out:
    vmscm_free(facts);
    free(found);
    return rc;
}

static int every(struct work *w, struct vmscm_error *err)
{
    struct history history = {NULL, 0, 0};
    int rc = history_collect(&history, w->ctx->repo, 0, err);

    for (size_t i = 0; i < history.len && !rc; i++) {
        struct vmscm_revision *rev = NULL;
        if (!(rc = vmscm_revision_resolve(&rev, w->ctx->repo, history.entries[i].id, err)))
            rc = one(w, rev, true, err);
        vmscm_revision_free(rev);
    }
    history_release(&history);
    return rc;
}

static int keep(struct work *w, const char *spec, struct vmscm_error *err)
{
    struct vmscm_revision *rev = NULL;
    char *text = NULL;
    size_t size = 0;
    int rc = vmscm_revision_resolve(&rev, w->ctx->repo, spec, err);

    if (!rc && !(rc = read_file(&text, &size, w->opts->from, err)) &&
        (rc = vmscm_inspect_record(rev, text, size, err)) == VMSCM_EINPUT)
        report_hint(err, "vmscm-format-facts(5) says what they are like");
    if (!rc)
        tell(w, rev, text, 0);
    free(text);
    vmscm_revision_free(rev);
    return rc;
}

static int check(const struct opts *o, int argc, struct vmscm_error *err)
{
    if ((o->all || o->pending) ? argc > 0 || o->from : argc == 0)
        return report_set(err, VMSCM_EUSAGE, "inspect: revisions, --all or --pending: one of them");
    if (o->all && o->pending)
        return report_set(err, VMSCM_EUSAGE, "--all and --pending: not both");
    if (o->from && argc != 1)
        return report_set(err, VMSCM_EUSAGE, "--from: of one revision");
    if (o->how.timeout > 86400 || (o->how.memory && (o->how.memory < 256 || o->how.memory > 65536)))
        return report_set(err, VMSCM_EUSAGE,
            "--timeout, --memory: at most 86400 seconds, and 256 to 65536 MiB");
    return 0;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    struct work w = {.ctx = ctx, .opts = o};
    int rc = check(o, argc, err);

    if (rc || (rc = ctx_repo(ctx, err)))
        return rc;
    interrupt_catch();
    w.json = ctx->common.json ? json_array() : NULL;
    if (o->from)
        rc = keep(&w, argv[0], err);
    else if (o->all || o->pending)
        rc = every(&w, err);
    for (int i = 0; i < argc && !o->from && !rc; i++) {
        struct vmscm_revision *rev = NULL;
        if (!(rc = vmscm_revision_resolve(&rev, ctx->repo, argv[i], err)))
            rc = one(&w, rev, false, err);
        vmscm_revision_free(rev);
    }
    vmscm_inspect_end(w.turn);
    free(w.done);
    if (!rc && w.json)
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
    {0, "from", OPT_STRING, offsetof(struct opts, from), "FILE", "file",
        "keep the facts in FILE, or of standard input for '-', instead of looking"},
    {0, "timeout", OPT_UINT, offsetof(struct opts, how.timeout), "SECONDS", NULL,
        "how long one may take; 1200 unless given"},
    {0, "memory", OPT_UINT, offsetof(struct opts, how.memory), "MIB", NULL,
        "memory of the appliance; 1024 unless given"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[-f] [--timeout=SECONDS] [--memory=MIB] REV...",
    "-a|--pending [-f] [--timeout=SECONDS] [--memory=MIB]", "--from=FILE REV", NULL};

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
