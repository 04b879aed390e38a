/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was not looked into yet: no list that is kept, but what history has and the notes have not. */
#include <vmscm/search.h>

#include "catalog/sync.h"

int vmscm_pending_list(struct vmscm_repo *repo, enum vmscm_pending which,
    int (*each)(void *data, const char *id), void *data, struct vmscm_error *err)
{
    static const char sql[] =
        "SELECT r.oid FROM revision r LEFT JOIN content c ON c.key = r.content"
        " WHERE r.content IS NOT NULL AND EXISTS(SELECT 1 FROM lineage l WHERE l.oid = r.oid)"
        " AND (?1 = 2 OR c.key IS NULL OR (?1 = 1 AND c.status = 'failed'))"
        " ORDER BY r.time DESC, r.id";
    struct vmscm_db db = {NULL};
    sqlite3_stmt *statement = NULL;
    bool row;
    int rc = vmscm_sync_open(&db, repo, err);

    if (!rc && !(rc = vmscm_db_prepare(&statement, &db, sql, err)) &&
        sqlite3_bind_int(statement, 1, (int)which))
        rc = vmscm_db_error(&db, err);
    while (!rc && !(rc = vmscm_db_step(&row, &db, statement, err)) && row)
        rc = each(data, vmscm_db_text(statement, 0));
    sqlite3_finalize(statement);
    vmscm_db_close(&db);
    return rc;
}
