/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "catalog/where.h"
#include "base/str.h"
#include "catalog/terms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* For all revisions what has such a system is found once; for one, whether it has. */
#define SYSTEM "r.content IN (SELECT s.content FROM system s WHERE "
#define ITS_SYSTEM "EXISTS (SELECT 1 FROM system s WHERE s.content = r.content AND "

static bool is_system_field(enum vmscm_query_field field)
{
    return field > VMSCM_QUERY_WORD && field <= VMSCM_QUERY_KERNEL;
}

/* Whether all of it is about one operating system. */
static bool is_system(const struct vmscm_query *q)
{
    if (q->kind == VMSCM_QUERY_TERM)
        return is_system_field(q->field);
    return q->kind != VMSCM_QUERY_NOT && is_system(q->left) && is_system(q->right);
}

static int add_value(struct vmscm_where *w, const char *value, struct vmscm_error *err)
{
    char **slot, *copy;
    int rc = vmscm_str_dup(&copy, value, err);

    if (rc)
        return rc;
    if ((rc = vmscm_vec_add(&w->values, &slot, err)))
        free(copy);
    else
        *slot = copy;
    return rc;
}

/* SQL with one parameter for each "?" in it, all with this value. */
static int put(struct vmscm_where *w, const char *sql, const char *value, struct vmscm_error *err)
{
    int rc = vmscm_buf_puts(&w->sql, sql, err);

    for (const char *p = strchr(sql, '?'); p && !rc; p = strchr(p + 1, '?'))
        rc = add_value(w, value, err);
    return rc;
}

static const char *sign(enum vmscm_query_compare compare)
{
    static const char *const signs[] = {[VMSCM_QUERY_IS] = "=", [VMSCM_QUERY_EQ] = "=",
        [VMSCM_QUERY_LT] = "<", [VMSCM_QUERY_LE] = "<=", [VMSCM_QUERY_GT] = ">",
        [VMSCM_QUERY_GE] = ">="};

    return signs[compare];
}

static bool is_word(unsigned char c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* FTS5's expression for all words of a text, each of which may go on: "oracle"* "10g"*. Empty if it has no
 * words. */
static int match_words(struct vmscm_buf *out, const char *text, struct vmscm_error *err)
{
    int rc = 0;

    while (*text && !rc) {
        size_t len = 0;
        while (is_word((unsigned char)text[len]))
            len++;
        if (len)
            rc = vmscm_buf_printf(out, err, "%s\"%.*s\"*", out->len ? " " : "", (int)len, text);
        text += len ? len : 1;
    }
    return rc;
}

/* A condition with the words of value in place of each "?"; never true if there are none. */
static int put_words(struct vmscm_where *w, const char *sql, const char *value,
    struct vmscm_error *err)
{
    struct vmscm_buf words = VMSCM_BUF_INIT;
    int rc = match_words(&words, value, err);

    if (!rc)
        rc = words.len ? put(w, sql, vmscm_buf_str(&words), err) : put(w, "0", "", err);
    vmscm_buf_release(&words);
    return rc;
}

/* "RHEL 8": the distribution and the version that people mean. False: it is no such name. */
static bool split_name(const char *value, const char **distro, const char **version)
{
    static const struct {
        const char *name, *distro;
    } names[] = {{"rhel", "rhel"}, {"red hat enterprise linux", "rhel"}, {"red hat", "rhel"},
        {"centos", "centos"}, {"debian", "debian"}, {"ubuntu", "ubuntu"}, {"fedora", "fedora"},
        {"sles", "sles"}, {"suse", "sles"}, {"opensuse", "opensuse"}, {"alpine", "alpinelinux"},
        {"rocky", "rocky"}, {"alma", "almalinux"}, {"almalinux", "almalinux"},
        {"oracle linux", "oraclelinux"}};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t len = strlen(names[i].name);
        const char *rest = value + len;
        if (strncasecmp(value, names[i].name, len) != 0)
            continue;
        rest += strspn(rest, " ");
        if (*rest && rest[strspn(rest, "0123456789.")] == '\0') {
            *distro = names[i].distro;
            *version = rest;
            return true;
        }
    }
    return false;
}

