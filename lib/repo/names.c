/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/names.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/reflist.h"
#include "history/refs.h"
#include "repo/handle.h"

#include <stdlib.h>
#include <string.h>

struct name {
    char id[VMSCM_GITDB_ID];
    size_t order; /* in which it was found */
    char *machine;
    char *tag; /* in the memory of machine; NULL: none */
};

struct vmscm_names {
    struct vmscm_gitdb *git;
    VMSCM_VEC(struct name) list; /* sorted by id, then order */
    struct vmscm_error *err;     /* while it is made */
};

static int add(struct vmscm_names *names, const char *id, const char *machine, bool tag)
{
    struct name *name;
    char *slash;
    int rc;

    if (vmscm_vec_add(&names->list, &name, names->err))
        return VMSCM_ENOMEM;
    memcpy(name->id, id, sizeof name->id);
    name->order = names->list.len;
    if ((rc = vmscm_str_dup(&name->machine, machine, names->err)))
        return rc;
    if (tag && (slash = strrchr(name->machine, '/'))) {
        *slash = '\0';
        name->tag = slash + 1;
    }
    return 0;
}

static int add_head(void *data, const char *ref, const char *id)
{
    return id ? add(data, id, ref + strlen(VMSCM_HANDLE_HEADS), false) : 0;
}

/* A tag of no machine was made by plain git, and is none of ours. */
static int add_tag(void *data, const char *ref, const char *id)
{
    struct vmscm_names *names = data;
    const char *name = ref + strlen(VMSCM_HANDLE_TAGS);
    char commit[VMSCM_GITDB_ID];

    if (!id || !strchr(name, '/') || vmscm_refs_peel(commit, names->git, id, NULL))
        return 0;
    return add(names, commit, name, true);
}

static int compare(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    int order = strcmp(x->id, y->id);

    return order ? order : x->order < y->order ? -1 : x->order > y->order;
}

int vmscm_names_read(struct vmscm_names **out, struct vmscm_gitdb *git, struct vmscm_error *err)
{
    struct vmscm_names *names = calloc(1, sizeof *names);
    int rc;

    if (!names)
        return vmscm_error_nomem(err);
    names->git = git;
    names->err = err;
    if ((rc = vmscm_reflist_walk(git, VMSCM_HANDLE_HEADS, add_head, names, err)) ||
        (rc = vmscm_reflist_walk(git, VMSCM_HANDLE_TAGS, add_tag, names, err))) {
        vmscm_names_free(names);
        return rc;
    }
    if (names->list.len)
        qsort(names->list.items, names->list.len, sizeof *names->list.items, compare);
    names->err = NULL;
    *out = names;
    return 0;
}

void vmscm_names_free(struct vmscm_names *names)
{
    if (!names)
        return;
    for (size_t i = 0; i < names->list.len; i++)
        free(names->list.items[i].machine);
    vmscm_vec_release(&names->list);
    free(names);
}

int vmscm_names_of(const struct vmscm_names *names, const char *id,
    int (*each)(void *data, const char *machine, const char *tag), void *data)
{
    size_t low = 0, high = names->list.len;
    int rc = 0;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(names->list.items[mid].id, id) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < names->list.len && !rc && strcmp(names->list.items[low].id, id) == 0; low++)
        rc = each(data, names->list.items[low].machine, names->list.items[low].tag);
    return rc;
}
