/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What differs between facts, as vmscm_inspect_compare() tells it, of documents that were read. Pure. */
#ifndef INSPECT_COMPARE_H
#define INSPECT_COMPARE_H

#include "inspect/facts.h"
#include <vmscm/inspect.h>

int vmscm_compare_facts(const struct vmscm_facts *before, const struct vmscm_facts *after,
    int (*each)(void *data, const struct vmscm_inspect_change *change), void *data,
    struct vmscm_error *err);

#endif
