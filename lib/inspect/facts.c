/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "inspect/facts.h"
#include "base/str.h"
#include "history/ident.h"
#include "machine/jsontext.h"

#include <string.h>

enum kind { TEXT, NUMBER, TRUTH, TEXTS, OBJECTS };

/* What the schema knows of an object. A table ends with one whose key is NULL. */
struct member {
    const char *key;
    enum kind kind;
    const struct member *of; /* OBJECTS: each */
};

static const struct member disk[] = {{"id", TEXT, NULL}, {"size", NUMBER, NULL}, {"table", TEXT, NULL},
    {NULL, TEXT, NULL}};
static const struct member partition[] = {{"device", TEXT, NULL}, {"size", NUMBER, NULL},
    {"type", TEXT, NULL}, {NULL, TEXT, NULL}};
static const struct member volume[] = {{"device", TEXT, NULL}, {"kind", TEXT, NULL},
    {"size", NUMBER, NULL}, {"level", TEXT, NULL}, {"members", TEXTS, NULL}, {NULL, TEXT, NULL}};
static const struct member filesystem[] = {{"device", TEXT, NULL}, {"subvolume", TEXT, NULL},
    {"type", TEXT, NULL}, {"label", TEXT, NULL}, {"uuid", TEXT, NULL}, {"size", NUMBER, NULL},
    {"opaque", TRUTH, NULL}, {NULL, TEXT, NULL}};
static const struct member mount[] = {{"path", TEXT, NULL}, {"device", TEXT, NULL},
    {"error", TEXT, NULL}, {NULL, TEXT, NULL}};
static const struct member application[] = {{"name", TEXT, NULL}, {"epoch", NUMBER, NULL},
    {"version", TEXT, NULL}, {"release", TEXT, NULL}, {"arch", TEXT, NULL},
    {"publisher", TEXT, NULL}, {"license", TEXT, NULL},
    {"path", TEXT, NULL}, {"date", TEXT, NULL}, {"source", TEXT, NULL},
    {"origin", TEXT, NULL}, {"user", TEXT, NULL}, {NULL, TEXT, NULL}};
static const struct member user[] = {{"name", TEXT, NULL}, {"id", TEXT, NULL}, {"group", TEXT, NULL},
    {"home", TEXT, NULL}, {"shell", TEXT, NULL}, {"last_login", TEXT, NULL},
    {"disabled", TRUTH, NULL}, {NULL, TEXT, NULL}};
static const struct member group[] = {{"name", TEXT, NULL}, {"id", TEXT, NULL},
    {"members", TEXTS, NULL}, {NULL, TEXT, NULL}};
static const struct member interface[] = {{"interface", TEXT, NULL}, {"method", TEXT, NULL},
    {"addresses", TEXTS, NULL}, {"gateways", TEXTS, NULL}, {"dns", TEXTS, NULL}, {"mac", TEXT, NULL},
    {"source", TEXT, NULL}, {NULL, TEXT, NULL}};
static const struct member license[] = {{"name", TEXT, NULL}, {"channel", TEXT, NULL},
    {"level", TEXT, NULL}, {"partial_key", TEXT, NULL}, {"product_id", TEXT, NULL}, {NULL, TEXT, NULL}};
static const struct member patch[] = {{"name", TEXT, NULL}, {"date", TEXT, NULL}, {NULL, TEXT, NULL}};
static const struct member system_members[] = {{"root", TEXT, NULL}, {"type", TEXT, NULL},
    {"distro", TEXT, NULL}, {"product", TEXT, NULL}, {"variant", TEXT, NULL},
    {"version", TEXT, NULL}, {"release", TEXT, NULL}, {"osinfo", TEXT, NULL}, {"arch", TEXT, NULL},
    {"hostname", TEXT, NULL}, {"package_format", TEXT, NULL}, {"package_management", TEXT, NULL},
    {"service_pack", NUMBER, NULL}, {"service_pack_name", TEXT, NULL}, {"build", TEXT, NULL},
    {"build_revision", NUMBER, NULL}, {"edition", TEXT, NULL}, {"mounts", OBJECTS, mount},
    {"applications", OBJECTS, application}, {"truncated", TRUTH, NULL}, {"users", OBJECTS, user},
    {"groups", OBJECTS, group}, {"kernels", TEXTS, NULL}, {"timezone", TEXT, NULL},
    {"init", TEXT, NULL}, {"services", TEXTS, NULL}, {"installed", TEXT, NULL},
    {"last_boot", TEXT, NULL}, {"last_shutdown", TEXT, NULL}, {"last_patch", TEXT, NULL},
    {"boot_loader", TEXT, NULL}, {"default_boot", TEXT, NULL}, {"default_kernel", TEXT, NULL},
    {"swap", TEXTS, NULL}, {"network", OBJECTS, interface}, {"nameservers", TEXTS, NULL},
    {"domain", TEXT, NULL}, {"agents", TEXTS, NULL}, {"licenses", OBJECTS, license},
    {"patches", OBJECTS, patch}, {NULL, TEXT, NULL}};
