/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Searching: the catalog brought up to date, the query as SQL, and why each revision is an answer. */
#include <vmscm/search.h>

#include "base/str.h"
#include "catalog/sync.h"
#include "catalog/terms.h"
#include "catalog/where.h"

#include <stdlib.h>
#include <string.h>

#define WHY_MAX 8

struct reasons {
    VMSCM_VEC(char *) list;
};

static int add_reason(struct reasons *r, const char *text, struct vmscm_error *err)
{
    char **slot, *copy;
    int rc;

    for (size_t i = 0; i < r->list.len; i++)
        if (strcmp(r->list.items[i], text) == 0)
            return 0;
    if (r->list.len >= WHY_MAX)
        return 0;
    if ((rc = vmscm_str_dup(&copy, text, err)))
        return rc;
    if ((rc = vmscm_vec_add(&r->list, &slot, err)))
        free(copy);
    else
        *slot = copy;
    return rc;
}

static void clear_reasons(struct reasons *r)
{
    while (r->list.len)
        free(r->list.items[--r->list.len]);
}

/* Whose match is explained. */
struct found {
    const char *oid, *machine, *content;
    bool history;
};

/* Whether a term by itself is true of it: of what is or-ed, not all need to be. */
static int holds(bool *yes, struct vmscm_db *db, const struct vmscm_query *term,
    const struct found *found, struct vmscm_error *err)
{
    struct vmscm_where where = {.history = found->history, .one = true};
    sqlite3_stmt *statement = NULL;
    int rc = vmscm_buf_puts(&where.sql,
        found->history ? "SELECT 1 FROM revision r WHERE "
                       : "SELECT 1 FROM revision r JOIN machine m ON m.oid = r.oid WHERE ",
        err);

    if (!rc && !(rc = vmscm_where_put(&where, term, err)) &&
        !(rc = vmscm_where_only(&where, found->oid, found->machine, err)) &&
        !(rc = vmscm_db_prepare(&statement, db, vmscm_buf_str(&where.sql), err)) &&
        !(rc = vmscm_where_bind(&where, db, statement, err)))
        rc = vmscm_db_step(yes, db, statement, err);
    sqlite3_finalize(statement);
    vmscm_where_release(&where);
    return rc;
}

/* What a term found in the content; sure: it is known to be true. */
static int explain_term(struct reasons *r, struct vmscm_db *db, const struct vmscm_query *term,
    bool sure, const struct found *found, struct vmscm_error *err)
{
    struct vmscm_where where = {.history = found->history, .one = true};
    sqlite3_stmt *statement = NULL;
    bool any = false, yes = sure, row = false, said = false;
    int rc = sure ? 0 : holds(&yes, db, term, found, err);

    if (rc || !yes)
        return rc;
    rc = vmscm_where_reason(&where, &any, term, found->content, err);
    if (!rc && any && !(rc = vmscm_db_prepare(&statement, db, vmscm_buf_str(&where.sql), err)) &&
        !(rc = vmscm_where_bind(&where, db, statement, err)))
        while (!rc && !(rc = vmscm_db_step(&row, db, statement, err)) && row) {
            rc = add_reason(r, vmscm_db_text(statement, 0), err);
            said = true;
        }
    sqlite3_finalize(statement);
    if (!rc && !said)
        rc = add_reason(r, term->value, err);
    vmscm_where_release(&where);
    return rc;
}

static int explain(struct reasons *r, struct vmscm_db *db, const struct vmscm_query *q, bool sure,
    const struct found *found, struct vmscm_error *err)
{
    int rc;

    if (q->kind == VMSCM_QUERY_NOT)
        return 0;
    if (q->kind == VMSCM_QUERY_TERM)
        return explain_term(r, db, q, sure, found, err);
    if (q->kind == VMSCM_QUERY_OR)
        sure = false;
    rc = explain(r, db, q->left, sure, found, err);
    return rc ? rc : explain(r, db, q->right, sure, found, err);
}

static int run(struct vmscm_db *db, const struct vmscm_query *query, int history,
    int (*each)(void *data, const struct vmscm_search_hit *hit), void *data, struct vmscm_error *err)
{
    static const char tips[] =
        "SELECT r.oid, m.name, r.time, r.author, r.message, c.summary, r.content FROM machine m"
        " JOIN revision r ON r.oid = m.oid LEFT JOIN content c ON c.key = r.content WHERE ";
    static const char all[] =
        "SELECT r.oid, (SELECT min(l.machine) FROM lineage l WHERE l.oid = r.oid) AS name, r.time,"
        " r.author, r.message, c.summary, r.content FROM revision r"
        " LEFT JOIN content c ON c.key = r.content WHERE ";
    struct vmscm_where where = {.history = history != 0};
    struct reasons why = {{NULL, 0, 0}};
    sqlite3_stmt *statement = NULL;
    bool row;
    int rc;

    if ((rc = vmscm_terms_find(db, query, err)) ||
        (rc = vmscm_buf_puts(&where.sql, history ? all : tips, err)) ||
        (rc = vmscm_where_put(&where, query, err)) ||
        (rc = vmscm_buf_puts(&where.sql, " ORDER BY name, r.time DESC, r.id", err)) ||
        (rc = vmscm_db_prepare(&statement, db, vmscm_buf_str(&where.sql), err)) ||
        (rc = vmscm_where_bind(&where, db, statement, err)))
        goto out;
    while (!(rc = vmscm_db_step(&row, db, statement, err)) && row) {
        clear_reasons(&why);
        struct found found = {vmscm_db_text(statement, 0), vmscm_db_text(statement, 1),
            vmscm_db_text(statement, 6), history != 0};
        if ((rc = explain(&why, db, query, true, &found, err)))
            break;
        struct vmscm_search_hit hit = {.id = vmscm_db_text(statement, 0),
            .machine = (const char *)sqlite3_column_text(statement, 1),
            .time = sqlite3_column_int64(statement, 2),
            .author = vmscm_db_text(statement, 3),
            .message = vmscm_db_text(statement, 4),
            .summary = vmscm_db_text(statement, 5),
            .why = (const char *const *)why.list.items,
            .why_count = why.list.len};
        if ((rc = each(data, &hit)))
            break;
    }
out:
    sqlite3_finalize(statement);
    clear_reasons(&why);
    vmscm_vec_release(&why.list);
    vmscm_where_release(&where);
    return rc;
}

int vmscm_search(struct vmscm_repo *repo, const char *text, int history,
    int (*each)(void *data, const struct vmscm_search_hit *hit), void *data, struct vmscm_error *err)
{
    struct vmscm_query *query = NULL;
    struct vmscm_db db = {NULL};
    int rc = vmscm_query_parse(&query, text, err);

    if (!rc && !(rc = vmscm_sync_open(&db, repo, err)))
        rc = run(&db, query, history, each, data, err);
    vmscm_db_close(&db);
    vmscm_query_free(query);
    return rc;
}
