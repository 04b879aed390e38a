/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Elements of an Item are in the order of their names, as the CIM schema wants it. Of the buses and NICs that
 * OVF, or its readers, do not know, the nearest that they do is written, and the true one beside it as an
 * ExtraConfig of ours.
 */
#include "machine/ovfwrite.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

/* The kinds of controllers that are written, in this order. */
static const struct bus {
    const char *name;
    unsigned type;        /* ResourceType */
    const char *subtype;
    const char *label;
    unsigned disks;       /* of one controller */
} buses[] = {
    {"ide", 5, "PIIX4", "IDE Controller", 2},
    {"scsi", 6, "lsilogic", "SCSI Controller", 15},
    {"sata", 20, "vmware.sata.ahci", "SATA Controller", 30},
    {"nvme", 20, "vmware.nvme.controller", "NVME Controller", 15},
};

#define BUSES (sizeof buses / sizeof buses[0])

/* The bus that a disk is written on. */
static size_t bus_of(const struct vmscm_machine_disk *disk)
{
    for (size_t i = 0; disk->bus && i < BUSES; i++)
        if (strcmp(disk->bus, buses[i].name) == 0)
            return i;
    return 2;
}

/* The NIC that one is written as; *exact: readers see the same model. */
static const char *nic_of(const struct vmscm_machine_nic *nic, bool *exact)
{
    static const char *const models[][2] = {
        {"e1000", "E1000"}, {"e1000e", "E1000e"}, {"vmxnet3", "VmxNet3"}, {"pcnet", "PCNet32"}};

    *exact = true;
    for (size_t i = 0; nic->model && i < sizeof models / sizeof models[0]; i++)
        if (strcmp(nic->model, models[i][0]) == 0)
            return models[i][1];
    *exact = false;
    return "E1000";
}

static uint64_t mebibytes(uint64_t bytes)
{
    return bytes / MIB + (bytes % MIB != 0);
}

struct writing {
    struct vmscm_buf *out;
    const struct vmscm_ovfwrite *ovf;
    struct vmscm_error *err;
    int rc;
    unsigned instance;
};

static void raw(struct writing *w, const char *text)
{
    if (!w->rc)
        w->rc = vmscm_buf_puts(w->out, text, w->err);
}

/* As text or the value of an attribute. */
static void escaped(struct writing *w, const char *text)
{
    for (const char *p = text; *p && !w->rc; p++) {
        const char *entity = *p == '&' ? "&amp;"
            : *p == '<'                ? "&lt;"
            : *p == '>'                ? "&gt;"
            : *p == '"'                ? "&quot;"
                                       : NULL;
        if (entity)
            raw(w, entity);
        else
            w->rc = vmscm_buf_append(w->out, p, 1, w->err);
    }
}

static void number(struct writing *w, uint64_t value)
{
    if (!w->rc)
        w->rc = vmscm_buf_printf(w->out, w->err, "%" PRIu64, value);
}

/* <rasd:NAME>TEXT</rasd:NAME>; nothing if there is no text. */
static void element(struct writing *w, const char *name, const char *text)
{
    if (!text)
        return;
    raw(w, "        <rasd:");
    raw(w, name);
    raw(w, ">");
    escaped(w, text);
    raw(w, "</rasd:");
    raw(w, name);
    raw(w, ">\n");
}

static void count(struct writing *w, const char *name, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, value);
    element(w, name, text);
}

static void extra(struct writing *w, const char *key, const char *value)
{
    raw(w, "      <vmw:ExtraConfig ovf:required=\"false\" vmw:key=\"");
    escaped(w, key);
    raw(w, "\" vmw:value=\"");
    escaped(w, value);
    raw(w, "\"/>\n");
}

static void config(struct writing *w, const char *key, const char *value)
{
    raw(w, "      <vmw:Config ovf:required=\"false\" vmw:key=\"");
    raw(w, key);
    raw(w, "\" vmw:value=\"");
    raw(w, value);
    raw(w, "\"/>\n");
}

static void begin_item(struct writing *w)
{
    raw(w, "      <Item>\n");
    w->instance++;
}

static void end_item(struct writing *w)
{
    raw(w, "      </Item>\n");
}

