/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/git.h"
#include "base/str.h"
#include "sys/file.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libgit2's switches are process-wide and outlive its shutdown: set them once. */
static void set_switches(void)
{
    git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 1);
    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_OBJECT_CREATION, 1);
    /* Like any tool given a path, vmscm works on repositories of other owners. */
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
}

int vmscm_git_start(struct vmscm_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    if (git_libgit2_init() < 0)
        return vmscm_error_set(err, VMSCM_EIO, "libgit2: does not start");
    pthread_once(&once, set_switches);
    return 0;
}

void vmscm_git_stop(void)
{
    git_libgit2_shutdown();
}

static int code_of(int rc, const git_error *e, int fallback)
{
    switch (rc) {
    case GIT_ENOTFOUND:
        return VMSCM_ENOTFOUND;
    case GIT_EEXISTS:
        return VMSCM_EEXIST;
    case GIT_EAMBIGUOUS:
    case GIT_EINVALIDSPEC:
        return VMSCM_EUSAGE;
    case GIT_ELOCKED:
        return VMSCM_EBUSY;
    case GIT_EMODIFIED:
        return VMSCM_ECONFLICT;
    case GIT_EMISMATCH:
        return VMSCM_EDAMAGED;
    }
    if (e && e->klass == GIT_ERROR_NOMEMORY)
        return VMSCM_ENOMEM;
    if (e && e->klass == GIT_ERROR_OS)
        return VMSCM_EIO;
    return fallback;
}

int vmscm_git_error(struct vmscm_error *err, int rc, int fallback, const char *fmt, ...)
{
    const git_error *e = git_error_last();
    int code = code_of(rc, e, fallback);
    char what[512];
    va_list ap;

    if (code == VMSCM_ENOMEM)
        return vmscm_error_nomem(err);
    va_start(ap, fmt);
    if (vsnprintf(what, sizeof what, fmt, ap) < 0)
        what[0] = '\0';
    va_end(ap);
    return vmscm_error_set(
        err, code, "%s: %s", what, e && e->message ? e->message : "unknown error");
}

int vmscm_git_oid(git_oid *out, const char *id, struct vmscm_error *err)
{
    if (!vmscm_str_unhex(out->id, GIT_OID_RAWSZ, id))
        return vmscm_error_set(err, VMSCM_EUSAGE, "%.60s: not a commit id", id);
    return 0;
}

int vmscm_git_signature(git_signature **out, const struct vmscm_signature *who,
    struct vmscm_error *err)
{
    *out = NULL;
    if (!vmscm_str_printable(who->name) || !vmscm_str_printable(who->email))
        return vmscm_error_set(err, VMSCM_EUSAGE,
            "%.200s <%.200s>: a name or address has control characters or is not UTF-8",
            who->name, who->email);
    int rc = git_signature_new(out, who->name, who->email, who->time, who->offset);
    if (rc < 0)
        return vmscm_git_error(
            err, rc, VMSCM_EUSAGE, "%.200s <%.200s>", who->name, who->email);
    return 0;
}

int vmscm_git_signature_copy(struct vmscm_signature *out, const git_signature *from,
    struct vmscm_error *err)
{
    char *name = NULL, *email = NULL;
    int rc;

    if (!from->name || !from->email)
        return vmscm_error_nomem(err);
    if ((rc = vmscm_str_dup(&name, from->name, err)) ||
        (rc = vmscm_str_dup(&email, from->email, err))) {
        free(name);
        return rc;
    }
    *out = (struct vmscm_signature){name, email, from->when.time, from->when.offset};
    return 0;
}

int vmscm_git_message(char **out, const char *message, struct vmscm_error *err)
{
    size_t len = message ? strlen(message) : 0, n = 0;
    char *text = malloc(len + 2), *flat = NULL;
    int rc = 0;

    *out = NULL;
    if (!text || !(flat = malloc(len + 2))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    for (size_t i = 0; i < len; i++)
        if (message[i] != '\r' || message[i + 1] != '\n')
            text[n++] = message[i];
    while (n && strchr(" \t\n", text[n - 1]))
        n--;
    if (n)
        text[n++] = '\n';
    text[n] = '\0';
    for (size_t i = 0; i <= n; i++)
        flat[i] = text[i] == '\n' || text[i] == '\t' ? ' ' : text[i];
    if (!vmscm_str_printable(flat)) {
        rc = vmscm_error_set(
            err, VMSCM_EUSAGE, "message: has control characters or is not UTF-8");
        goto out;
    }
    *out = text;
    text = NULL;
out:
    free(text);
    free(flat);
    return rc;
}

void vmscm_git_objects_add(struct vmscm_git_objects *set, const git_oid *oid)
{
    set->fan[oid->id[0]] = true;
}

int vmscm_git_objects_sync(const struct vmscm_git_objects *set, const struct vmscm_gitdb *db,
    struct vmscm_error *err)
{
    char *dir = NULL;
    int rc = 0;

    for (unsigned i = 0; i < 256 && !rc; i++) {
        if (!set->fan[i])
            continue;
        if (!(rc = vmscm_str_printf(&dir, err, "%s/objects/%02x", db->path, i))) {
            rc = vmscm_file_sync_dir(dir, err);
            /* No such directory: the objects are in a pack already. */
            if (rc == VMSCM_ENOTFOUND) {
                vmscm_error_clear(err);
                rc = 0;
            }
        }
        free(dir);
        dir = NULL;
    }
    if (!rc && !(rc = vmscm_str_printf(&dir, err, "%s/objects", db->path)))
        rc = vmscm_file_sync_dir(dir, err);
    free(dir);
    return rc;
}

int vmscm_git_expect(size_t *size, git_odb *odb, const git_oid *oid, git_object_t type, size_t max,
    struct vmscm_error *err)
{
    char id[VMSCM_GITDB_ID];
    git_object_t found;
    size_t len;
    int rc = git_odb_read_header(&len, &found, odb, oid);

    git_oid_tostr(id, sizeof id, oid);
    if (rc == GIT_ENOTFOUND)
        return vmscm_error_set(
            err, VMSCM_EDAMAGED, "%s %s: missing", git_object_type2string(type), id);
    if (rc < 0)
        return vmscm_git_error(
            err, rc, VMSCM_EDAMAGED, "%s %s", git_object_type2string(type), id);
    if (found != type)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "%s: a %s where a %s should be", id,
            git_object_type2string(found), git_object_type2string(type));
    if (len > max)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "%s %s: %zu bytes, more than %zu",
            git_object_type2string(type), id, len, max);
    if (size)
        *size = len;
    return 0;
}
