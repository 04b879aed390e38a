/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/xva.h"
#include "base/str.h"
#include "base/vec.h"
#include "machine/hint.h"
#include "machine/model.h"
#include "machine/xml.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OBJECTS_MAX 65536
#define DISKS_MAX 256
#define NICS_MAX 256
#define CPUS_MAX 65536
#define SIZE_MAX_BYTES (UINT64_C(1) << 62)
#define TEXT_MAX 1024

struct object {
    char *class, *id;
    const xmlNode *fields; /* a struct */
};

struct document {
    VMSCM_VEC(struct object) objects;
    struct vmscm_error *err;
};

/* The value of a struct's member, or NULL. */
static const xmlNode *member(const xmlNode *fields, const char *name)
{
    for (const xmlNode *n = fields ? fields->children : NULL; n; n = n->next) {
        char *own = NULL;
        bool found;
        if (!vmscm_xml_is(n, "member") ||
            vmscm_xml_get(&own, vmscm_xml_child(n, "name"), NULL, NULL))
            continue;
        found = own && strcmp(own, name) == 0;
        free(own);
        if (found)
            return vmscm_xml_child(n, "value");
    }
    return NULL;
}

static const xmlNode *struct_of(const xmlNode *fields, const char *name)
{
    return vmscm_xml_child(member(fields, name), "struct");
}

/* The text of a member; *out stays NULL if it has none. */
static int get(char **out, const xmlNode *fields, const char *name, struct vmscm_error *err)
{
    return vmscm_xml_get(out, member(fields, name), NULL, err);
}

static bool is(const xmlNode *fields, const char *name, const char *expected)
{
    char *text = NULL;
    bool same = !get(&text, fields, name, NULL) && text && strcmp(text, expected) == 0;

    free(text);
    return same;
}

static bool is_true(const xmlNode *fields, const char *name)
{
    return is(fields, name, "1") || is(fields, name, "true");
}

/* A number in text; fallback if there is none. */
static int get_number(uint64_t *out, const xmlNode *fields, const char *name, uint64_t max,
    uint64_t fallback, struct vmscm_error *err)
{
    char *text = NULL;
    int rc = get(&text, fields, name, err);

    *out = fallback;
    if (!rc && text && !vmscm_str_uint(out, text, 1, max))
        rc = vmscm_error_set(err, VMSCM_EINPUT, "ova.xml: %s: %.60s: out of range", name, text);
    free(text);
    return rc;
}

static int read_object(struct document *d, const xmlNode *value)
{
    const xmlNode *fields = vmscm_xml_child(value, "struct");
    struct object *o;
    int rc;

    if (d->objects.len == OBJECTS_MAX)
        return vmscm_error_set(d->err, VMSCM_EINPUT, "ova.xml: more than %d objects", OBJECTS_MAX);
    if ((rc = vmscm_vec_add(&d->objects, &o, d->err)) ||
        (rc = get(&o->class, fields, "class", d->err)) || (rc = get(&o->id, fields, "id", d->err)))
        return rc;
    o->fields = struct_of(fields, "snapshot");
    if (!o->class || !o->id || !o->fields)
        return vmscm_error_set(d->err, VMSCM_EINPUT, "ova.xml: an object without class, id or fields");
    return 0;
}

static int read_objects(struct document *d, const xmlNode *root)
{
    const xmlNode *all = root && vmscm_xml_is(root, "value") ? vmscm_xml_child(root, "struct") : NULL;
    const xmlNode *data = vmscm_xml_child(vmscm_xml_child(member(all, "objects"), "array"), "data");
    int rc = 0;

    if (!data)
        return vmscm_error_set(d->err, VMSCM_EINPUT,
            "ova.xml: no list of objects: it is none of XenServer's, or older than version 4");
    for (const xmlNode *n = data->children; n && !rc; n = n->next)
        if (vmscm_xml_is(n, "value"))
            rc = read_object(d, n);
    return rc;
}

static const xmlNode *find(const struct document *d, const char *class, const char *id)
{
    for (size_t i = 0; id && i < d->objects.len; i++)
        if (strcmp(d->objects.items[i].class, class) == 0 &&
            strcmp(d->objects.items[i].id, id) == 0)
            return d->objects.items[i].fields;
    return NULL;
}

static int choose(const struct object **out, const struct document *d, const char *system)
{
    size_t count = 0;

    *out = NULL;
    for (size_t i = 0; i < d->objects.len; i++) {
        const struct object *o = &d->objects.items[i];
        if (strcmp(o->class, "VM") != 0 ||
            (system ? strcmp(o->id, system) != 0 && !is(o->fields, "name_label", system)
                    : is_true(o->fields, "is_a_snapshot")))
            continue;
        *out = o;
        count++;
    }
    if (count == 1)
        return 0;
    if (!count && !system)
        return vmscm_error_set(d->err, VMSCM_EINPUT, "ova.xml: has no VM");
    if (system)
        return vmscm_error_set(d->err, VMSCM_EUSAGE, "ova.xml: has %s machine %.100s",
            count ? "more than one" : "no", system);
    vmscm_error_set(d->err, VMSCM_EUSAGE, "ova.xml: has %zu machines", count);
    return vmscm_error_hint(d->err, "--system says which, by its name or id");
}