static void write_references(struct writing *w)
{
    const struct vmscm_machine *m = w->ovf->machine;

    raw(w, "  <References>\n");
    for (size_t i = 0; i <= m->disk_count; i++) {
        const struct vmscm_ovfwrite_file *file = i < m->disk_count ? &w->ovf->disks[i]
                                                                   : w->ovf->nvram;
        if (!file)
            continue;
        raw(w, "    <File ovf:href=\"");
        escaped(w, file->name);
        raw(w, "\" ovf:id=\"file");
        number(w, i + 1);
        raw(w, "\" ovf:size=\"");
        number(w, file->size);
        raw(w, "\"/>\n");
    }
    raw(w, "  </References>\n  <DiskSection>\n    <Info>Virtual disks</Info>\n");
    for (size_t i = 0; i < m->disk_count; i++) {
        raw(w, "    <Disk ovf:capacity=\"");
        number(w, (m->disks[i].size + 511) / 512 * 512);
        raw(w, "\" ovf:capacityAllocationUnits=\"byte\" ovf:diskId=\"");
        escaped(w, m->disks[i].id);
        raw(w, "\" ovf:fileRef=\"file");
        number(w, i + 1);
        raw(w, "\" ovf:format=\"http://www.vmware.com/interfaces/specifications/vmdk.html"
               "#streamOptimized\"/>\n");
    }
    raw(w, "  </DiskSection>\n");
}

static const char *connection(const struct vmscm_machine_nic *nic)
{
    if (nic->network)
        return nic->network;
    return nic->type && strcmp(nic->type, "user") == 0 ? "NAT" : "VM Network";
}

static void write_networks(struct writing *w)
{
    const struct vmscm_machine *m = w->ovf->machine;

    if (!m->nic_count)
        return;
    raw(w, "  <NetworkSection>\n    <Info>Logical networks</Info>\n");
    for (size_t i = 0; i < m->nic_count; i++) {
        bool before = false;
        for (size_t k = 0; k < i && !before; k++)
            before = strcmp(connection(&m->nics[i]), connection(&m->nics[k])) == 0;
        if (before)
            continue;
        raw(w, "    <Network ovf:name=\"");
        escaped(w, connection(&m->nics[i]));
        raw(w, "\">\n      <Description>The ");
        escaped(w, connection(&m->nics[i]));
        raw(w, " network</Description>\n    </Network>\n");
    }
    raw(w, "  </NetworkSection>\n");
}

static void write_processors(struct writing *w)
{
    const struct vmscm_machine *m = w->ovf->machine;
    char label[64];

    begin_item(w);
    element(w, "AllocationUnits", "hertz * 10^6");
    element(w, "Description", "Number of Virtual CPUs");
    snprintf(label, sizeof label, "%" PRIu32 " virtual CPU(s)", m->cpus);
    element(w, "ElementName", label);
    count(w, "InstanceID", w->instance);
    element(w, "ResourceType", "3");
    count(w, "VirtualQuantity", m->cpus);
    end_item(w);
    begin_item(w);
    element(w, "AllocationUnits", "byte * 2^20");
    element(w, "Description", "Memory Size");
    snprintf(label, sizeof label, "%" PRIu64 "MB of memory", mebibytes(m->memory));
    element(w, "ElementName", label);
    count(w, "InstanceID", w->instance);
    element(w, "ResourceType", "4");
    count(w, "VirtualQuantity", mebibytes(m->memory));
    end_item(w);
}

/* A controller for every so many disks of a bus: its instance for the n-th disk is first + n / disks. */
static void write_controllers(struct writing *w, unsigned first[BUSES])
{
    const struct vmscm_machine *m = w->ovf->machine;

    for (size_t b = 0; b < BUSES; b++) {
        unsigned disks = 0;
        for (size_t i = 0; i < m->disk_count; i++)
            disks += bus_of(&m->disks[i]) == b;
        first[b] = w->instance + 1;
        for (unsigned n = 0; n * buses[b].disks < disks; n++) {
            char label[64];
            begin_item(w);
            count(w, "Address", n);
            element(w, "Description", buses[b].label);
            snprintf(label, sizeof label, "%s %u", buses[b].label, n);
            element(w, "ElementName", label);
            count(w, "InstanceID", w->instance);
            element(w, "ResourceSubType", buses[b].subtype);
            count(w, "ResourceType", buses[b].type);
            end_item(w);
        }
    }
}

