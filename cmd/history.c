/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history.h"

#include "memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct walk {
    struct history *history;
    const char *machine;
    size_t depth;
};

static void add(struct history *history, const char *id, const char *machine, int64_t time,
    size_t depth)
{
    struct history_entry *entry;

    if (history->len == history->cap) {
        history->cap = history->cap ? 2 * history->cap : 64;
        history->entries = memory_grow(history->entries, history->cap, sizeof *history->entries);
    }
    entry = &history->entries[history->len++];
    memset(entry, 0, sizeof *entry);
    snprintf(entry->id, sizeof entry->id, "%s", id);
    entry->machine = memory_dup(machine);
    entry->time = time;
    entry->depth = depth;
}

static int add_machine(void *data, const struct vmscm_machine_entry *entry)
{
    if (entry->id)
        add(data, entry->id, entry->name, entry->time, 0);
    return 0;
}

static int add_revision(void *data, struct vmscm_revision *rev)
{
    struct walk *walk = data;

    add(walk->history, vmscm_revision_id(rev), walk->machine, vmscm_revision_author(rev).time,
        walk->depth++);
    return 0;
}

static int by_id(const void *a, const void *b)
{
    const struct history_entry *x = a, *y = b;
    int order = strcmp(x->id, y->id);

    return order ? order : strcmp(x->machine, y->machine);
}

static int newest_first(const void *a, const void *b)
{
    const struct history_entry *x = a, *y = b;

    if (x->time != y->time)
        return x->time < y->time ? 1 : -1;
    /* Made in the same second: a parent is deeper than its child. */
    if (x->depth != y->depth)
        return x->depth > y->depth ? 1 : -1;
    return by_id(a, b);
}

static void remove_doubles(struct history *history)
{
    size_t kept = 0;

    qsort(history->entries, history->len, sizeof *history->entries, by_id);
    for (size_t i = 0; i < history->len; i++) {
        struct history_entry *entry = &history->entries[i];
        struct history_entry *last = kept > 0 ? &history->entries[kept - 1] : NULL;
        if (last && strcmp(last->id, entry->id) == 0) {
            last->depth = entry->depth > last->depth ? entry->depth : last->depth;
            free(entry->machine);
        } else {
            history->entries[kept++] = *entry;
        }
    }
    history->len = kept;
}

int history_collect(struct history *history, struct vmscm_repo *repo, size_t max,
    struct vmscm_error *err)
{
    struct history tips = {NULL, 0, 0};
    int rc = vmscm_revision_machines(repo, NULL, add_machine, &tips, err);

    for (size_t i = 0; !rc && i < tips.len; i++) {
        struct walk walk = {history, tips.entries[i].machine, 0};
        struct vmscm_revision *rev = NULL;
        rc = vmscm_revision_resolve(&rev, repo, tips.entries[i].id, err);
        if (!rc)
            rc = vmscm_revision_log(rev, max, add_revision, &walk, err);
        vmscm_revision_free(rev);
    }
    history_release(&tips);
    if (history->len > 0) {
        remove_doubles(history);
        qsort(history->entries, history->len, sizeof *history->entries, newest_first);
    }
    if (max > 0)
        while (history->len > max)
            free(history->entries[--history->len].machine);
    return rc;
}

void history_release(struct history *history)
{
    for (size_t i = 0; i < history->len; i++)
        free(history->entries[i].machine);
    free(history->entries);
    *history = (struct history){NULL, 0, 0};
}
