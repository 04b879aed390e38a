/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/reflogcheck.h"
#include "base/str.h"
#include "history/git.h"
#include "history/reflog.h"
#include "history/refs.h"

#include <stdio.h>
#include <string.h>

struct check {
    struct vmscm_gitdb *db;
    void (*tell)(void *data, const char *file, bool note, const char *text);
    void *data;
    struct vmscm_error *err;
    /* Of the reflog at hand. */
    size_t removals;
    size_t lines, gap; /* gap: the first line that does not go on where the one before ended, or 0 */
    char last[VMSCM_GITDB_ID], missing[VMSCM_GITDB_ID];
};

static bool is_there(const struct check *c, const char *id)
{
    git_oid oid;

    return vmscm_reflog_is_zero(id) ||
        (!vmscm_git_oid(&oid, id, NULL) && git_odb_exists(c->db->odb, &oid));
}

static int see_line(void *data, const char *before, const char *after)
{
    struct check *c = data;

    c->lines++;
    c->removals += vmscm_reflog_is_zero(after);
    /* Where expiry took lines away, zeros may be in their place. */
    if (c->lines > 1 && !c->gap && strcmp(c->last, before) != 0 && !vmscm_reflog_is_zero(before))
        c->gap = c->lines;
    if (!c->missing[0] && !is_there(c, before))
        memcpy(c->missing, before, sizeof c->missing);
    if (!c->missing[0] && !is_there(c, after))
        memcpy(c->missing, after, sizeof c->missing);
    memcpy(c->last, after, sizeof c->last);
    return 0;
}

/* Where the ref leads; "" if there is none. */
static int read_tip(char tip[VMSCM_GITDB_ID], const struct check *c, const char *ref)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = vmscm_refs_read(tip, c->db, ref, &why);

    if (rc == VMSCM_ENOMEM)
        return vmscm_error_copy(c->err, &why);
    if (rc)
        tip[0] = '\0';
    return 0;
}

static int check_log(void *data, const char *ref)
{
    struct check *c = data;
    struct vmscm_error why = VMSCM_ERROR_INIT;
    struct vmscm_reflog log = {NULL, 0};
    char file[600], text[200], tip[VMSCM_GITDB_ID];
    int rc = 0, damage = 0;

    /* Again, if the ref or the reflog changed in between. */
    for (int turn = 0; turn < 3; turn++) {
        c->lines = c->gap = c->removals = 0;
        c->last[0] = c->missing[0] = '\0';
        vmscm_reflog_release(&log);
        damage = vmscm_reflog_scan(c->db, ref, see_line, c, &why);
        if (damage == VMSCM_ENOMEM)
            return vmscm_error_copy(c->err, &why);
        if ((rc = vmscm_reflog_read(&log, c->db, ref, c->err)) || (rc = read_tip(tip, c, ref)))
            return rc;
        if (strcmp(tip, c->last) == 0)
            break;
    }
    snprintf(file, sizeof file, "git/logs/%.500s", ref);
    if (damage) {
        c->tell(c->data, file, false, why.message);
    } else if (c->missing[0]) {
        snprintf(text, sizeof text, "object %s is missing", c->missing);
        c->tell(c->data, file, false, text);
    } else if (log.count != c->lines - c->removals) {
        c->tell(c->data, file, true, "a line has no date that can be read");
    } else if (c->gap) {
        snprintf(text, sizeof text, "line %zu does not go on where the line before it ended", c->gap);
        c->tell(c->data, file, true, text);
    } else if (!vmscm_str_starts(ref, "refs/")) {
        /* HEAD means nothing here. */
    } else if (!tip[0] && (!c->lines || !vmscm_reflog_is_zero(c->last))) {
        c->tell(c->data, file, true, "there is no such ref");
    } else if (tip[0] && c->lines && strcmp(tip, c->last) != 0) {
        c->tell(c->data, file, true, "does not end with what the ref leads to");
    }
    vmscm_reflog_release(&log);
    return 0;
}

int vmscm_reflogcheck_run(struct vmscm_gitdb *db,
    void (*tell)(void *data, const char *file, bool note, const char *text), void *data,
    struct vmscm_error *err)
{
    struct check c = {.db = db, .tell = tell, .data = data, .err = err};

    return vmscm_reflog_list(db, check_log, &c, err);
}
