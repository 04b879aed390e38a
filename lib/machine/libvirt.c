/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/libvirt.h"
#include "base/buf.h"
#include "base/str.h"
#include "machine/hint.h"
#include "machine/model.h"
#include "machine/xml.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DISKS_MAX 256
#define NICS_MAX 256
#define CPUS_MAX 65536
#define MEMORY_MAX (UINT64_C(1) << 62)
#define TEXT_MAX 1024
#define TOKEN_MAX 64

static const char token_bytes[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-";

static int bad(struct vmscm_error *err, const char *element, const char *value, const char *why)
{
    return vmscm_error_set(
        err, VMSCM_EINPUT, "domain XML: <%s>: %.100s: %s", element, value ? value : "", why);
}

/* A plain word, as machine.json takes them. */
static int get_token(char **out, const xmlNode *node, const char *attribute,
    struct vmscm_error *err)
{
    char *value = NULL;
    int rc = vmscm_xml_get(&value, node, attribute, err);

    if (rc || !value)
        return rc;
    size_t len = strlen(value);
    if (len > TOKEN_MAX || strspn(value, token_bytes) != len) {
        rc = bad(err, (const char *)node->name, value, "not a plain word");
        free(value);
        return rc;
    }
    free(*out);
    *out = value;
    return 0;
}

static int get_text(char **out, const xmlNode *node, const char *attribute,
    struct vmscm_error *err)
{
    char *value = NULL;
    int rc = vmscm_xml_get(&value, node, attribute, err);

    if (rc || !value)
        return rc;
    if (strlen(value) > TEXT_MAX || !vmscm_str_printable(value)) {
        rc = bad(err, (const char *)node->name, value, "over 1024 bytes or not printable");
        free(value);
        return rc;
    }
    free(*out);
    *out = value;
    return 0;
}

/* libvirt's scaled integers: KiB by default; "b" or "bytes"; KB and so on are powers of 1000; k,
 * KiB and so on of 1024. */
static int parse_memory(uint64_t *out, const xmlNode *node, struct vmscm_error *err)
{
    static const char letters[] = "kmgtpe";
    char *text = NULL, *unit = NULL;
    uint64_t value, factor = 1024, base;
    int rc;

    if ((rc = vmscm_xml_get(&text, node, NULL, err)) ||
        (rc = vmscm_xml_get(&unit, node, "unit", err)))
        goto out;
    if (!text || !vmscm_str_uint(&value, text, 1, MEMORY_MAX)) {
        rc = bad(err, "memory", text, "not a number");
        goto out;
    }
    if (unit && (strcmp(unit, "b") == 0 || strcmp(unit, "bytes") == 0)) {
        factor = 1;
    } else if (unit) {
        const char *letter = strchr(letters, tolower((unsigned char)unit[0]));
        if (letter && (!unit[1] || strcasecmp(unit + 1, "iB") == 0))
            base = 1024;
        else if (letter && strcasecmp(unit + 1, "B") == 0)
            base = 1000;
        else {
            rc = bad(err, "memory", unit, "not a unit");
            goto out;
        }
        factor = 1;
        for (const char *p = letters; p <= letter; p++)
            factor *= base;
    }
    if (value > MEMORY_MAX / factor) {
        rc = bad(err, "memory", text, "out of range");
        goto out;
    }
    *out = value * factor;
out:
    free(text);
    free(unit);
    return rc;
}

static int parse_cpus(uint32_t *out, const xmlNode *node, struct vmscm_error *err)
{
    char *text = NULL;
    uint64_t value = 1;
    int rc = vmscm_xml_get(&text, node, NULL, err);

    if (!rc && text && !vmscm_str_uint(&value, text, 1, CPUS_MAX))
        rc = bad(err, "vcpu", text, "not a number from 1 to 65536");
    if (!rc)
        *out = (uint32_t)value;
    free(text);
    return rc;
}

static bool wants_secure_boot(const xmlNode *os)
{
    if (vmscm_xml_attribute_is(vmscm_xml_child(os, "loader"), "secure", "yes"))
        return true;
    const xmlNode *firmware = vmscm_xml_child(os, "firmware");
    for (const xmlNode *n = firmware ? firmware->children : NULL; n; n = n->next)
        if (vmscm_xml_is(n, "feature") && vmscm_xml_attribute_is(n, "name", "secure-boot") &&
            vmscm_xml_attribute_is(n, "enabled", "yes"))
            return true;
    return false;
}

static int parse_os(struct vmscm_machine *m, const xmlNode *os, struct vmscm_error *err)
{
    const xmlNode *type = vmscm_xml_child(os, "type");
    bool uefi = vmscm_xml_attribute_is(os, "firmware", "efi") ||
        vmscm_xml_attribute_is(vmscm_xml_child(os, "loader"), "type", "pflash");
    int rc;

    if ((rc = get_token(&m->arch, type, "arch", err)) ||
        (rc = get_token(&m->machine_type, type, "machine", err)))
        return rc;
    m->secure_boot = wants_secure_boot(os);
    return uefi ? vmscm_model_set(&m->firmware, "uefi", err) : 0;
}

/* The guest's device name, where it can be an id; else disk1, disk2 and so on, the first free. */
static int add_disk(struct vmscm_machine_disk **out, struct vmscm_machine *m, const char *target,
    struct vmscm_error *err)
{
    char id[32];

    if (target && vmscm_model_check_disk_id(target, NULL) == 0) {
        if (vmscm_model_disk(m, target))
            return bad(err, "target", target, "two disks have this target");
        return vmscm_model_add_disk(out, m, target, err);
    }
    for (unsigned n = 1;; n++) {
        snprintf(id, sizeof id, "disk%u", n);
        if (!vmscm_model_disk(m, id))
            return vmscm_model_add_disk(out, m, id, err);
    }
}

/* Where libvirt does not say the bus, the target's name does. */
static const char *implied_bus(const char *target)
{
    static const struct {
        const char *prefix, *bus;
    } buses[] = {{"hd", "ide"}, {"sd", "scsi"}, {"vd", "virtio"}, {"xvd", "xen"}, {"fd", "fdc"}};

    for (size_t i = 0; target && i < sizeof buses / sizeof buses[0]; i++)
        if (vmscm_str_starts(target, buses[i].prefix))
            return buses[i].bus;
    return NULL;
}

static const char *const formats[] = {"raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx", "parallels"};

#define FORMATS (sizeof formats / sizeof formats[0])

const char *vmscm_libvirt_format(const char *format)
{
    for (size_t i = 0; format && i < FORMATS; i++)
        if (strcmp(format, formats[i]) == 0)
            return formats[i];
    return NULL;
}

static int set_format(struct vmscm_machine_disk *disk, const xmlNode *driver,
    struct vmscm_error *err)
{
    for (size_t i = 0; i < FORMATS; i++)
        if (vmscm_xml_attribute_is(driver, "type", formats[i]))
            return vmscm_model_set(&disk->format, formats[i], err);
    return 0;
}

/* A disk of the domain, and where it was; *source is NULL where that is no local file or device. */
static int parse_disk(struct vmscm_machine *m, char **source, const xmlNode *node,
    struct vmscm_error *err)
{
    const xmlNode *target_node = vmscm_xml_child(node, "target");
    const xmlNode *source_node = vmscm_xml_child(node, "source");
    struct vmscm_machine_disk *disk = NULL;
    char *target = NULL;
    int rc;

    if ((rc = get_token(&target, target_node, "dev", err)) ||
        (rc = add_disk(&disk, m, target, err)) ||
        (rc = vmscm_model_set(&disk->bus, implied_bus(target), err)) ||
        (rc = get_token(&disk->bus, target_node, "bus", err)) ||
        (rc = set_format(disk, vmscm_xml_child(node, "driver"), err)))
        goto out;
    disk->target = target;
    target = NULL;
    if (vmscm_xml_attribute_is(node, "type", "block"))
        rc = vmscm_xml_get(source, source_node, "dev", err);
    else
        rc = vmscm_xml_get(source, source_node, "file", err);
    if (!rc && *source && (strlen(*source) > 4095 || !vmscm_str_printable(*source)))
        rc = bad(err, "source", *source, "not a file name");
out:
    free(target);
    return rc;
}

static int parse_mac(char **out, const xmlNode *node, struct vmscm_error *err)
{
    char *mac = NULL;
    int rc = vmscm_xml_get(&mac, node, "address", err);
    bool good = mac && strlen(mac) == 17;

    if (rc || !mac)
        return rc;
    for (size_t i = 0; good && i < 17; i++) {
        mac[i] = (char)tolower((unsigned char)mac[i]);
        good = i % 3 == 2 ? mac[i] == ':' : isxdigit((unsigned char)mac[i]) != 0;
    }
    if (!good) {
        rc = bad(err, "mac", mac, "not a MAC address");
        free(mac);
        return rc;
    }
    *out = mac;
    return 0;
}

static int parse_nic(struct vmscm_machine *m, const xmlNode *node, struct vmscm_error *err)
{
    static const char *const names[] = {"network", "bridge", "dev"};
    const xmlNode *source = vmscm_xml_child(node, "source");
    struct vmscm_machine_nic *nic;
    int rc;

    if ((rc = vmscm_model_add_nic(&nic, m, err)) ||
        (rc = get_token(&nic->type, node, "type", err)) ||
        (rc = parse_mac(&nic->mac, vmscm_xml_child(node, "mac"), err)) ||
        (rc = get_token(&nic->model, vmscm_xml_child(node, "model"), "type", err)))
        return rc;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !nic->network; i++)
        if ((rc = get_text(&nic->network, source, names[i], err)))
            return rc;
    return 0;
}

