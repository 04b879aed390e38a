/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Changes are counted by what they are of and how; what there is one of is named. An operating system is told
 * by its name and version where these say it, else by what of it differs.
 */
#include "inspect/changes.h"
#include "base/str.h"
#include "inspect/compare.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_MAX 40 /* bytes of a name in a line that is to be read at a glance */
#define LISTS_SHOWN 6 /* of kinds of lists */

/* What a system's own values were and are; NULL, NULL: the same. */
enum value { PRODUCT, DISTRO, VERSION, RELEASE, PACK, BUILD, HOSTNAME, DOMAIN, VALUES };

static const char *const value_keys[VALUES] = {"product", "distro", "version", "release",
    "service_pack_name", "build", "hostname", "domain"};

/* In the order they are told. */
static const char *const list_kinds[] = {"package", "patch", "user", "group", "service", "kernel",
    "filesystem", "swap", "agent", "network", "nameserver", "license"};
#define LISTS (sizeof list_kinds / sizeof list_kinds[0])
#define KINDS (VMSCM_INSPECT_DOWNGRADED + 1)

struct tally {
    struct vmscm_buf *out;
    struct vmscm_error *err;
    /* Of the system at hand: */
    char *system, *title;
    char *values[VALUES][2];
    size_t others; /* of its values that have no words of their own */
    char *other;   /* the first of them */
    /* Of all: */
    size_t counts[LISTS][KINDS];
    char *names[LISTS][KINDS]; /* the first */
};

bool vmscm_changes_is_short(const char *text)
{
    return strlen(text) <= SHORT_MAX;
}

int vmscm_changes_part(struct vmscm_buf *out, struct vmscm_error *err, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    int rc = 0;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0) {
        text = NULL;
        rc = vmscm_error_nomem(err);
    }
    va_end(ap);
    if (!rc)
        rc = vmscm_buf_printf(out, err, "%s%s", out->len ? ", " : "", text);
    free(text);
    return rc;
}

/* The bytes of a product's name before the word that has a digit in it: "Debian GNU/Linux 12 (bookworm)". */
static size_t plain_name(const char *product, const char **number)
{
    size_t len = strcspn(product, "0123456789");

    *number = product + len;
    if (!**number)
        return len;
    while (len && product[len - 1] != ' ')
        len--;
    while (len && product[len - 1] == ' ')
        len--;
    return len;
}

/* Whether the version is one of the product whose name has this number: that of Windows is another. */
static bool is_of(const char *number, const char *version)
{
    size_t digits = strspn(number, "0123456789");

    return !*number || (strspn(version, "0123456789") == digits && strncmp(number, version, digits) == 0);
}

static int arrow(struct tally *t, const char *what, char *const *value)
{
    if (!value[0] || !value[1])
        return vmscm_changes_part(t->out, t->err, "%s%s%s %s", what, *what ? " " : "",
            value[0] ? value[0] : value[1], value[0] ? "removed" : "added");
    return vmscm_changes_part(t->out, t->err, "%s%s%s -> %s", what, *what ? " " : "", value[0], value[1]);
}

static int put_version(struct tally *t)
{
    char *const *product = t->values[PRODUCT], *const *version = t->values[VERSION];
    const char *before = product[0] ? product[0] : t->title, *after = product[1] ? product[1] : t->title;
    const char *x, *y;
    size_t len = plain_name(before, &x);
    bool same_name = plain_name(after, &y) == len && strncmp(before, after, len) == 0;

    if (version[0] && version[1] && same_name && is_of(x, version[0]) && is_of(y, version[1]))
        return vmscm_changes_part(
            t->out, t->err, "%.*s%s%s -> %s", (int)len, before, len ? " " : "", version[0], version[1]);
    if (product[0] || product[1])
        return arrow(t, "", product);
    if (t->values[DISTRO][0] || t->values[DISTRO][1])
        return arrow(t, "", t->values[DISTRO]);
    if ((version[0] || version[1]) && !t->values[BUILD][0] && !t->values[BUILD][1])
        return arrow(t, "version", version);
    return 0;
}

/* All about the system at hand, of which nothing is kept then. */
static int end_system(struct tally *t)
{
    static const char *const words[VALUES] = {[RELEASE] = "release", [PACK] = "", [BUILD] = "build",
        [HOSTNAME] = "hostname", [DOMAIN] = "domain"};
    bool renamed = t->values[PRODUCT][0] || t->values[PRODUCT][1];
    int rc = t->system ? put_version(t) : 0;

    for (size_t i = RELEASE; i < VALUES && !rc; i++)
        if ((t->values[i][0] || t->values[i][1]) && !(renamed && (i == RELEASE || i == BUILD)))
            rc = arrow(t, words[i], t->values[i]);
    if (!rc && t->others == 1)
        rc = vmscm_changes_part(t->out, t->err, "%s changed", t->other);
    else if (!rc && t->others > 1)
        rc = vmscm_changes_part(t->out, t->err, "%zu settings of the system changed", t->others);
    for (size_t i = 0; i < VALUES; i++)
        for (size_t k = 0; k < 2; k++) {
            free(t->values[i][k]);
            t->values[i][k] = NULL;
        }
    free(t->system);
    free(t->title);
    free(t->other);
    t->system = t->title = t->other = NULL;
    t->others = 0;
    return rc;
}

