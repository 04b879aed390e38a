/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Repositories in buckets, for users of the library. */
#include "base/str.h"
#include "bucket/mirror.h"
#include "bucket/sweep.h"

#include <vmscm/remote.h>

int vmscm_remote_is_bucket(const char *word)
{
    return vmscm_str_starts(word, "s3://");
}

int vmscm_remote_init(const char *url, const struct vmscm_events *events, struct vmscm_error *err)
{
    return vmscm_mirror_init(url, events, err);
}

int vmscm_remote_open(struct vmscm_repo **out, const char *url, const struct vmscm_events *events,
    struct vmscm_error *err)
{
    struct vmscm_mirror *m = NULL;
    int rc = vmscm_mirror_open(&m, url, events, 0, err);

    if (!rc)
        *out = m->repo;
    return rc;
}

int vmscm_remote_gc(const char *url, const struct vmscm_gc_options *options,
    const struct vmscm_events *events, struct vmscm_gc_result *result, struct vmscm_error *err)
{
    return options && options->automatic ? 0 : vmscm_sweep_run(url, options, events, result, err);
}
