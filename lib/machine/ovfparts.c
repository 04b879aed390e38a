/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/ovfparts.h"
#include "base/str.h"
#include "machine/model.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ITEMS_MAX 4096
#define NICS_MAX 256
#define CPUS_MAX 65536
#define TEXT_MAX 1024
#define TOKEN_MAX 64

bool vmscm_ovfparts_is_token(const char *s)
{
    static const char bytes[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-";
    size_t len = strlen(s);

    return len && len <= TOKEN_MAX && strspn(s, bytes) == len;
}

/* Set a field if the value can be stored, else leave it. */
static int set_text(char **field, const char *value, struct vmscm_error *err)
{
    if (!value || !*value || strlen(value) > TEXT_MAX || !vmscm_str_printable(value))
        return 0;
    return vmscm_model_set(field, value, err);
}

static int set_token(char **field, const char *value, struct vmscm_error *err)
{
    return value && vmscm_ovfparts_is_token(value) ? vmscm_model_set(field, value, err) : 0;
}

void vmscm_ovfparts_items_release(struct vmscm_ovfparts_items *items)
{
    for (size_t i = 0; i < items->list.len; i++) {
        struct vmscm_ovfparts_item *item = &items->list.items[i];
        free(item->id);
        free(item->subtype);
        free(item->unit);
        free(item->parent);
        free(item->host_resource);
        free(item->connection);
        free(item->address);
    }
    vmscm_vec_release(&items->list);
}

static int read_number(uint64_t *out, const xmlNode *node, struct vmscm_error *err)
{
    char *text = NULL;
    int rc = vmscm_xml_get(&text, node, NULL, err);

    *out = 0;
    if (!rc && text && !vmscm_str_uint(out, text, 0, VMSCM_OVFPARTS_SIZE_MAX))
        *out = 0;
    free(text);
    return rc;
}

static int read_item(struct vmscm_ovfparts_items *items, const xmlNode *node,
    struct vmscm_error *err)
{
    struct vmscm_ovfparts_item *item;
    const xmlNode *id = vmscm_xml_child(node, "InstanceID");
    int rc;

    if (items->list.len == ITEMS_MAX)
        return vmscm_error_set(err, VMSCM_EINPUT, "OVF: more than %d hardware items", ITEMS_MAX);
    if ((rc = vmscm_vec_add(&items->list, &item, err)) ||
        (rc = read_number(&item->type, vmscm_xml_child(node, "ResourceType"), err)) ||
        (rc = read_number(&item->quantity, vmscm_xml_child(node, "VirtualQuantity"), err)) ||
        (rc = vmscm_xml_get(
             &item->id, id ? id : vmscm_xml_child(node, "InstanceId"), NULL, err)) ||
        (rc = vmscm_xml_get(
             &item->subtype, vmscm_xml_child(node, "ResourceSubType"), NULL, err)) ||
        (rc = vmscm_xml_get(&item->unit, vmscm_xml_child(node, "AllocationUnits"), NULL, err)) ||
        (rc = vmscm_xml_get(&item->parent, vmscm_xml_child(node, "Parent"), NULL, err)) ||
        (rc = vmscm_xml_get(
             &item->host_resource, vmscm_xml_child(node, "HostResource"), NULL, err)) ||
        (rc = vmscm_xml_get(&item->connection, vmscm_xml_child(node, "Connection"), NULL, err)))
        return rc;
    rc = vmscm_xml_get(&item->address, vmscm_xml_child(node, "MACAddress"), NULL, err);
    if (!rc && !item->address)
        rc = vmscm_xml_get(&item->address, vmscm_xml_child(node, "Address"), NULL, err);
    return rc;
}

int vmscm_ovfparts_items_read(struct vmscm_ovfparts_items *items, struct vmscm_error *err)
{
    int rc = 0;

    for (const xmlNode *n = items->hardware->children; n && !rc; n = n->next)
        if (vmscm_xml_is(n, "Item") || vmscm_xml_is(n, "StorageItem") ||
            vmscm_xml_is(n, "EthernetPortItem"))
            rc = read_item(items, n, err);
    if (rc)
        vmscm_ovfparts_items_release(items);
    return rc;
}

uint64_t vmscm_ovfparts_scale(uint64_t value, const char *unit, const char *fallback)
{
    static const char prefixes[] = "kmgtpe";
    const char *power, *prefix;
    uint64_t factor = 1, exponent;

    if (!unit)
        unit = fallback;
    unit += strspn(unit, " ");
    if ((power = strchr(unit, '^'))) {
        uint64_t base = power > unit && power[-1] == '0' ? 10 : 2;
        if (!vmscm_str_uint(&exponent, power + 1, 0, base == 2 ? 60 : 18))
            return 0;
        while (exponent--)
            factor *= base;
    } else if (*unit && (prefix = strchr(prefixes, tolower((unsigned char)*unit)))) {
        for (const char *p = prefixes; p <= prefix; p++)
            factor *= 1024;
    }
    return value > VMSCM_OVFPARTS_SIZE_MAX / factor ? 0 : value * factor;
}

const char *vmscm_ovfparts_bus(const struct vmscm_ovfparts_items *items,
    const struct vmscm_ovfparts_item *drive)
{
    for (size_t i = 0; drive->parent && i < items->list.len; i++) {
        const struct vmscm_ovfparts_item *item = &items->list.items[i];
        const char *subtype = item->subtype ? item->subtype : "";
        if (!item->id || strcmp(item->id, drive->parent) != 0)
            continue;
        switch (item->type) {
        case VMSCM_OVFPARTS_IDE:
            return "ide";
        case VMSCM_OVFPARTS_SCSI:
            return "scsi";
        case VMSCM_OVFPARTS_USB:
            return "usb";
        case VMSCM_OVFPARTS_OTHER_STORAGE:
            return strcasestr(subtype, "nvme") ? "nvme"
                : strcasestr(subtype, "virtio") ? "scsi"
                                                : "sata";
        default:
            break;
        }
    }
    return "sata";
}

const char *vmscm_ovfparts_interface(const char *name, const char *fallback)
{
    static const struct {
        const char *name, *bus;
    } buses[] = {{"VirtIO", "virtio"}, {"VirtIO_SCSI", "scsi"}, {"IDE", "ide"}, {"SATA", "sata"},
        {"SPAPR_VSCSI", "scsi"}};

    for (size_t i = 0; i < sizeof buses / sizeof buses[0]; i++)
        if (strcasecmp(name, buses[i].name) == 0)
            return buses[i].bus;
    return fallback;
}

int vmscm_ovfparts_extra(char **out, const xmlNode *hardware, const char *key,
    struct vmscm_error *err)
{
    *out = NULL;
    for (const xmlNode *n = hardware->children; n; n = n->next)
        if (vmscm_xml_is(n, "ExtraConfig") && vmscm_xml_attribute_is(n, "key", key))
            return vmscm_xml_get(out, n, "value", err);
    return 0;
}

int vmscm_ovfparts_word(char **out, const char *text, const char *name, struct vmscm_error *err)
{
    size_t len = strlen(name);

    *out = NULL;
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, " ");
        if (n > len && p[len] == '=' && strncmp(p, name, len) == 0)
            return vmscm_str_printf(out, err, "%.*s", (int)(n - len - 1), p + len + 1);
        p += n;
        p += strspn(p, " ");
    }
    return 0;
}