static int put_os(struct vmscm_where *w, const char *value, struct vmscm_error *err)
{
    const char *distro, *version;
    int rc;

    if ((rc = put(w, "(s.type = lower(?) OR s.distro = lower(?) OR ", value, err)) ||
        (rc = put_words(w,
             "s.id IN (SELECT rowid FROM system_words WHERE system_words MATCH ?)", value, err)))
        return rc;
    if (split_name(value, &distro, &version) &&
        ((rc = put(w, " OR (s.distro = ?", distro, err)) ||
            (rc = put(w, " AND within(s.version, ?))", version, err))))
        return rc;
    return put(w, ")", "", err);
}

/* The name is the value, or begins with it as a word, or matches it as a pattern. */
int vmscm_where_applications(struct vmscm_where *w, const struct vmscm_query *term,
    struct vmscm_error *err)
{
    struct vmscm_buf pattern = VMSCM_BUF_INIT, sql = VMSCM_BUF_INIT;
    bool glob = strpbrk(term->value, "*?") != NULL;
    int rc = 0;

    if (term->field == VMSCM_QUERY_WORD || (!term->version && !glob)) {
        rc = put(w, "SELECT id FROM application WHERE ", "", err);
        return rc ? rc : put_words(w,
            "id IN (SELECT rowid FROM application_words WHERE application_words MATCH ?)",
            term->value, err);
    }
    for (const char *p = term->value; *p && !rc; p++)
        rc = vmscm_buf_printf(&pattern, err, *p == '[' ? "[%c]" : "%c", *p);
    if (!rc && !glob)
        rc = vmscm_buf_puts(&pattern, "[^a-z0-9]*", err);
    if (!rc)
        rc = put(w, "SELECT id FROM application WHERE (lower(name) = lower(?) OR ", term->value, err);
    if (!rc)
        rc = put(w, "lower(name) GLOB lower(?))", vmscm_buf_str(&pattern), err);
    if (!rc && term->version &&
        !(rc = vmscm_buf_printf(
              &sql, err, " AND version <> '' AND vercmp(version, ?) %s 0", sign(term->compare))))
        rc = put(w, vmscm_buf_str(&sql), term->version, err);
    vmscm_buf_release(&pattern);
    vmscm_buf_release(&sql);
    return rc;
}

static int put_compared(struct vmscm_where *w, const char *column, const struct vmscm_query *term,
    struct vmscm_error *err)
{
    struct vmscm_buf sql = VMSCM_BUF_INIT;
    int rc = term->compare == VMSCM_QUERY_IS
        ? vmscm_buf_printf(&sql, err, "within(%s, ?)", column)
        : vmscm_buf_printf(
              &sql, err, "(%s <> '' AND vercmp(%s, ?) %s 0)", column, column, sign(term->compare));

    if (!rc)
        rc = put(w, vmscm_buf_str(&sql), term->value, err);
    vmscm_buf_release(&sql);
    return rc;
}

static int put_item(struct vmscm_where *w, const char *kind, const char *value,
    struct vmscm_error *err)
{
    int rc = put(w, "s.id IN (SELECT system FROM item WHERE kind = ?", kind, err);

    return rc ? rc : put(w, " AND value GLOB lower(?))", value, err);
}

static int put_sp(struct vmscm_where *w, const struct vmscm_query *term, struct vmscm_error *err)
{
    char sql[64];
    uint64_t n;

    if (!vmscm_str_uint(&n, term->value, 0, 1000))
        return vmscm_error_set(err, VMSCM_EUSAGE, "query: sp:%s: no number", term->value);
    snprintf(sql, sizeof sql, "s.sp %s CAST(? AS INTEGER)", sign(term->compare));
    return put(w, sql, term->value, err);
}

/* A condition about system s. */
static int put_system_term(struct vmscm_where *w, const struct vmscm_query *t,
    struct vmscm_error *err)
{
    int rc;

