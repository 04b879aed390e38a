/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The histories of all machines, merged. */
#ifndef HISTORY_H
#define HISTORY_H

#include <vmscm/revision.h>

struct history_entry {
    char id[VMSCM_ID_HEX + 1];
    char *machine; /* one whose history holds it */
    int64_t time;
    size_t depth; /* how far below a tip, at most */
};

struct history {
    struct history_entry *entries; /* newest first, each revision once */
    size_t len, cap;
};

/* Of every machine's history the newest max revisions (0: all). */
int history_collect(struct history *history, struct vmscm_repo *repo, size_t max,
    struct vmscm_error *err);
void history_release(struct history *history);

#endif
