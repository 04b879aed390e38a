/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/rawobject.h"
#include "base/str.h"

#include <string.h>

int vmscm_rawobject_read(git_odb_object **out, struct vmscm_gitdb *db, const git_oid *oid,
    git_object_t type, struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];
    int rc = vmscm_git_expect(NULL, db->odb, oid, type, VMSCM_RAWOBJECT_MAX, err), e;

    *out = NULL;
    if (rc)
        return rc;
    /* Gone since it was looked at, it is as missing as ever. */
    if ((e = git_odb_read(out, db->odb, oid)) < 0)
        return vmscm_git_error(err, e == GIT_ENOTFOUND ? GIT_EMISMATCH : e, VMSCM_EDAMAGED, "%s %s",
            git_object_type2string(type), git_oid_tostr(id, sizeof id, oid));
    return 0;
}

int vmscm_rawobject_type(git_object_t *type, struct vmscm_gitdb *db, const git_oid *oid,
    struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];
    size_t len;
    int e = git_odb_read_header(&len, type, db->odb, oid);

    git_oid_tostr(id, sizeof id, oid);
    if (e == GIT_ENOTFOUND)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "object %s: missing", id);
    return e < 0 ? vmscm_git_error(err, e, VMSCM_EDAMAGED, "object %s", id) : 0;
}

bool vmscm_rawobject_take_id(git_oid *oid, const char *keyword, const char **text, const char *end)
{
    size_t n = strlen(keyword);
    char digits[GIT_OID_HEXSZ + 1] = "";

    if ((size_t)(end - *text) < n + GIT_OID_HEXSZ + 2 || memcmp(*text, keyword, n) != 0 ||
        (*text)[n] != ' ' || (*text)[n + 1 + GIT_OID_HEXSZ] != '\n')
        return false;
    memcpy(digits, *text + n + 1, GIT_OID_HEXSZ);
    if (!vmscm_str_unhex(oid->id, GIT_OID_RAWSZ, digits))
        return false;
    *text += n + GIT_OID_HEXSZ + 2;
    return true;
}
