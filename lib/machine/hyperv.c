/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/hyperv.h"
#include "base/buf.h"
#include "base/path.h"
#include "base/str.h"
#include "base/utf16.h"
#include "machine/model.h"
#include "machine/vmcx.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MIB (UINT64_C(1) << 20)
#define MEMORY_MAX (UINT64_C(1) << 42) /* MiB */
#define CPUS_MAX 65536
#define TEXT_MAX 1024
#define DISKS_MAX 260
#define NICS_MAX 256
#define CONTROLLERS 8 /* of one device */
#define DRIVES 64     /* of a controller */
#define IDE "_83f8638b-8dca-4152-9eda-2ca8b33039b4_"
#define NONE VMSCM_HYPERVTREE_NONE

struct reading {
    struct vmscm_hypervtree tree;
    struct vmscm_machine *m;
    char **sources;
    struct vmscm_error *err;
};

/* "<_83f8638b-8dca-4152-9eda-2ca8b33039b4_": devices are called so, and come first. */
static bool has_device(const char *text)
{
    for (const char *p = text; (p = strstr(p, "<_")); p += 2)
        if (strspn(p + 2, "0123456789abcdefABCDEF-") == 36 && p[38] == '_')
            return true;
    return false;
}

bool vmscm_hyperv_match(const char *text, size_t len)
{
    struct vmscm_buf plain = VMSCM_BUF_INIT;
    const uint8_t *bytes = (const uint8_t *)text;
    const char *root;
    bool fits = false;

    if (vmscm_vmcx_match(text, len))
        return true;
    if (len > 2 && ((bytes[0] == 0xff && bytes[1] == 0xfe) || (bytes[0] == 0xfe && bytes[1] == 0xff))) {
        if (vmscm_utf16_decode(&plain, bytes + 2, len - 2, bytes[0] == 0xfe, NULL))
            goto out;
        text = vmscm_buf_str(&plain);
    }
    root = strstr(text, "<configuration>");
    fits = root && strspn(text, "\xef\xbb\xbf \t\r\n") == strcspn(text, "<") && has_device(root);
out:
    vmscm_buf_release(&plain);
    return fits;
}

static int get_number(uint64_t *out, const struct reading *r, uint32_t node, const char *name,
    uint64_t max)
{
    const char *text = vmscm_hypervtree_value(&r->tree, node, name);

    if (text && !vmscm_str_uint(out, text, 1, max))
        return vmscm_error_set(
            r->err, VMSCM_EINPUT, "configuration: %s: %.60s: out of range", name, text);
    return 0;
}

static uint32_t path(const struct reading *r, const char *a, const char *b, const char *c)
{
    uint32_t node = vmscm_hypervtree_find(&r->tree, 0, a);

    node = b ? vmscm_hypervtree_find(&r->tree, node, b) : node;
    return c ? vmscm_hypervtree_find(&r->tree, node, c) : node;
}

static bool is_true(const char *value)
{
    return value && strcasecmp(value, "true") == 0;
}

static bool can_store(const char *text)
{
    return text && strlen(text) <= TEXT_MAX && vmscm_str_printable(text);
}

static int read_system(struct reading *r)
{
    const char *name = vmscm_hypervtree_value(&r->tree, path(r, "properties", NULL, NULL), "name");
    const char *kind =
        vmscm_hypervtree_value(&r->tree, path(r, "properties", NULL, NULL), "subtype");
    uint64_t cpus = r->m->cpus, memory = r->m->memory / MIB;
    int rc;

    if ((can_store(name) && (rc = vmscm_model_set(&r->m->name, name, r->err))) ||
        (rc = get_number(&cpus, r, path(r, "settings", "processors", NULL), "count", CPUS_MAX)) ||
        (rc = get_number(&memory, r, path(r, "settings", "memory", "bank"), "size", MEMORY_MAX)))
        return rc;
    r->m->cpus = (uint32_t)cpus;
    r->m->memory = memory * MIB;
    /* Of the second generation: without BIOS. */
    return kind && strcmp(kind, "1") == 0 ? vmscm_model_set(&r->m->firmware, "uefi", r->err) : 0;
}

