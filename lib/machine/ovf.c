/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading an OVF descriptor. Element and attribute names are taken without their namespaces, which
 * differ from version to version and from vendor to vendor; numbers are bounded, texts that cannot be
 * stored are left out, and so is what is not understood.
 */
#include "machine/ovf.h"
#include "base/str.h"
#include "machine/model.h"
#include "machine/ovfparts.h"
#include "machine/xml.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SYSTEMS_MAX 256
#define DISKS_MAX 256

static int bad(struct vmscm_error *err, const char *element, const char *value, const char *why)
{
    return vmscm_error_set(
        err, VMSCM_EINPUT, "OVF: <%s>: %.100s: %s", element, value ? value : "", why);
}

void vmscm_ovf_free(struct vmscm_ovf *ovf)
{
    if (!ovf)
        return;
    for (size_t i = 0; i < ovf->files.len; i++) {
        free(ovf->files.items[i].id);
        free(ovf->files.items[i].href);
    }
    for (size_t i = 0; i < ovf->systems.len; i++) {
        free(ovf->systems.items[i].id);
        free(ovf->systems.items[i].os_id);
        free(ovf->systems.items[i].os_type);
        free(ovf->systems.items[i].disks);
        vmscm_model_free(ovf->systems.items[i].machine);
    }
    vmscm_vec_release(&ovf->files);
    vmscm_vec_release(&ovf->systems);
    free(ovf);
}

/* A section, by its name or, as version 0.9 and oVirt write it, <Section xsi:type="ovf:NAME_Type">. */
static bool is_section(const xmlNode *node, const char *name)
{
    char *type = NULL;
    bool same = false;

    if (vmscm_xml_is(node, name))
        return true;
    if (!vmscm_xml_is(node, "Section") && !vmscm_xml_is(node, "Content"))
        return false;
    if (!vmscm_xml_get(&type, node, "type", NULL) && type) {
        const char *colon = strchr(type, ':'), *local = colon ? colon + 1 : type;
        size_t len = strlen(name);
        same = strncmp(local, name, len) == 0 && (!local[len] || strcmp(local + len, "_Type") == 0);
    }
    free(type);
    return same;
}

static int get_number(uint64_t *out, const xmlNode *node, const char *attribute,
    struct vmscm_error *err)
{
    char *text = NULL;
    int rc = vmscm_xml_get(&text, node, attribute, err);

    *out = 0;
    /* What is no number is a property's name, ${size}. */
    if (!rc && text && !vmscm_str_uint(out, text, 0, VMSCM_OVFPARTS_SIZE_MAX))
        *out = 0;
    free(text);
    return rc;
}

static int read_file(struct vmscm_ovf *ovf, const xmlNode *node, struct vmscm_error *err)
{
    struct vmscm_ovf_file *file;
    char *compression = NULL;
    int rc;

    if (ovf->files.len == VMSCM_OVF_FILES_MAX)
        return bad(err, "File", "", "there are more than 4096");
    if ((rc = vmscm_vec_add(&ovf->files, &file, err)) ||
        (rc = vmscm_xml_get(&file->id, node, "id", err)) ||
        (rc = vmscm_xml_get(&file->href, node, "href", err)) ||
        (rc = get_number(&file->size, node, "size", err)) ||
        (rc = get_number(&file->chunk, node, "chunkSize", err)) ||
        (rc = vmscm_xml_get(&compression, node, "compression", err)))
        goto out;
    if (!file->href || strlen(file->href) > 4095 || !vmscm_str_printable(file->href))
        rc = bad(err, "File", file->href, "no file name");
    else if (!file->id)
        rc = bad(err, "File", file->href, "has no id");
    for (size_t i = 0; !rc && i + 1 < ovf->files.len; i++)
        if (strcmp(ovf->files.items[i].id, file->id) == 0)
            rc = bad(err, "File", file->id, "two files have this id");
    if (!rc && compression && strcmp(compression, "gzip") == 0)
        file->gzip = true;
    else if (!rc && compression && strcmp(compression, "identity") != 0)
        rc = bad(err, "File", compression, "an unknown compression");
out:
    free(compression);
    return rc;
}

/* A <Disk>. */
struct disk {
    char *id;
    struct vmscm_ovf_disk where;
    char *interface; /* oVirt's */
    bool used;
};

