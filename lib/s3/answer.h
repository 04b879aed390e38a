/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What S3 answers: headers, and lists and errors in XML. Pure. */
#ifndef S3_ANSWER_H
#define S3_ANSWER_H

#include "base/buf.h"
#include <stdbool.h>

#define VMSCM_ANSWER_MAX (8u << 20) /* bytes of a list */
#define VMSCM_ANSWER_KEY_MAX 1024

/* A page of a list: each(data, key, size, modified, err) for every key, modified in seconds since 1970 or 0;
 * non-zero ends it and is returned. *next, the caller's, is where the list goes on, or NULL. VMSCM_EINPUT: no
 * such answer. */
int vmscm_answer_list(char **next, const void *xml, size_t len,
    int (*each)(void *data, const char *key, uint64_t size, int64_t modified, struct vmscm_error *err),
    void *data, struct vmscm_error *err);

/* Code and message of an error; "" where there is none. Only printable bytes. */
void vmscm_answer_error(char code[64], char message[256], const void *xml, size_t len);

/* What the headers of an answer say. Zero-initialised they say nothing. */
struct vmscm_answer_head {
    unsigned retry_after; /* seconds that it asks for; 0: none */
    int64_t date;         /* what time it is there, in seconds since 1970; 0: not said */
    char region[64];      /* where the bucket is, if it says so; only printable bytes */
};

/* A line of them, which need not be terminated. One that says none of that is passed over. */
void vmscm_answer_header(struct vmscm_answer_head *head, const char *line, size_t len);

#endif
