/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/revspec.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/nearest.h"
#include "history/reflog.h"
#include "history/refs.h"
#include "history/when.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 200
#define PREFIX_MIN 4
#define STEPS_MAX 1000000000

static int bad_name(const char *kind, const char *name, const char *why, struct vmscm_error *err)
{
    return vmscm_error_set(
        err, VMSCM_EUSAGE, "%.200s: not a %s name: %s", *name ? name : "\"\"", kind, why);
}

static int check_component(const char *kind, const char *name, const char *part, size_t len,
    struct vmscm_error *err)
{
    if (len == 0)
        return bad_name(kind, name, *name ? "has an empty part" : "is empty", err);
    if (part[0] == '-' || part[0] == '.')
        return bad_name(kind, name, "a part begins with '-' or '.'", err);
    if (part[len - 1] == '.' || (len >= 5 && memcmp(part + len - 5, ".lock", 5) == 0))
        return bad_name(kind, name, "a part ends with '.' or \".lock\"", err);
    return 0;
}

static int check_name(const char *kind, const char *name, struct vmscm_error *err)
{
    int rc;

    if (strlen(name) > NAME_MAX_BYTES)
        return bad_name(kind, name, "longer than 200 bytes", err);
    if (!vmscm_str_printable(name))
        return bad_name(kind, name, "has control characters or is not UTF-8", err);
    if (strpbrk(name, " ~^:?*[\\"))
        return bad_name(kind, name, "has a space or one of ~ ^ : ? * [ \\", err);
    if (strstr(name, "..") || strstr(name, "@{"))
        return bad_name(kind, name, "has \"..\" or \"@{\"", err);
    for (const char *p = name;; p++) {
        size_t len = strcspn(p, "/");
        if ((rc = check_component(kind, name, p, len, err)))
            return rc;
        p += len;
        if (!*p)
            return 0;
    }
}

int vmscm_revspec_check_machine(const char *name, struct vmscm_error *err)
{
    return check_name("machine", name, err);
}

/* No slash: refs/tags/a/b/c could otherwise be a's tag b/c or a/b's tag c. */
int vmscm_revspec_check_tag(const char *name, struct vmscm_error *err)
{
    if (strchr(name, '/'))
        return bad_name("tag", name, "has a '/'", err);
    return check_name("tag", name, err);
}

void vmscm_revspec_release(struct vmscm_revspec *spec)
{
    free(spec->machine);
    free(spec->tag);
    memset(spec, 0, sizeof *spec);
}

/* A spec that is being resolved. */
struct resolution {
    struct vmscm_gitdb *db;
    const char *spec;
    char *ref;  /* what machine or tag leads through; NULL for an id */
    char *name; /* the part before ~, ^ and @{ */
    struct vmscm_error *err;
};

/* What is remembered of a remote: REMOTE/MACHINE, or a tag of that. It is no machine of ours, so the spec
 * names none. Nothing changes if there is no such thing. */
static int resolve_tracked(struct vmscm_revspec *out, struct resolution *r, const char *room,
    const char *tag)
{
    const char *machine = out->machine ? out->machine : r->name;
    char *ref = NULL;
    int rc = vmscm_str_printf(&ref, NULL, "%s/%s%s%s", room, machine, tag ? "/" : "", tag ? tag : "");

    if (!rc && !(rc = vmscm_refs_read_commit(out->id, r->db, ref, NULL))) {
        free(r->ref);
        r->ref = ref;
        ref = NULL;
        vmscm_error_clear(r->err);
        free(out->machine);
        free(out->tag);
        out->machine = out->tag = NULL;
    }
    free(ref);
    return rc;
}

static int resolve_tag(struct vmscm_revspec *out, struct resolution *r, size_t machine_len)
{
    char *machine_ref = NULL;
    git_oid oid;
    int rc;

    if ((rc = vmscm_str_printf(&out->machine, r->err, "%.*s", (int)machine_len, r->name)) ||
        (rc = vmscm_str_dup(&out->tag, r->name + machine_len + 1, r->err)) ||
        (rc = vmscm_revspec_check_machine(out->machine, r->err)) ||
        (rc = vmscm_revspec_check_tag(out->tag, r->err)) ||
        (rc = vmscm_str_printf(&r->ref, r->err, "refs/tags/%s/%s", out->machine, out->tag)) ||
        (rc = vmscm_str_printf(&machine_ref, r->err, "refs/heads/%s", out->machine)))
        goto out;
    rc = vmscm_refs_read_commit(out->id, r->db, r->ref, r->err);
    if (rc == VMSCM_ENOTFOUND && !resolve_tracked(out, r, "refs/remote-tags", out->tag))
        rc = 0;
    if (rc == VMSCM_ENOTFOUND) {
        if (git_reference_name_to_id(&oid, r->db->repo, machine_ref) == GIT_ENOTFOUND)
            rc = vmscm_nearest_machine(r->db, out->machine, r->err);
        else
            rc = vmscm_nearest_tag(r->db, out->machine, out->tag, r->err);
    }
out:
    free(machine_ref);
    return rc;
}

