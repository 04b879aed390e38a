/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What push, fetch, pull and clone share: telling what became of each name, and what it cost. */
#ifndef TRANSFER_H
#define TRANSFER_H

#include "cmd.h"
#include "json.h"
#include <vmscm/remote.h>

struct transfer {
    struct ctx *ctx;
    const char *verb; /* "pushed", "fetched" */
    int dry_run;
    json_t *items; /* of --json; else NULL */
    size_t told;
};

/* Before; the items come to transfer_item, with the transfer as data. */
void transfer_begin(struct transfer *t, struct ctx *ctx, const char *verb, int dry_run);
int transfer_item(void *data, const struct vmscm_remote_item *item);
/* After: the totals. rc is what the transfer returned. path: of a clone, or NULL. */
void transfer_end(struct transfer *t, int rc, const struct vmscm_remote_result *result,
    const char *path);

typedef int (*transfer_way)(struct vmscm_repo *repo, const struct vmscm_remote_options *options,
    const struct vmscm_events *events,
    int (*each)(void *data, const struct vmscm_remote_item *item), void *data,
    struct vmscm_remote_result *result, struct vmscm_error *err);

/* All of a transfer of the repository at hand, [REMOTE [NAME...]] being what is said of it. options has
 * the rest but for the limit. */
int transfer_run(struct ctx *ctx, const char *verb, transfer_way way,
    struct vmscm_remote_options *options, const char *limit, int argc, char **argv,
    struct vmscm_error *err);

/* "500k", "2M": bytes a second; NULL is none. VMSCM_EUSAGE. */
int transfer_limit(uint64_t *out, const char *text, struct vmscm_error *err);

#endif