    switch (t->field) {
    case VMSCM_QUERY_OS:
        return put_os(w, t->value, err);
    case VMSCM_QUERY_DISTRO:
        return put(w, "s.distro = lower(?)", t->value, err);
    case VMSCM_QUERY_PRODUCT:
        return put(w, "instr(lower(s.product), lower(?)) > 0", t->value, err);
    case VMSCM_QUERY_VERSION:
        return put_compared(w, "s.version", t, err);
    case VMSCM_QUERY_BUILD:
        return put_compared(w, "s.build", t, err);
    case VMSCM_QUERY_SP:
        return put_sp(w, t, err);
    case VMSCM_QUERY_EDITION:
        return put(w, "lower(s.edition) GLOB lower(?)", t->value, err);
    case VMSCM_QUERY_ARCH:
        return put(w, "lower(s.arch) GLOB lower(?)", t->value, err);
    case VMSCM_QUERY_HOSTNAME:
        return put(w, "lower(s.hostname) GLOB lower(?)", t->value, err);
    case VMSCM_QUERY_USER:
        return put_item(w, "user", t->value, err);
    case VMSCM_QUERY_GROUP:
        return put_item(w, "group", t->value, err);
    case VMSCM_QUERY_SERVICE:
        return put_item(w, "service", t->value, err);
    case VMSCM_QUERY_AGENT:
        return put_item(w, "agent", t->value, err);
    case VMSCM_QUERY_ADDRESS:
        return put_item(w, "address", t->value, err);
    case VMSCM_QUERY_PATCH:
        return put_item(w, "patch", t->value, err);
    case VMSCM_QUERY_KERNEL:
        if ((rc = put(w, "s.id IN (SELECT system FROM item WHERE kind = 'kernel' AND ", "", err)) ||
            (rc = put_compared(w, "value", t, err)))
            return rc;
        return put(w, ")", "", err);
    default: /* APP */
        return vmscm_buf_printf(&w->sql, err,
            w->one ? "EXISTS (SELECT 1 FROM holding h WHERE h.system = s.id"
                     " AND h.application IN temp." VMSCM_TERMS_TABLE ")"
                   : "s.id IN (SELECT h.system FROM temp." VMSCM_TERMS_TABLE " t"
                     " CROSS JOIN holding h ON h.application = t.id)",
            t->number);
    }
}

static int put_system(struct vmscm_where *w, const struct vmscm_query *q, struct vmscm_error *err)
{
    int rc;

    if (q->kind == VMSCM_QUERY_TERM)
        return put_system_term(w, q, err);
    if ((rc = put(w, "(", "", err)) || (rc = put_system(w, q->left, err)) ||
        (rc = put(w, q->kind == VMSCM_QUERY_AND ? " AND " : " OR ", "", err)) ||
        (rc = put_system(w, q->right, err)))
        return rc;
    return put(w, ")", "", err);
}

/* "2026", "2026-01", "2026-01-15": the seconds at which it begins, and at which the next begins; UTC. */
static bool parse_span(long long *from, long long *to, const char *text)
{
    static const char *const forms[] = {"%Y-%m-%d", "%Y-%m", "%Y"};

    for (size_t i = 0; i < 3; i++) {
        struct tm tm = {.tm_mday = 1}, next;
        const char *end = strptime(text, forms[i], &tm);
        if (!end || *end || tm.tm_year < 0)
            continue;
        next = tm;
        *(i == 0 ? &next.tm_mday : i == 1 ? &next.tm_mon : &next.tm_year) += 1;
        *from = (long long)timegm(&tm);
        *to = (long long)timegm(&next);
        return true;
    }
    return false;
}

static int put_changed(struct vmscm_where *w, const struct vmscm_query *t, struct vmscm_error *err)
{
    long long from, to;

    if (!parse_span(&from, &to, t->value)) {
        vmscm_error_set(err, VMSCM_EUSAGE, "query: changed:%s: no date", t->value);
        return vmscm_error_hint(err, "like 2026, 2026-01 or 2026-01-15");
    }
    switch (t->compare) {
    case VMSCM_QUERY_LT:
        return vmscm_buf_printf(&w->sql, err, "r.time < %lld", from);
    case VMSCM_QUERY_LE:
        return vmscm_buf_printf(&w->sql, err, "r.time < %lld", to);
    case VMSCM_QUERY_GT:
        return vmscm_buf_printf(&w->sql, err, "r.time >= %lld", to);
    case VMSCM_QUERY_GE:
        return vmscm_buf_printf(&w->sql, err, "r.time >= %lld", from);
    default:
        return vmscm_buf_printf(&w->sql, err, "(r.time >= %lld AND r.time < %lld)", from, to);
    }
}