struct candidates {
    git_oid prefix;
    size_t digits;
    git_oid *items;
    size_t len;
    size_t cap;
};

static int collect(const git_oid *oid, void *data)
{
    struct candidates *c = data;
    git_oid *slot;

    if (git_oid_ncmp(oid, &c->prefix, c->digits) != 0)
        return 0;
    /* An object may be there both loose and packed. */
    for (size_t i = 0; i < c->len; i++)
        if (git_oid_equal(&c->items[i], oid))
            return 0;
    if (vmscm_vec_add(c, &slot, NULL))
        return VMSCM_ENOMEM;
    *slot = *oid;
    return 0;
}

static bool is_commit(struct vmscm_gitdb *db, const git_oid *oid)
{
    git_object_t type;
    size_t size;
    return git_odb_read_header(&size, &type, db->odb, oid) == 0 && type == GIT_OBJECT_COMMIT;
}

/* Several commits begin with these digits: say which. */
static int ambiguous(struct resolution *r, const struct candidates *c)
{
    struct vmscm_buf text = VMSCM_BUF_INIT;
    git_commit *commit;
    int rc = 0;

    for (size_t i = 0; i < c->len && !rc && text.len < 400; i++) {
        char id[VMSCM_GITDB_ID];
        const char *summary = NULL;
        git_oid_tostr(id, sizeof id, &c->items[i]);
        commit = NULL;
        if (git_commit_lookup(&commit, r->db->repo, &c->items[i]) == 0)
            summary = git_commit_summary(commit);
        rc = vmscm_buf_printf(&text, r->err, "%s%.12s %.50s", i ? ", " : "candidates: ", id,
            summary ? summary : "");
        git_commit_free(commit);
    }
    if (!rc) {
        rc = vmscm_error_set(r->err, VMSCM_EUSAGE, "%.60s: %zu revisions begin with it", r->name,
            c->len);
        vmscm_error_hint(r->err, "%s", vmscm_buf_str(&text));
    }
    vmscm_buf_release(&text);
    return rc;
}

/* Only commits count, though blobs and trees may begin with the same digits. */
static int resolve_prefix(struct vmscm_revspec *out, struct resolution *r)
{
    struct candidates c = {{{0}}, strlen(r->name), NULL, 0, 0};
    char digits[VMSCM_GITDB_ID] = "";
    git_oid oid;
    size_t commits = 0;
    int rc = 0, e;

    for (size_t i = 0; i < c.digits; i++)
        digits[i] = (char)tolower((unsigned char)r->name[i]);
    if (git_oid_fromstrn(&c.prefix, digits, c.digits) < 0)
        return vmscm_nearest_machine(r->db, r->name, r->err);
    e = git_odb_exists_prefix(&oid, r->db->odb, &c.prefix, c.digits);
    if (e == 0) {
        if ((rc = collect(&oid, &c)))
            return vmscm_error_nomem(r->err);
    } else if (e == GIT_EAMBIGUOUS) {
        e = git_odb_foreach(r->db->odb, collect, &c);
        if (e < 0) {
            rc = e == VMSCM_ENOMEM ? vmscm_error_nomem(r->err)
                                   : vmscm_git_error(r->err, e, VMSCM_EIO, "%s", r->name);
            goto out;
        }
    } else if (e != GIT_ENOTFOUND) {
        rc = vmscm_git_error(r->err, e, VMSCM_EDAMAGED, "%s", r->name);
        goto out;
    }
    for (size_t i = 0; i < c.len; i++)
        if (is_commit(r->db, &c.items[i]))
            c.items[commits++] = c.items[i];
    c.len = commits;
    if (commits == 0)
        rc = vmscm_nearest_machine(r->db, r->name, r->err);
    else if (commits > 1)
        rc = ambiguous(r, &c);
    else
        git_oid_tostr(out->id, sizeof out->id, &c.items[0]);
out:
    vmscm_vec_release(&c);
    return rc;
}

static bool is_prefix(const char *s)
{
    size_t len = strlen(s);
    return len >= PREFIX_MIN && len <= VMSCM_ID_HEX &&
        strspn(s, "0123456789abcdefABCDEF") == len;
}

