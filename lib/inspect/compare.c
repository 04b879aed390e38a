/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What differs between two documents of facts. Systems are matched by their root, or as the only ones;
 * what is in a list, by name. An application's key is its name, without the version that Windows programs
 * have in theirs, and its architecture; of several versions side by side, those that both have are left out
 * first.
 */
#include "inspect/compare.h"

#include "base/buf.h"
#include "base/str.h"
#include "base/vec.h"
#include "inspect/vercmp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A member of a list on either side. */
struct entry {
    char *key, *name, *value;
};

struct entries {
    VMSCM_VEC(struct entry) list;
};

struct comparison {
    int (*each)(void *data, const struct vmscm_inspect_change *change);
    void *data;
    const char *system, *title;
    bool by_rpm;
    struct vmscm_error *err;
};

typedef int (*order_fn)(const void *a, const void *b);
typedef int (*describe_fn)(struct entry *out, const json_t *item, struct vmscm_error *err);

static int say(struct comparison *c, const char *kind, enum vmscm_inspect_kind change,
    const char *name, const char *before, const char *after)
{
    const struct vmscm_inspect_change item = {c->system, c->title, kind, change, name, before, after};

    return c->each(c->data, &item);
}

static void release(struct entries *entries)
{
    for (size_t i = 0; i < entries->list.len; i++) {
        free(entries->list.items[i].key);
        free(entries->list.items[i].name);
        free(entries->list.items[i].value);
    }
    vmscm_vec_release(&entries->list);
}

static int fill(struct entries *out, const json_t *list, describe_fn describe,
    struct vmscm_error *err)
{
    struct entry *entry;
    int rc = 0;

    for (size_t i = 0; i < json_array_size(list) && !rc; i++)
        if (!(rc = vmscm_vec_add(&out->list, &entry, err)))
            rc = describe(entry, json_array_get(list, i), err);
    return rc;
}

static int describe_string(struct entry *out, const json_t *item, struct vmscm_error *err)
{
    int rc = vmscm_str_dup(&out->key, json_string_value(item), err);

    return rc ? rc : vmscm_str_dup(&out->value, "", err);
}

static int describe_user(struct entry *out, const json_t *item, struct vmscm_error *err)
{
    const char *group = vmscm_facts_text(item, "group"), *home = vmscm_facts_text(item, "home"),
               *shell = vmscm_facts_text(item, "shell");
    int rc = vmscm_str_dup(&out->key, vmscm_facts_text(item, "name"), err);

    return rc ? rc
              : vmscm_str_printf(&out->value, err, "%s%s%s%s%s%s%s", vmscm_facts_text(item, "id"),
                    *group ? ":" : "", group, *home ? " " : "", home, *shell ? " " : "", shell);
}

static int describe_group(struct entry *out, const json_t *item, struct vmscm_error *err)
{
    const json_t *members = json_object_get(item, "members");
    struct vmscm_buf text = VMSCM_BUF_INIT;
    int rc = vmscm_str_dup(&out->key, vmscm_facts_text(item, "name"), err);

    if (!rc)
        rc = vmscm_buf_puts(&text, vmscm_facts_text(item, "id"), err);
    for (size_t i = 0; i < json_array_size(members) && !rc; i++)
        rc = vmscm_buf_printf(
            &text, err, "%s%s", i ? "," : " ", json_string_value(json_array_get(members, i)));
    if (!rc && !(out->value = vmscm_buf_steal(&text)))
        rc = vmscm_error_nomem(err);
    vmscm_buf_release(&text);
    return rc;
}

static int describe_filesystem(struct entry *out, const json_t *item, struct vmscm_error *err)
{
    const json_t *size = json_object_get(item, "size");
    const char *label = vmscm_facts_text(item, "label"), *volume = vmscm_facts_text(item, "subvolume");
    char bytes[32] = "";
    int rc = vmscm_str_printf(&out->key, err, "%s%s%s", vmscm_facts_text(item, "device"),
        *volume ? " " : "", volume);

    if (size)
        snprintf(bytes, sizeof bytes, " %lld bytes", (long long)json_integer_value(size));
    return rc ? rc
              : vmscm_str_printf(&out->value, err, "%s%s%s%s", vmscm_facts_text(item, "type"),
                    *label ? " " : "", label, bytes);
}

