/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "inspecting.h"

#include "installed.h"
#include "interrupt.h"
#include "memory.h"
#include "report.h"
#include "text.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TRIES 20          /* of a tenth of a second: who waits has the turn for a moment only */
#define MEMORY_NEEDED 2048 /* MiB that are free, so that what nobody asked for takes half at most */
#define IDLE_CLASS (3 << 13) /* ioprio_set(2) */

struct ids {
    char (*items)[VMSCM_ID_HEX + 1];
    size_t len;
};

static int add_id(void *data, const char *id)
{
    struct ids *ids = data;

    ids->items = memory_grow(ids->items, ids->len + 1, sizeof *ids->items);
    snprintf(ids->items[ids->len++], sizeof *ids->items, "%s", id);
    return 0;
}

static bool has_id(const struct ids *ids, const char *id)
{
    for (size_t i = 0; i < ids->len; i++)
        if (strcmp(ids->items[i], id) == 0)
            return true;
    return false;
}

static void print_line(const struct inspecting *w, struct vmscm_revision *rev, const char *summary,
    const char *accelerator, double seconds)
{
    char id[TEXT_MAX], time[TEXT_MAX];
    const char *machine = vmscm_revision_machine_name(rev);

    if (machine)
        text_put(stdout, machine);
    printf("%s%s  ", machine ? " " : "", text_id(id, vmscm_revision_id(rev)));
    text_put(stdout, summary);
    if (seconds < 0)
        fputs(", known", stdout);
    else if (seconds > 0)
        printf(", %s", text_seconds(time, seconds));
    if (w->ctx->common.verbose && accelerator) {
        fputs(", by ", stdout);
        text_put(stdout, accelerator);
    }
    putchar('\n');
    fflush(stdout);
}

void inspecting_tell(struct inspecting *w, struct vmscm_revision *rev, const char *facts,
    double seconds)
{
    json_t *parsed = json_loads(facts, 0, NULL);
    const char *status = json_string_value(json_object_get(parsed, "status"));
    char *summary = NULL;

    w->failed = w->failed || (status && strcmp(status, "failed") == 0);
    if (w->json) {
        json_t *object = json_add(w->json, json_object());
        json_put(object, "id", json_text(vmscm_revision_id(rev)));
        json_put(object, "machine", json_text(vmscm_revision_machine_name(rev)));
        json_put(object, "known", json_boolean(seconds < 0));
        json_put(object, "facts", parsed);
        return;
    }
    if (!w->ctx->common.quiet && !vmscm_inspect_summary(&summary, facts, NULL))
        print_line(w, rev, summary, json_string_value(json_object_get(parsed, "accelerator")), seconds);
    vmscm_free(summary);
    json_decref(parsed);
}

/* Whether there is nothing to do: *facts are there, or the same disks were had in this run. */
static int is_known(bool *known, char **facts, struct inspecting *w, struct vmscm_revision *rev,
    bool retry, struct vmscm_error *err)
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
    *known = *facts && !w->force && (!failed || !retry);
    w->done = memory_grow(w->done, w->done_count + 1, sizeof *w->done);
    memcpy(w->done[w->done_count++], key, sizeof key);
    return 0;
}

/* One appliance at a time: it takes memory. tries 0: as long as it takes. */
static int wait_turn(struct inspecting *w, unsigned tries, struct vmscm_error *err)
{
    int rc = VMSCM_EBUSY;

    for (unsigned n = 1; !w->turn && rc == VMSCM_EBUSY; n++) {
        rc = vmscm_inspect_begin(&w->turn, w->ctx->repo, err);
        if (rc == VMSCM_EBUSY && n == tries)
            return rc;
        if (rc == VMSCM_EBUSY && interrupt_pending())
            return report_set(err, VMSCM_ECANCELED, "inspect: interrupted");
        if (rc == VMSCM_EBUSY)
            poll(NULL, 0, 100);
    }
    if (w->turn)
        *err = (struct vmscm_error)VMSCM_ERROR_INIT;
    return w->turn ? 0 : rc;
}

static void end_turn(struct inspecting *w)
{
    vmscm_inspect_end(w->turn);
    w->turn = NULL;
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int look(struct inspecting *w, struct vmscm_revision *rev, struct vmscm_error *err)
{
    double began = now();
    char *found = NULL;
    int rc = inspection_run(&found, NULL, w->ctx, rev, &w->how, err);

    if (!rc && !(rc = vmscm_inspect_record(rev, found, strlen(found), err)))
        inspecting_tell(w, rev, found, now() - began);
    free(found);
    return rc;
}

int inspecting_one(struct inspecting *w, struct vmscm_revision *rev, struct vmscm_error *err)
{
    char *facts = NULL;
    bool known = false;
    int rc = wait_turn(w, 0, err);

    if (!rc && !(rc = is_known(&known, &facts, w, rev, true, err)) && known && facts)
        inspecting_tell(w, rev, facts, -1);
    if (!rc && !known)
        rc = look(w, rev, err);
    vmscm_free(facts);
    return rc;
}

/* There is no disk in one that an appliance could look at. */
static bool is_container(struct vmscm_revision *rev)
{
    const struct vmscm_machine *machine;

    return !vmscm_revision_machine(&machine, rev, NULL) && vmscm_machine_is_container(machine);
}

/* One of those that nobody named; known ones are not told. */
static int listed(struct inspecting *w, const char *id, bool retry, struct vmscm_error *err)
{
    struct vmscm_revision *rev = NULL;
    char *facts = NULL;
    bool known = false;
    int pruned, rc = vmscm_revision_resolve(&rev, w->ctx->repo, id, err);

    if (!rc && !(rc = vmscm_revision_pruned(&pruned, NULL, NULL, rev, err)) && !pruned &&
        !is_container(rev) &&
        !(rc = is_known(&known, &facts, w, rev, retry, err)) && !known)
        rc = look(w, rev, err);
    vmscm_free(facts);
    vmscm_revision_free(rev);
    return rc;
}

int inspecting_all(struct inspecting *w, enum vmscm_pending which, struct vmscm_error *err)
{
    struct ids ids = {NULL, 0};
    int rc = wait_turn(w, 0, err);

    if (!rc)
        rc = vmscm_pending_list(w->ctx->repo, which, add_id, &ids, err);
    for (size_t i = 0; i < ids.len && !rc; i++)
        rc = listed(w, ids.items[i], which != VMSCM_PENDING_NEVER, err);
    free(ids.items);
    return rc;
}

static bool is_memory_scarce(void)
{
    static const char key[] = "MemAvailable:";
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    bool scarce = false;

    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0)
            scarce = strtoull(line + strlen(key), NULL, 10) / 1024 < MEMORY_NEEDED;
    if (file)
        fclose(file);
    return scarce;
}