/* The descriptor while it is read. */
struct reading {
    struct vmscm_ovf *ovf;
    VMSCM_VEC(struct disk) disks;
    struct vmscm_error *err;
};

static const char *format_of(const char *url)
{
    static const struct {
        const char *word, *format;
    } formats[] = {{"vmdk", "vmdk"}, {"qcow", "qcow2"}, {"vhdx", "vhdx"}, {"vhd", "vpc"},
        {"vdi", "vdi"}, {"raw", "raw"}, {"LinkId=137171", "vpc"}};

    for (size_t i = 0; url && i < sizeof formats / sizeof formats[0]; i++)
        if (strcasestr(url, formats[i].word))
            return formats[i].format;
    return NULL;
}

static int find_file(size_t *out, const struct vmscm_ovf *ovf, const char *id,
    struct vmscm_error *err)
{
    for (size_t i = 0; i < ovf->files.len; i++)
        if (strcmp(ovf->files.items[i].id, id) == 0) {
            *out = i;
            return 0;
        }
    return bad(err, "Disk", id, "no file has this id");
}

static int read_disk(struct reading *r, const xmlNode *node)
{
    struct disk *disk;
    char *file = NULL, *parent = NULL, *format = NULL, *unit = NULL;
    int rc;

    if (r->disks.len == VMSCM_OVF_FILES_MAX)
        return bad(r->err, "Disk", "", "there are more than 4096");
    if ((rc = vmscm_vec_add(&r->disks, &disk, r->err)) ||
        (rc = vmscm_xml_get(&disk->id, node, "diskId", r->err)) ||
        (rc = vmscm_xml_get(&disk->interface, node, "disk-interface", r->err)) ||
        (rc = vmscm_xml_get(&file, node, "fileRef", r->err)) ||
        (rc = vmscm_xml_get(&parent, node, "parentRef", r->err)) ||
        (rc = vmscm_xml_get(&format, node, "format", r->err)) ||
        (rc = vmscm_xml_get(&unit, node, "capacityAllocationUnits", r->err)) ||
        (rc = get_number(&disk->where.capacity, node, "capacity", r->err)))
        goto out;
    disk->where.file = SIZE_MAX;
    disk->where.format = format_of(format);
    disk->where.capacity = vmscm_ovfparts_scale(disk->where.capacity, unit, "byte");
    if (!disk->id)
        rc = bad(r->err, "Disk", file, "has no diskId");
    else if (parent)
        rc = vmscm_error_set(r->err, VMSCM_EUNSUPPORTED,
            "OVF: disk %.100s: holds only what differs from disk %.100s, which is not supported",
            disk->id, parent);
    else if (file)
        rc = find_file(&disk->where.file, r->ovf, file, r->err);
    else if (!disk->where.capacity)
        rc = bad(r->err, "Disk", disk->id, "has neither a file nor a capacity");
    for (size_t i = 0; !rc && i + 1 < r->disks.len; i++)
        if (strcmp(r->disks.items[i].id, disk->id) == 0)
            rc = bad(r->err, "Disk", disk->id, "two disks have this id");
out:
    free(file);
    free(parent);
    free(format);
    free(unit);
    return rc;
}

/* Each child of that name of each such section below node. */
static int each_in_section(const xmlNode *node, const char *section, const char *name,
    int (*each)(struct reading *r, const xmlNode *child), struct reading *r)
{
    int rc = 0;

    for (const xmlNode *n = node->children; n; n = n->next) {
        if (!is_section(n, section))
            continue;
        for (const xmlNode *c = n->children; c && !rc; c = c->next)
            if (vmscm_xml_is(c, name))
                rc = each(r, c);
        if (rc)
            return rc;
    }
    return 0;
}

static int each_file(struct reading *r, const xmlNode *node)
{
    return read_file(r->ovf, node, r->err);
}

/* The disk that a drive's HostResource names: "ovf:/disk/ID", "/disk/ID", or, of a file itself,
 * "ovf:/file/ID"; oVirt writes FOLDER/ID. */
static struct disk *find_disk(struct reading *r, const char *resource)
{
    const char *slash = resource ? strrchr(resource, '/') : NULL;
    const char *id = slash ? slash + 1 : resource;

