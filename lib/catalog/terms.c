/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "catalog/terms.h"
#include "catalog/where.h"

#include <stdio.h>

static int fill(struct vmscm_db *db, const struct vmscm_query *term, struct vmscm_error *err)
{
    struct vmscm_where where = {.values = {NULL, 0, 0}};
    sqlite3_stmt *statement = NULL;
    char sql[200];
    int rc;

    snprintf(sql, sizeof sql,
        "DROP TABLE IF EXISTS temp." VMSCM_TERMS_TABLE
        "; CREATE TEMP TABLE " VMSCM_TERMS_TABLE "(id INTEGER PRIMARY KEY)",
        term->number, term->number);
    if ((rc = vmscm_db_exec(db, sql, err)) ||
        (rc = vmscm_buf_printf(
             &where.sql, err, "INSERT INTO temp." VMSCM_TERMS_TABLE " ", term->number)) ||
        (rc = vmscm_where_applications(&where, term, err)) ||
        (rc = vmscm_db_prepare(&statement, db, vmscm_buf_str(&where.sql), err)) ||
        (rc = vmscm_where_bind(&where, db, statement, err)))
        goto out;
    rc = vmscm_db_run(db, statement, err);
out:
    sqlite3_finalize(statement);
    vmscm_where_release(&where);
    return rc;
}

int vmscm_terms_find(struct vmscm_db *db, const struct vmscm_query *query, struct vmscm_error *err)
{
    int rc;

    if (query->kind == VMSCM_QUERY_TERM)
        return query->field == VMSCM_QUERY_APP || query->field == VMSCM_QUERY_WORD
            ? fill(db, query, err)
            : 0;
    rc = vmscm_terms_find(db, query->left, err);
    return rc || !query->right ? rc : vmscm_terms_find(db, query->right, err);
}
