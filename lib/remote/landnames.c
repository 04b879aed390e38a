/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/landnames.h"
#include "base/str.h"
#include "history/reflist.h"
#include "repo/refnames.h"

#include <stdlib.h>
#include <string.h>

#define THERE SIZE_MAX

struct name {
    char *ref;
    size_t by; /* the update that makes it, by number; THERE */
    bool gone;
};

struct names {
    VMSCM_VEC(struct name) list; /* sorted */
    struct vmscm_error *err;
};

static int add(struct names *names, const char *ref, size_t by, struct vmscm_error *err)
{
    struct name *slot;

    if (vmscm_vec_add(&names->list, &slot, err))
        return VMSCM_ENOMEM;
    slot->by = by;
    return vmscm_str_dup(&slot->ref, ref, err);
}

static int add_there(void *data, const char *ref, const char *id)
{
    struct names *names = data;

    (void)id;
    return add(names, ref, THERE, names->err);
}

static int by_ref(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->ref, ((const struct name *)b)->ref);
}

static void sort(struct names *names)
{
    if (names->list.len)
        qsort(names->list.items, names->list.len, sizeof *names->list.items, by_ref);
}

/* The first that is not before ref. */
static size_t place(const struct names *names, const char *ref)
{
    size_t low = 0, high = names->list.len;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(names->list.items[mid].ref, ref) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct name *find(const struct names *names, const char *ref)
{
    size_t at = place(names, ref);

    return at < names->list.len && strcmp(names->list.items[at].ref, ref) == 0
        ? &names->list.items[at]
        : NULL;
}

/* What is there, and what is made. Of what is there, what goes is marked. */
static int collect(struct names *names, const struct vmscm_land *land, struct vmscm_gitdb *refs,
    struct vmscm_error *err)
{
    size_t there;
    int rc;

    names->err = err;
    if ((rc = vmscm_reflist_walk(refs, "refs/", add_there, names, err)))
        return rc;
    sort(names);
    there = names->list.len;
    for (size_t i = 0; i < land->updates.len && !rc; i++) {
        const struct vmscm_land_update *u = &land->updates.items[i];
        struct names old = {.list = {.items = names->list.items, .len = there}};
        struct name *name = u->why.code ? NULL : find(&old, u->ref);
        if (name && !u->after[0])
            name->gone = true;
        else if (!name && u->after[0] && !u->why.code)
            rc = add(names, u->ref, i, err);
    }
    sort(names);
    return rc;
}

/* Whether update number `by` cannot be done beside another name. */
static bool counts(const struct name *name, const struct vmscm_land *land, size_t by)
{
    return name->by == THERE ? !name->gone
                             : name->by < by && !land->updates.items[name->by].why.code;
}

static int refuse(struct vmscm_land_update *u, const struct name *other)
{
    const char *ref = other->ref;

    if (vmscm_str_starts(ref, VMSCM_REFNAMES_TRACKED) || vmscm_str_starts(ref, VMSCM_REFNAMES_TAGS)) {
        vmscm_error_set(&u->why, VMSCM_ECONFLICT, "%s is remembered, and cannot be beside it", ref);
        return vmscm_error_hint(&u->why, "--prune lets go of what the remote does not have any more");
    }
    vmscm_error_set(&u->why, VMSCM_ECONFLICT, "cannot be beside %s%s",
        vmscm_str_starts(ref, VMSCM_HANDLE_HEADS) ? "machine " : "",
        vmscm_str_starts(ref, VMSCM_HANDLE_HEADS) ? ref + strlen(VMSCM_HANDLE_HEADS) : ref);
    return vmscm_error_hint(&u->why, "of two names, one cannot be a directory of the other");
}

static int check(struct vmscm_land *land, const struct names *names, size_t by,
    struct vmscm_error *err)
{
    struct vmscm_land_update *u = &land->updates.items[by];
    const struct name *other = NULL, *name;
    char *text = NULL;
    size_t len;
    int rc = vmscm_str_printf(&text, err, "%s/", u->ref);

    if (rc)
        return rc;
    len = strlen(text);
    for (size_t at = place(names, text); at < names->list.len && !other; at++) {
        name = &names->list.items[at];
        if (strncmp(name->ref, text, len) != 0)
            break;
        if (counts(name, land, by))
            other = name;
    }
    text[len - 1] = '\0';
    for (char *slash; !other && (slash = strrchr(text, '/'));) {
        *slash = '\0';
        name = find(names, text);
        if (name && counts(name, land, by))
            other = name;
    }
    if (other)
        refuse(u, other);
    free(text);
    return 0;
}

int vmscm_landnames_check(struct vmscm_land *land, struct vmscm_gitdb *refs, struct vmscm_error *err)
{
    struct names names = {0};
    int rc = collect(&names, land, refs, err);

    for (size_t i = 0; i < land->updates.len && !rc; i++) {
        const struct vmscm_land_update *u = &land->updates.items[i];
        const struct name *name = u->after[0] && !u->why.code ? find(&names, u->ref) : NULL;
        if (name && name->by == i)
            rc = check(land, &names, i, err);
    }
    for (size_t i = 0; i < names.list.len; i++)
        free(names.list.items[i].ref);
    vmscm_vec_release(&names.list);
    return rc;
}