    if (!id)
        return NULL;
    for (size_t i = 0; i < r->disks.len; i++)
        if (strcmp(r->disks.items[i].id, id) == 0)
            return &r->disks.items[i];
    for (size_t i = 0; i < r->disks.len; i++) {
        size_t file = r->disks.items[i].where.file;
        if (file != SIZE_MAX && (strcmp(r->ovf->files.items[file].id, id) == 0 ||
                strcmp(r->ovf->files.items[file].href, resource) == 0))
            return &r->disks.items[i];
    }
    return NULL;
}

static int attach(struct reading *r, struct vmscm_ovf_system *system, struct disk *disk,
    const char *bus)
{
    struct vmscm_machine *m = system->machine;
    struct vmscm_machine_disk *added;
    struct vmscm_ovf_disk *grown;
    char id[16];
    int rc;

    if (disk->used)
        return bad(r->err, "Item", disk->id, "this disk is attached twice");
    if (m->disk_count == DISKS_MAX)
        return bad(r->err, "Item", disk->id, "more than 256 disks");
    disk->used = true;
    if (disk->interface)
        bus = vmscm_ovfparts_interface(disk->interface, bus);
    vmscm_model_name_disk(id, m, bus);
    grown = reallocarray(system->disks, m->disk_count + 1, sizeof *grown);
    if (!grown)
        return vmscm_error_nomem(r->err);
    system->disks = grown;
    grown[m->disk_count] = disk->where;
    if ((rc = vmscm_model_add_disk(&added, m, id, r->err)) ||
        (rc = vmscm_model_set(&added->target, id, r->err)))
        return rc;
    return vmscm_model_set(&added->bus, bus, r->err);
}

/* Our own word about a disk, "vmscm.disk.DISKID": "id=ID on=BUS bus=BUS target=TARGET": on is what its
 * controller is written as. If that is another one by now, the rest is an old tale. */
static int apply_disk_hint(struct vmscm_machine *m, size_t n, const char *hint,
    struct vmscm_error *err)
{
    struct vmscm_machine_disk *disk = &m->disks[n];
    char *id = NULL, *on = NULL, *bus = NULL, *target = NULL;
    int rc;

    if ((rc = vmscm_ovfparts_word(&id, hint, "id", err)) ||
        (rc = vmscm_ovfparts_word(&on, hint, "on", err)) ||
        (rc = vmscm_ovfparts_word(&bus, hint, "bus", err)) ||
        (rc = vmscm_ovfparts_word(&target, hint, "target", err)))
        goto out;
    if (id && !vmscm_model_check_disk_id(id, NULL) &&
        (!vmscm_model_disk(m, id) || vmscm_model_disk(m, id) == disk))
        rc = vmscm_model_set(&disk->id, id, err);
    if (rc || !on || !disk->bus || strcmp(on, disk->bus) != 0)
        goto out;
    /* What is not there was not known. */
    if (!bus || vmscm_ovfparts_is_token(bus))
        rc = vmscm_model_set(&disk->bus, bus, err);
    if (!rc && (!target || vmscm_ovfparts_is_token(target)))
        rc = vmscm_model_set(&disk->target, target, err);
out:
    free(id);
    free(on);
    free(bus);
    free(target);
    return rc;
}

static int add_drive(struct reading *r, struct vmscm_ovf_system *system,
    const struct vmscm_ovfparts_items *items, const struct vmscm_ovfparts_item *item)
{
    struct disk *disk = find_disk(r, item->host_resource);
    char key[160], *hint = NULL;
    int rc;

    if (!disk)
        return bad(r->err, "Item", item->host_resource, "a drive of a disk that is not there");
    if ((rc = attach(r, system, disk, vmscm_ovfparts_bus(items, item))))
        return rc;
    if (strlen(disk->id) > 128)
        return 0;
    snprintf(key, sizeof key, "vmscm.disk.%s", disk->id);
    if (!(rc = vmscm_ovfparts_extra(&hint, items->hardware, key, r->err)) && hint)
        rc = apply_disk_hint(system->machine, system->machine->disk_count - 1, hint, r->err);
    free(hint);
    return rc;
}

/* A descriptor that lists no drives, though disks: they are all its machine's. */
static int attach_all(struct reading *r, struct vmscm_ovf_system *system)
{
    int rc = 0;

    for (size_t i = 0; i < r->disks.len && !rc; i++)
        rc = attach(r, system, &r->disks.items[i], "sata");
    return rc;
}

