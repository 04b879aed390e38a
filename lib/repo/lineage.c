/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/lineage.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define COUNT_MAX (UINT32_C(1) << 30)

static int key_of(struct vmscm_id *key, const char *id, struct vmscm_error *err)
{
    memset(key, 0, sizeof *key);
    if (!vmscm_str_unhex(key->bytes, 20, id))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "%.60s: not a commit id", id);
    return 0;
}

/* The node of an id, made if need be. */
static int get(struct vmscm_lineage *l, uint32_t *node, const char *id, struct vmscm_error *err)
{
    struct vmscm_lineage_node *slot;
    struct vmscm_id key;
    uint64_t *value;
    bool added;
    int rc;

    if ((rc = key_of(&key, id, err)) || (rc = vmscm_idset_get(&l->index, &value, &added, &key, err)))
        return rc;
    if (added) {
        if (l->nodes.len == COUNT_MAX)
            return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "history: too long");
        if (vmscm_vec_add(&l->nodes, &slot, err))
            return VMSCM_ENOMEM;
        memcpy(slot->id, id, sizeof slot->id);
        *value = l->nodes.len;
    }
    *node = (uint32_t)(*value - 1);
    return 0;
}

/* Nodes are read in the order in which they were made; what is read makes more. */
static int read_node(struct vmscm_lineage *l, uint32_t node, struct vmscm_gitdb *db,
    struct vmscm_error *err)
{
    struct vmscm_gitdb_info info;
    uint32_t *edge, parent;
    char id[VMSCM_GITDB_ID];
    int rc;

    memcpy(id, l->nodes.items[node].id, sizeof id);
    if ((rc = vmscm_gitdb_read_commit(&info, db, id, err))) {
        if (rc == VMSCM_ENOTFOUND)
            rc = vmscm_error_set(err, VMSCM_EDAMAGED, "commit %s: missing", id);
        return rc;
    }
    l->nodes.items[node].time = info.author.time;
    l->nodes.items[node].offset = info.author.offset;
    l->nodes.items[node].parent = (uint32_t)l->edges.len;
    for (size_t i = 0; i < info.parent_count && !rc; i++) {
        if (l->edges.len == COUNT_MAX)
            rc = vmscm_error_set(err, VMSCM_EUNSUPPORTED, "history: too long");
        else if (!(rc = get(l, &parent, info.parents[i], err)) &&
            !(rc = vmscm_vec_add(&l->edges, &edge, err))) {
            *edge = parent;
            l->nodes.items[node].parent_count++;
        }
    }
    vmscm_gitdb_info_release(&info);
    return rc;
}

int vmscm_lineage_read(struct vmscm_lineage *lineage, uint32_t *node, struct vmscm_gitdb *db,
    const char *id, struct vmscm_error *err)
{
    size_t first = lineage->nodes.len;
    int rc = get(lineage, node, id, err);

    for (size_t i = first; i < lineage->nodes.len && !rc; i++)
        rc = read_node(lineage, (uint32_t)i, db, err);
    return rc;
}

uint32_t vmscm_lineage_find(const struct vmscm_lineage *lineage, const char *id)
{
    const uint64_t *value;
    struct vmscm_id key;

    if (key_of(&key, id, NULL) || !(value = vmscm_idset_find(&lineage->index, &key)))
        return VMSCM_LINEAGE_NONE;
    return (uint32_t)(*value - 1);
}

/* All that led to the node, marked and counted in `children`, in any order. */
static void collect(struct vmscm_lineage *l, uint32_t *list, size_t *count, uint32_t node)
{
    uint32_t mark = ++l->marks;

    list[0] = node;
    *count = 1;
    l->nodes.items[node].mark = mark;
    l->nodes.items[node].children = 0;
    for (size_t i = 0; i < *count; i++) {
        const struct vmscm_lineage_node *n = &l->nodes.items[list[i]];
        for (uint32_t p = 0; p < n->parent_count; p++) {
            uint32_t up = l->edges.items[n->parent + p];
            struct vmscm_lineage_node *parent = &l->nodes.items[up];
            if (parent->mark != mark) {
                parent->mark = mark;
                parent->children = 0;
                list[(*count)++] = up;
            }
            parent->children++;
        }
    }
}

struct place {
    int64_t time;
    uint32_t node;
    uint32_t order; /* a child before its parents */
};

/* Kahn's: a node comes when all of its children have. */
static void put_in_order(struct vmscm_lineage *l, struct place *places, uint32_t node)
{
    uint32_t len = 1;

    places[0].node = node;
    for (uint32_t i = 0; i < len; i++) {
        const struct vmscm_lineage_node *n = &l->nodes.items[places[i].node];
        places[i].time = n->time;
        places[i].order = i;
        for (uint32_t p = 0; p < n->parent_count; p++) {
            uint32_t up = l->edges.items[n->parent + p];
            if (--l->nodes.items[up].children == 0)
                places[len++].node = up;
        }
    }
}

static int newest_first(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->time != y->time)
        return x->time > y->time ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

int vmscm_lineage_history(struct vmscm_lineage *lineage, uint32_t **list, size_t *count,
    uint32_t node, struct vmscm_error *err)
{
    struct place *places = NULL;

    *count = 0;
    if (!(*list = calloc(lineage->nodes.len, sizeof **list)))
        return vmscm_error_nomem(err);
    collect(lineage, *list, count, node);
    if (!(places = calloc(*count, sizeof *places))) {
        free(*list);
        *list = NULL;
        return vmscm_error_nomem(err);
    }
    put_in_order(lineage, places, node);
    qsort(places, *count, sizeof *places, newest_first);
    for (size_t i = 0; i < *count; i++)
        (*list)[i] = places[i].node;
    free(places);
    return 0;
}

int vmscm_lineage_spread(struct vmscm_lineage *lineage, uint32_t node, unsigned flags,
    struct vmscm_error *err)
{
    VMSCM_VEC(uint32_t) todo = {0};
    struct vmscm_lineage_node *n = &lineage->nodes.items[node];
    uint32_t *slot;
    int rc = 0;

    if ((n->flags & flags) != flags && !(rc = vmscm_vec_add(&todo, &slot, err)))
        *slot = node;
    n->flags |= flags;
    while (todo.len && !rc) {
        const struct vmscm_lineage_node *child = &lineage->nodes.items[todo.items[--todo.len]];
        for (uint32_t p = 0; p < child->parent_count && !rc; p++) {
            uint32_t up = lineage->edges.items[child->parent + p];
            n = &lineage->nodes.items[up];
            if ((n->flags & flags) != flags && !(rc = vmscm_vec_add(&todo, &slot, err)))
                *slot = up;
            n->flags |= flags;
        }
    }
    vmscm_vec_release(&todo);
    return rc;
}

void vmscm_lineage_release(struct vmscm_lineage *lineage)
{
    vmscm_vec_release(&lineage->nodes);
    vmscm_vec_release(&lineage->edges);
    vmscm_idset_release(&lineage->index);
}
