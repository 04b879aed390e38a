/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/libvirtwrite.h"
#include "base/str.h"
#include "machine/hint.h"
#include "machine/libvirt.h"
#include "machine/model.h"
#include "machine/xml.h"
#include "machine/xmltext.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The buses that libvirt has, and how it calls disks on them. */
static const char *const buses[][2] = {{"ide", "hd"}, {"scsi", "sd"}, {"sata", "sd"}, {"usb", "sd"},
    {"sd", "sd"}, {"virtio", "vd"}, {"xen", "xvd"}};

#define BUSES (sizeof buses / sizeof buses[0])
#define SATA 2

static size_t bus_of(const struct vmscm_machine_disk *disk)
{
    for (size_t i = 0; disk->bus && i < BUSES; i++)
        if (strcmp(disk->bus, buses[i][0]) == 0)
            return i;
    return SATA;
}

/* Whether libvirt takes the disk's own name. */
static bool is_target(const char *target, size_t bus)
{
    size_t n = strlen(buses[bus][1]);

    return target && strncmp(target, buses[bus][1], n) == 0 && target[n] &&
        strspn(target + n, "abcdefghijklmnopqrstuvwxyz") == strlen(target + n);
}

/* Of every disk a name that no other has: the ids of the machine that is made for that. */
static int choose_targets(struct vmscm_machine *named, char (**names)[16],
    const struct vmscm_machine *m, struct vmscm_error *err)
{
    struct vmscm_machine_disk *disk;
    int rc = 0;

    if (!(*names = calloc(m->disk_count + 1, sizeof **names)))
        return vmscm_error_nomem(err);
    for (int own = 1; own >= 0; own--)
        for (size_t i = 0; i < m->disk_count && !rc; i++) {
            size_t bus = bus_of(&m->disks[i]);
            const char *target = m->disks[i].target;
            if ((*names)[i][0])
                continue;
            if (own) {
                if (!is_target(target, bus) || strlen(target) > 15 ||
                    vmscm_model_disk(named, target))
                    continue;
                snprintf((*names)[i], sizeof **names, "%s", target);
            } else {
                vmscm_model_name_disk((*names)[i], named, buses[bus][0]);
            }
            rc = vmscm_model_add_disk(&disk, named, (*names)[i], err);
        }
    return rc;
}

static void put_disks(struct vmscm_xmltext *t, const struct vmscm_description *d)
{
    const struct vmscm_machine *m = d->machine;
    struct vmscm_machine named = {0};
    char(*names)[16] = NULL;

    if (!t->rc)
        t->rc = choose_targets(&named, &names, m, t->err);
    for (size_t i = 0; i < m->disk_count && !t->rc; i++)
        vmscm_xmltext_put(t,
            "    <disk type='file' device='disk'>\n"
            "      <driver name='qemu' type='qcow2'/>\n      <source file='",
            d->files[i], "'/>\n      <target dev='", names[i], "' bus='",
            buses[bus_of(&m->disks[i])][0], "'/>\n    </disk>\n", NULL);
    for (size_t i = named.disk_count; i > 0; i--)
        vmscm_model_remove_disk(&named, named.disks[i - 1].id);
    free(named.disks);
    free(names);
}

static void put_nics(struct vmscm_xmltext *t, const struct vmscm_machine *m)
{
    for (size_t i = 0; i < m->nic_count; i++) {
        const struct vmscm_machine_nic *nic = &m->nics[i];
        const char *type = nic->type ? nic->type : "";
        const char *attribute = strcmp(type, "bridge") == 0    ? "bridge"
            : strcmp(type, "direct") == 0 && nic->network      ? "dev"
            : strcmp(type, "network") == 0                     ? "network"
            : strcmp(type, "user") != 0 && nic->network        ? "network"
                                                               : NULL;
        if (!attribute)
            type = "user";
        else if (strcmp(attribute, "network") == 0)
            type = "network";
        vmscm_xmltext_put(t, "    <interface type='", type, "'>\n", NULL);
        if (nic->mac)
            vmscm_xmltext_put(t, "      <mac address='", nic->mac, "'/>\n", NULL);
        if (attribute)
            vmscm_xmltext_put(t, "      <source ", attribute, "='",
                nic->network                         ? nic->network
                    : strcmp(type, "bridge") == 0 ? "virbr0"
                                                  : "default",
                "'/>\n", NULL);
        if (nic->model)
            vmscm_xmltext_put(t, "      <model type='", nic->model, "'/>\n", NULL);
        vmscm_xmltext_put(t, "    </interface>\n", NULL);
    }
}