/* VirtualBox's own section, and oVirt's number. */
static int vendor_firmware(struct vmscm_machine *m, const xmlNode *system, struct vmscm_error *err)
{
    const xmlNode *hardware = vmscm_xml_child(vmscm_xml_child(system, "Machine"), "Hardware");
    const xmlNode *firmware = vmscm_xml_child(hardware, "Firmware");
    uint64_t bios = 0;
    char *type = NULL;
    int rc;

    if (!firmware)
        firmware = vmscm_xml_child(vmscm_xml_child(hardware, "BIOS"), "Firmware");
    if ((rc = vmscm_xml_get(&type, firmware, "type", err)) ||
        (rc = read_number(&bios, vmscm_xml_child(system, "BiosType"), err)))
        goto out;
    if ((type && strncasecmp(type, "efi", 3) == 0) || bios == 3 || bios == 4)
        rc = vmscm_model_set(&m->firmware, "uefi", err);
    if (bios == 4)
        m->secure_boot = 1;
out:
    free(type);
    return rc;
}

int vmscm_ovfparts_system(struct vmscm_machine *m, const xmlNode *system, const char *id,
    struct vmscm_error *err)
{
    char *name = NULL;
    int rc = vmscm_xml_get(&name, vmscm_xml_child(system, "Name"), NULL, err);