/* " TITLE a, b" for a list that is not empty. */
static int put_texts(struct vmscm_buf *text, const char *title, const json_t *list, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < json_array_size(list) && !rc; i++)
        rc = vmscm_buf_printf(text, err, "%s%s%s", i ? ", " : " ", i ? "" : title,
            json_string_value(json_array_get(list, i)));
    return rc;
}

static int describe_interface(struct entry *out, const json_t *item, struct vmscm_error *err)
{
    struct vmscm_buf text = VMSCM_BUF_INIT;
    int rc = vmscm_str_dup(&out->key, vmscm_facts_text(item, "interface"), err);

    if (!rc && !(rc = vmscm_buf_puts(&text, vmscm_facts_text(item, "method"), err)) &&
        !(rc = put_texts(&text, "", json_object_get(item, "addresses"), err)) &&
        !(rc = put_texts(&text, "via ", json_object_get(item, "gateways"), err)) &&
        !(rc = put_texts(&text, "dns ", json_object_get(item, "dns"), err)) &&
        !(out->value = vmscm_buf_steal(&text)))
        rc = vmscm_error_nomem(err);
    vmscm_buf_release(&text);
    return rc;
}

static int describe_patch(struct entry *out, const json_t *item, struct vmscm_error *err)
{
    int rc = vmscm_str_dup(&out->key, vmscm_facts_text(item, "name"), err);

    /* Its date is not part of it: servicing gives some a new one. */
    return rc ? rc : vmscm_str_dup(&out->value, "", err);
}

static int describe_license(struct entry *out, const json_t *item, struct vmscm_error *err)
{
    const char *channel = vmscm_facts_text(item, "channel"), *key = vmscm_facts_text(item, "partial_key");
    const char *level = vmscm_facts_text(item, "level");
    int rc = vmscm_str_dup(&out->key, vmscm_facts_text(item, "name"), err);

    return rc ? rc
              : vmscm_str_printf(&out->value, err, "%s%s%s%s%s", channel, *level ? " " : "", level,
                    *key ? " ..." : "", key);
}

static int describe_application(struct entry *out, const json_t *item, struct vmscm_error *err)
{
    const char *name = vmscm_facts_text(item, "name"), *version = vmscm_facts_text(item, "version");
    const char *arch = vmscm_facts_text(item, "arch"), *release = vmscm_facts_text(item, "release");
    const char *at = *version ? strstr(name, version) : NULL;
    const json_t *epoch = json_object_get(item, "epoch");
    char number[32] = "";
    int rc;

    if (json_integer_value(epoch) > 0)
        snprintf(number, sizeof number, "%lld:", (long long)json_integer_value(epoch));
    /* \x01 is below all that names have: with and without an architecture, the same stay together. */
    if (at)
        rc = vmscm_str_printf(&out->key, err, "%.*s%s\x01%s", (int)(at - name), name,
            at + strlen(version), arch);
    else
        rc = vmscm_str_printf(&out->key, err, "%s\x01%s", name, arch);
    if (!rc)
        rc = vmscm_str_dup(&out->name, name, err);
    return rc ? rc
              : vmscm_str_printf(&out->value, err, "%s%s%s%s", number, version,
                    *version && *release ? "-" : "",
                    release);
}

static int by_key(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->key, y->key);

    return order ? order : strcmp(x->value, y->value);
}

static int by_version(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->key, y->key);

    if (!order)
        order = vmscm_vercmp(x->value, y->value);
    return order ? order : strcmp(x->value, y->value);
}

static int by_rpm_version(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->key, y->key);

    if (!order)
        order = vmscm_vercmp_rpm(x->value, y->value);
    return order ? order : strcmp(x->value, y->value);
}

/* Those of one key, from *at on; *at is moved behind them. */
static size_t take(struct entry **group, const struct entries *entries, const char *key, size_t *at)
{
    size_t from = *at;

    *group = entries->list.items ? &entries->list.items[from] : NULL;
    while (*at < entries->list.len && strcmp(entries->list.items[*at].key, key) == 0)
        ++*at;
    return *at - from;
}