static const struct member document[] = {{"date", TEXT, NULL}, {"status", TEXT, NULL},
    {"error", TEXT, NULL}, {"tool", TEXT, NULL}, {"accelerator", TEXT, NULL},
    {"disks", OBJECTS, disk}, {"partitions", OBJECTS, partition}, {"volumes", OBJECTS, volume},
    {"filesystems", OBJECTS, filesystem}, {"systems", OBJECTS, system_members},
    {NULL, TEXT, NULL}};

static bool good_text(const json_t *value)
{
    return json_is_string(value) && json_string_length(value) <= VMSCM_FACTS_TEXT_MAX;
}

static int check_object(const json_t *object, const struct member *members, const char *what,
    struct vmscm_error *err);

static int check_value(const json_t *value, const struct member *m, struct vmscm_error *err)
{
    bool good = false;
    int rc = 0;

    switch (m->kind) {
    case TEXT:
        good = good_text(value);
        break;
    case NUMBER:
        good = json_is_integer(value) && json_integer_value(value) >= 0;
        break;
    case TRUTH:
        good = json_is_boolean(value);
        break;
    case TEXTS:
    case OBJECTS:
        good = json_is_array(value) && json_array_size(value) <= VMSCM_FACTS_LIST_MAX;
        for (size_t i = 0; good && !rc && i < json_array_size(value); i++) {
            const json_t *item = json_array_get(value, i);
            if (m->kind == TEXTS)
                good = good_text(item);
            else
                rc = check_object(item, m->of, m->key, err);
        }
        break;
    }
    return good ? rc : vmscm_error_set(err, VMSCM_EINPUT, "facts: \"%s\": not what it has to be", m->key);
}

static int check_object(const json_t *object, const struct member *members, const char *what,
    struct vmscm_error *err)
{
    int rc = 0;

    if (!json_is_object(object))
        return vmscm_error_set(err, VMSCM_EINPUT, "facts: \"%s\": not of objects", what);
    for (const struct member *m = members; m->key && !rc; m++) {
        const json_t *value = json_object_get(object, m->key);
        if (value)
            rc = check_value(value, m, err);
    }
    return rc;
}

static int check(struct vmscm_facts *facts, struct vmscm_error *err)
{
    const json_t *schema = json_object_get(facts->root, "schema");
    const char *status = vmscm_facts_text(facts->root, "status");
    struct vmscm_signature when = {0};
    int rc;

    if (!json_is_object(facts->root) || !json_is_integer(schema))
        return vmscm_error_set(err, VMSCM_EINPUT, "facts: no object with a \"schema\"");
    if (json_integer_value(schema) != 1)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "facts: of schema %lld, which this vmscm does not know",
            (long long)json_integer_value(schema));
    if ((rc = check_object(facts->root, document, "facts", err)))
        return rc;
    facts->failed = strcmp(status, "failed") == 0;
    if (!facts->failed && strcmp(status, "ok") != 0)
        return vmscm_error_set(err, VMSCM_EINPUT, "facts: \"status\": neither ok nor failed");
    if (facts->failed && !*vmscm_facts_text(facts->root, "error"))
        return vmscm_error_set(err, VMSCM_EINPUT, "facts: failed, and no \"error\" says why");
    if (vmscm_ident_parse_date(&when, vmscm_facts_text(facts->root, "date"), NULL))
        return vmscm_error_set(err, VMSCM_EINPUT, "facts: \"date\": no date");
    facts->time = when.time;
    return 0;
}

int vmscm_facts_parse(struct vmscm_facts *out, const char *text, size_t size,
    struct vmscm_error *err)
{
    json_error_t why;

    *out = (struct vmscm_facts){NULL, 0, false};
    if (size > VMSCM_FACTS_MAX)
        return vmscm_error_set(err, VMSCM_EINPUT, "facts: over 16 MiB");
    if (!(out->root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why)))
        return vmscm_error_set(
            err, VMSCM_EINPUT, "facts: line %d: %s", why.line, why.text);
    return check(out, err);
}

void vmscm_facts_release(struct vmscm_facts *facts)
{
    json_decref(facts->root);
    facts->root = NULL;
}

int vmscm_facts_choose(struct vmscm_facts *out, const char *note, struct vmscm_error *err)
{
    struct vmscm_facts best = {NULL, 0, false}, facts;

    for (const char *p = note; *p;) {
        size_t len = strcspn(p, "\n");
        bool good = len && !vmscm_facts_parse(&facts, p, len, NULL);
        /* Of the same second the last, which was added last. */
        if (good && (!best.root || (best.failed && !facts.failed) ||
                        (best.failed == facts.failed && facts.time >= best.time))) {
            vmscm_facts_release(&best);
            best = facts;
        } else if (len) {
            vmscm_facts_release(&facts);
        }
        p += len + (p[len] == '\n');
    }
    *out = best;
    return best.root ? 0 : vmscm_error_set(err, VMSCM_ENOTFOUND, "facts: none that can be read");
}

int vmscm_facts_line(char **out, const struct vmscm_facts *facts, struct vmscm_error *err)
{
    *out = vmscm_jsontext_dump(facts->root, JSON_COMPACT);
    return *out ? 0 : vmscm_error_nomem(err);
}

const char *vmscm_facts_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}