/* Anywhere. */
static int put_word(struct vmscm_where *w, const struct vmscm_query *t, struct vmscm_error *err)
{
    int rc;

    if ((rc = put(w, w->history ? "(r.oid IN (SELECT oid FROM lineage"
                                  " WHERE instr(lower(machine), lower(?)) > 0) OR "
                                : "(instr(lower(m.name), lower(?)) > 0 OR ",
             t->value, err)) ||
        (rc = put_words(w,
             "r.id IN (SELECT rowid FROM revision_words WHERE revision_words MATCH ?)"
             " OR r.oid IN (SELECT subject FROM comment_words WHERE comment_words MATCH ?)",
             t->value, err)) ||
        (rc = put(w, " OR r.content IN (SELECT s.content FROM item i JOIN system s ON s.id = i.system"
                     " WHERE i.value = lower(?)) OR r.content IN (SELECT content FROM filesystem"
                     " WHERE type = lower(?))",
             t->value, err)) ||
        (rc = vmscm_buf_printf(&w->sql, err,
             w->one ? " OR EXISTS (SELECT 1 FROM system s JOIN holding h ON h.system = s.id"
                      " WHERE s.content = r.content AND h.application IN temp." VMSCM_TERMS_TABLE ")"
                    : " OR r.content IN (SELECT s.content FROM temp." VMSCM_TERMS_TABLE " t CROSS JOIN"
                      " holding h ON h.application = t.id CROSS JOIN system s ON s.id = h.system)",
             t->number)) ||
        (rc = put(w, w->one ? " OR " ITS_SYSTEM : " OR " SYSTEM, "", err)) ||
        (rc = put_os(w, t->value, err)))
        return rc;
    return put(w, "))", "", err);
}

static int put_term(struct vmscm_where *w, const struct vmscm_query *t, struct vmscm_error *err)
{
    switch (t->field) {
    case VMSCM_QUERY_FS:
        return put(w, "r.content IN (SELECT content FROM filesystem WHERE type = lower(?) OR"
                      " lower(label) = lower(?))", t->value, err);
    case VMSCM_QUERY_STATUS:
        return put(w, "r.content IN (SELECT key FROM content WHERE status = lower(?))", t->value, err);
    case VMSCM_QUERY_OWNER:
        return put(w, "instr(lower(r.author), lower(?)) > 0", t->value, err);
    case VMSCM_QUERY_TAG:
        return put(w, "r.oid IN (SELECT oid FROM tag WHERE name GLOB ?)", t->value, err);
    case VMSCM_QUERY_MACHINE:
        return put(w, w->history ? "r.oid IN (SELECT oid FROM lineage WHERE machine GLOB ?)"
                                 : "m.name GLOB ?", t->value, err);
    case VMSCM_QUERY_COMMENT:
        return put_words(w, "r.oid IN (SELECT subject FROM comment_words WHERE comment_words MATCH ?)",
            t->value, err);
    case VMSCM_QUERY_MESSAGE:
        return put(w, "instr(lower(r.message), lower(?)) > 0", t->value, err);
    case VMSCM_QUERY_CHANGED:
        return put_changed(w, t, err);
    default:
        return put_word(w, t, err);
    }
}

/* What is and-ed, as far as it is, or is not, about a system; *some: there was such. */
static int put_conjuncts(struct vmscm_where *w, const struct vmscm_query *q, bool system, bool *some,
    struct vmscm_error *err)
{
    int rc;

    if (q->kind == VMSCM_QUERY_AND) {
        rc = put_conjuncts(w, q->left, system, some, err);
        return rc ? rc : put_conjuncts(w, q->right, system, some, err);
    }
    if (is_system(q) != system)
        return 0;
    if ((rc = put(w, *some ? " AND " : !system ? "" : w->one ? ITS_SYSTEM : SYSTEM, "", err)))
        return rc;
    *some = true;
    return system ? put_system(w, q, err) : vmscm_where_put(w, q, err);
}

int vmscm_where_put(struct vmscm_where *w, const struct vmscm_query *q, struct vmscm_error *err)
{
    bool systems = false, others = false;
    int rc;

    switch (q->kind) {
    case VMSCM_QUERY_NOT:
        if ((rc = put(w, "NOT coalesce(", "", err)) || (rc = vmscm_where_put(w, q->left, err)))
            return rc;
        return put(w, ", 0)", "", err);
    case VMSCM_QUERY_OR:
        if ((rc = put(w, "(", "", err)) || (rc = vmscm_where_put(w, q->left, err)) ||
            (rc = put(w, " OR ", "", err)) || (rc = vmscm_where_put(w, q->right, err)))
            return rc;
        return put(w, ")", "", err);
    case VMSCM_QUERY_TERM:
        if (!is_system(q))
            return put_term(w, q, err);
        break;
    case VMSCM_QUERY_AND:
        break;
    }
    if ((rc = put(w, "(", "", err)) || (rc = put_conjuncts(w, q, true, &systems, err)) ||
        (systems && (rc = put(w, ")", "", err))))
        return rc;
    others = systems;
    if ((rc = put_conjuncts(w, q, false, &others, err)))
        return rc;
    return put(w, ")", "", err);
}

