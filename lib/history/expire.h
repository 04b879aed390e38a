/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Letting go of what refs were: without their reflogs' old lines, gc can remove what they name. */
#ifndef HISTORY_EXPIRE_H
#define HISTORY_EXPIRE_H

#include "history/gitdb.h"
#include <stdbool.h>

#define VMSCM_EXPIRE_NEVER INT64_MIN
#define VMSCM_EXPIRE_NOW INT64_MAX
#define VMSCM_EXPIRE_DEFAULT "90.days"

/* A time as git's gc.reflogExpire has it: "never" or "false"; "now" or "all"; "90.days", "2 weeks
 * ago"; a date. VMSCM_EUSAGE, with a hint. */
int vmscm_expire_parse(int64_t *before, const char *text, struct vmscm_error *err);

/* Remove the lines of a ref's reflog that are older than a time (seconds since 1970). The newest
 * stays, whatever its time, as long as there is such a ref. Of those that stay, the first no longer
 * names what was before it, the others what the one before them says. A reflog with a line that
 * cannot be read is left alone. *removed: lines, added to. With dry nothing is changed. Atomic, and
 * durable when it returns. */
int vmscm_expire_ref(uint64_t *removed, struct vmscm_gitdb *db, const char *ref, int64_t before,
    bool dry, struct vmscm_error *err);

/* The same for every reflog. Whatever the time, the reflogs of refs that were removed by a process
 * which was killed over it go, and that of HEAD, which says what was done to whichever machine HEAD
 * was on. The reflog of a ref that is gone for another reason goes with its last line. */
int vmscm_expire_all(uint64_t *removed, struct vmscm_gitdb *db, int64_t before, bool dry,
    struct vmscm_error *err);

#endif