/* A text that can be stored, or nothing. */
static int set_text(char **field, const xmlNode *fields, const char *name, struct vmscm_error *err)
{
    char *text = NULL;
    int rc = get(&text, fields, name, err);

    if (!rc && text && strlen(text) <= TEXT_MAX && vmscm_str_printable(text))
        rc = vmscm_model_set(field, text, err);
    free(text);
    return rc;
}

static int read_machine(struct vmscm_machine *m, const xmlNode *vm, struct vmscm_error *err)
{
    uint64_t cpus, memory;
    int rc;

    if ((rc = set_text(&m->name, vm, "name_label", err)) ||
        (rc = get_number(&cpus, vm, "VCPUs_max", CPUS_MAX, 1, err)) ||
        (rc = get_number(&cpus, vm, "VCPUs_at_startup", CPUS_MAX, cpus, err)) ||
        (rc = get_number(&memory, vm, "memory_static_max", SIZE_MAX_BYTES, m->memory, err)) ||
        (rc = get_number(&memory, vm, "memory_dynamic_max", SIZE_MAX_BYTES, memory, err)))
        return rc;
    m->cpus = (uint32_t)cpus;
    m->memory = memory;
    m->secure_boot = is(struct_of(vm, "platform"), "secureboot", "true");
    return is(struct_of(vm, "HVM_boot_params"), "firmware", "uefi")
        ? vmscm_model_set(&m->firmware, "uefi", err)
        : 0;
}

/* A VBD or VIF of the VM, by its place. */
struct device {
    const xmlNode *fields;
    uint64_t place;
    size_t order;
};

static int by_place(const void *a, const void *b)
{
    const struct device *x = a, *y = b;

    return x->place != y->place ? (x->place > y->place) - (x->place < y->place)
                                : (x->order > y->order) - (x->order < y->order);
}

/* Those of the VM's, in their order. *out is the caller's. */
static int devices(struct device **out, size_t *count, const struct document *d,
    const struct object *vm, const char *class, const char *place, size_t max)
{
    struct device *list = calloc(d->objects.len + 1, sizeof *list);

    *count = 0;
    if (!(*out = list))
        return vmscm_error_nomem(d->err);
    for (size_t i = 0; i < d->objects.len; i++) {
        const struct object *o = &d->objects.items[i];
        char *text = NULL;
        int rc;
        if (strcmp(o->class, class) != 0 || !is(o->fields, "VM", vm->id) ||
            is(o->fields, "type", "CD"))
            continue;
        if ((rc = get(&text, o->fields, place, d->err)))
            return rc;
        list[*count] = (struct device){o->fields, UINT64_MAX, *count};
        if (text)
            vmscm_str_uint(&list[*count].place, text, 0, 25);
        free(text);
        if (++*count > max)
            return vmscm_error_set(d->err, VMSCM_EINPUT, "ova.xml: more than %zu %ss", max, class);
    }
    qsort(list, *count, sizeof *list, by_place);
    return 0;
}

/* The folder in the archive: a plain word, such as "Ref:7". */
static bool is_reference(const char *id)
{
    return id && *id && strlen(id) <= 80 &&
        strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_-") ==
            strlen(id);
}

static int add_disk(struct vmscm_machine *m, char ***sources, const struct document *d,
    const struct device *vbd)
{
    struct vmscm_machine_disk *disk;
    char *id = NULL, name[16], **grown;
    const xmlNode *vdi;
    uint64_t size;
    int rc;

    if ((rc = get(&id, vbd->fields, "VDI", d->err)))
        return rc;
    if (!(vdi = find(d, "VDI", id)) || !is_reference(id)) {
        rc = vmscm_error_set(
            d->err, VMSCM_EINPUT, "ova.xml: a disk \"%.80s\" that is not there", id ? id : "");
        goto out;
    }
    for (size_t i = 0; i < m->disk_count; i++)
        if (strcmp((*sources)[i], id) == 0) {
            rc = vmscm_error_set(d->err, VMSCM_EINPUT, "ova.xml: the disk %s is there twice", id);
            goto out;
        }
    if ((rc = get_number(&size, vdi, "virtual_size", SIZE_MAX_BYTES, 0, d->err)))
        goto out;
    if (!size) {
        rc = vmscm_error_set(d->err, VMSCM_EINPUT, "ova.xml: the disk %s has no virtual_size", id);
        goto out;
    }
    snprintf(name, sizeof name, "xvd%c", (char)('a' + (vbd->place <= 25 ? vbd->place : 0)));
    if (vbd->place > 25 || vmscm_model_disk(m, name))
        vmscm_model_name_disk(name, m, "xen");
    if (!(grown = reallocarray(*sources, m->disk_count + 1, sizeof *grown))) {
        rc = vmscm_error_nomem(d->err);
        goto out;
    }
    *sources = grown;
    if ((rc = vmscm_model_add_disk(&disk, m, name, d->err)))
        goto out;
    grown[m->disk_count - 1] = id;
    id = NULL;
    disk->size = size;
    if (!(rc = vmscm_model_set(&disk->target, name, d->err)))
        rc = vmscm_model_set(&disk->bus, "xen", d->err);
out:
    free(id);
    return rc;
}