    if (!rc)
        rc = set_text(&m->name, name ? name : id, err);
    if (!rc)
        rc = vendor_firmware(m, system, err);
    free(name);
    return rc;
}

/* A MAC address in any usual spelling to ours, or nothing. */
static int set_mac(char **field, const char *value, struct vmscm_error *err)
{
    char hex[13], mac[18];
    size_t n = 0;

    for (const char *p = value ? value : ""; *p; p++) {
        if (isxdigit((unsigned char)*p) && n < 12)
            hex[n++] = (char)tolower((unsigned char)*p);
        else if ((*p != ':' && *p != '-') || n == 0)
            return 0;
    }
    if (n != 12)
        return 0;
    for (size_t i = 0; i < 6; i++) {
        mac[3 * i] = hex[2 * i];
        mac[3 * i + 1] = hex[2 * i + 1];
        mac[3 * i + 2] = i < 5 ? ':' : '\0';
    }
    return vmscm_model_set(field, mac, err);
}

static int set_model(char **field, const char *subtype, struct vmscm_error *err)
{
    static const struct {
        const char *name, *model;
    } models[] = {{"PCNet32", "pcnet"}, {"VirtIO", "virtio"}, {"virtio-net", "virtio"},
        {"1", "rtl8139"}, {"2", "e1000"}, {"3", "virtio"}}; /* the numbers are oVirt's */
    char word[TOKEN_MAX + 1];
    size_t len = subtype ? strcspn(subtype, " ,;") : 0;

    if (!len || len > TOKEN_MAX)
        return 0;
    for (size_t i = 0; i < len; i++)
        word[i] = (char)tolower((unsigned char)subtype[i]);
    word[len] = '\0';
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        if (strcasecmp(word, models[i].name) == 0)
            return vmscm_model_set(field, models[i].model, err);
    return set_token(field, word, err);
}

/* Our own word about a NIC, "vmscm.nic.N": "model=MODEL type=TYPE"; a model that contradicts what the item
 * says is an old one. */
static int apply_nic_hint(struct vmscm_machine_nic *nic, const char *hint, struct vmscm_error *err)
{
    char *model = NULL, *type = NULL, *shown = NULL, *network = NULL;
    int rc;

    if ((rc = vmscm_ovfparts_word(&model, hint, "model", err)) ||
        (rc = vmscm_ovfparts_word(&shown, hint, "as", err)) ||
        (rc = vmscm_ovfparts_word(&network, hint, "network", err)) ||
        (rc = vmscm_ovfparts_word(&type, hint, "type", err)))
        goto out;
    if (shown && nic->model && strcasecmp(shown, nic->model) == 0 &&
        (!model || vmscm_ovfparts_is_token(model)))
        rc = vmscm_model_set(&nic->model, model, err);
    if (!rc && (!type || vmscm_ovfparts_is_token(type)))
        rc = vmscm_model_set(&nic->type, type, err);
    if (!rc && network && strcmp(network, "no") == 0)
        rc = vmscm_model_set(&nic->network, NULL, err);
out:
    free(model);
    free(shown);
    free(network);
    free(type);
    return rc;
}

