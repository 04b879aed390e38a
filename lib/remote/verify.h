/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Looking at records that came: each is checked against its checksum, decompressed and every part hashed,
 * on several threads, and told in the order in which they came, by the thread that brings them.
 *
 * Memory: at most VMSCM_VERIFY_WAITING bytes of records wait, or one that is longer; and each thread has
 * the plain bytes of one.
 *
 * Threading: one thread at a time; the others are its own.
 */
#ifndef REMOTE_VERIFY_H
#define REMOTE_VERIFY_H

#include "format/pack.h"
#include "store/packwriter.h"

#define VMSCM_VERIFY_WAITING ((size_t)6 << 20)

struct vmscm_verify;

/* What is known of a record by then; borrowed for the call. */
struct vmscm_verify_record {
    struct vmscm_pack_record head;
    struct vmscm_packwriter_part parts[VMSCM_PACK_PARTS_MAX]; /* head.part_count of them */
    const uint8_t *bytes; /* header, tables and payload */
    size_t len;
};

/* threads: 1 does all within the call. each(data, record, err) for every good record; non-zero from it, and
 * what is wrong with a bad one, which is passed over, is returned by the call that is made then. */
int vmscm_verify_open(struct vmscm_verify **out, unsigned threads,
    int (*each)(void *data, const struct vmscm_verify_record *record, struct vmscm_error *err),
    void *data, struct vmscm_error *err);
void vmscm_verify_close(struct vmscm_verify *v); /* NULL is fine. What was not told is lost. */

/* A record, which is copied, and its header, decoded: it has no bases. VMSCM_EINPUT. */
int vmscm_verify_put(struct vmscm_verify *v, const struct vmscm_pack_record *head,
    const uint8_t *bytes, size_t len, struct vmscm_error *err);

/* One with bases, whose plain bytes these are; it is told before this returns, after all others. */
int vmscm_verify_put_on(struct vmscm_verify *v, const struct vmscm_pack_record *head,
    const uint8_t *bytes, size_t len, const uint8_t *base, size_t base_len,
    struct vmscm_error *err);

/* Until all are told. */
int vmscm_verify_drain(struct vmscm_verify *v, struct vmscm_error *err);

/* VMSCM_EINPUT: "the other side sent a record that WHY". */
int vmscm_verify_bad(struct vmscm_error *err, const char *why);

#endif
