/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Facts as rows of the catalog. */
#ifndef CATALOG_FILL_H
#define CATALOG_FILL_H

#include "catalog/db.h"
#include "inspect/facts.h"

/* What is known of a content, in place of what was. facts NULL: nothing. */
int vmscm_fill_content(struct vmscm_db *db, const char *key, const struct vmscm_facts *facts,
    struct vmscm_error *err);

#endif
