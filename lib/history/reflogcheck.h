/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether reflogs are what a reader of the past can rely on. No hash covers them: what can be
 * checked is their form, that what they name is there, and that each line goes on where the one
 * before it ended, the last one with the ref. A crash can leave a gap or a torn line: that is a note, no
 * damage.
 */
#ifndef HISTORY_REFLOGCHECK_H
#define HISTORY_REFLOGCHECK_H

#include "history/gitdb.h"
#include <stdbool.h>

/* Calls tell(data, file, note, text) for what is wrong with any; file as "git/logs/refs/heads/web". */
int vmscm_reflogcheck_run(struct vmscm_gitdb *db,
    void (*tell)(void *data, const char *file, bool note, const char *text), void *data,
    struct vmscm_error *err);

#endif
