/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/vmxwrite.h"
#include "base/str.h"
#include "machine/hint.h"
#include "machine/model.h"
#include "machine/vmx.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MIB (UINT64_C(1) << 20)

static const struct bus {
    const char *name;
    const char *device; /* what its controllers are; NULL: not said */
    unsigned controllers, places;
} buses[] = {{"ide", NULL, 2, 2}, {"scsi", "lsilogic", 4, 16}, {"sata", NULL, 4, 30},
    {"nvme", NULL, 4, 15}};

#define BUSES (sizeof buses / sizeof buses[0])
#define SATA 2

static size_t bus_of(const struct vmscm_machine_disk *disk)
{
    for (size_t i = 0; disk->bus && i < BUSES; i++)
        if (strcmp(disk->bus, buses[i].name) == 0)
            return i;
    return SATA;
}

struct writing {
    struct vmscm_buf *out;
    struct vmscm_error *err;
    int rc;
};

/* DEVICE.KEY = "VALUE"; device NULL: KEY. What a value cannot have is written |XX. */
static void put(struct writing *w, const char *device, const char *key, const char *value)
{
    if (!w->rc)
        w->rc = vmscm_buf_printf(w->out, w->err, "%s%s%s = \"", device ? device : "",
            device ? "." : "", key);
    for (const char *p = value; *p && !w->rc; p++) {
        unsigned char c = (unsigned char)*p;
        w->rc = c < 32 || c == 127 || c == '"' || c == '|'
            ? vmscm_buf_printf(w->out, w->err, "|%02X", c)
            : vmscm_buf_append(w->out, p, 1, w->err);
    }
    if (!w->rc)
        w->rc = vmscm_buf_puts(w->out, "\"\n", w->err);
}

static void put_number(struct writing *w, const char *device, const char *key, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, value);
    put(w, device, key, text);
}

/* Of the n-th disk on a bus: its controller, and its place there. SCSI's 7 is the controller itself. */
static unsigned place_of(const struct bus *bus, unsigned n, unsigned *place)
{
    unsigned usable = bus->places - (bus->places == 16);

    *place = n % usable;
    if (bus->places == 16 && *place >= 7)
        ++*place;
    return n / usable;
}

static void put_disks(struct writing *w, const struct vmscm_description *d)
{
    const struct vmscm_machine *m = d->machine;
    unsigned used[BUSES] = {0}, place;
    char device[32];

    for (size_t i = 0; i < m->disk_count && !w->rc; i++) {
        const struct bus *bus = &buses[bus_of(&m->disks[i])];
        unsigned controller = place_of(bus, used[bus - buses]++, &place);
        if (controller == bus->controllers) {
            w->rc = vmscm_error_set(w->err, VMSCM_EUNSUPPORTED,
                "disk %s: VMware has no place for so many on %s", m->disks[i].id, bus->name);
            return;
        }
        snprintf(device, sizeof device, "%s%u", bus->name, controller);
        if (!place && bus != buses) {
            put(w, device, "present", "TRUE");
            if (bus->device)
                put(w, device, "virtualDev", bus->device);
        }
        snprintf(device, sizeof device, "%s%u:%u", bus->name, controller, place);
        put(w, device, "present", "TRUE");
        put(w, device, "fileName", d->files[i]);
    }
}

static const char *nic_of(const struct vmscm_machine_nic *nic)
{
    static const char *const models[][2] = {{"e1000", "e1000"}, {"e1000e", "e1000e"},
        {"vmxnet3", "vmxnet3"}, {"vmxnet", "vmxnet"}, {"pcnet", "vlance"}};

    for (size_t i = 0; nic->model && i < sizeof models / sizeof models[0]; i++)
        if (strcmp(nic->model, models[i][0]) == 0)
            return models[i][1];
    return "e1000";
}

static void put_nics(struct writing *w, const struct vmscm_machine *m)
{
    char device[32];

    for (size_t i = 0; i < m->nic_count; i++) {
        const struct vmscm_machine_nic *nic = &m->nics[i];
        const char *type = nic->type ? nic->type : "";
        bool nat = strcmp(type, "user") == 0, bridge = strcmp(type, "bridge") == 0;
        snprintf(device, sizeof device, "ethernet%zu", i);
        put(w, device, "present", "TRUE");
        put(w, device, "virtualDev", nic_of(nic));
        if (nat || bridge)
            put(w, device, "connectionType", nat ? "nat" : "bridged");
        if (nic->network || !(nat || bridge))
            put(w, device, "networkName", nic->network ? nic->network : "VM Network");
        put(w, device, "addressType", nic->mac ? "static" : "generated");
        if (!nic->mac)
            continue;
        put(w, device, "address", nic->mac);
        /* Others than 00:50:56:00 to 3f are taken only so. */
        put(w, device, "checkMACAddress", "FALSE");
    }
}

