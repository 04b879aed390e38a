/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target of lib/catalog/query, terms and where: any text is a query or a mistake, and what is a query
 * is SQL that SQLite takes. */
#include "catalog/terms.h"
#include "catalog/where.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_where where = {.history = size % 2 == 0, .one = size % 3 == 0};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_query *query = NULL;
    struct vmscm_db db = {NULL};
    sqlite3_stmt *statement = NULL;
    char *text = malloc(size + 1);
    bool row;

    if (!text)
        abort();
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (vmscm_query_parse(&query, text, &err)) {
        if (err.code != VMSCM_EUSAGE || !err.message[0])
            abort();
        free(text);
        return 0;
    }
    if (vmscm_db_open(&db, NULL, &err) || vmscm_terms_find(&db, query, &err) ||
        vmscm_buf_puts(&where.sql,
            where.history ? "SELECT 1 FROM revision r WHERE "
                          : "SELECT 1 FROM machine m JOIN revision r ON r.oid = m.oid WHERE ",
            &err))
        abort();
    if (!vmscm_where_put(&where, query, &err)) {
        if (vmscm_db_prepare(&statement, &db, vmscm_buf_str(&where.sql), &err) ||
            vmscm_where_bind(&where, &db, statement, &err) ||
            vmscm_db_step(&row, &db, statement, &err) || row)
            abort();
    } else if (err.code != VMSCM_EUSAGE) {
        abort();
    }
    sqlite3_finalize(statement);
    vmscm_where_release(&where);
    vmscm_db_close(&db);
    vmscm_query_free(query);
    free(text);
    return 0;
}