static int parse_devices(struct vmscm_machine *m, char ***sources, const xmlNode *devices,
    struct vmscm_error *err)
{
    int rc = 0;

    for (const xmlNode *n = devices ? devices->children : NULL; n && !rc; n = n->next) {
        if (vmscm_xml_is(n, "disk")) {
            char *device = NULL;
            if ((rc = vmscm_xml_get(&device, n, "device", err)))
                return rc;
            bool is_disk = !device || strcmp(device, "disk") == 0;
            free(device);
            if (!is_disk)
                continue;
            if (m->disk_count == DISKS_MAX)
                return bad(err, "disk", "", "more than 256");
            char **grown = reallocarray(*sources, m->disk_count + 1, sizeof *grown);
            if (!grown)
                return vmscm_error_nomem(err);
            *sources = grown;
            grown[m->disk_count] = NULL;
            rc = parse_disk(m, &grown[m->disk_count], n, err);
        } else if (vmscm_xml_is(n, "interface")) {
            if (m->nic_count == NICS_MAX)
                return bad(err, "interface", "", "more than 256");
            rc = parse_nic(m, n, err);
        }
    }
    return rc;
}

/* What we wrote into it, if we did. */
static int apply_hint(struct vmscm_machine *m, char **sources, const xmlNode *domain,
    struct vmscm_error *err)
{
    const xmlNode *metadata = vmscm_xml_child(domain, "metadata");
    char *as = NULL, *is = NULL;
    int rc = 0;