static int read_os(struct vmscm_ovf_system *system, const xmlNode *node, struct vmscm_error *err)
{
    for (const xmlNode *n = node->children; n; n = n->next) {
        if (!is_section(n, "OperatingSystemSection"))
            continue;
        int rc = vmscm_xml_get(&system->os_id, n, "id", err);
        return rc ? rc : vmscm_xml_get(&system->os_type, n, "osType", err);
    }
    return 0;
}

static int read_system(struct reading *r, const xmlNode *node)
{
    struct vmscm_ovf_system *system;
    struct vmscm_ovfparts_items items = {0};
    int rc;

    if (r->ovf->systems.len == SYSTEMS_MAX)
        return bad(r->err, "VirtualSystem", "", "there are more than 256");
    if ((rc = vmscm_vec_add(&r->ovf->systems, &system, r->err)) ||
        (rc = vmscm_xml_get(&system->id, node, "id", r->err)) ||
        (rc = vmscm_model_new(&system->machine, r->err)))
        return rc;
    vmscm_model_remove_nics(system->machine);
    for (const xmlNode *n = node->children; n && !items.hardware; n = n->next)
        if (is_section(n, "VirtualHardwareSection"))
            items.hardware = n;
    if ((rc = read_os(system, node, r->err)))
        return rc;
    if ((rc = vmscm_ovfparts_system(system->machine, node, system->id, r->err)))
        return rc;
    if (!items.hardware)
        return 0;
    if ((rc = vmscm_ovfparts_items_read(&items, r->err)) ||
        (rc = vmscm_ovfparts_hardware(system->machine, &items, r->err)))
        goto out;
    for (size_t i = 0; i < items.list.len && !rc; i++)
        if (items.list.items[i].type == VMSCM_OVFPARTS_DISK && items.list.items[i].host_resource)
            rc = add_drive(r, system, &items, &items.list.items[i]);
out:
    vmscm_ovfparts_items_release(&items);
    return rc;
}

/* VirtualSystems, in collections too; libxml2 bounds their depth. */
static int read_systems(struct reading *r, const xmlNode *node)
{
    int rc = 0;

    for (const xmlNode *n = node->children; n && !rc; n = n->next) {
        if (is_section(n, "VirtualSystem"))
            rc = read_system(r, n);
        else if (is_section(n, "VirtualSystemCollection"))
            rc = read_systems(r, n);
    }
    return rc;
}

static int read_envelope(struct reading *r, const xmlNode *envelope)
{
    int rc;

    if (!envelope || !vmscm_xml_is(envelope, "Envelope"))
        return vmscm_error_set(r->err, VMSCM_EINPUT, "OVF: its root is <%.60s>, not <Envelope>",
            envelope ? (const char *)envelope->name : "");
    if ((rc = each_in_section(envelope, "References", "File", each_file, r)) ||
        (rc = each_in_section(envelope, "DiskSection", "Disk", read_disk, r)) ||
        (rc = read_systems(r, envelope)))
        return rc;
    if (!r->ovf->systems.len)
        return vmscm_error_set(r->err, VMSCM_EINPUT, "OVF: has no <VirtualSystem>");
    if (r->ovf->systems.len == 1 && !r->ovf->systems.items[0].machine->disk_count)
        return attach_all(r, &r->ovf->systems.items[0]);
    return 0;
}

int vmscm_ovf_parse(struct vmscm_ovf **out, const void *xml, size_t len, struct vmscm_error *err)
{
    struct reading r = {.err = err};
    struct vmscm_xml_watch watch;
    xmlDocPtr doc = NULL;
    int rc;

    *out = NULL;
    if (!(r.ovf = calloc(1, sizeof *r.ovf)))
        return vmscm_error_nomem(err);
    vmscm_xml_begin(&watch);
    if (!(rc = vmscm_xml_read(&doc, "OVF", xml, len, VMSCM_OVF_MAX, err)))
        rc = read_envelope(&r, xmlDocGetRootElement(doc));
    xmlFreeDoc(doc);
    if (vmscm_xml_end(&watch))
        rc = vmscm_error_nomem(err);
    for (size_t i = 0; i < r.disks.len; i++) {
        free(r.disks.items[i].id);
        free(r.disks.items[i].interface);
    }
    vmscm_vec_release(&r.disks);
    if (rc)
        vmscm_ovf_free(r.ovf);
    else
        *out = r.ovf;
    return rc;
}
