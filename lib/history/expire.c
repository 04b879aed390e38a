/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/expire.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/reflock.h"
#include "history/reflog.h"
#include "history/refs.h"
#include "history/when.h"
#include "sys/lockfile.h"

#include <stdlib.h>
#include <string.h>

int vmscm_expire_parse(int64_t *before, const char *text, struct vmscm_error *err)
{
    if (strcmp(text, "never") == 0 || strcmp(text, "false") == 0) {
        *before = VMSCM_EXPIRE_NEVER;
        return 0;
    }
    if (strcmp(text, "now") == 0 || strcmp(text, "all") == 0) {
        *before = VMSCM_EXPIRE_NOW;
        return 0;
    }
    if (vmscm_when_parse(before, text, NULL) == 0)
        return 0;
    vmscm_error_set(err, VMSCM_EUSAGE, "%.100s: not a time", *text ? text : "\"\"");
    return vmscm_error_hint(err, "like 90.days, 2.weeks, 2026-11-22, never or now");
}

/* How the reflog is to be trimmed, as the ref is now. */
static int look(enum vmscm_reflog_trim *how, struct vmscm_gitdb *db, const char *ref,
    struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];
    bool removed = false;
    int rc = 0;

    *how = VMSCM_REFLOG_KEEP_NEWEST;
    if (strcmp(ref, "HEAD") == 0) {
        *how = VMSCM_REFLOG_WHOLE;
    } else if (vmscm_refs_read(id, db, ref, NULL) == VMSCM_ENOTFOUND) {
        rc = vmscm_reflog_is_removed(&removed, db, ref, err);
        *how = removed ? VMSCM_REFLOG_WHOLE : VMSCM_REFLOG_ANY;
    }
    return rc;
}

int vmscm_expire_ref(uint64_t *removed, struct vmscm_gitdb *db, const char *ref, int64_t before,
    bool dry, struct vmscm_error *err)
{
    git_transaction *tx = NULL;
    enum vmscm_reflog_trim how;
    uint64_t lines = 0, *count = strcmp(ref, "HEAD") == 0 ? &lines : removed;
    int lock = -1, rc;

    /* Most have nothing to lose, which takes no lock to see. */
    if ((rc = look(&how, db, ref, err)) ||
        (rc = vmscm_reflog_trim(dry ? count : &lines, db, ref, how, before, true, err)) || dry ||
        (lines == 0 && how != VMSCM_REFLOG_WHOLE))
        return rc;
    if ((rc = vmscm_lockfile_acquire(&lock, db->refs_lock, VMSCM_LOCK_EXCLUSIVE, err)))
        return rc;
    if ((rc = vmscm_reflock_begin(&tx, db, ref, err))) {
        /* One that no ref can have any more, as another's name is in the way. */
        if (how != VMSCM_REFLOG_KEEP_NEWEST) {
            vmscm_error_clear(err);
            rc = 0;
        }
        goto out;
    }
    if ((rc = look(&how, db, ref, err)))
        goto out;
    rc = vmscm_reflog_trim(count, db, ref, how, before, false, err);
out:
    git_transaction_free(tx);
    vmscm_lockfile_release(&lock);
    return rc;
}

struct names {
    VMSCM_VEC(char *) list;
    struct vmscm_error *err;
};

static int add_name(void *data, const char *ref)
{
    struct names *names = data;
    char **slot;

    if (vmscm_vec_add(&names->list, &slot, names->err))
        return VMSCM_ENOMEM;
    return vmscm_str_dup(slot, ref, names->err);
}

int vmscm_expire_all(uint64_t *removed, struct vmscm_gitdb *db, int64_t before, bool dry,
    struct vmscm_error *err)
{
    struct names names = {.err = err};
    int rc = vmscm_reflog_list(db, add_name, &names, err), valid;

    for (size_t i = 0; i < names.list.len && !rc; i++)
        if (git_reference_name_is_valid(&valid, names.list.items[i]) == 0 && valid)
            rc = vmscm_expire_ref(removed, db, names.list.items[i], before, dry, err);
    for (size_t i = 0; i < names.list.len; i++)
        free(names.list.items[i]);
    vmscm_vec_release(&names.list);
    return rc;
}
