/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One request to an S3 endpoint, through libcurl: signed (AWS Signature Version 4), bounded, with its answer
 * taken in. Nothing is retried here.
 *
 * Threading: any number of threads per struct vmscm_http; connections are kept and shared out.
 */
#ifndef S3_HTTP_H
#define S3_HTTP_H

#include "base/buf.h"
#include "s3/address.h"
#include "s3/answer.h"
#include "s3/settings.h"
#include <stdbool.h>
#include <vmscm/events.h>

struct vmscm_http;

/* What both point at is copied. limit: bytes a second; 0: none. */
int vmscm_http_open(struct vmscm_http **out, const struct vmscm_address *address,
    const struct vmscm_settings *settings, const struct vmscm_events *events, uint64_t limit,
    struct vmscm_error *err);
void vmscm_http_close(struct vmscm_http *http); /* NULL is fine */

/* "https://HOST[:PORT]/BUCKET/PREFIX": the same for all ways to write it. Borrowed. */
const char *vmscm_http_identity(const struct vmscm_http *http);

/* A request that moves less than 1 KiB a second for so long is as good as none; 0: for ever. Before the first
 * request; 60 unless called. */
void vmscm_http_patience(struct vmscm_http *http, unsigned seconds);

/* End what is going on, and what would begin, with VMSCM_ECANCELED. From any thread. */
void vmscm_http_cancel(struct vmscm_http *http);
int vmscm_http_canceled(struct vmscm_http *http, struct vmscm_error *err);

/* The members above the line are the user's. */
struct vmscm_http_request {
    const char *method; /* GET, PUT, DELETE */
    const char *key;    /* below the prefix; NULL: the bucket itself */
    const char *query;  /* sorted and escaped; NULL: none */
    const char *range;  /* "0-99"; NULL: all of it */
    bool create;        /* only if there is none yet */
    const void *body;   /* of a PUT, len bytes; or */
    int fd;             /*   if body is NULL, from offset on of this file */
    uint64_t offset, len;
    void *out;            /* where what is got goes, exactly out_len bytes; or */
    size_t out_len;
    struct vmscm_buf *buf; /* if out is NULL, here, */
    size_t max;            /* at most so many bytes */
    /* How much of a body was sent, now and then; less than before if it is sent again. May be NULL. */
    void (*moved)(void *data, uint64_t bytes);
    void *data;

    unsigned status;       /* of HTTP; 0: no answer came */
    size_t got;            /* bytes of the body of an answer that is good */
    struct vmscm_answer_head head;
    struct vmscm_buf text; /* the body of an answer that is an error */
    int curl;              /* libcurl's code */
    char why[256];         /* and text */
};

/* 0 if any answer came. Else VMSCM_EIO: none, or not all of it, and request->curl says why; VMSCM_ECANCELED;
 * VMSCM_EINPUT: it is longer than it may be. */
int vmscm_http_run(struct vmscm_http *http, struct vmscm_http_request *request, struct vmscm_error *err);

/* Whether it is of no use to try again: the name is not known, or the certificate not trusted. */
bool vmscm_http_is_final(const struct vmscm_http_request *request);
bool vmscm_http_is_distrust(const struct vmscm_http_request *request);

void vmscm_http_release(struct vmscm_http_request *request);

struct vmscm_http_traffic {
    uint64_t requests, sent, received;
};
void vmscm_http_traffic(struct vmscm_http *http, struct vmscm_http_traffic *out);

#endif
