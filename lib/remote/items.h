/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The names that a transfer is about, and what becomes of each. One thread at a time. */
#ifndef REMOTE_ITEMS_H
#define REMOTE_ITEMS_H

#include "base/vec.h"
#include "history/gitdb.h"
#include <stdbool.h>
#include <vmscm/remote.h>

struct vmscm_items_item {
    char *ref; /* on the side that gets it */
    char *machine;
    const char *tag; /* within machine's memory; NULL */
    char before[VMSCM_GITDB_ID], after[VMSCM_GITDB_ID]; /* "": none */
    enum vmscm_remote_change change;
    bool local;
    bool force;
    bool told; /* the other side said what became of it */
    struct vmscm_error why;
};

/* Zero-initialised is empty. */
struct vmscm_items {
    VMSCM_VEC(struct vmscm_items_item) list;
    struct vmscm_error comments; /* why they were not merged; code 0: nothing is wrong with them */
};

/* One more. named_by: the ref whose name says machine and tag. */
int vmscm_items_add(struct vmscm_items *items, struct vmscm_items_item **out, const char *ref,
    const char *named_by, struct vmscm_error *err);

/* Whether an item is a change that is to be made. */
bool vmscm_items_is_change(const struct vmscm_items_item *item);

/* Comments could not be merged. Where something else is refused, whose error comes first, that is a
 * warning. */
void vmscm_items_refuse_comments(struct vmscm_items *items, const struct vmscm_error *why,
    const struct vmscm_events *events);

/* Tell the caller of each, machines' names in order, and count those refused, comments among them. If
 * there are any, *err is the first one's, with the name. */
int vmscm_items_tell(struct vmscm_items *items,
    int (*each)(void *data, const struct vmscm_remote_item *item), void *data,
    struct vmscm_remote_result *result, struct vmscm_error *err);

void vmscm_items_release(struct vmscm_items *items);

#endif