static int keep(char **out, const char *text, struct vmscm_error *err)
{
    return text && !*out ? vmscm_str_dup(out, text, err) : 0;
}

static int count_value(struct tally *t, const struct vmscm_inspect_change *change)
{
    const char *name = change->name;
    int rc;

    for (size_t i = 0; i < VALUES; i++)
        if (strcmp(name, value_keys[i]) == 0)
            return (rc = keep(&t->values[i][0], change->before, t->err))
                ? rc
                : keep(&t->values[i][1], change->after, t->err);
    /* The entry that is booted has the kernel's name. */
    if (strcmp(name, "default_boot") == 0)
        return 0;
    t->others++;
    if ((rc = keep(&t->other, name, t->err)))
        return rc;
    for (char *p = strchr(t->other, '_'); p; p = strchr(p, '_'))
        *p = ' ';
    return 0;
}

static int count(void *data, const struct vmscm_inspect_change *change)
{
    struct tally *t = data;
    int rc = 0;

    if (t->system && strcmp(t->system, change->system) != 0)
        rc = end_system(t);
    if (!rc && !t->system && !(rc = vmscm_str_dup(&t->system, change->system, t->err)))
        rc = vmscm_str_dup(&t->title, change->title, t->err);
    if (rc)
        return rc;
    if (strcmp(change->what, "system") == 0)
        return count_value(t, change);
    for (size_t i = 0; i < LISTS; i++)
        if (strcmp(change->what, list_kinds[i]) == 0) {
            t->counts[i][change->kind]++;
            return keep(&t->names[i][change->kind], change->name, t->err);
        }
    return 0;
}

/* "3 packages added, 12 upgraded", or "package jq added". */
static int put_list(struct tally *t, size_t list)
{
    static const char *const verbs[KINDS] = {"added", "removed", "changed", "upgraded", "downgraded"};
    static const enum vmscm_inspect_kind order[KINDS] = {VMSCM_INSPECT_ADDED, VMSCM_INSPECT_REMOVED,
        VMSCM_INSPECT_UPGRADED, VMSCM_INSPECT_DOWNGRADED, VMSCM_INSPECT_CHANGED};
    const char *one = list_kinds[list];
    bool named = false; /* what is counted */
    int rc = 0;

    for (size_t i = 0; i < KINDS && !rc; i++) {
        size_t n = t->counts[list][order[i]];
        const char *name = t->names[list][order[i]];
        if (n == 1 && vmscm_changes_is_short(name))
            rc = vmscm_changes_part(t->out, t->err, "%s %s %s", one, name, verbs[order[i]]);
        else if (n && named)
            rc = vmscm_changes_part(t->out, t->err, "%zu %s", n, verbs[order[i]]);
        else if (n)
            rc = vmscm_changes_part(t->out, t->err, "%zu %s%s %s", n, one,
                n == 1 ? "" : one[strlen(one) - 1] == 'h' ? "es" : "s", verbs[order[i]]);
        named = n > 1 || (named && !n);
    }
    return rc;
}

static int put_lists(struct tally *t)
{
    size_t shown = 0, rest = 0;
    int rc = 0;

    for (size_t i = 0; i < LISTS && !rc; i++) {
        size_t sum = 0;
        for (size_t k = 0; k < KINDS; k++)
            sum += t->counts[i][k];
        if (sum && shown++ < LISTS_SHOWN)
            rc = put_list(t, i);
        else
            rest += sum;
    }
    if (!rc && rest)
        rc = vmscm_changes_part(t->out, t->err, "%zu other change%s inside", rest, rest == 1 ? "" : "s");
    return rc;
}

int vmscm_changes_put(struct vmscm_buf *out, const struct vmscm_facts *before,
    const struct vmscm_facts *after, struct vmscm_error *err)
{
    struct tally t = {.out = out, .err = err};
    int rc = vmscm_compare_facts(before, after, count, &t, err);

    if (!rc && !(rc = end_system(&t)))
        rc = put_lists(&t);
    for (size_t i = 0; i < LISTS; i++)
        for (size_t k = 0; k < KINDS; k++)
            free(t.names[i][k]);
    for (size_t i = 0; i < VALUES; i++) {
        free(t.values[i][0]);
        free(t.values[i][1]);
    }
    free(t.system);
    free(t.title);
    free(t.other);
    return rc;
}
