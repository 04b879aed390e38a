/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "M1" and so on in comments are the rules of vmscm-format-machine(5). */
#include "machine/json.h"
#include "base/str.h"
#include "machine/jsontext.h"
#include "machine/model.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1
#define STRING_MAX 1024
#define TOKEN_MAX 64
#define CPUS_MAX 65536
#define SIZE_LIMIT (INT64_C(1) << 62)
#define NICS_MAX 256
#define OPTIONS_MAX 64

static const char token_bytes[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-";

static const char *const formats[] = {
    "raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx", "parallels", VMSCM_MODEL_TAR, NULL};
static const char *const firmwares[] = {"bios", "uefi", NULL};

/* Checks of a machine in memory, for both directions; `code` says whose fault a failure is. */
struct check {
    int code;
    struct vmscm_error *err;
};

static int fail(const struct check *c, const char *where, const char *field, const char *why)
{
    return vmscm_error_set(c->err, c->code, "machine: %s%s: %s", where, field, why);
}

static int check_text(const struct check *c, const char *where, const char *field,
    const char *value)
{
    if (value && (!*value || strlen(value) > STRING_MAX || !vmscm_str_printable(value)))
        return fail(c, where, field, "must be 1 to 1024 bytes of printable UTF-8");
    return 0;
}

static int check_token(const struct check *c, const char *where, const char *field,
    const char *value, bool required)
{
    if (!value)
        return required ? fail(c, where, field, "missing") : 0;
    size_t len = strlen(value);
    if (len == 0 || len > TOKEN_MAX || strspn(value, token_bytes) != len)
        return fail(c, where, field, "must be 1 to 64 letters, digits, '.', '_', '+' or '-'");
    return 0;
}

static int check_choice(const struct check *c, const char *where, const char *field,
    const char *value, const char *const *choices)
{
    if (!value)
        return fail(c, where, field, "missing");
    for (; *choices; choices++)
        if (strcmp(value, *choices) == 0)
            return 0;
    return fail(c, where, field, "unknown value");
}

static int check_number(const struct check *c, const char *where, const char *field, uint64_t value,
    uint64_t max)
{
    if (value < 1 || value > max)
        return fail(c, where, field, "out of range");
    return 0;
}

static int check_mac(const struct check *c, const char *where, const char *mac)
{
    if (!mac)
        return 0;
    for (size_t i = 0; i < 17; i++)
        if (i % 3 == 2 ? mac[i] != ':' : !mac[i] || !strchr("0123456789abcdef", mac[i]))
            return fail(c, where, "mac", "must be six pairs of lower-case hex digits");
    return mac[17] ? fail(c, where, "mac", "must be six pairs of lower-case hex digits") : 0;
}

static int check_disk(const struct check *c, const struct vmscm_machine *m, size_t i)
{
    const struct vmscm_machine_disk *disk = &m->disks[i];
    char where[100], field[80];
    int rc;

    snprintf(where, sizeof where, "disk %.70s: ", disk->id);
    if ((rc = check_token(c, where, "target", disk->target, false)) ||
        (rc = check_token(c, where, "bus", disk->bus, false)) ||
        (rc = check_choice(c, where, "format", disk->format, formats)) ||
        (rc = check_number(c, where, "size", disk->size, SIZE_LIMIT)))
        return rc;
    if (strcmp(disk->format, VMSCM_MODEL_TAR) == 0 &&
        (m->disk_count != 1 || strcmp(disk->id, VMSCM_MODEL_ROOTFS) != 0))
        return fail(c, where, "format", "tar, which only the one disk of a container is, rootfs");
    if (disk->option_count > OPTIONS_MAX)
        return fail(c, where, "options", "more than 64");
    for (size_t k = 0; k < disk->option_count; k++) {
        const struct vmscm_machine_option *option = &disk->options[k];
        if ((rc = check_token(c, where, "options", option->name, true)))
            return rc;
        snprintf(field, sizeof field, "options: %s", option->name);
        if (!option->value)
            return fail(c, where, field, "missing");
        if ((rc = check_text(c, where, field, option->value)))
            return rc;
    }
    return 0;
}

static int check_machine(const struct check *c, const struct vmscm_machine *m)
{
    char where[32];
    int rc;

    if ((rc = check_text(c, "", "name", m->name)) ||
        (rc = check_token(c, "", "arch", m->arch, true)) ||
        (rc = check_token(c, "", "machine_type", m->machine_type, false)) ||
        (rc = check_choice(c, "", "firmware", m->firmware, firmwares)) ||
        (rc = check_number(c, "", "cpus", m->cpus, CPUS_MAX)) ||
        (rc = check_number(c, "", "memory", m->memory, SIZE_LIMIT)))
        return rc;
    if (m->secure_boot != 0 && m->secure_boot != 1)
        return fail(c, "", "secure_boot", "neither 0 nor 1");
    if (m->disk_count > VMSCM_JSON_DISKS_MAX)
        return fail(c, "", "disks", "more than 256");
    if (m->nic_count > NICS_MAX)
        return fail(c, "", "nics", "more than 256");
    for (size_t i = 0; i < m->disk_count; i++)
        if ((rc = check_disk(c, m, i)))
            return rc;
    for (size_t i = 0; i < m->nic_count; i++) {
        const struct vmscm_machine_nic *nic = &m->nics[i];
        snprintf(where, sizeof where, "NIC %zu: ", i + 1);
        if ((rc = check_mac(c, where, nic->mac)) ||
            (rc = check_token(c, where, "model", nic->model, false)) ||
            (rc = check_token(c, where, "type", nic->type, false)) ||
            (rc = check_text(c, where, "network", nic->network)))
            return rc;
    }
    return 0;
}

/* json_object_set_new takes the value whatever happens, and fails on a NULL one. */
static bool put_text(json_t *object, const char *key, const char *value)
{
    return !value || json_object_set_new(object, key, json_string(value)) == 0;
}

static bool put_number(json_t *object, const char *key, uint64_t value)
{
    return json_object_set_new(object, key, json_integer((json_int_t)value)) == 0;
}

static json_t *encode_disk(const struct vmscm_machine_disk *disk)
{
    json_t *object = json_object(), *options = json_object();
    bool good = object && options;

    for (size_t i = 0; good && i < disk->option_count; i++)
        good = put_text(options, disk->options[i].name, disk->options[i].value);
    good = good && put_text(object, "id", disk->id) && put_text(object, "target", disk->target) &&
        put_text(object, "bus", disk->bus) && put_text(object, "format", disk->format) &&
        put_number(object, "size", disk->size) &&
        json_object_set(object, "options", options) == 0;
    json_decref(options);
    if (good)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *encode_nic(const struct vmscm_machine_nic *nic)
{
    json_t *object = json_object();

    if (object && put_text(object, "mac", nic->mac) && put_text(object, "model", nic->model) &&
        put_text(object, "type", nic->type) && put_text(object, "network", nic->network))
        return object;
    json_decref(object);
    return NULL;
}

static json_t *encode_machine(const struct vmscm_machine *m)
{
    json_t *object = json_object(), *disks = json_array(), *nics = json_array();
    bool good = object && disks && nics;

    for (size_t i = 0; good && i < m->disk_count; i++)
        good = json_array_append_new(disks, encode_disk(&m->disks[i])) == 0;
    for (size_t i = 0; good && i < m->nic_count; i++)
        good = json_array_append_new(nics, encode_nic(&m->nics[i])) == 0;
    good = good && put_number(object, "version", VERSION) && put_text(object, "name", m->name) &&
        put_text(object, "arch", m->arch) && put_text(object, "machine_type", m->machine_type) &&
        put_text(object, "firmware", m->firmware) &&
        json_object_set_new(object, "secure_boot", json_boolean(m->secure_boot)) == 0 &&
        put_number(object, "cpus", m->cpus) && put_number(object, "memory", m->memory) &&
        json_object_set(object, "disks", disks) == 0 && json_object_set(object, "nics", nics) == 0;
    json_decref(disks);
    json_decref(nics);
    if (good)
        return object;
    json_decref(object);
    return NULL;
}

int vmscm_json_encode(struct vmscm_buf *out, const struct vmscm_machine *machine,
    struct vmscm_error *err)
{
    const struct check check = {VMSCM_EINPUT, err};
    json_t *root = NULL;
    char *text = NULL;
    int rc = check_machine(&check, machine);

    if (rc)
        return rc;
    /* M2: sorted keys, two spaces, one newline at the end. */
    if (!(root = encode_machine(machine)) ||
        !(text = vmscm_jsontext_dump(root, JSON_SORT_KEYS | JSON_INDENT(2)))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    if (strlen(text) >= VMSCM_JSON_MAX)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "machine: its configuration is over 1 MiB");
    else if (!(rc = vmscm_buf_puts(out, text, err)))
        rc = vmscm_buf_puts(out, "\n", err);
out:
    json_decref(root);
    free(text);
    return rc;
}

/* Taking the fields of an object apart; the first failure sticks. */
struct fields {
    json_t *object;
    const char *where;
    size_t taken;
    int rc;
    struct vmscm_error *err;
};

static void wrong(struct fields *f, const char *field, const char *why)
{
    if (!f->rc)
        f->rc = vmscm_error_set(f->err, VMSCM_EDAMAGED, "machine.json: %s%s%s%s%s", f->where,
            *f->where ? ": " : "", field, *field ? ": " : "", why);
}

static json_t *take(struct fields *f, const char *field, bool required)
{
    json_t *value = f->rc ? NULL : json_object_get(f->object, field);

    if (value)
        f->taken++;
    else if (required)
        wrong(f, field, "missing");
    return value;
}

static void take_text(struct fields *f, const char *field, char **out, bool required)
{
    json_t *value = take(f, field, required);

    if (!value)
        return;
    if (!json_is_string(value))
        wrong(f, field, "not a string");
    else
        f->rc = vmscm_model_set(out, json_string_value(value), f->err);
}

static uint64_t take_number(struct fields *f, const char *field, uint64_t max)
{
    json_t *value = take(f, field, true);

    if (!value)
        return 0;
    if (!json_is_integer(value))
        wrong(f, field, "not an integer");
    else if (json_integer_value(value) < 1 || (uint64_t)json_integer_value(value) > max)
        wrong(f, field, "out of range");
    else
        return (uint64_t)json_integer_value(value);
    return 0;
}

static int take_boolean(struct fields *f, const char *field)
{
    json_t *value = take(f, field, true);

    if (value && !json_is_boolean(value))
        wrong(f, field, "not true or false");
    return json_is_true(value);
}

static json_t *take_array(struct fields *f, const char *field, size_t max)
{
    json_t *value = take(f, field, true);

    if (value && !json_is_array(value))
        wrong(f, field, "not an array");
    else if (value && json_array_size(value) > max)
        wrong(f, field, "too many");
    return f->rc ? NULL : value;
}

/* M4: every field of the object was one that was asked for. */
static int done(struct fields *f)
{
    if (!f->rc && json_object_size(f->object) != f->taken)
        wrong(f, "", "has a field that version 1 does not know");
    return f->rc;
}

static int decode_disk(struct vmscm_machine *m, json_t *object, size_t n, struct vmscm_error *err)
{
    char where[40];
    struct fields f = {object, where, 0, 0, err};
    struct vmscm_machine_disk *disk;
    json_t *options, *value;
    const char *name;
    char *id = NULL;

    snprintf(where, sizeof where, "disks[%zu]", n);
    if (!json_is_object(object))
        wrong(&f, "", "not an object");
    take_text(&f, "id", &id, true);
    if (!f.rc && (f.rc = vmscm_model_add_disk(&disk, m, id, err)) && f.rc != VMSCM_ENOMEM) {
        f.rc = 0;
        wrong(&f, "id", "not a disk id, or not the only one of that name");
    }
    free(id);
    if (f.rc)
        return f.rc;
    take_text(&f, "target", &disk->target, false);
    take_text(&f, "bus", &disk->bus, false);
    take_text(&f, "format", &disk->format, true);
    disk->size = take_number(&f, "size", SIZE_LIMIT);
    options = take(&f, "options", true);
    if (options && !json_is_object(options))
        wrong(&f, "options", "not an object");
    else if (options && json_object_size(options) > OPTIONS_MAX)
        wrong(&f, "options", "too many");
    if (f.rc)
        return f.rc;
    json_object_foreach(options, name, value) {
        if (!json_is_string(value))
            wrong(&f, "options", "not a string");
        else
            f.rc = vmscm_model_set_option(disk, name, json_string_value(value), err);
        if (f.rc)
            return f.rc;
    }
    return done(&f);
}

static int decode_nic(struct vmscm_machine *m, json_t *object, size_t n, struct vmscm_error *err)
{
    char where[40];
    struct fields f = {object, where, 0, 0, err};
    struct vmscm_machine_nic *nic;

    snprintf(where, sizeof where, "nics[%zu]", n);
    if (!json_is_object(object))
        wrong(&f, "", "not an object");
    if (f.rc || (f.rc = vmscm_model_add_nic(&nic, m, err)))
        return f.rc;
    take_text(&f, "mac", &nic->mac, false);
    take_text(&f, "model", &nic->model, false);
    take_text(&f, "type", &nic->type, false);
    take_text(&f, "network", &nic->network, false);
    return done(&f);
}

static int decode_machine(struct vmscm_machine *m, json_t *root, struct vmscm_error *err)
{
    struct fields f = {root, "", 0, 0, err};
    json_t *disks, *nics, *version;

    if (!json_is_object(root))
        wrong(&f, "", "not an object");
    /* M3: another version may have other fields, so it is looked at first. */
    version = take(&f, "version", true);
    if (version && !json_is_integer(version))
        wrong(&f, "version", "not an integer");
    if (!f.rc && json_integer_value(version) != VERSION)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "machine.json: version %lld: this vmscm knows version %d",
            (long long)json_integer_value(version), VERSION);
    take_text(&f, "name", &m->name, false);
    take_text(&f, "arch", &m->arch, true);
    take_text(&f, "machine_type", &m->machine_type, false);
    take_text(&f, "firmware", &m->firmware, true);
    m->secure_boot = take_boolean(&f, "secure_boot");
    m->cpus = (uint32_t)take_number(&f, "cpus", CPUS_MAX);
    m->memory = take_number(&f, "memory", SIZE_LIMIT);
    disks = take_array(&f, "disks", VMSCM_JSON_DISKS_MAX);
    for (size_t i = 0; !f.rc && i < json_array_size(disks); i++)
        f.rc = decode_disk(m, json_array_get(disks, i), i, err);
    nics = take_array(&f, "nics", NICS_MAX);
    for (size_t i = 0; !f.rc && i < json_array_size(nics); i++)
        f.rc = decode_nic(m, json_array_get(nics, i), i, err);
    return done(&f);
}

int vmscm_json_decode(struct vmscm_machine **out, const void *data, size_t len,
    struct vmscm_error *err)
{
    const struct check check = {VMSCM_EDAMAGED, err};
    struct vmscm_machine *m = NULL;
    json_error_t why;
    json_t *root = NULL;
    int rc;

    *out = NULL;
    if (len > VMSCM_JSON_MAX)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "machine.json: over 1 MiB");
    if (!(root = json_loadb(data, len, JSON_REJECT_DUPLICATES, &why))) {
        if (json_error_code(&why) == json_error_out_of_memory)
            return vmscm_error_nomem(err);
        return vmscm_error_set(err, VMSCM_EDAMAGED, "machine.json: line %d: %s", why.line, why.text);
    }
    if (!(m = calloc(1, sizeof *m))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    if ((rc = decode_machine(m, root, err)) || (rc = check_machine(&check, m)))
        goto out;
    *out = m;
    m = NULL;
out:
    vmscm_model_free(m);
    json_decref(root);
    return rc;
}
