/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/vbox.h"
#include "base/str.h"
#include "base/vec.h"
#include "machine/model.h"
#include "machine/xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MIB (UINT64_C(1) << 20)
#define MEMORY_MAX (UINT64_C(1) << 42) /* MiB */
#define CPUS_MAX 65536
#define TEXT_MAX 1024
#define LOCATION_MAX 4095
#define IMAGES_MAX 16384 /* in the registry */
#define DISKS_MAX 512
#define NICS_MAX 64

struct medium {
    char *uuid;
    const xmlNode *node;
    size_t parent; /* its place in the list; SIZE_MAX: none */
};

struct reading {
    struct vmscm_vbox *out;
    VMSCM_VEC(struct medium) media;
    struct vmscm_error *err;
};

static int bad(const struct reading *r, const char *what, const char *text)
{
    return vmscm_error_set(r->err, VMSCM_EINPUT, "%s%s%.300s", what, text ? ": " : "", text ? text : "");
}

/* A number in an attribute, if there is one. */
static int get_number(uint64_t *out, const struct reading *r, const xmlNode *node,
    const char *attribute, uint64_t max)
{
    char *text = NULL;
    int rc = vmscm_xml_get(&text, node, attribute, r->err);

    if (!rc && text && !vmscm_str_uint(out, text, 1, max))
        rc = vmscm_error_set(
            r->err, VMSCM_EINPUT, "%s: %.60s: out of range", attribute, text);
    free(text);
    return rc;
}

/* Into a field, if it can be stored. */
static int set_text(char **field, const struct reading *r, const xmlNode *node, const char *attribute)
{
    char *text = NULL;
    int rc = vmscm_xml_get(&text, node, attribute, r->err);

    if (!rc && text && strlen(text) <= TEXT_MAX && vmscm_str_printable(text))
        rc = vmscm_model_set(field, text, r->err);
    free(text);
    return rc;
}

/* The registry: disks, with what is on top of each in it. Without recursion: how deep is the file's
 * affair. */
static int read_media(struct reading *r, const xmlNode *list)
{
    const xmlNode *n = list ? list->children : NULL;
    size_t above = SIZE_MAX;
    int rc = 0;

    while (n && !rc) {
        if (vmscm_xml_is(n, "HardDisk")) {
            struct medium *m;
            if (r->media.len == IMAGES_MAX)
                return bad(r, "too many images", NULL);
            if ((rc = vmscm_vec_add(&r->media, &m, r->err)))
                return rc;
            m->node = n;
            m->parent = above;
            if ((rc = vmscm_xml_get(&m->uuid, n, "uuid", r->err)))
                return rc;
            if (n->children) {
                above = r->media.len - 1;
                n = n->children;
                continue;
            }
        }
        while (n && !n->next) {
            n = n->parent == list ? NULL : n->parent;
            if (n)
                above = r->media.items[above].parent;
        }
        n = n ? n->next : NULL;
    }
    return rc;
}

static size_t find_medium(const struct reading *r, const char *uuid)
{
    size_t i = 0;

    while (i < r->media.len && (!r->media.items[i].uuid || strcasecmp(r->media.items[i].uuid, uuid) != 0))
        i++;
    return i;
}

static int add_image(struct vmscm_vbox_disk *disk, const struct reading *r, const xmlNode *node)
{
    struct vmscm_vbox_image *grown =
        reallocarray(disk->images, disk->count + 1, sizeof *grown);
    int rc;

    if (!grown)
        return vmscm_error_nomem(r->err);
    disk->images = grown;
    grown[disk->count] = (struct vmscm_vbox_image){NULL, NULL};
    disk->count++;
    if ((rc = vmscm_xml_get(&grown[disk->count - 1].location, node, "location", r->err)) ||
        (rc = vmscm_xml_get(&grown[disk->count - 1].format, node, "format", r->err)))
        return rc;
    if (!grown[disk->count - 1].location || strlen(grown[disk->count - 1].location) > LOCATION_MAX)
        return bad(r, "an image without a location", NULL);
    return 0;
}