static void write_drives(struct writing *w)
{
    const struct vmscm_machine *m = w->ovf->machine;
    unsigned first[BUSES], used[BUSES] = {0};
    char text[160];

    write_controllers(w, first);
    for (size_t i = 0; i < m->disk_count; i++) {
        size_t b = bus_of(&m->disks[i]);
        unsigned n = used[b]++, place = n % buses[b].disks;
        /* SCSI's 7 is the controller itself. */
        if (strcmp(buses[b].name, "scsi") == 0 && place >= 7)
            place++;
        begin_item(w);
        count(w, "AddressOnParent", place);
        snprintf(text, sizeof text, "Hard Disk %zu", i + 1);
        element(w, "ElementName", text);
        snprintf(text, sizeof text, "ovf:/disk/%s", m->disks[i].id);
        element(w, "HostResource", text);
        count(w, "InstanceID", w->instance);
        count(w, "Parent", first[b] + n / buses[b].disks);
        element(w, "ResourceType", "17");
        end_item(w);
    }
}

static void write_nics(struct writing *w)
{
    const struct vmscm_machine *m = w->ovf->machine;
    char text[80];
    bool exact;

    for (size_t i = 0; i < m->nic_count; i++) {
        const struct vmscm_machine_nic *nic = &m->nics[i];
        begin_item(w);
        if (!w->ovf->new_identity)
            element(w, "Address", nic->mac);
        count(w, "AddressOnParent", 7 + i);
        element(w, "AutomaticAllocation", "true");
        element(w, "Connection", connection(nic));
        snprintf(text, sizeof text, "Ethernet %zu", i + 1);
        element(w, "ElementName", text);
        count(w, "InstanceID", w->instance);
        element(w, "ResourceSubType", nic_of(nic, &exact));
        element(w, "ResourceType", "10");
        end_item(w);
    }
}

/* What the items do not say, for reading it again. */
static void write_hints(struct writing *w)
{
    const struct vmscm_machine *m = w->ovf->machine;
    char key[100], value[360];
    bool exact;

    if (strcmp(m->arch, "x86_64") != 0)
        extra(w, "vmscm.arch", m->arch);
    if (m->machine_type)
        extra(w, "vmscm.machine_type", m->machine_type);
    if (!m->name)
        extra(w, "vmscm.unnamed", "true");
    if (m->memory % MIB) {
        snprintf(value, sizeof value, "%" PRIu64, m->memory);
        extra(w, "vmscm.memory", value);
    }
    for (size_t i = 0; i < m->disk_count; i++) {
        const struct vmscm_machine_disk *disk = &m->disks[i];
        snprintf(key, sizeof key, "vmscm.disk.%s", disk->id);
        snprintf(value, sizeof value, "id=%s on=%s%s%s%s%s", disk->id, buses[bus_of(disk)].name,
            disk->bus ? " bus=" : "", disk->bus ? disk->bus : "", disk->target ? " target=" : "",
            disk->target ? disk->target : "");
        extra(w, key, value);
    }
    for (size_t i = 0; i < m->nic_count; i++) {
        const struct vmscm_machine_nic *nic = &m->nics[i];
        snprintf(key, sizeof key, "vmscm.nic.%zu", i);
        snprintf(value, sizeof value, "as=%s%s%s%s%s%s", nic_of(nic, &exact),
            nic->model ? " model=" : "", nic->model ? nic->model : "", nic->type ? " type=" : "",
            nic->type ? nic->type : "", nic->network ? "" : " network=no");
        extra(w, key, value);
    }
}