    for (const xmlNode *n = metadata ? metadata->children : NULL; n && !rc && !as; n = n->next) {
        if (!vmscm_xml_is(n, "machine") || !n->ns ||
            strcmp((const char *)n->ns->href, VMSCM_LIBVIRT_NAMESPACE) != 0)
            continue;
        if (!(rc = vmscm_xml_get(&as, vmscm_xml_child(n, "as"), NULL, err)))
            rc = vmscm_xml_get(&is, vmscm_xml_child(n, "is"), NULL, err);
    }
    if (!rc)
        rc = vmscm_hint_apply(m, sources, as, is, err);
    free(as);
    free(is);
    return rc;
}

static int parse_domain(struct vmscm_machine *m, char ***sources, const xmlNode *domain,
    struct vmscm_error *err)
{
    int rc;

    if (!domain || !vmscm_xml_is(domain, "domain"))
        return vmscm_error_set(err, VMSCM_EINPUT, "domain XML: its root is <%.60s>, not <domain>",
            domain ? (const char *)domain->name : "");
    if (!vmscm_xml_child(domain, "memory"))
        return vmscm_error_set(err, VMSCM_EINPUT, "domain XML: has no <memory>");
    if ((rc = get_text(&m->name, vmscm_xml_child(domain, "name"), NULL, err)) ||
        (rc = parse_memory(&m->memory, vmscm_xml_child(domain, "memory"), err)) ||
        (rc = parse_cpus(&m->cpus, vmscm_xml_child(domain, "vcpu"), err)) ||
        (rc = parse_os(m, vmscm_xml_child(domain, "os"), err)))
        return rc;
    if ((rc = parse_devices(m, sources, vmscm_xml_child(domain, "devices"), err)))
        return rc;
    return apply_hint(m, *sources, domain, err);
}