/* Its own machine type, or one that has what the machine needs. */
static const char *machine_type(const struct vmscm_machine *m)
{
    if (m->machine_type || strcmp(m->firmware, "uefi") != 0 || strcmp(m->arch, "x86_64") != 0)
        return m->machine_type;
    for (size_t i = 0; i < m->disk_count; i++)
        if (strcmp(buses[bus_of(&m->disks[i])][0], "ide") == 0)
            return "pc";
    return "q35";
}

static void put_system(struct vmscm_xmltext *t, const struct vmscm_description *d)
{
    const struct vmscm_machine *m = d->machine;
    bool uefi = strcmp(m->firmware, "uefi") == 0, pc = strcmp(m->arch, "x86_64") == 0;
    char memory[24], cpus[12];

    snprintf(memory, sizeof memory, "%" PRIu64, m->memory);
    snprintf(cpus, sizeof cpus, "%" PRIu32, m->cpus);
    vmscm_xmltext_put(t, "  <memory unit='b'>", memory, "</memory>\n  <vcpu>", cpus,
        "</vcpu>\n  <os", "", uefi ? " firmware='efi'" : "", "", ">\n    <type arch='", m->arch,
        NULL);
    if (machine_type(m))
        vmscm_xmltext_put(t, "' machine='", machine_type(m), NULL);
    vmscm_xmltext_put(t, "'>hvm</type>\n", NULL);
    if (uefi && m->secure_boot)
        vmscm_xmltext_put(t,
            "    <firmware>\n      <feature enabled='yes' name='enrolled-keys'/>\n"
            "      <feature enabled='yes' name='secure-boot'/>\n    </firmware>\n",
            NULL);
    if (uefi && d->nvram)
        vmscm_xmltext_put(t, "    <nvram>", d->nvram, "</nvram>\n", NULL);
    vmscm_xmltext_put(t, "    <boot dev='hd'/>\n  </os>\n", NULL);
    if (pc)
        vmscm_xmltext_put(t, "  <features>\n    <acpi/>\n    <apic/>\n", "",
            uefi && m->secure_boot ? "    <smm state='on'/>\n" : "", "", "  </features>\n", NULL);
}

int vmscm_libvirtwrite_encode(struct vmscm_buf *out, const struct vmscm_description *d,
    struct vmscm_error *err)
{
    const struct vmscm_machine *m = d->machine;
    struct vmscm_xmltext t = {out, err, 0};

    vmscm_xmltext_put(
        &t, "<domain type='kvm'>\n  <name>", m->name ? m->name : d->name, "</name>\n", NULL);
    if (d->annotation)
        vmscm_xmltext_put(&t, "  <description>", d->annotation, "</description>\n", NULL);
    if (d->as && d->is)
        vmscm_xmltext_put(&t,
            "  <metadata>\n    <vmscm:machine xmlns:vmscm='" VMSCM_LIBVIRT_NAMESPACE
            "'>\n      <vmscm:as>",
            d->as, "</vmscm:as>\n      <vmscm:is>", d->is,
            "</vmscm:is>\n    </vmscm:machine>\n  </metadata>\n", NULL);
    put_system(&t, d);
    vmscm_xmltext_put(&t, "  <devices>\n", NULL);
    put_disks(&t, d);
    put_nics(&t, m);
    vmscm_xmltext_put(&t,
        "    <console type='pty'/>\n    <graphics type='vnc' port='-1' autoport='yes'/>\n"
        "    <video>\n      <model type='vga'/>\n    </video>\n  </devices>\n</domain>\n",
        NULL);
    return t.rc;
}

static void remove_children(xmlNodePtr parent, const char *name)
{
    xmlNodePtr found;

    while ((found = vmscm_xml_child(parent, name))) {
        xmlUnlinkNode(found);
        xmlFreeNode(found);
    }
}

/* The child of that name, made if need be; NULL: no memory. */
static xmlNodePtr child(xmlNodePtr parent, const char *name)
{
    xmlNodePtr found = vmscm_xml_child(parent, name);

    return found ? found : xmlNewChild(parent, NULL, (const xmlChar *)name, NULL);
}

static bool set(xmlNodePtr node, const char *attribute, const char *value)
{
    return node && xmlSetProp(node, (const xmlChar *)attribute, (const xmlChar *)value);
}