/* All images that this one is on top of. */
static int add_images(struct vmscm_vbox_disk *disk, const struct reading *r, const char *uuid)
{
    size_t i = find_medium(r, uuid);
    int rc = 0;

    if (i == r->media.len)
        return bad(r, "a disk that its registry does not have", uuid);
    for (; i != SIZE_MAX && !rc; i = r->media.items[i].parent) {
        if (disk->count == VMSCM_VBOX_DEPTH_MAX)
            return bad(r, "too many images on top of one another", uuid);
        rc = add_image(disk, r, r->media.items[i].node);
    }
    return rc;
}

static int add_disk(struct reading *r, const char *bus, const char *uuid)
{
    struct vmscm_machine *m = r->out->machine;
    struct vmscm_machine_disk *disk;
    struct vmscm_vbox_disk *grown;
    int rc;

    if (m->disk_count == DISKS_MAX)
        return bad(r, "too many disks", NULL);
    if (!(grown = reallocarray(r->out->disks, m->disk_count + 1, sizeof *grown)))
        return vmscm_error_nomem(r->err);
    r->out->disks = grown;
    grown[m->disk_count] = (struct vmscm_vbox_disk){NULL, 0};
    if ((rc = vmscm_model_attach_disk(&disk, m, bus, r->err)))
        return rc;
    return add_images(&grown[m->disk_count - 1], r, uuid);
}

static const char *bus_of(const xmlNode *controller)
{
    static const char *const kinds[][2] = {{"PIIX3", "ide"}, {"PIIX4", "ide"}, {"ICH6", "ide"},
        {"AHCI", "sata"}, {"NVMe", "nvme"}, {"USB", "usb"}, {"VirtioSCSI", "scsi"}};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (vmscm_xml_attribute_is(controller, "type", kinds[i][0]))
            return kinds[i][1];
    return "scsi"; /* LsiLogic, LsiLogicSas, BusLogic */
}

/* A place where a device is attached. */
struct place {
    const xmlNode *node;
    uint64_t number;
};

static int by_number(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

static int read_controller(struct reading *r, const xmlNode *controller)
{
    VMSCM_VEC(struct place) places = {0};
    struct place *place;
    char *uuid = NULL;
    int rc = 0;

    for (const xmlNode *n = controller->children; n && !rc; n = n->next) {
        uint64_t port = 0, device = 0;
        if (!vmscm_xml_is(n, "AttachedDevice") || !vmscm_xml_attribute_is(n, "type", "HardDisk") ||
            !vmscm_xml_child(n, "Image"))
            continue;
        if (!vmscm_xml_attribute_is(n, "port", "0"))
            rc = get_number(&port, r, n, "port", 4096);
        if (!rc && !vmscm_xml_attribute_is(n, "device", "0"))
            rc = get_number(&device, r, n, "device", 255);
        if (!rc && places.len == DISKS_MAX)
            rc = bad(r, "too many disks", NULL);
        if (!rc && !(rc = vmscm_vec_add(&places, &place, r->err)))
            *place = (struct place){n, port << 8 | device};
    }
    if (places.len)
        qsort(places.items, places.len, sizeof *places.items, by_number);
    for (size_t i = 0; i < places.len && !rc; i++) {
        rc = vmscm_xml_get(&uuid, vmscm_xml_child(places.items[i].node, "Image"), "uuid", r->err);
        if (!rc)
            rc = uuid ? add_disk(r, bus_of(controller), uuid) : bad(r, "a disk without an image", NULL);
        free(uuid);
        uuid = NULL;
    }
    vmscm_vec_release(&places);
    return rc;
}

/* Since 5.2 below the hardware, before it beside that. */
static int read_disks(struct reading *r, const xmlNode *machine, const xmlNode *hardware)
{
    const xmlNode *list = vmscm_xml_child(hardware, "StorageControllers");
    int rc = 0;

    if (!list)
        list = vmscm_xml_child(machine, "StorageControllers");
    for (const xmlNode *n = list ? list->children : NULL; n && !rc; n = n->next)
        if (vmscm_xml_is(n, "StorageController"))
            rc = read_controller(r, n);
    return rc;
}

/* What an adapter is connected to, by the element that says it, and the attribute that names it. */
static int set_network(struct vmscm_machine_nic *nic, const struct reading *r, const xmlNode *adapter)
{
    static const struct {
        const char *element, *attribute, *type;
    } kinds[] = {{"NAT", NULL, "user"}, {"BridgedInterface", "name", "bridge"},
        {"HostOnlyInterface", "name", "network"}, {"HostOnlyNetwork", "name", "network"},
        {"InternalNetwork", "name", "network"}, {"NATNetwork", "name", "network"}};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const xmlNode *n = vmscm_xml_child(adapter, kinds[i].element);
        int rc;
        if (!n)
            continue;
        if ((rc = vmscm_model_set(&nic->type, kinds[i].type, r->err)) || !kinds[i].attribute)
            return rc;
        return set_text(&nic->network, r, n, kinds[i].attribute);
    }
    return 0;
}

