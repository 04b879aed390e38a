/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz target of lib/catalog/query, terms and where: any text is a query or a mistake, and what is a query is
 * SQL that SQLite takes. Values are parameters, so SQLite is asked once for each SQL: compiling it takes a
 * hundred times as long as all the rest.
 */
#include "catalog/terms.h"
#include "catalog/where.h"
#include "codec/checksum.h"

#include <stdlib.h>
#include <string.h>

#define SEEN (1u << 20)

static struct vmscm_db db;

/* Whether SQL of this checksum has come before; what there is no room to remember has not. */
static bool is_seen(uint64_t sum)
{
    static uint64_t seen[SEEN];
    static size_t count;
    size_t at = sum % SEEN;

    while (seen[at] && seen[at] != sum)
        at = (at + 1) % SEEN;
    if (seen[at] || count == SEEN / 2)
        return seen[at] != 0;
    seen[at] = sum;
    count++;
    return false;
}

/* It is SQL, and gives nothing: the catalog is empty. */
static void ask(const struct vmscm_where *where)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    sqlite3_stmt *statement = NULL;
    bool row;

    if (vmscm_db_prepare(&statement, &db, vmscm_buf_str(&where->sql), &err) ||
        vmscm_where_bind(where, &db, statement, &err) || vmscm_db_step(&row, &db, statement, &err) ||
        row)
        abort();
    sqlite3_finalize(statement);
}

/* The statements about each term, asked or appended to all. */
static void each_term(const struct vmscm_query *query, struct vmscm_buf *all)
{
    struct vmscm_where where = {.history = false};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    bool any;

    if (query->kind != VMSCM_QUERY_TERM) {
        each_term(query->left, all);
        if (query->right)
            each_term(query->right, all);
        return;
    }
    if (vmscm_where_reason(&where, &any, query, "0123", &err)) {
        if (err.code != VMSCM_EUSAGE)
            abort();
        any = false;
    }
    if (any && all)
        vmscm_buf_puts(all, vmscm_buf_str(&where.sql), NULL);
    else if (any)
        ask(&where);
    vmscm_where_release(&where);
    if (all && (query->field == VMSCM_QUERY_APP || query->field == VMSCM_QUERY_WORD)) {
        if (vmscm_where_applications(&where, query, &err))
            abort();
        vmscm_buf_puts(all, vmscm_buf_str(&where.sql), NULL);
        vmscm_where_release(&where);
    }
}

static void ask_all(const struct vmscm_query *query, const struct vmscm_where *where)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;

    /* The catalog is kept, but no table of an input's terms. What SQLite allocates within itself need not be
     * looked after. */
    if (!db.sqlite &&
        (vmscm_db_open(&db, NULL, 0, &err) ||
            sqlite3_db_config(db.sqlite, SQLITE_DBCONFIG_LOOKASIDE, NULL, 4400, 4000)))
        abort();
    if (vmscm_db_exec(&db, "BEGIN", &err) || vmscm_terms_find(&db, query, &err))
        abort();
    ask(where);
    each_term(query, NULL);
    if (vmscm_db_exec(&db, "ROLLBACK", &err))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_where where = {.history = size % 2 == 0, .one = size % 3 == 0};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf all = VMSCM_BUF_INIT;
    struct vmscm_query *query = NULL;
    char *text = malloc(size + 1);

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
    if (vmscm_buf_puts(&where.sql,
            where.history ? "SELECT 1 FROM revision r WHERE "
                          : "SELECT 1 FROM machine m JOIN revision r ON r.oid = m.oid WHERE ",
            &err))
        abort();
    if (!vmscm_where_put(&where, query, &err)) {
        vmscm_buf_puts(&all, vmscm_buf_str(&where.sql), NULL);
        each_term(query, &all);
        if (!is_seen(vmscm_checksum_64(all.data, all.len, 0)))
            ask_all(query, &where);
    } else if (err.code != VMSCM_EUSAGE) {
        abort();
    }
    vmscm_buf_release(&all);
    vmscm_where_release(&where);
    vmscm_query_free(query);
    free(text);
    return 0;
}