static int add_nic(struct vmscm_machine *m, const struct vmscm_ovfparts_items *items,
    const struct vmscm_ovfparts_item *item, struct vmscm_error *err)
{
    struct vmscm_machine_nic *nic;
    char key[40], *hint = NULL;
    int rc;

    if (m->nic_count == NICS_MAX)
        return vmscm_error_set(err, VMSCM_EINPUT, "OVF: more than %d NICs", NICS_MAX);
    snprintf(key, sizeof key, "vmscm.nic.%zu", m->nic_count);
    if ((rc = vmscm_model_add_nic(&nic, m, err)) ||
        (rc = vmscm_model_set(&nic->type, "network", err)) ||
        (rc = set_text(&nic->network, item->connection, err)) ||
        (rc = set_model(&nic->model, item->subtype, err)) ||
        (rc = set_mac(&nic->mac, item->address, err)) ||
        (rc = vmscm_ovfparts_extra(&hint, items->hardware, key, err)))
        return rc;
    if (hint)
        rc = apply_nic_hint(nic, hint, err);
    free(hint);
    return rc;
}

/* VMware's settings of the machine as a whole, and our words about it. */
static int apply_config(struct vmscm_machine *m, const xmlNode *hardware, struct vmscm_error *err)
{
    char *arch = NULL, *type = NULL, *unnamed = NULL, *memory = NULL;
    uint64_t bytes;
    int rc = 0;

    for (const xmlNode *n = hardware->children; n && !rc; n = n->next) {
        if (!vmscm_xml_is(n, "Config"))
            continue;
        if (vmscm_xml_attribute_is(n, "key", "firmware") &&
            vmscm_xml_attribute_is(n, "value", "efi"))
            rc = vmscm_model_set(&m->firmware, "uefi", err);
        else if (vmscm_xml_attribute_is(n, "key", "bootOptions.efiSecureBootEnabled") &&
            vmscm_xml_attribute_is(n, "value", "true"))
            m->secure_boot = 1;
    }
    if (rc || (rc = vmscm_ovfparts_extra(&arch, hardware, "vmscm.arch", err)) ||
        (rc = vmscm_ovfparts_extra(&type, hardware, "vmscm.machine_type", err)) ||
        (rc = vmscm_ovfparts_extra(&unnamed, hardware, "vmscm.unnamed", err)) ||
        (rc = vmscm_ovfparts_extra(&memory, hardware, "vmscm.memory", err)) ||
        (rc = set_token(&m->arch, arch, err)) ||
        (rc = set_token(&m->machine_type, type, err)))
        goto out;
    if (unnamed)
        rc = vmscm_model_set(&m->name, NULL, err);
    /* Ours was rounded up to whole MiB. */
    if (memory && vmscm_str_uint(&bytes, memory, 1, m->memory) && m->memory - bytes < 1u << 20)
        m->memory = bytes;
out:
    free(arch);
    free(type);
    free(unnamed);
    free(memory);
    return rc;
}

int vmscm_ovfparts_hardware(struct vmscm_machine *m, const struct vmscm_ovfparts_items *items,
    struct vmscm_error *err)
{
    bool cpu = false, memory = false;
    int rc = 0;

    for (size_t i = 0; i < items->list.len && !rc; i++) {
        const struct vmscm_ovfparts_item *item = &items->list.items[i];
        if (item->type == VMSCM_OVFPARTS_CPU && !cpu && item->quantity) {
            if (item->quantity > CPUS_MAX)
                return vmscm_error_set(err, VMSCM_EINPUT, "OVF: more than %d CPUs", CPUS_MAX);
            m->cpus = (uint32_t)item->quantity;
            cpu = true;
        } else if (item->type == VMSCM_OVFPARTS_MEMORY && !memory && item->quantity) {
            m->memory = vmscm_ovfparts_scale(item->quantity, item->unit, "MB");
            if (!m->memory)
                return vmscm_error_set(err, VMSCM_EINPUT, "OVF: more memory than there can be");
            memory = true;
        } else if (item->type == VMSCM_OVFPARTS_NIC) {
            rc = add_nic(m, items, item, err);
        }
    }
    return rc ? rc : apply_config(m, items->hardware, err);
}