/* The name without the folders that it had on its host; or NULL if it is none. */
static const char *file_of(const char *path)
{
    const char *base = path;

    for (const char *p = path; *p; p++)
        if (*p == '\\' || *p == '/')
            base = p + 1;
    return *base && strlen(base) <= TEXT_MAX && vmscm_path_is_confined(base) ? base : NULL;
}

static int add_disk(struct reading *r, const char *bus, const char *path)
{
    struct vmscm_machine_disk *disk;
    const char *file = file_of(path);

    if (!file)
        return vmscm_error_set(
            r->err, VMSCM_EINPUT, "configuration: a disk's file \"%.300s\"", path);
    if (r->m->disk_count == DISKS_MAX)
        return vmscm_error_set(r->err, VMSCM_EINPUT, "configuration: more than %d disks", DISKS_MAX);
    return vmscm_model_attach_file(&disk, &r->sources, r->m, bus, file, r->err);
}

static int add_drive(struct reading *r, const char *bus, uint32_t drive)
{
    const char *type = vmscm_hypervtree_value(&r->tree, drive, "type");
    const char *name = vmscm_hypervtree_value(&r->tree, drive, "pathname");

    if (!type || !name)
        return 0;
    if (strcasecmp(type, "VHD") == 0)
        return add_disk(r, bus, name);
    /* Floppies and CD-ROMs come and go; what is another kind of disk is part of the machine. */
    if (strcasecmp(type, "ISO") == 0 || strcasecmp(type, "VFD") == 0 || strcasecmp(type, "NONE") == 0)
        return 0;
    return vmscm_error_set(r->err, VMSCM_EUNSUPPORTED,
        "configuration: a disk of the type %.60s is not in a file: \"%.200s\"", type, name);
}

static int add_drives(struct reading *r, uint32_t device)
{
    const char *bus = strcasecmp(r->tree.nodes.items[device].name, IDE) == 0 ? "ide" : "scsi";
    char name[32];
    int rc = 0;

    for (unsigned c = 0; c < CONTROLLERS && !rc; c++) {
        snprintf(name, sizeof name, "controller%u", c);
        uint32_t controller = vmscm_hypervtree_find(&r->tree, device, name);
        for (unsigned d = 0; d < DRIVES && controller != NONE && !rc; d++) {
            snprintf(name, sizeof name, "drive%u", d);
            uint32_t drive = vmscm_hypervtree_find(&r->tree, controller, name);
            if (drive != NONE)
                rc = add_drive(r, bus, drive);
        }
    }
    return rc;
}

/* What the manifest calls the device of a node "_INSTANCE_"; NULL: nothing. */
static const char *device_name(const struct reading *r, const char *node)
{
    const struct vmscm_hypervtree *t = &r->tree;
    uint32_t manifest = vmscm_hypervtree_find(t, 0, "manifest");

    for (uint32_t i = manifest == NONE ? NONE : t->nodes.items[manifest].child; i != NONE;
         i = t->nodes.items[i].next) {
        const char *instance = vmscm_hypervtree_value(t, i, "instance");
        size_t len = instance ? strlen(instance) : 0;
        if (len && strncasecmp(node + 1, instance, len) == 0 && strcmp(node + 1 + len, "_") == 0)
            return vmscm_hypervtree_value(t, i, "name");
    }
    return NULL;
}

static int set_mac(struct vmscm_machine_nic *nic, const char *value, struct vmscm_error *err)
{
    char mac[18];
    size_t n = 0, digits = 0;

    for (; value && *value && n < 17; value++) {
        if (*value == '-' || *value == ':')
            continue;
        mac[n++] = *value;
        if (++digits % 2 == 0 && n < 17)
            mac[n++] = ':';
    }
    mac[n] = '\0';
    /* What has none yet has zeros. */
    return strcmp(mac, "00:00:00:00:00:00") == 0 ? 0 : vmscm_model_set_mac(nic, mac, err);
}

