/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The applications that the terms of a query mean, found once and kept for the connection: a condition
 * that is asked of many revisions does not look for them each time.
 */
#ifndef CATALOG_TERMS_H
#define CATALOG_TERMS_H

#include "catalog/db.h"
#include "catalog/query.h"

#define VMSCM_TERMS_TABLE "applications_%u" /* of the term of that number, with a column id; in temp */

/* Makes the tables of this query's terms in place of the last one's. */
int vmscm_terms_find(struct vmscm_db *db, const struct vmscm_query *query, struct vmscm_error *err);

#endif