static void swap(struct entry *a, struct entry *b)
{
    struct entry kept = *a;

    *a = *b;
    *b = kept;
}

/* Those that only one side has to the front, their order kept: both are in the same order. */
static void drop_same(struct entry *a, size_t *a_len, struct entry *b, size_t *b_len, order_fn order)
{
    size_t i = 0, k = 0, a_kept = 0, b_kept = 0;

    while (i < *a_len || k < *b_len) {
        int which = i == *a_len ? 1 : k == *b_len ? -1 : order(&a[i], &b[k]);
        if (which == 0) {
            i++;
            k++;
        } else if (which < 0) {
            swap(&a[a_kept++], &a[i++]);
        } else {
            swap(&b[b_kept++], &b[k++]);
        }
    }
    *a_len = a_kept;
    *b_len = b_kept;
}

static enum vmscm_inspect_kind direction(const struct comparison *c, const char *before,
    const char *after)
{
    int order = c->by_rpm ? vmscm_vercmp_rpm(before, after) : vmscm_vercmp(before, after);

    return order < 0 ? VMSCM_INSPECT_UPGRADED
        : order > 0  ? VMSCM_INSPECT_DOWNGRADED
                     : VMSCM_INSPECT_CHANGED;
}

static int say_group(struct comparison *c, const char *kind, order_fn order, struct entry *a,
    size_t a_len, struct entry *b, size_t b_len)
{
    int rc = 0;

    drop_same(a, &a_len, b, &b_len, order);
    for (size_t i = 0; i < (a_len > b_len ? a_len : b_len) && !rc; i++) {
        const struct entry *x = i < a_len ? &a[i] : NULL, *y = i < b_len ? &b[i] : NULL;
        enum vmscm_inspect_kind change = !x ? VMSCM_INSPECT_ADDED
            : !y                            ? VMSCM_INSPECT_REMOVED
            : order != by_key               ? direction(c, x->value, y->value)
                                            : VMSCM_INSPECT_CHANGED;
        const struct entry *named = y ? y : x;
        rc = say(c, kind, change, named->name ? named->name : named->key, x ? x->value : NULL,
            y ? y->value : NULL);
    }
    return rc;
}

static int compare_lists(struct comparison *c, const char *kind, const json_t *before,
    const json_t *after, describe_fn describe)
{
    order_fn order = describe != describe_application ? by_key
        : c->by_rpm                                   ? by_rpm_version
                                                      : by_version;
    struct entries a = {{NULL, 0, 0}}, b = {{NULL, 0, 0}};
    size_t i = 0, k = 0;
    int rc;

    if ((rc = fill(&a, before, describe, c->err)) || (rc = fill(&b, after, describe, c->err)))
        goto out;
    if (a.list.len)
        qsort(a.list.items, a.list.len, sizeof *a.list.items, order);
    if (b.list.len)
        qsort(b.list.items, b.list.len, sizeof *b.list.items, order);
    while (!rc && (i < a.list.len || k < b.list.len)) {
        const char *x = i < a.list.len ? a.list.items[i].key : NULL;
        const char *y = k < b.list.len ? b.list.items[k].key : NULL;
        const char *key = !x || (y && strcmp(y, x) < 0) ? y : x;
        struct entry *left, *right;
        size_t left_len = take(&left, &a, key, &i), right_len = take(&right, &b, key, &k);
        rc = say_group(c, kind, order, left, left_len, right, right_len);
    }
out:
    release(&a);
    release(&b);
    return rc;
}

static int compare_values(struct comparison *c, const json_t *before, const json_t *after)
{
    static const char *const keys[] = {"product", "distro", "version", "release", "edition",
        "variant", "service_pack_name", "build", "arch", "hostname", "domain", "timezone", "init",
        "boot_loader", "default_boot", "default_kernel"};
    int rc = 0;

    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && !rc; i++) {
        const char *x = vmscm_facts_text(before, keys[i]), *y = vmscm_facts_text(after, keys[i]);
        if (strcmp(x, y) != 0)
            rc = say(c, "system",
                !*x      ? VMSCM_INSPECT_ADDED
                    : !*y ? VMSCM_INSPECT_REMOVED
                          : VMSCM_INSPECT_CHANGED,
                keys[i], *x ? x : NULL, *y ? y : NULL);
    }
    return rc;
}

