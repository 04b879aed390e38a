/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Objects of an S3 bucket below a prefix: AWS, Ceph's RADOS gateway, MinIO and others.
 *
 * What fails for a while (no answer, 429, 5xx) is tried again, less and less often, for about half a minute;
 * Retry-After is heeded. What an answer means is said in one line: no bucket, wrong credentials, a clock that
 * is off, a session that has expired, and so on.
 *
 * Threading: any number of threads per struct vmscm_s3.
 */
#ifndef S3_S3_H
#define S3_S3_H

#include "s3/http.h"

struct vmscm_s3;

/* url: as address.h. Nothing is asked yet. VMSCM_EUSAGE, VMSCM_EREFUSED: no such URL, or no credentials.
 * limit: bytes a second; 0: none. */
int vmscm_s3_open(struct vmscm_s3 **out, const char *url, const struct vmscm_events *events,
    uint64_t limit, struct vmscm_error *err);
void vmscm_s3_close(struct vmscm_s3 *s3); /* NULL is fine */

/* See http.h. */
const char *vmscm_s3_identity(const struct vmscm_s3 *s3);
void vmscm_s3_patience(struct vmscm_s3 *s3, unsigned seconds);
void vmscm_s3_cancel(struct vmscm_s3 *s3);
void vmscm_s3_traffic(struct vmscm_s3 *s3, struct vmscm_http_traffic *out);

/* The whole of an object of at most max bytes, appended to buf. VMSCM_ENOTFOUND: there is none;
 * VMSCM_EINPUT: it is longer. */
int vmscm_s3_get(struct vmscm_s3 *s3, const char *key, struct vmscm_buf *buf, size_t max,
    struct vmscm_error *err);

/* Exactly len bytes, not none, from offset on. VMSCM_ENOTFOUND. */
int vmscm_s3_get_range(struct vmscm_s3 *s3, const char *key, void *out, size_t len, uint64_t offset,
    struct vmscm_error *err);

/* Make or replace an object. */
int vmscm_s3_put(struct vmscm_s3 *s3, const char *key, const void *data, size_t len,
    struct vmscm_error *err);
/* The same of len bytes of a file, from its beginning. moved (may be NULL) is told how many were sent, from
 * this thread; fewer than before if they are sent again. */
int vmscm_s3_put_file(struct vmscm_s3 *s3, const char *key, int fd, uint64_t len,
    void (*moved)(void *data, uint64_t bytes), void *data, struct vmscm_error *err);

/* Make an object that must not be there yet (If-None-Match: *). VMSCM_EEXIST: there is one. VMSCM_EBUSY: it
 * is not known whether it was made: no answer came, or one that leaves that open; who needs to know reads
 * it. Not tried again. */
int vmscm_s3_create(struct vmscm_s3 *s3, const char *key, const void *data, size_t len,
    struct vmscm_error *err);

/* Wait before trying for the nth time, from 1, what an error said is worth trying again. VMSCM_ECANCELED. */
int vmscm_s3_wait(struct vmscm_s3 *s3, unsigned n, struct vmscm_error *err);

/* Remove an object; none is fine. */
int vmscm_s3_delete(struct vmscm_s3 *s3, const char *key, struct vmscm_error *err);

/* Keys that begin with some bytes, in the order of their bytes, at most max of them; 0: all.
 * each(data, key, size, modified, err), modified in seconds since 1970 or 0: non-zero ends it and is
 * returned. Keys are without the repository's prefix. VMSCM_EINPUT: a list that has no end, or goes round. */
int vmscm_s3_list(struct vmscm_s3 *s3, const char *begin, size_t max,
    int (*each)(void *data, const char *key, uint64_t size, int64_t modified, struct vmscm_error *err),
    void *data, struct vmscm_error *err);

#endif