static int add_nic(struct reading *r, const xmlNode *adapter)
{
    static const char *const models[][2] = {{"82540EM", "e1000"}, {"82543GC", "e1000"},
        {"82545EM", "e1000"}, {"virtio", "virtio"}, {"Am79C970A", "pcnet"}, {"Am79C973", "pcnet"},
        {"Am79C960", "pcnet"}};
    struct vmscm_machine_nic *nic;
    char *mac = NULL, text[18];
    int rc = vmscm_model_add_nic(&nic, r->out->machine, r->err);

    for (size_t i = 0; !rc && i < sizeof models / sizeof models[0]; i++)
        if (vmscm_xml_attribute_is(adapter, "type", models[i][0]))
            rc = vmscm_model_set(&nic->model, models[i][1], r->err);
    if (rc || (rc = set_network(nic, r, adapter)) ||
        (rc = vmscm_xml_get(&mac, adapter, "MACAddress", r->err)))
        return rc;
    if (mac && strlen(mac) == 12) {
        snprintf(text, sizeof text, "%.2s:%.2s:%.2s:%.2s:%.2s:%.2s", mac, mac + 2, mac + 4, mac + 6,
            mac + 8, mac + 10);
        rc = vmscm_model_set_mac(nic, text, r->err);
    }
    free(mac);
    return rc;
}

static int read_nics(struct reading *r, const xmlNode *hardware)
{
    const xmlNode *list = vmscm_xml_child(hardware, "Network");
    int rc = 0;

    for (const xmlNode *n = list ? list->children : NULL; n && !rc; n = n->next) {
        if (!vmscm_xml_is(n, "Adapter") || !vmscm_xml_attribute_is(n, "enabled", "true"))
            continue;
        rc = r->out->machine->nic_count == NICS_MAX ? bad(r, "too many NICs", NULL) : add_nic(r, n);
    }
    return rc;
}