int vmscm_where_only(struct vmscm_where *w, const char *oid, const char *machine,
    struct vmscm_error *err)
{
    int rc = put(w, " AND r.oid = ?", oid, err);

    return rc || w->history ? rc : put(w, " AND m.name = ?", machine, err);
}

/* Users and the like of the content that match. */
static int put_item_reason(struct vmscm_where *w, const char *kind, const struct vmscm_query *t,
    const char *content, struct vmscm_error *err)
{
    int rc;

    if ((rc = put(w, "SELECT DISTINCT i.kind || ' ' || i.value FROM system s JOIN item i"
                     " ON i.system = s.id WHERE s.content = ?",
             content, err)) ||
        (rc = put(w, " AND i.kind = ? AND ", kind, err)) ||
        (rc = t->field == VMSCM_QUERY_KERNEL ? put_compared(w, "i.value", t, err)
                                             : put(w, "i.value GLOB lower(?)", t->value, err)))
        return rc;
    return put(w, " LIMIT 3", "", err);
}

int vmscm_where_reason(struct vmscm_where *w, bool *any, const struct vmscm_query *t,
    const char *content, struct vmscm_error *err)
{
    static const char *const items[] = {[VMSCM_QUERY_USER] = "user", [VMSCM_QUERY_GROUP] = "group",
        [VMSCM_QUERY_SERVICE] = "service", [VMSCM_QUERY_AGENT] = "agent", [VMSCM_QUERY_ADDRESS] = "address",
        [VMSCM_QUERY_PATCH] = "patch", [VMSCM_QUERY_KERNEL] = "kernel"};
    struct vmscm_query os = *t;
    int rc;

    *any = t->field == VMSCM_QUERY_WORD || is_system_field(t->field);
    if (!*any)
        return 0;
    if (t->field >= VMSCM_QUERY_USER && t->field <= VMSCM_QUERY_KERNEL)
        return put_item_reason(w, items[t->field], t, content, err);
    if (t->field == VMSCM_QUERY_APP || t->field == VMSCM_QUERY_WORD) {
        if ((rc = put(w, "SELECT DISTINCT a.name || ' ' || a.version FROM system s JOIN holding h"
                         " ON h.system = s.id JOIN application a ON a.id = h.application"
                         " WHERE s.content = ?",
                 content, err)) ||
            (rc = vmscm_buf_printf(
                 &w->sql, err, " AND a.id IN temp." VMSCM_TERMS_TABLE, t->number)))
            return rc;
        if (t->field == VMSCM_QUERY_APP)
            return put(w, " LIMIT 3", "", err);
        if ((rc = put(w, " UNION ", "", err)))
            return rc;
        os.field = VMSCM_QUERY_OS;
    }
    if ((rc = put(w, "SELECT coalesce(s.product, s.distro, s.type, '') ||"
                     " coalesce(' SP' || nullif(s.sp, 0), '') FROM system s WHERE s.content = ? AND ",
             content, err)) ||
        (rc = put_system_term(w, &os, err)))
        return rc;
    return put(w, " LIMIT 3", "", err);
}

int vmscm_where_bind(const struct vmscm_where *w, struct vmscm_db *db, sqlite3_stmt *statement,
    struct vmscm_error *err)
{
    for (size_t i = 0; i < w->values.len; i++)
        if (sqlite3_bind_text(statement, (int)i + 1, w->values.items[i], -1, SQLITE_STATIC))
            return vmscm_db_error(db, err);
    return 0;
}

void vmscm_where_release(struct vmscm_where *w)
{
    for (size_t i = 0; i < w->values.len; i++)
        free(w->values.items[i]);
    vmscm_vec_release(&w->values);
    vmscm_buf_release(&w->sql);
}