static int compare_systems(struct comparison *c, const json_t *before, const json_t *after)
{
    static const struct {
        const char *kind, *key;
        describe_fn describe;
    } lists[] = {{"package", "applications", describe_application}, {"user", "users", describe_user},
        {"group", "groups", describe_group}, {"service", "services", describe_string},
        {"kernel", "kernels", describe_string}, {"network", "network", describe_interface},
        {"nameserver", "nameservers", describe_string}, {"swap", "swap", describe_string},
        {"agent", "agents", describe_string}, {"license", "licenses", describe_license},
        {"patch", "patches", describe_patch}};
    const char *format = vmscm_facts_text(after, "package_format");
    int rc;

    c->by_rpm = strcmp(format, "rpm") == 0 || strcmp(format, "pacman") == 0;
    rc = compare_values(c, before, after);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0] && !rc; i++)
        rc = compare_lists(c, lists[i].kind, json_object_get(before, lists[i].key),
            json_object_get(after, lists[i].key), lists[i].describe);
    return rc;
}

static const json_t *find_root(const json_t *systems, const char *root)
{
    for (size_t i = 0; i < json_array_size(systems); i++)
        if (strcmp(vmscm_facts_text(json_array_get(systems, i), "root"), root) == 0)
            return json_array_get(systems, i);
    return NULL;
}

static const char *title(const json_t *system)
{
    const char *product = vmscm_facts_text(system, "product");

    return *product ? product : vmscm_facts_text(system, "distro");
}

static int compare_all(struct comparison *c, const json_t *before, const json_t *after)
{
    bool alone = json_array_size(before) == 1 && json_array_size(after) == 1;
    int rc = 0;

    for (size_t i = 0; i < json_array_size(before) && !rc; i++) {
        const json_t *system = json_array_get(before, i);
        c->system = vmscm_facts_text(system, "root");
        const json_t *other = alone ? json_array_get(after, 0) : find_root(after, c->system);
        c->title = title(other ? other : system);
        rc = other ? compare_systems(c, system, other)
                   : say(c, "system", VMSCM_INSPECT_REMOVED, "product", title(system), NULL);
    }
    for (size_t i = 0; i < json_array_size(after) && !rc && !alone; i++) {
        const json_t *system = json_array_get(after, i);
        c->system = vmscm_facts_text(system, "root");
        c->title = title(system);
        if (!find_root(before, c->system))
            rc = say(c, "system", VMSCM_INSPECT_ADDED, "product", NULL, title(system));
    }
    c->system = c->title = "";
    return rc;
}

int vmscm_compare_facts(const struct vmscm_facts *before, const struct vmscm_facts *after,
    int (*each)(void *data, const struct vmscm_inspect_change *change), void *data,
    struct vmscm_error *err)
{
    struct comparison c = {each, data, "", "", false, err};
    const json_t *a = before->root, *b = after->root;
    int rc = compare_all(&c, json_object_get(a, "systems"), json_object_get(b, "systems"));

    return rc ? rc
              : compare_lists(&c, "filesystem", json_object_get(a, "filesystems"),
                    json_object_get(b, "filesystems"), describe_filesystem);
}

int vmscm_inspect_compare(const char *before, const char *after,
    int (*each)(void *data, const struct vmscm_inspect_change *change), void *data,
    struct vmscm_error *err)
{
    struct vmscm_facts a = {NULL, 0, false}, b = {NULL, 0, false};
    int rc;

    if (!(rc = vmscm_facts_parse(&a, before, strlen(before), err)) &&
        !(rc = vmscm_facts_parse(&b, after, strlen(after), err)))
        rc = vmscm_compare_facts(&a, &b, each, data, err);
    vmscm_facts_release(&a);
    vmscm_facts_release(&b);
    return rc;
}