static int parse(struct vmscm_machine **out, char ***sources, const void *xml, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_machine *m = NULL;
    xmlDocPtr doc = NULL;
    char **files = NULL;
    size_t count;
    int rc;

    *out = NULL;
    *sources = NULL;
    if ((rc = vmscm_xml_read(&doc, "domain XML", xml, len, VMSCM_LIBVIRT_MAX, err)))
        return rc;
    if (!(m = calloc(1, sizeof *m))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    if ((rc = vmscm_model_set(&m->arch, "x86_64", err)) ||
        (rc = vmscm_model_set(&m->firmware, "bios", err)) ||
        (rc = parse_domain(m, &files, xmlDocGetRootElement(doc), err)) ||
        (!files && !(files = calloc(1, sizeof *files)) && (rc = vmscm_error_nomem(err))))
        goto out;
    *out = m;
    *sources = files;
    m = NULL;
    files = NULL;
out:
    count = m && files ? m->disk_count : 0;
    for (size_t i = 0; i < count; i++)
        free(files[i]);
    free(files);
    vmscm_model_free(m);
    xmlFreeDoc(doc);
    return rc;
}

int vmscm_libvirt_parse(struct vmscm_machine **out, char ***sources, const void *xml, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_xml_watch watch;
    int rc;

    vmscm_xml_begin(&watch);
    rc = parse(out, sources, xml, len, err);
    if (!vmscm_xml_end(&watch))
        return rc;
    for (size_t i = 0; *sources && i < (*out)->disk_count; i++)
        free((*sources)[i]);
    free(*sources);
    vmscm_model_free(*out);
    *sources = NULL;
    *out = NULL;
    return vmscm_error_nomem(err);
}

int vmscm_libvirt_nvram(char **path, const void *xml, size_t len, struct vmscm_error *err)
{
    struct vmscm_xml_watch watch;
    xmlDocPtr doc = NULL;
    int rc;

    *path = NULL;
    vmscm_xml_begin(&watch);
    rc = vmscm_xml_read(&doc, "domain XML", xml, len, VMSCM_LIBVIRT_MAX, err);
    if (!rc)
        rc = vmscm_xml_get(path,
            vmscm_xml_child(vmscm_xml_child(xmlDocGetRootElement(doc), "os"), "nvram"), NULL, err);
    xmlFreeDoc(doc);
    if (vmscm_xml_end(&watch)) {
        free(*path);
        *path = NULL;
        rc = vmscm_error_nomem(err);
    }
    return rc;
}