static void write_hardware(struct writing *w)
{
    const struct vmscm_machine *m = w->ovf->machine;
    bool recent = m->secure_boot;

    for (size_t i = 0; i < m->disk_count; i++)
        recent |= strcmp(buses[bus_of(&m->disks[i])].name, "nvme") == 0;
    raw(w, "    <VirtualHardwareSection>\n      <Info>Virtual hardware</Info>\n      <System>\n"
           "        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>\n"
           "        <vssd:InstanceID>0</vssd:InstanceID>\n        <vssd:VirtualSystemIdentifier>");
    escaped(w, w->ovf->id);
    raw(w, "</vssd:VirtualSystemIdentifier>\n        <vssd:VirtualSystemType>");
    raw(w, recent ? "vmx-13" : "vmx-10");
    raw(w, "</vssd:VirtualSystemType>\n      </System>\n");
    write_processors(w);
    write_drives(w);
    write_nics(w);
    config(w, "firmware", strcmp(m->firmware, "uefi") == 0 ? "efi" : "bios");
    if (m->secure_boot)
        config(w, "bootOptions.efiSecureBootEnabled", "true");
    if (w->ovf->nvram) {
        char value[32];
        snprintf(value, sizeof value, "ovf:/file/file%zu", m->disk_count + 1);
        extra(w, "nvram", value);
    }
    write_hints(w);
    raw(w, "    </VirtualHardwareSection>\n");
}

int vmscm_ovfwrite_encode(struct vmscm_buf *out, const struct vmscm_ovfwrite *ovf,
    struct vmscm_error *err)
{
    struct writing w = {out, ovf, err, 0, 0};
    const struct vmscm_machine *m = ovf->machine;

    raw(&w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\""
            " xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\""
            " xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
            "CIM_ResourceAllocationSettingData\""
            " xmlns:vssd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
            "CIM_VirtualSystemSettingData\""
            " xmlns:vmw=\"http://www.vmware.com/schema/ovf\">\n");
    write_references(&w);
    write_networks(&w);
    raw(&w, "  <VirtualSystem ovf:id=\"");
    escaped(&w, ovf->id);
    raw(&w, "\">\n    <Info>A virtual machine</Info>\n    <Name>");
    escaped(&w, m->name ? m->name : ovf->id);
    raw(&w, "</Name>\n");
    if (ovf->annotation) {
        raw(&w, "    <AnnotationSection>\n      <Info>Annotation</Info>\n      <Annotation>");
        escaped(&w, ovf->annotation);
        raw(&w, "</Annotation>\n    </AnnotationSection>\n");
    }
    raw(&w, "    <OperatingSystemSection ovf:id=\"");
    escaped(&w, ovf->os_id ? ovf->os_id : "102");
    raw(&w, "\" vmw:osType=\"");
    escaped(&w, ovf->os_type ? ovf->os_type : "otherGuest64");
    raw(&w, "\">\n      <Info>The operating system</Info>\n    </OperatingSystemSection>\n");
    write_hardware(&w);
    raw(&w, "  </VirtualSystem>\n</Envelope>\n");
    return w.rc;
}

int vmscm_ovfwrite_losses(const struct vmscm_machine *machine,
    int (*each)(void *data, const char *text), void *data)
{
    char text[200];
    bool exact;
    int rc = 0;

    if (strcmp(machine->arch, "x86_64") != 0) {
        snprintf(text, sizeof text, "OVF does not say that it is of the architecture %.64s",
            machine->arch);
        rc = each(data, text);
    }
    for (size_t i = 0; i < machine->disk_count && !rc; i++) {
        const struct vmscm_machine_disk *disk = &machine->disks[i];
        const char *bus = buses[bus_of(disk)].name;
        if (disk->bus && strcmp(disk->bus, bus) != 0) {
            snprintf(text, sizeof text, "disk %.64s is on %s: OVF has no %.64s", disk->id, bus,
                disk->bus);
            rc = each(data, text);
        }
        if (!rc && disk->size % 512) {
            snprintf(text, sizeof text, "disk %.64s is longer by %u bytes, to have whole sectors",
                disk->id, (unsigned)(512 - disk->size % 512));
            rc = each(data, text);
        }
    }
    for (size_t i = 0; i < machine->nic_count && !rc; i++) {
        const struct vmscm_machine_nic *nic = &machine->nics[i];
        const char *as = nic_of(nic, &exact);
        if (exact || !nic->model)
            continue;
        snprintf(text, sizeof text, "NIC %zu is an %s: OVF has no %.64s", i + 1, as, nic->model);
        rc = each(data, text);
    }
    return rc;
}