/* PCI Express for NVMe and vmxnet3, as VMware writes it. */
static void put_bridges(struct writing *w)
{
    static const char *const bridges[] = {"pciBridge4", "pciBridge5", "pciBridge6", "pciBridge7"};

    put(w, "pciBridge0", "present", "TRUE");
    for (size_t i = 0; i < sizeof bridges / sizeof bridges[0]; i++) {
        put(w, bridges[i], "present", "TRUE");
        put(w, bridges[i], "virtualDev", "pcieRootPort");
        put(w, bridges[i], "functions", "8");
    }
}

static bool has_nvme(const struct vmscm_machine *m)
{
    for (size_t i = 0; i < m->disk_count; i++)
        if (strcmp(buses[bus_of(&m->disks[i])].name, "nvme") == 0)
            return true;
    return false;
}

int vmscm_vmxwrite_encode(struct vmscm_buf *out, const struct vmscm_description *d,
    struct vmscm_error *err)
{
    const struct vmscm_machine *m = d->machine;
    struct writing w = {out, err, 0};
    bool arm = strcmp(m->arch, "aarch64") == 0;

    put(&w, NULL, ".encoding", "UTF-8");
    put(&w, NULL, "config.version", "8");
    put(&w, NULL, "virtualHW.version", m->secure_boot || has_nvme(m) || arm ? "19" : "10");
    put_bridges(&w);
    put(&w, NULL, "displayName", m->name ? m->name : d->name);
    if (d->annotation)
        put(&w, NULL, "annotation", d->annotation);
    put(&w, NULL, "guestOS", arm ? "arm-other-64" : "other-64");
    put_number(&w, NULL, "numvcpus", m->cpus);
    put_number(&w, NULL, "memsize", m->memory / MIB + (m->memory % MIB != 0));
    if (strcmp(m->firmware, "uefi") == 0)
        put(&w, NULL, "firmware", "efi");
    if (m->secure_boot)
        put(&w, NULL, "uefi.secureBoot.enabled", "TRUE");
    if (d->nvram)
        put(&w, NULL, "nvram", d->nvram);
    put_disks(&w, d);
    put_nics(&w, m);
    if (d->as && d->is) {
        put(&w, NULL, VMSCM_VMX_AS, d->as);
        put(&w, NULL, VMSCM_VMX_IS, d->is);
    }
    return w.rc;
}

static bool ends(const char *key, const char *suffix)
{
    size_t len = strlen(key), n = strlen(suffix);

    return len > n && strcasecmp(key + len - n, suffix) == 0;
}

/* Of what VMware makes anew when a machine is copied. */
static bool is_identity(const char *key)
{
    return strncasecmp(key, "uuid.", 5) == 0 || strcasecmp(key, "vc.uuid") == 0 ||
        (strncasecmp(key, "ethernet", 8) == 0 &&
            (ends(key, ".address") || ends(key, ".generatedAddress") ||
                ends(key, ".generatedAddressOffset") || ends(key, ".addressType")));
}

/* The place of the image that was called so, or NULL. */
static const char *new_place(const struct vmscm_vmx *was, const char *name,
    const struct vmscm_description *d)
{
    for (size_t i = 0; i < was->machine->disk_count; i++)
        if (strcmp(was->sources[i], name) == 0)
            return d->files[i];
    return NULL;
}

static void adapt_line(struct writing *w, char *line, const struct vmscm_vmx *was,
    const struct vmscm_description *d)
{
    char *plain = NULL, *key, *value;

    if (!w->rc)
        w->rc = vmscm_str_dup(&plain, line, w->err);
    if (w->rc)
        return;
    if (vmscm_vmx_split(&key, &value, plain)) {
        const char *place = ends(key, ".fileName") ? new_place(was, value, d)
            : strcasecmp(key, "nvram") == 0        ? d->nvram
                                                   : NULL;
        if (place)
            put(w, NULL, key, place);
        if (place || (d->new_identity && is_identity(key)))
            goto out;
    }
    if (!(w->rc = vmscm_buf_puts(w->out, line, w->err)))
        w->rc = vmscm_buf_puts(w->out, "\n", w->err);
out:
    free(plain);
}

int vmscm_vmxwrite_adapt(struct vmscm_buf *out, const void *text, size_t len,
    const struct vmscm_description *d, struct vmscm_error *err)
{
    struct writing w = {out, err, 0};
    struct vmscm_vmx was = {NULL, NULL, NULL};
    char *copy = NULL;
    int rc = vmscm_vmx_parse(&was, text, len, err);

    if (rc) {
        if (rc != VMSCM_ENOMEM)
            vmscm_error_clear(err);
        return rc == VMSCM_ENOMEM ? rc : 0;
    }
    for (size_t i = 0; d->new_identity && i < was.machine->nic_count; i++)
        vmscm_model_set(&was.machine->nics[i].mac, NULL, NULL);
    if (vmscm_hint_differ(d->machine, was.machine))
        goto out;
    if (!(copy = strndup(text, len))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    for (char *line = copy, *next; line && *line; line = next) {
        if ((next = strchr(line, '\n')))
            *next++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        adapt_line(&w, line, &was, d);
    }
    rc = w.rc;
out:
    free(copy);
    vmscm_vmx_release(&was);
    return rc;
}
