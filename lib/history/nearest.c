/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/nearest.h"
#include "base/str.h"
#include "history/reflist.h"
#include "history/refs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 5
#define FAR 1000

/* The best few names so far, best first. */
struct nearest {
    const char *wanted;
    size_t skip; /* bytes of the ref's name before the name */
    char *names[SHOWN];
    unsigned scores[SHOWN];
    size_t count;
    size_t total;
};

/* Less is nearer; FAR is not near at all. */
static unsigned score(const char *wanted, const char *name)
{
    size_t len = strlen(wanted);
    unsigned limit = len < 6 ? 2 : (unsigned)(len / 3), distance;

    if (strcasecmp(wanted, name) == 0)
        return 0;
    distance = vmscm_str_distance(wanted, name, limit + 1);
    if (distance <= limit)
        return 1 + distance;
    if (len >= 2 && (strcasestr(name, wanted) || (strlen(name) >= 2 && strcasestr(wanted, name))))
        return 100;
    return FAR;
}

static int consider(void *data, const char *ref, const char *id)
{
    struct nearest *n = data;
    const char *name = ref + n->skip;
    unsigned s = n->wanted ? score(n->wanted, name) : 0;
    size_t at = n->count;
    char *copy;

    (void)id;
    n->total++;
    /* The refs come sorted: of two equally near, the first stays before the second. */
    while (at > 0 && s < n->scores[at - 1])
        at--;
    if (s == FAR || at == SHOWN)
        return 0;
    if (!(copy = strdup(name)))
        return VMSCM_ENOMEM;
    if (n->count == SHOWN)
        free(n->names[--n->count]);
    memmove(n->names + at + 1, n->names + at, (n->count - at) * sizeof *n->names);
    memmove(n->scores + at + 1, n->scores + at, (n->count - at) * sizeof *n->scores);
    n->names[at] = copy;
    n->scores[at] = s;
    n->count++;
    return 0;
}

static int look(struct nearest *n, struct vmscm_gitdb *db, const char *prefix,
    struct vmscm_error *err)
{
    int rc;

    n->skip = strlen(prefix);
    rc = vmscm_reflist_walk(db, prefix, consider, n, err);
    return rc == VMSCM_ENOMEM ? vmscm_error_nomem(err) : rc;
}

/* "a, b, c" */
static void join(char *out, size_t size, const struct nearest *n)
{
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < n->count && len < size - 1; i++) {
        int got = snprintf(out + len, size - len, "%s%.80s", i ? ", " : "", n->names[i]);
        len += got > 0 ? (size_t)got : 0;
    }
}

static void release(struct nearest *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->names[i]);
}

int vmscm_nearest_machine(struct vmscm_gitdb *db, const char *name, struct vmscm_error *err)
{
    struct nearest n = {.wanted = name};
    char list[450];
    int rc = look(&n, db, "refs/heads/", err);

    if (rc)
        goto out;
    rc = vmscm_error_set(err, VMSCM_ENOTFOUND, "%.200s: no such machine or revision", name);
    join(list, sizeof list, &n);
    if (n.count)
        vmscm_error_hint(err, "did you mean %s?", list);
    else if (n.total == 0)
        vmscm_error_hint(err, "there are no machines yet; vmscm checkin MACHINE IMAGE makes one");
    else
        vmscm_error_hint(err, "vmscm list shows the machines");
out:
    release(&n);
    return rc;
}

int vmscm_nearest_tag(struct vmscm_gitdb *db, const char *machine, const char *tag,
    struct vmscm_error *err)
{
    struct nearest n = {.wanted = tag}, all = {.wanted = NULL};
    char list[450], *prefix = NULL;
    int rc;

    if ((rc = vmscm_str_printf(&prefix, err, "refs/tags/%s/", machine)) ||
        (rc = look(&n, db, prefix, err)) || (rc = look(&all, db, prefix, err)))
        goto out;
    rc = vmscm_error_set(
        err, VMSCM_ENOTFOUND, "%.200s:%.200s: machine %.200s has no such tag", machine, tag, machine);
    join(list, sizeof list, n.count ? &n : &all);
    if (n.count)
        vmscm_error_hint(err, "did you mean %s?", list);
    else if (all.count)
        vmscm_error_hint(err, "its tags: %s%s", list, all.total > all.count ? ", ..." : "");
    else
        vmscm_error_hint(err, "it has no tags; vmscm tag %.100s NAME makes one", machine);
out:
    release(&n);
    release(&all);
    free(prefix);
    return rc;
}
