/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The log of generations in a bucket: which is the newest, what it says, and making the next, which exactly
 * one of those who try does; vmscm-format-s3(5).
 *
 * Threading: any number of threads.
 */
#ifndef BUCKET_GENLOG_H
#define BUCKET_GENLOG_H

#include "format/generation.h"
#include "s3/s3.h"

/* *number is 0 if there is none. */
int vmscm_genlog_any(uint64_t *number, struct vmscm_s3 *s3, struct vmscm_error *err);

/* The same; VMSCM_ENOTFOUND: there is none, so no repository. */
int vmscm_genlog_newest(uint64_t *number, struct vmscm_s3 *s3, struct vmscm_error *err);

/* *out is the caller's to release; digest: of its bytes. VMSCM_ENOTFOUND: there is none of that number. */
int vmscm_genlog_read(struct vmscm_generation *out, uint8_t digest[VMSCM_GENERATION_DIGEST],
    uint64_t *bytes, struct vmscm_s3 *s3, uint64_t number, struct vmscm_error *err);

/* The same of one of at most max bytes. VMSCM_EINPUT: it is longer, or no generation. */
int vmscm_genlog_read_short(struct vmscm_generation *out, uint8_t digest[VMSCM_GENERATION_DIGEST],
    uint64_t *bytes, size_t max, struct vmscm_s3 *s3, uint64_t number, struct vmscm_error *err);

/* Make a generation; its transaction is chosen here. VMSCM_ECONFLICT: somebody else made one of that number.
 * VMSCM_EIO: no answer came, and it is not known whether it was made. */
int vmscm_genlog_create(struct vmscm_generation *generation, uint8_t digest[VMSCM_GENERATION_DIGEST],
    uint64_t *bytes, struct vmscm_s3 *s3, struct vmscm_error *err);

/* See that an object that is to be made and is there already is refused: all rests on that. VMSCM_EREFUSED:
 * it is not. */
int vmscm_genlog_probe(struct vmscm_s3 *s3, struct vmscm_error *err);

#endif
