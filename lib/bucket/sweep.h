/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Garbage collection of a repository in a bucket, beside anyone who pushes or reads: condemned by one
 * generation, removed by a later one; vmscm-format-s3(5), G15 and G16. It works on a copy of its own of what
 * is known of the bucket, of which there is one for each user.
 *
 * Threading: one thread at a time.
 */
#ifndef BUCKET_SWEEP_H
#define BUCKET_SWEEP_H

#include <vmscm/gc.h>

/* As vmscm_gc. */
int vmscm_sweep_run(const char *url, const struct vmscm_gc_options *options,
    const struct vmscm_events *events, struct vmscm_gc_result *result, struct vmscm_error *err);

#endif