static int resolve_base(struct vmscm_revspec *out, struct resolution *r)
{
    const char *colon = strchr(r->name, ':');
    int rc;

    if (!*r->name)
        return vmscm_error_set(r->err, VMSCM_EUSAGE, "%.200s: names no machine and no revision",
            *r->spec ? r->spec : "\"\"");
    if (colon)
        return resolve_tag(out, r, (size_t)(colon - r->name));
    if ((rc = vmscm_revspec_check_machine(r->name, r->err)) ||
        (rc = vmscm_str_printf(&r->ref, r->err, "refs/heads/%s", r->name)))
        return rc;
    rc = vmscm_refs_read_commit(out->id, r->db, r->ref, r->err);
    if (rc != VMSCM_ENOTFOUND)
        return rc ? rc : vmscm_str_dup(&out->machine, r->name, r->err);
    if (!resolve_tracked(out, r, "refs/remotes", NULL))
        return 0;
    free(r->ref);
    r->ref = NULL;
    if (is_prefix(r->name))
        return resolve_prefix(out, r);
    return vmscm_nearest_machine(r->db, r->name, r->err);
}

/* The digits after '~' or '^'; none are 1. */
static int read_count(uint64_t *out, const char **p, struct resolution *r)
{
    size_t len = strspn(*p, "0123456789");
    char digits[16];

    *out = 1;
    if (len == 0)
        return 0;
    if (len >= sizeof digits)
        goto bad;
    memcpy(digits, *p, len);
    digits[len] = '\0';
    if (!vmscm_str_uint(out, digits, 0, STEPS_MAX))
        goto bad;
    *p += len;
    return 0;
bad:
    return vmscm_error_set(
        r->err, VMSCM_EUSAGE, "%.200s: a number is over %d", r->spec, STEPS_MAX);
}

/* Replace id by its parent number n (from 1); *count is how many it has. */
static int step(char *id, struct resolution *r, uint64_t n, uint64_t *count)
{
    git_commit *commit = NULL;
    git_oid oid;
    int rc, e;

    if ((rc = vmscm_git_oid(&oid, id, r->err)))
        return rc;
    if ((e = git_commit_lookup(&commit, r->db->repo, &oid)) < 0) {
        vmscm_git_error(r->err, e, VMSCM_EDAMAGED, "revision %.12s", id);
        if (r->err)
            r->err->code = VMSCM_EDAMAGED;
        return VMSCM_EDAMAGED;
    }
    *count = git_commit_parentcount(commit);
    if (n <= *count)
        git_oid_tostr(id, VMSCM_GITDB_ID, git_commit_parent_id(commit, (unsigned)n - 1));
    git_commit_free(commit);
    return 0;
}

static int ancestor(char *id, struct resolution *r, uint64_t steps)
{
    uint64_t count;
    int rc;

    for (uint64_t i = 0; i < steps; i++) {
        if ((rc = step(id, r, 1, &count)))
            return rc;
        if (count == 0)
            return i ? vmscm_error_set(r->err, VMSCM_ENOTFOUND,
                           "%.200s: history goes back only %llu revision%s", r->spec,
                           (unsigned long long)i, i == 1 ? "" : "s")
                     : vmscm_error_set(r->err, VMSCM_ENOTFOUND,
                           "%.200s: revision %.12s is the first", r->spec, id);
    }
    return 0;
}

static int parent(char *id, struct resolution *r, uint64_t n)
{
    uint64_t count;
    int rc;

    if (n == 0)
        return 0;
    if ((rc = step(id, r, n, &count)))
        return rc;
    if (n > count)
        return vmscm_error_set(r->err, VMSCM_ENOTFOUND, "%.200s: revision %.12s has %s", r->spec,
            id, count == 0 ? "no parent" : count == 1 ? "one parent" : "fewer parents");
    return 0;
}

/* An id from a reflog: the commit it is, or that a tag object there led to. */
static int peel(char *id, const char *from, struct resolution *r)
{
    git_object *object = NULL, *commit = NULL;
    git_oid oid;
    int rc = vmscm_git_oid(&oid, from, r->err);

    if (rc)
        return rc;
    if (git_object_lookup(&object, r->db->repo, &oid, GIT_OBJECT_ANY) < 0 ||
        git_object_peel(&commit, object, GIT_OBJECT_COMMIT) < 0)
        rc = vmscm_error_set(r->err, VMSCM_EDAMAGED,
            "%.200s: revision %.12s, which the reflog names, is missing", r->spec, from);
    else
        git_oid_tostr(id, VMSCM_GITDB_ID, git_object_id(commit));
    git_object_free(object);
    git_object_free(commit);
    return rc;
}