static int read_system(struct reading *r, const xmlNode *machine, const xmlNode *hardware)
{
    struct vmscm_machine *m = r->out->machine;
    const xmlNode *inner = vmscm_xml_child(hardware, "Platform");
    const xmlNode *platform = inner ? inner : vmscm_xml_child(machine, "Platform");
    const xmlNode *firmware = vmscm_xml_child(hardware, "Firmware");
    const xmlNode *cpu = vmscm_xml_child(hardware, "CPU");
    uint64_t cpus = 1, memory = m->memory / MIB;
    int rc;

    if ((rc = set_text(&m->name, r, machine, "name")) ||
        (rc = get_number(&memory, r, vmscm_xml_child(hardware, "Memory"), "RAMSize", MEMORY_MAX)) ||
        (rc = get_number(&cpus, r, cpu ? cpu : vmscm_xml_child(platform, "CPU"), "count", CPUS_MAX)))
        return rc;
    m->cpus = (uint32_t)cpus;
    m->memory = memory * MIB;
    if (vmscm_xml_attribute_is(platform, "architecture", "ARM") &&
        (rc = vmscm_model_set(&m->arch, "aarch64", r->err)))
        return rc;
    if (vmscm_xml_attribute_is(vmscm_xml_child(vmscm_xml_child(platform, "x86"), "Chipset"), "type",
            "ICH9") ||
        vmscm_xml_attribute_is(vmscm_xml_child(hardware, "Chipset"), "type", "ICH9"))
        rc = vmscm_model_set(&m->machine_type, "q35", r->err);
    if (!rc &&
        (vmscm_xml_attribute_is(firmware, "type", "EFI") ||
            vmscm_xml_attribute_is(firmware, "type", "EFI32") ||
            vmscm_xml_attribute_is(firmware, "type", "EFI64") ||
            vmscm_xml_attribute_is(firmware, "type", "EFIDUAL")))
        rc = vmscm_model_set(&m->firmware, "uefi", r->err);
    /* Secure boot is in the NVRAM only. */
    if (!rc)
        rc = vmscm_xml_get(&r->out->nvram,
            vmscm_xml_child(vmscm_xml_child(hardware, "BIOS"), "NVRAM"), "path", r->err);
    return rc;
}

static int read_machine(struct reading *r, const xmlNode *root)
{
    const xmlNode *machine = vmscm_xml_child(root, "Machine");
    const xmlNode *hardware = vmscm_xml_child(machine, "Hardware");
    int rc;

    if (vmscm_xml_child(root, "MachineEncrypted"))
        return vmscm_error_set(
            r->err, VMSCM_EUNSUPPORTED, "the machine is encrypted, so that nothing is known of it");
    if (!root || !vmscm_xml_is(root, "VirtualBox") || !hardware)
        return bad(r, "has no machine", NULL);
    if ((rc = vmscm_model_new(&r->out->machine, r->err)))
        return rc;
    vmscm_model_remove_nics(r->out->machine);
    if ((rc = read_media(
             r, vmscm_xml_child(vmscm_xml_child(machine, "MediaRegistry"), "HardDisks"))) ||
        (rc = read_system(r, machine, hardware)) || (rc = read_disks(r, machine, hardware)))
        return rc;
    return read_nics(r, hardware);
}

void vmscm_vbox_release(struct vmscm_vbox *vbox)
{
    for (size_t i = 0; vbox->disks && i < vbox->machine->disk_count; i++) {
        for (size_t k = 0; k < vbox->disks[i].count; k++) {
            free(vbox->disks[i].images[k].location);
            free(vbox->disks[i].images[k].format);
        }
        free(vbox->disks[i].images);
    }
    free(vbox->disks);
    free(vbox->nvram);
    vmscm_model_free(vbox->machine);
    *vbox = (struct vmscm_vbox){NULL, NULL, NULL};
}

int vmscm_vbox_parse(struct vmscm_vbox *out, const void *xml, size_t len, struct vmscm_error *err)
{
    struct vmscm_xml_watch watch;
    struct reading r = {.out = out, .err = err};
    xmlDocPtr doc = NULL;
    int rc;

    *out = (struct vmscm_vbox){NULL, NULL, NULL};
    vmscm_xml_begin(&watch);
    rc = vmscm_xml_read(&doc, "settings", xml, len, VMSCM_VBOX_MAX, err);
    if (!rc)
        rc = read_machine(&r, xmlDocGetRootElement(doc));
    for (size_t i = 0; i < r.media.len; i++)
        free(r.media.items[i].uuid);
    vmscm_vec_release(&r.media);
    xmlFreeDoc(doc);
    if (vmscm_xml_end(&watch))
        rc = vmscm_error_nomem(err);
    if (rc)
        vmscm_vbox_release(out);
    return rc;
}