static int add_nic(struct reading *r, uint32_t device)
{
    const char *kind = device_name(r, r->tree.nodes.items[device].name);
    const char *network = vmscm_hypervtree_value(
        &r->tree, vmscm_hypervtree_find(&r->tree, device, "Connection"), "AltSwitchName");
    struct vmscm_machine_nic *nic;
    int rc;

    if (r->m->nic_count == NICS_MAX)
        return vmscm_error_set(r->err, VMSCM_EINPUT, "configuration: more than %d NICs", NICS_MAX);
    if ((rc = vmscm_model_add_nic(&nic, r->m, r->err)) ||
        (rc = vmscm_model_set(&nic->type, "network", r->err)) ||
        (rc = set_mac(nic, vmscm_hypervtree_value(&r->tree, device, "MacAddress"), r->err)) ||
        (can_store(network) && (rc = vmscm_model_set(&nic->network, network, r->err))))
        return rc;
    return kind && strstr(kind, "Emulated")
        ? vmscm_model_set(&nic->model, VMSCM_HYPERV_LEGACY_NIC, r->err)
        : 0;
}

/* IDE first: these boot. */
static int read_devices(struct reading *r, bool ide)
{
    const struct vmscm_hypervtree *t = &r->tree;
    int rc = 0;

    for (uint32_t i = t->nodes.items[0].child; i != NONE && !rc; i = t->nodes.items[i].next) {
        if (t->nodes.items[i].name[0] != '_' ||
            (strcasecmp(t->nodes.items[i].name, IDE) == 0) != ide)
            continue;
        rc = add_drives(r, i);
        if (!rc && vmscm_hypervtree_value(t, i, "MacAddress"))
            rc = add_nic(r, i);
        if (is_true(vmscm_hypervtree_value(t, i, "secure_boot_enabled")))
            r->m->secure_boot = 1;
    }
    return rc;
}

static int read_machine(struct reading *r)
{
    int rc;

    if ((rc = vmscm_model_new(&r->m, r->err)))
        return rc;
    vmscm_model_remove_nics(r->m);
    if ((rc = read_system(r)) || (rc = read_devices(r, true)) || (rc = read_devices(r, false)))
        return rc;
    /* The first generation, too, has the key. */
    if (strcmp(r->m->firmware, "uefi") != 0)
        r->m->secure_boot = 0;
    return 0;
}

int vmscm_hyperv_parse(struct vmscm_machine **out, char ***sources, const void *data, size_t len,
    struct vmscm_error *err)
{
    struct reading r = {.err = err};
    int rc = vmscm_vmcx_match(data, len) ? vmscm_vmcx_read(&r.tree, data, len, err)
                                         : vmscm_hypervtree_read_xml(&r.tree, data, len, err);

    *out = NULL;
    *sources = NULL;
    if (rc || (rc = read_machine(&r)))
        goto out;
    *out = r.m;
    *sources = r.sources;
    r.m = NULL;
    r.sources = NULL;
out:
    for (size_t i = 0; r.sources && i < r.m->disk_count; i++)
        free(r.sources[i]);
    free(r.sources);
    vmscm_model_free(r.m);
    vmscm_hypervtree_release(&r.tree);
    return rc;
}

bool vmscm_hyperv_names(const void *data, size_t len, const char *name)
{
    const uint8_t *text = data;
    size_t n = strlen(name);

    for (size_t at = 0; n && 2 * n <= len && at <= len - 2 * n; at++) {
        size_t i = 0;
        while (i < n && !text[at + 2 * i + 1] &&
            tolower(text[at + 2 * i]) == tolower((unsigned char)name[i]))
            i++;
        if (i == n)
            return true;
    }
    return false;
}
