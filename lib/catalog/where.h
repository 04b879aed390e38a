/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A query as a condition of SQL, all of whose values are parameters. Conditions that stand together about
 * an operating system mean the same one of a machine that has several.
 */
#ifndef CATALOG_WHERE_H
#define CATALOG_WHERE_H

#include "base/buf.h"
#include "base/vec.h"
#include "catalog/db.h"
#include "catalog/query.h"

struct vmscm_where {
    struct vmscm_buf sql;
    VMSCM_VEC(char *) values; /* of its parameters, in order */
    bool history; /* a machine is one whose history holds the revision r; else m, whose tip it is */
    bool one;     /* it is asked of one revision, not of all */
};

/* Append a statement that gives the ids of the applications which a term, app: or a word, means. */
int vmscm_where_applications(struct vmscm_where *where, const struct vmscm_query *term,
    struct vmscm_error *err);

/* Append the condition, about revision r, once vmscm_terms_find was called for the query. VMSCM_EUSAGE: a
 * value that its field cannot have. */
int vmscm_where_put(struct vmscm_where *where, const struct vmscm_query *query,
    struct vmscm_error *err);

/* Append that it is this revision, and without history this machine's tip. */
int vmscm_where_only(struct vmscm_where *where, const char *oid, const char *machine,
    struct vmscm_error *err);

/* Append a statement that says, in a column, what of the content that its first parameter names matches a
 * term; *any is false, and nothing appended, where the term itself says it. */
int vmscm_where_reason(struct vmscm_where *where, bool *any, const struct vmscm_query *term,
    const char *content, struct vmscm_error *err);

int vmscm_where_bind(const struct vmscm_where *where, struct vmscm_db *db, sqlite3_stmt *statement,
    struct vmscm_error *err);
void vmscm_where_release(struct vmscm_where *where);

#endif