/* Whether it can be looked into; of a lazy repository, what is not here would be brought for nobody. */
static bool is_ready(struct vmscm_repo *repo, const char *id)
{
    struct vmscm_revision_here here = {0};
    struct vmscm_revision *rev = NULL;
    bool yes = !vmscm_revision_resolve(&rev, repo, id, NULL) && !is_container(rev) &&
        !vmscm_revision_here(&here, rev, NULL) && (!here.lazy || here.away == 0);

    vmscm_revision_free(rev);
    return yes;
}

/* The newest that is pending and was not tried yet: *id is empty if there is none. */
static int next(char *id, struct inspecting *w, struct ids *tried, struct vmscm_error *err)
{
    struct ids ids = {NULL, 0};
    int rc = vmscm_pending_list(w->ctx->repo, VMSCM_PENDING_NEVER, add_id, &ids, err);

    id[0] = '\0';
    for (size_t i = 0; i < ids.len && !rc && !id[0]; i++) {
        if (has_id(tried, ids.items[i]))
            continue;
        add_id(tried, ids.items[i]);
        if (is_ready(w->ctx->repo, ids.items[i]))
            memcpy(id, ids.items[i], sizeof *ids.items);
    }
    free(ids.items);
    return rc;
}

int inspecting_background(struct inspecting *w, void (*begun)(void), struct vmscm_error *err)
{
    struct ids tried = {NULL, 0};
    char id[VMSCM_ID_HEX + 1];
    int rc;

    setpriority(PRIO_PROCESS, 0, 19);
    syscall(SYS_ioprio_set, 1, 0, IDLE_CLASS);
    do {
        rc = wait_turn(w, 1, err);
        begun();
        if (rc == VMSCM_EBUSY)
            rc = wait_turn(w, TRIES, err);
        if (rc == VMSCM_EBUSY) {
            *err = (struct vmscm_error)VMSCM_ERROR_INIT;
            rc = 0;
            break;
        }
        while (!rc && !is_memory_scarce() && !(rc = next(id, w, &tried, err)) && id[0]) {
            rc = listed(w, id, false, err);
            /* What is wrong with one says nothing of the next. */
            if (rc == VMSCM_EDAMAGED || rc == VMSCM_ENOTFOUND || rc == VMSCM_EUNSUPPORTED) {
                *err = (struct vmscm_error)VMSCM_ERROR_INIT;
                rc = 0;
            }
        }
        end_turn(w);
        /* Who checked in meanwhile, and found that this one was at it, has to be able to rely on it. */
    } while (!rc && !is_memory_scarce() && !(rc = next(id, w, &tried, err)) && id[0] &&
        tried.len-- > 0);
    free(tried.items);
    return rc;
}

static int is_left(bool *left, struct inspecting *w, struct vmscm_revision **revs, size_t count,
    struct vmscm_error *err)
{
    struct ids ids = {NULL, 0};
    char *facts = NULL;
    int rc = 0;

    *left = false;
    for (size_t i = 0; i < count && !rc && !*left; i++) {
        rc = vmscm_inspect_read(&facts, revs[i], err);
        *left = rc == VMSCM_ENOTFOUND;
        vmscm_free(facts);
        facts = NULL;
        if (*left) {
            *err = (struct vmscm_error)VMSCM_ERROR_INIT;
            rc = 0;
        }
    }
    if (count == 0)
        rc = vmscm_pending_list(w->ctx->repo, VMSCM_PENDING_NEVER, add_id, &ids, err);
    for (size_t i = 0; i < ids.len && !rc && !*left; i++) {
        struct vmscm_revision *rev = NULL;
        int pruned = 1;
        rc = vmscm_revision_resolve(&rev, w->ctx->repo, ids.items[i], err);
        if (!rc && !(rc = vmscm_revision_pruned(&pruned, NULL, NULL, rev, err)))
            *left = !pruned;
        vmscm_revision_free(rev);
    }
    free(ids.items);
    return rc;
}

int inspecting_wait(struct inspecting *w, struct vmscm_revision **revs, size_t count, bool *left,
    struct vmscm_error *err)
{
    int rc, busy;

    do {
        if ((busy = wait_turn(w, 1, err)) && busy != VMSCM_EBUSY)
            return busy;
        end_turn(w);
        *err = (struct vmscm_error)VMSCM_ERROR_INIT;
        if ((rc = is_left(left, w, revs, count, err)) || !*left || !busy)
            return rc;
        poll(NULL, 0, 100);
    } while (!interrupt_pending());
    return report_set(err, VMSCM_ECANCELED, "inspect: interrupted");
}

void inspecting_release(struct inspecting *w)
{
    end_turn(w);
    free(w->done);
    w->done = NULL;
}