/* @{N}: what it was N changes ago. */
static int by_position(char *id, struct resolution *r, const struct vmscm_reflog *log, uint64_t n)
{
    if (n == 0)
        return 0;
    if (n < log->count)
        return peel(id, log->entries[log->count - 1 - n].after, r);
    if (n == log->count && !vmscm_reflog_is_zero(log->entries[0].before))
        return peel(id, log->entries[0].before, r);
    return vmscm_error_set(r->err, VMSCM_ENOTFOUND, "%.200s: only %zu change%s recorded", r->spec,
        log->count, log->count == 1 ? " is" : "s are");
}

/* @{DATE}: what it was then. */
static int by_date(char *id, struct resolution *r, const struct vmscm_reflog *log, int64_t when)
{
    for (size_t i = log->count; i--;)
        if (log->entries[i].time <= when)
            return peel(id, log->entries[i].after, r);
    if (log->count && !vmscm_reflog_is_zero(log->entries[0].before))
        return peel(id, log->entries[0].before, r);
    return vmscm_error_set(r->err, VMSCM_ENOTFOUND,
        "%.200s: %s did not exist then, or what it was is forgotten", r->spec, r->name);
}

static int in_reflog(char *id, struct resolution *r, const char *text, size_t len)
{
    struct vmscm_reflog log = {NULL, 0};
    char *what = NULL;
    uint64_t n;
    int64_t when;
    int rc;

    if (!r->ref)
        return vmscm_error_set(r->err, VMSCM_EUSAGE,
            "%.200s: @{...} goes with a machine or a tag, not with an id", r->spec);
    if ((rc = vmscm_str_printf(&what, r->err, "%.*s", (int)len, text)) ||
        (rc = vmscm_reflog_read(&log, r->db, r->ref, r->err)))
        goto out;
    if (len && strspn(what, "0123456789") == len) {
        if (vmscm_str_uint(&n, what, 0, STEPS_MAX))
            rc = by_position(id, r, &log, n);
        else
            rc = vmscm_error_set(
                r->err, VMSCM_EUSAGE, "%.200s: a number is over %d", r->spec, STEPS_MAX);
    } else if (!(rc = vmscm_when_parse(&when, what, r->err))) {
        rc = by_date(id, r, &log, when);
    }
out:
    vmscm_reflog_release(&log);
    free(what);
    return rc;
}

static int apply_suffixes(char *id, struct resolution *r, const char *p)
{
    const char *first = p, *close;
    uint64_t n;
    int rc = 0;

    while (*p && !rc) {
        if (*p == '~') {
            p++;
            if (!(rc = read_count(&n, &p, r)))
                rc = ancestor(id, r, n);
        } else if (*p == '^') {
            p++;
            if (!(rc = read_count(&n, &p, r)))
                rc = parent(id, r, n);
        } else if (p == first && p[0] == '@' && p[1] == '{' && (close = strchr(p, '}'))) {
            rc = in_reflog(id, r, p + 2, (size_t)(close - p - 2));
            p = close + 1;
        } else {
            vmscm_error_set(r->err, VMSCM_EUSAGE, "%.200s: cannot be read from \"%.50s\" on",
                r->spec, p);
            vmscm_error_hint(r->err,
                "a revision is MACHINE, MACHINE:TAG or an id; then @{N} or @{DATE}; then ~N or ^");
            return VMSCM_EUSAGE;
        }
    }
    return rc;
}

int vmscm_revspec_resolve(struct vmscm_revspec *out, struct vmscm_gitdb *db, const char *spec,
    struct vmscm_error *err)
{
    struct resolution r = {db, spec, NULL, NULL, err};
    size_t len = strcspn(spec, "~^");
    const char *at = strstr(spec, "@{");
    int rc;

    memset(out, 0, sizeof *out);
    if (at && (size_t)(at - spec) < len)
        len = (size_t)(at - spec);
    if (strlen(spec) > 4096)
        return vmscm_error_set(err, VMSCM_EUSAGE, "%.60s...: too long for a revision", spec);
    if (!(rc = vmscm_str_printf(&r.name, err, "%.*s", (int)len, spec)) &&
        !(rc = resolve_base(out, &r)))
        rc = apply_suffixes(out->id, &r, spec + len);
    if (rc)
        vmscm_revspec_release(out);
    free(r.ref);
    free(r.name);
    return rc;
}
