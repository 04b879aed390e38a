/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/items.h"
#include "base/str.h"
#include "repo/refnames.h"

#include <stdlib.h>
#include <string.h>

int vmscm_items_add(struct vmscm_items *items, struct vmscm_items_item **out, const char *ref,
    const char *named_by, struct vmscm_error *err)
{
    struct vmscm_items_item *item;

    if (vmscm_vec_add(&items->list, &item, err))
        return VMSCM_ENOMEM;
    *out = item;
    if (vmscm_refnames_kind(named_by, &item->machine, &item->tag) == VMSCM_REFNAMES_NONE)
        return vmscm_error_nomem(err);
    return vmscm_str_dup(&item->ref, ref, err);
}

bool vmscm_items_is_change(const struct vmscm_items_item *item)
{
    return item->change != VMSCM_REMOTE_SAME && item->change != VMSCM_REMOTE_REFUSED;
}

static int by_name(const void *a, const void *b)
{
    const struct vmscm_items_item *x = a, *y = b;
    int order = strcmp(x->machine, y->machine);

    if (!order && (x->tag || y->tag))
        order = !x->tag ? -1 : !y->tag ? 1 : strcmp(x->tag, y->tag);
    return order ? order : (int)x->local - (int)y->local;
}

void vmscm_items_refuse_comments(struct vmscm_items *items, const struct vmscm_error *why,
    const struct vmscm_events *events)
{
    items->comments = *why;
    for (size_t i = 0; i < items->list.len; i++)
        if (items->list.items[i].change == VMSCM_REMOTE_REFUSED) {
            /* The hint may say that they were merged all the same. */
            vmscm_handle_warn(events, "comments were not merged: %s%s%s", why->message,
                why->hint[0] ? "; " : "", why->hint);
            return;
        }
}

int vmscm_items_tell(struct vmscm_items *items,
    int (*each)(void *data, const struct vmscm_remote_item *item), void *data,
    struct vmscm_remote_result *result, struct vmscm_error *err)
{
    const struct vmscm_items_item *refused = NULL;
    int rc = 0;

    if (items->list.len)
        qsort(items->list.items, items->list.len, sizeof *items->list.items, by_name);
    for (size_t i = 0; i < items->list.len && !rc; i++) {
        const struct vmscm_items_item *item = &items->list.items[i];
        const struct vmscm_remote_item told = {.machine = item->machine,
            .tag = item->tag,
            .before = item->before[0] ? item->before : NULL,
            .after = item->after[0] ? item->after : NULL,
            .change = item->change,
            .local = item->local,
            .why = item->why.code ? &item->why : NULL};
        if (item->change == VMSCM_REMOTE_REFUSED) {
            result->refused++;
            refused = refused ? refused : item;
        }
        if (each)
            rc = each(data, &told);
    }
    if (items->comments.code)
        result->refused++;
    if (!rc && !refused && items->comments.code) {
        vmscm_error_copy(err, &items->comments);
        return vmscm_error_prefix(err, "comments were not merged");
    }
    if (rc || !refused)
        return rc;
    vmscm_error_copy(err, &refused->why);
    return vmscm_error_prefix(
        err, "%s%s%s", refused->machine, refused->tag ? ":" : "", refused->tag ? refused->tag : "");
}

void vmscm_items_release(struct vmscm_items *items)
{
    for (size_t i = 0; i < items->list.len; i++) {
        free(items->list.items[i].ref);
        free(items->list.items[i].machine);
    }
    vmscm_vec_release(&items->list);
}