/* The disk's image is this one. */
static bool move_disk(xmlNodePtr disk, const char *file)
{
    static const char *const gone[] = {"source", "backingStore", "mirror", "transient"};
    xmlNodePtr driver = child(disk, "driver");

    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
        remove_children(disk, gone[i]);
    if (!set(disk, "type", "file") || !set(driver, "type", "qcow2") ||
        !set(driver, "name", "qemu"))
        return false;
    return set(child(disk, "source"), "file", file);
}

static bool is_disk(xmlNodePtr node)
{
    return vmscm_xml_is(node, "disk") &&
        (!xmlHasProp(node, (const xmlChar *)"device") ||
            vmscm_xml_attribute_is(node, "device", "disk"));
}

/* False: no memory. */
static bool edit(xmlNodePtr domain, const struct vmscm_description *d)
{
    xmlNodePtr devices = vmscm_xml_child(domain, "devices");
    xmlNodePtr nvram = vmscm_xml_child(vmscm_xml_child(domain, "os"), "nvram");
    size_t n = 0;

    for (xmlNodePtr node = devices ? devices->children : NULL; node; node = node->next) {
        if (n < d->machine->disk_count && is_disk(node) && !move_disk(node, d->files[n++]))
            return false;
        if (d->new_identity && vmscm_xml_is(node, "interface"))
            remove_children(node, "mac");
    }
    if (d->new_identity)
        remove_children(domain, "uuid");
    if (nvram && d->nvram) {
        xmlNodeSetContent(nvram, NULL);
        xmlNodeAddContent(nvram, (const xmlChar *)d->nvram);
    } else if (nvram) {
        xmlUnlinkNode(nvram);
        xmlFreeNode(nvram);
    }
    return true;
}

/* Whether it can be edited as above: disks in the order in which they are parsed, nothing between image and
 * guest. */
static int still_holds(bool *holds, const void *xml, size_t len, const xmlNode *domain,
    const struct vmscm_description *d, struct vmscm_error *err)
{
    const xmlNode *devices = vmscm_xml_child(domain, "devices");
    struct vmscm_machine *was = NULL;
    char **sources = NULL;
    int rc = vmscm_libvirt_parse(&was, &sources, xml, len, err);

    *holds = false;
    if (rc) {
        if (rc != VMSCM_ENOMEM)
            vmscm_error_clear(err);
        return rc == VMSCM_ENOMEM ? rc : 0;
    }
    for (size_t i = 0; i < was->disk_count; i++)
        free(sources[i]);
    free(sources);
    for (size_t i = 0; d->new_identity && i < was->nic_count; i++)
        vmscm_model_set(&was->nics[i].mac, NULL, NULL);
    *holds = !vmscm_hint_differ(d->machine, was);
    for (const xmlNode *n = devices ? devices->children : NULL; n; n = n->next)
        *holds &= !vmscm_xml_child(n, "encryption");
    /* A hint may have put them into another order. */
    *holds &= !vmscm_xml_child(domain, "metadata") || was->disk_count < 2;
    vmscm_model_free(was);
    return 0;
}

static int adapt(struct vmscm_buf *out, const void *xml, size_t len,
    const struct vmscm_description *d, struct vmscm_error *err)
{
    xmlDocPtr doc = NULL;
    xmlChar *text = NULL;
    int size = 0, rc;
    bool holds;

    rc = vmscm_xml_read(&doc, "domain XML", xml, len, VMSCM_LIBVIRT_MAX, err);
    if (rc) {
        if (rc != VMSCM_ENOMEM)
            vmscm_error_clear(err);
        return rc == VMSCM_ENOMEM ? rc : 0;
    }
    if (!(rc = still_holds(&holds, xml, len, xmlDocGetRootElement(doc), d, err)) && holds) {
        if (edit(xmlDocGetRootElement(doc), d))
            xmlDocDumpMemoryEnc(doc, &text, &size, "UTF-8");
        rc = text ? vmscm_buf_append(out, text, (size_t)size, err) : vmscm_error_nomem(err);
    }
    xmlFree(text);
    xmlFreeDoc(doc);
    return rc;
}

int vmscm_libvirtwrite_adapt(struct vmscm_buf *out, const void *xml, size_t len,
    const struct vmscm_description *d, struct vmscm_error *err)
{
    struct vmscm_xml_watch watch;
    int rc;

    vmscm_xml_begin(&watch);
    rc = adapt(out, xml, len, d, err);
    return vmscm_xml_end(&watch) ? vmscm_error_nomem(err) : rc;
}
