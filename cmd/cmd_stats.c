/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm stats: what a repository holds, and what it costs. */
#include "cmd.h"
#include "json.h"
#include "table.h"
#include "text.h"
#include <inttypes.h>
#include <stdbool.h>
#include <vmscm/remote.h>
#include <vmscm/stats.h>

/* Every figure once: its key in JSON, what a person reads, where it is, whether it is in bytes. */
static const struct figure {
    const char *key, *title;
    size_t offset;
    bool bytes;
} figures[] = {
    {"machines", "machines", offsetof(struct vmscm_stats, machines), false},
    {"revisions", "revisions", offsetof(struct vmscm_stats, revisions), false},
    {"pruned", "of those, pruned", offsetof(struct vmscm_stats, pruned), false},
    {"tags", "tags", offsetof(struct vmscm_stats, tags), false},
    {"guest_bytes", "disks as guests see them", offsetof(struct vmscm_stats, guest_bytes), true},
    {"data_bytes", "of those, not zeros", offsetof(struct vmscm_stats, data_bytes), true},
    {"unique_bytes", "of those, different", offsetof(struct vmscm_stats, unique_bytes), true},
    {"chunks", "chunks", offsetof(struct vmscm_stats, chunks), false},
    {"leaves", "leaves", offsetof(struct vmscm_stats, leaves), false},
    {"packs", "packs", offsetof(struct vmscm_stats, packs), false},
    {"pack_bytes", "packs' size", offsetof(struct vmscm_stats, pack_bytes), true},
    {"index_bytes", "indexes' size", offsetof(struct vmscm_stats, index_bytes), true},
    {"history_bytes", "history's size", offsetof(struct vmscm_stats, history_bytes), true},
    {"temporary_bytes", "temporary files", offsetof(struct vmscm_stats, temporary_bytes), true},
    {"garbage_bytes", "of the packs, garbage", offsetof(struct vmscm_stats, garbage_bytes), true},
    {"elsewhere_leaves", "leaves only at the remote", offsetof(struct vmscm_stats, elsewhere), false},
    {"cache_packs", "packs of the cache", offsetof(struct vmscm_stats, cache_packs), false},
    {"cache_bytes", "their size", offsetof(struct vmscm_stats, cache_bytes), true},
};

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    static const char *const columns[] = {"", ">", NULL};
    struct vmscm_stats stats;
    struct table *table;
    json_t *root;
    char buf[TEXT_MAX];
    int rc = ctx_repo(ctx, err);

    (void)values;
    (void)argc;
    (void)argv;
    if (!rc)
        rc = vmscm_stats(&stats, ctx->repo, err);
    if (rc)
        return rc;
    table = table_new(columns);
    root = json_object();
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        uint64_t n = *(const uint64_t *)((const char *)&stats + figures[i].offset);
        /* Only of a lazy repository. */
        if (figures[i].offset >= offsetof(struct vmscm_stats, elsewhere) &&
            !vmscm_remote_promisor(ctx->repo))
            continue;
        json_put(root, figures[i].key, n == VMSCM_STATS_UNKNOWN ? json_null() : json_number(n));
        table_cell(table, "%s", figures[i].title);
        if (n == VMSCM_STATS_UNKNOWN)
            table_cell(table, "not known");
        else if (figures[i].bytes)
            table_cell(table, "%s", text_size(buf, n));
        else
            table_cell(table, "%" PRIu64, n);
    }
    if (ctx->common.json) {
        json_print(root);
    } else {
        json_decref(root);
        table_print(table, "");
    }
    table_free(table);
    return 0;
}

static const char *const usage[] = {"", NULL};

const struct cmd cmd_stats = {
    .name = "stats",
    .summary = "show what the repository holds, and what it costs",
    .usage = usage,
    .group = GROUP_REPOSITORY,
    .flags = CMD_JSON,
    .run = run,
};
