/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The language of searches, vmscm-search(1): words, "quoted words", FIELD:VALUE, FIELD<VALUE and the like,
 * NAME<VERSION behind app:, and, or, not, parentheses. What stands side by side is meant together. Pure.
 */
#ifndef CATALOG_QUERY_H
#define CATALOG_QUERY_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

#define VMSCM_QUERY_MAX 4096  /* bytes */
#define VMSCM_QUERY_TERMS 64  /* words and conditions */
#define VMSCM_QUERY_DEPTH 32  /* parentheses and nots within each other */

enum vmscm_query_kind { VMSCM_QUERY_TERM, VMSCM_QUERY_AND, VMSCM_QUERY_OR, VMSCM_QUERY_NOT };

enum vmscm_query_field {
    VMSCM_QUERY_WORD, /* anywhere */
    VMSCM_QUERY_OS, VMSCM_QUERY_DISTRO, VMSCM_QUERY_PRODUCT, VMSCM_QUERY_VERSION, VMSCM_QUERY_SP,
    VMSCM_QUERY_BUILD, VMSCM_QUERY_EDITION, VMSCM_QUERY_ARCH, VMSCM_QUERY_HOSTNAME,
    VMSCM_QUERY_APP, VMSCM_QUERY_USER, VMSCM_QUERY_GROUP, VMSCM_QUERY_SERVICE,
    VMSCM_QUERY_AGENT,
    VMSCM_QUERY_ADDRESS,
    VMSCM_QUERY_PATCH,
    VMSCM_QUERY_KERNEL, /* the last that is of an operating system */
    VMSCM_QUERY_FS, VMSCM_QUERY_STATUS,
    VMSCM_QUERY_OWNER, VMSCM_QUERY_TAG, VMSCM_QUERY_MACHINE, VMSCM_QUERY_COMMENT,
    VMSCM_QUERY_MESSAGE, VMSCM_QUERY_CHANGED,
};

enum vmscm_query_compare { VMSCM_QUERY_IS, VMSCM_QUERY_EQ, VMSCM_QUERY_LT, VMSCM_QUERY_LE,
    VMSCM_QUERY_GT, VMSCM_QUERY_GE };

struct vmscm_query {
    enum vmscm_query_kind kind;
    struct vmscm_query *left, *right; /* right NULL of a NOT */
    /* Of a term: */
    enum vmscm_query_field field;
    enum vmscm_query_compare compare; /* IS: ":" */
    char *value;
    char *version; /* APP: what its version is compared with, by `compare`; else NULL */
    bool quoted;
    unsigned number; /* of the term, from 1 */
};

/* *out is the caller's. VMSCM_EUSAGE: the message has the column, the hint the query up to there. */
int vmscm_query_parse(struct vmscm_query **out, const char *text, struct vmscm_error *err);
void vmscm_query_free(struct vmscm_query *query); /* NULL is fine */

#endif
