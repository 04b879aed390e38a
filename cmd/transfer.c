/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "transfer.h"

#include "progress.h"
#include "report.h"
#include "text.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[] = {[VMSCM_REMOTE_SAME] = "unchanged",
    [VMSCM_REMOTE_NEW] = "new",
    [VMSCM_REMOTE_FORWARD] = "updated",
    [VMSCM_REMOTE_FORCED] = "forced",
    [VMSCM_REMOTE_GONE] = "removed",
    [VMSCM_REMOTE_REFUSED] = "refused"};

void transfer_begin(struct transfer *t, struct ctx *ctx, const char *verb, int dry_run)
{
    *t = (struct transfer){.ctx = ctx, .verb = verb, .dry_run = dry_run};
    if (ctx->common.json)
        t->items = json_array();
}

static void add_json(struct transfer *t, const struct vmscm_remote_item *item)
{
    json_t *object = json_add(t->items, json_object());

    json_put(object, "machine", json_text(item->machine));
    json_put(object, "tag", json_text(item->tag));
    json_put(object, "before", json_text(item->before));
    json_put(object, "after", json_text(item->after));
    json_put(object, "change", json_text(words[item->change]));
    json_put(object, "local", json_boolean(item->local));
    json_put(object, "why", json_text(item->why ? item->why->message : NULL));
}

int transfer_item(void *data, const struct vmscm_remote_item *item)
{
    struct transfer *t = data;
    char before[TEXT_MAX], after[TEXT_MAX];

    if (t->items) {
        add_json(t, item);
        return 0;
    }
    if (t->ctx->common.quiet || (item->change == VMSCM_REMOTE_SAME && !t->ctx->common.verbose))
        return 0;
    progress_clear();
    t->told++;
    text_put(stdout, item->machine);
    if (item->tag) {
        putchar(':');
        text_put(stdout, item->tag);
    }
    printf("  %s", words[item->change]);
    if (item->before && item->after && strcmp(item->before, item->after) != 0)
        printf("  %s..%s", text_id(before, item->before), text_id(after, item->after));
    else if (item->after)
        printf("  %s", text_id(after, item->after));
    else if (item->before)
        printf("  %s", text_id(before, item->before));
    if (item->why) {
        fputs("  ", stdout);
        text_put(stdout, item->why->message);
    }
    putchar('\n');
    return 0;
}

void transfer_end(struct transfer *t, int rc, const struct vmscm_remote_result *result,
    const char *path)
{
    char sent[TEXT_MAX], received[TEXT_MAX], seconds[TEXT_MAX];

    progress_clear();
    if (t->items) {
        json_t *root = json_object();
        if (path)
            json_put(root, "repository", json_text(path));
        json_put(root, "items", t->items);
        t->items = NULL;
        json_put(root, "sent", json_number(result->sent));
        json_put(root, "received", json_number(result->received));
        json_put(root, "round_trips", json_number(result->round_trips));
        json_put(root, "requests", json_number(result->requests));
        json_put(root, "stored", json_number(result->stored));
        json_put(root, "resumed", json_number(result->resumed));
        json_put(root, "comments", json_boolean(result->comments));
        json_put(root, "dry_run", json_boolean(t->dry_run));
        if (!rc || result->refused)
            json_print(root);
        else
            json_decref(root);
        return;
    }
    if (t->ctx->common.quiet || (rc && !result->refused) || t->dry_run)
        return;
    if (result->comments)
        puts("comments  merged");
    if (!t->told && !result->comments)
        printf("nothing to be %s\n", t->verb);
    else
        printf("%s sent, %s received, %s\n", text_size(sent, result->sent),
            text_size(received, result->received), text_seconds(seconds, result->seconds));
}

int transfer_limit(uint64_t *out, const char *text, struct vmscm_error *err)
{
    static const char units[] = "kmgt";
    unsigned long long n;
    const char *unit;
    char *end;

    *out = 0;
    if (!text)
        return 0;
    errno = 0;
    n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || errno)
        goto bad;
    if (*end) {
        char lower = *end >= 'A' && *end <= 'Z' ? (char)(*end - 'A' + 'a') : *end;
        if (!(unit = strchr(units, lower)) || end[1] || n >> (64 - 10 * (unit - units + 1)))
            goto bad;
        n <<= 10 * (unit - units + 1);
    }
    if (n == 0)
        goto bad;
    *out = n;
    return 0;
bad:
    report_set(err, VMSCM_EUSAGE, "%.100s: not a number of bytes a second", text);
    return report_hint(err, "such as 500k or 2M");
}

int transfer_run(struct ctx *ctx, const char *verb, transfer_way way,
    struct vmscm_remote_options *options, const char *limit, int argc, char **argv,
    struct vmscm_error *err)
{
    struct vmscm_remote_result result = {0};
    struct transfer transfer;
    int rc;

    if (argc)
        options->remote = argv[0];
    if (argc > 1) {
        options->names = (const char *const *)argv + 1;
        options->name_count = (size_t)argc - 1;
    }
    if ((rc = transfer_limit(&options->limit, limit, err)) || (rc = ctx_repo(ctx, err)))
        return rc;
    transfer_begin(&transfer, ctx, verb, options->dry_run);
    rc = way(ctx->repo, options, progress_events(ctx), transfer_item, &transfer, &result, err);
    transfer_end(&transfer, rc, &result, NULL);
    return rc;
}