static int add_nic(struct vmscm_machine *m, const struct document *d, const struct device *vif)
{
    struct vmscm_machine_nic *nic;
    char *mac = NULL, *network = NULL;
    int rc;

    if ((rc = vmscm_model_add_nic(&nic, m, d->err)) ||
        (rc = vmscm_model_set(&nic->type, "network", d->err)) ||
        (rc = get(&network, vif->fields, "network", d->err)) ||
        (rc = set_text(&nic->network, find(d, "network", network), "name_label", d->err)) ||
        (rc = get(&mac, vif->fields, "MAC", d->err)))
        goto out;
    rc = vmscm_model_set_mac(nic, mac, d->err);
out:
    free(network);
    free(mac);
    return rc;
}

static int read_devices(struct vmscm_machine *m, char ***sources, const struct document *d,
    const struct object *vm)
{
    struct device *list = NULL;
    size_t count;
    int rc = devices(&list, &count, d, vm, "VBD", "userdevice", DISKS_MAX);

    for (size_t i = 0; i < count && !rc; i++)
        rc = add_disk(m, sources, d, &list[i]);
    free(list);
    list = NULL;
    if (!rc)
        rc = devices(&list, &count, d, vm, "VIF", "device", NICS_MAX);
    for (size_t i = 0; !rc && i < count; i++)
        rc = add_nic(m, d, &list[i]);
    free(list);
    return rc;
}

static int apply_hint(struct vmscm_machine *m, char **sources, const xmlNode *vm,
    struct vmscm_error *err)
{
    const xmlNode *config = struct_of(vm, "other_config");
    char *as = NULL, *is_text = NULL;
    int rc;

    if (!(rc = get(&as, config, VMSCM_XVA_AS, err)) &&
        !(rc = get(&is_text, config, VMSCM_XVA_IS, err)))
        rc = vmscm_hint_apply(m, sources, as, is_text, err);
    free(as);
    free(is_text);
    return rc;
}

static void release_sources(char **sources, const struct vmscm_machine *m)
{
    for (size_t i = 0; sources && i < m->disk_count; i++)
        free(sources[i]);
    free(sources);
}

static int parse(struct vmscm_machine **out, char ***sources, const char *system, const void *xml,
    size_t len, struct vmscm_error *err)
{
    struct document d = {.err = err};
    struct vmscm_machine *m = NULL;
    const struct object *vm;
    char **files = NULL;
    xmlDocPtr doc = NULL;
    int rc;

    if ((rc = vmscm_xml_read(&doc, "ova.xml", xml, len, VMSCM_XVA_MAX, err)))
        return rc;
    if ((rc = read_objects(&d, xmlDocGetRootElement(doc))) || (rc = choose(&vm, &d, system)) ||
        (rc = vmscm_model_new(&m, err)))
        goto out;
    vmscm_model_remove_nics(m);
    if ((rc = read_machine(m, vm->fields, err)) || (rc = read_devices(m, &files, &d, vm)) ||
        (rc = apply_hint(m, files, vm->fields, err)))
        goto out;
    *out = m;
    *sources = files;
    m = NULL;
    files = NULL;
out:
    if (m)
        release_sources(files, m);
    vmscm_model_free(m);
    for (size_t i = 0; i < d.objects.len; i++) {
        free(d.objects.items[i].class);
        free(d.objects.items[i].id);
    }
    vmscm_vec_release(&d.objects);
    xmlFreeDoc(doc);
    return rc;
}

int vmscm_xva_parse(struct vmscm_machine **out, char ***sources, const char *system,
    const void *xml, size_t len, struct vmscm_error *err)
{
    struct vmscm_xml_watch watch;
    int rc;

    *out = NULL;
    *sources = NULL;
    vmscm_xml_begin(&watch);
    rc = parse(out, sources, system, xml, len, err);
    if (!vmscm_xml_end(&watch))
        return rc;
    release_sources(*sources, *out);
    vmscm_model_free(*out);
    *sources = NULL;
    *out = NULL;
    return vmscm_error_nomem(err);
}
