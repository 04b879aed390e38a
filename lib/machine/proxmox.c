/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/proxmox.h"
#include "base/path.h"
#include "base/str.h"
#include "machine/model.h"

#include <stdlib.h>
#include <string.h>

#define DISKS_MAX 256
#define NICS_MAX 256
#define CPUS_MAX 65536
#define MEMORY_MAX (UINT64_C(1) << 42) /* MiB */
#define TEXT_MAX 1024
#define NAME_MAX_BYTES 255

static const char *const buses[] = {"scsi", "virtio", "ide", "sata"};

/* The bus of a key such as scsi0; NULL: it is none. */
static const char *bus_of(const char *key)
{
    for (size_t i = 0; i < sizeof buses / sizeof buses[0]; i++) {
        size_t n = strlen(buses[i]);
        if (strncmp(key, buses[i], n) == 0 && key[n] &&
            strspn(key + n, "0123456789") == strlen(key + n))
            return buses[i];
    }
    return NULL;
}

/* KEY: VALUE, in the line itself. False: it is none. */
static bool split(char **key, char **value, char *line)
{
    char *colon = strchr(line, ':'), *end;

    if (!colon || colon == line || *line == '#')
        return false;
    *colon = '\0';
    *key = line;
    *value = colon + 1 + strspn(colon + 1, " \t");
    end = *value + strlen(*value);
    while (end > *value && strchr(" \t\r", end[-1]))
        *--end = '\0';
    return true;
}

/* The part NAME=... of a value, or with NULL the first one that is a plain word; *out stays NULL if there is
 * none. */
static int part(char **out, const char *value, const char *name, struct vmscm_error *err)
{
    *out = NULL;
    for (const char *p = value; *p; p += *p == ',') {
        size_t len = strcspn(p, ","), n = name ? strlen(name) : 0;
        if (name ? len > n && strncmp(p, name, n) == 0 && p[n] == '='
                 : len && !memchr(p, '=', len))
            return name ? vmscm_str_printf(out, err, "%.*s", (int)(len - n - 1), p + n + 1)
                        : vmscm_str_printf(out, err, "%.*s", (int)len, p);
        p += len;
    }
    return 0;
}

static bool is_token(const char *s)
{
    size_t len = strlen(s);

    return len && len <= 64 &&
        strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-") == len;
}

static int wrong(struct vmscm_error *err, const char *key, const char *value, const char *why)
{
    return vmscm_error_set(err, VMSCM_EINPUT, "conf: %.60s: %.60s: %s", key, value, why);
}

/* The volume's own name: "STORAGE:FOLDER/NAME" or a path. */
static int volume_of(char **out, const char *key, const char *value, struct vmscm_error *err)
{
    char *whole = NULL;
    const char *name, *colon;
    int rc = part(&whole, value, "file", err);

    *out = NULL;
    if (!rc && !whole)
        rc = part(&whole, value, NULL, err);
    if (rc)
        return rc;
    if (!whole)
        return wrong(err, key, value, "no volume");
    colon = *whole == '/' ? NULL : strchr(whole, ':');
    name = vmscm_path_basename(colon ? colon + 1 : whole);
    if (!*name || strlen(name) > NAME_MAX_BYTES || !vmscm_str_printable(name))
        rc = wrong(err, key, value, "no name of a volume");
    else
        rc = vmscm_str_dup(out, name, err);
    free(whole);
    return rc;
}

static int add_disk(struct vmscm_proxmox *out, const char *key, const char *value, const char *bus,
    struct vmscm_error *err)
{
    struct vmscm_machine_disk *disk;
    char *media = NULL, *volume = NULL, id[16], **grown;
    size_t n = out->machine->disk_count;
    bool cdrom;
    int rc = part(&media, value, "media", err);

    cdrom = media && strcmp(media, "cdrom") == 0;
    free(media);
    if (rc || cdrom || strcmp(value, "none") == 0 || vmscm_str_starts(value, "none,"))
        return rc;
    if (n == DISKS_MAX)
        return wrong(err, key, value, "more than 256 disks");
    if ((rc = volume_of(&volume, key, value, err)))
        return rc;
    vmscm_model_name_disk(id, out->machine, bus);
    if (!(grown = reallocarray(out->volumes, n + 1, sizeof *grown)))
        rc = vmscm_error_nomem(err);
    else
        out->volumes = grown;
    if (rc || (rc = vmscm_model_add_disk(&disk, out->machine, id, err))) {
        free(volume);
        return rc;
    }
    grown[n] = volume;
    if ((rc = vmscm_model_set(&disk->target, id, err)))
        return rc;
    return vmscm_model_set(&disk->bus, bus, err);
}

/* "virtio=MAC,bridge=vmbr0", or with model= and macaddr=. */
static int add_nic(struct vmscm_machine *m, const char *key, const char *value,
    struct vmscm_error *err)
{
    struct vmscm_machine_nic *nic;
    char *model = NULL, *mac = NULL, *bridge = NULL;
    const char *equals = strchr(value, '=');
    int rc;

    if (m->nic_count == NICS_MAX)
        return wrong(err, key, value, "more than 256 NICs");
    if ((rc = vmscm_model_add_nic(&nic, m, err)) || (rc = part(&model, value, "model", err)) ||
        (rc = part(&mac, value, "macaddr", err)) || (rc = part(&bridge, value, "bridge", err)))
        goto out;
    if (!model && equals && equals < value + strcspn(value, ",")) {
        if ((rc = vmscm_str_printf(&model, err, "%.*s", (int)(equals - value), value)) ||
            (!mac && (rc = vmscm_str_printf(&mac, err, "%.*s", (int)strcspn(equals + 1, ","),
                          equals + 1))))
            goto out;
    }
    if ((rc = vmscm_model_set_mac(nic, mac, err)) ||
        (model && is_token(model) && (rc = vmscm_model_set(&nic->model, model, err))) ||
        (rc = vmscm_model_set(&nic->type, bridge ? "bridge" : "user", err)))
        goto out;
    if (bridge && is_token(bridge))
        rc = vmscm_model_set(&nic->network, bridge, err);
out:
    free(model);
    free(mac);
    free(bridge);
    return rc;
}

struct reading {
    struct vmscm_proxmox *out;
    uint64_t cores, sockets;
    bool keys; /* the EFI disk has Microsoft's keys: secure boot is on */
    struct vmscm_error *err;
};

static int number(uint64_t *out, const char *key, const char *value, uint64_t max,
    struct vmscm_error *err)
{
    return vmscm_str_uint(out, value, 1, max) ? 0 : wrong(err, key, value, "out of range");
}

static int read_memory(struct vmscm_machine *m, const char *key, const char *value,
    struct vmscm_error *err)
{
    char *current = NULL;
    uint64_t memory;
    int rc = part(&current, value, "current", err);

    if (!rc && !(rc = number(&memory, key, current ? current : value, MEMORY_MAX, err)))
        m->memory = memory << 20;
    free(current);
    return rc;
}

static int read_efi_disk(struct reading *r, const char *key, const char *value)
{
    char *keys = NULL;
    int rc = part(&keys, value, "pre-enrolled-keys", r->err);

    r->keys = keys && strcmp(keys, "1") == 0;
    free(keys);
    free(r->out->nvram);
    r->out->nvram = NULL;
    return rc ? rc : volume_of(&r->out->nvram, key, value, r->err);
}

static int read_line(struct reading *r, const char *key, const char *value)
{
    struct vmscm_machine *m = r->out->machine;
    char *type = NULL;
    int rc = 0;

    if (strcmp(key, "cores") == 0)
        return number(&r->cores, key, value, CPUS_MAX, r->err);
    if (strcmp(key, "sockets") == 0)
        return number(&r->sockets, key, value, CPUS_MAX, r->err);
    if (strcmp(key, "memory") == 0)
        return read_memory(m, key, value, r->err);
    if (strcmp(key, "name") == 0)
        return *value && strlen(value) <= TEXT_MAX && vmscm_str_printable(value)
            ? vmscm_model_set(&m->name, value, r->err)
            : 0;
    if (strcmp(key, "bios") == 0 && strcmp(value, "ovmf") == 0)
        return vmscm_model_set(&m->firmware, "uefi", r->err);
    if (strcmp(key, "arch") == 0 && is_token(value))
        return vmscm_model_set(&m->arch, value, r->err);
    if (strcmp(key, "efidisk0") == 0)
        return read_efi_disk(r, key, value);
    if (strcmp(key, "machine") == 0) {
        if (!(rc = part(&type, value, "type", r->err)) && !type)
            rc = part(&type, value, NULL, r->err);
        if (!rc && type && is_token(type))
            rc = vmscm_model_set(&m->machine_type, type, r->err);
        free(type);
        return rc;
    }
    if (bus_of(key))
        return add_disk(r->out, key, value, bus_of(key), r->err);
    if (vmscm_str_starts(key, "net") && key[3] &&
        strspn(key + 3, "0123456789") == strlen(key + 3))
        return add_nic(m, key, value, r->err);
    return 0;
}

bool vmscm_proxmox_match(const char *text)
{
    bool hardware = false, drive = false;

    for (const char *p = text; *p; p += *p == '\n') {
        size_t len = strcspn(p, ":\n"), n = 0;
        char key[16];
        if (p[len] == ':' && len < sizeof key) {
            for (; n < len; n++)
                key[n] = p[n];
            key[n] = '\0';
            hardware |= strcmp(key, "memory") == 0 || strcmp(key, "cores") == 0;
            drive |= bus_of(key) != NULL;
        }
        p += strcspn(p, "\n");
    }
    return hardware && drive && *text != '<';
}

void vmscm_proxmox_release(struct vmscm_proxmox *p)
{
    for (size_t i = 0; p->volumes && i < p->machine->disk_count; i++)
        free(p->volumes[i]);
    free(p->volumes);
    free(p->nvram);
    vmscm_model_free(p->machine);
    *p = (struct vmscm_proxmox){NULL, NULL, NULL};
}

int vmscm_proxmox_parse(struct vmscm_proxmox *out, const void *text, size_t len,
    struct vmscm_error *err)
{
    struct reading r = {out, 1, 1, false, err};
    char *copy = NULL, *key, *value;
    int rc;

    *out = (struct vmscm_proxmox){NULL, NULL, NULL};
    if (len > VMSCM_PROXMOX_MAX)
        return vmscm_error_set(err, VMSCM_EINPUT, "conf: over %d bytes", VMSCM_PROXMOX_MAX);
    if (!(copy = strndup(text, len)))
        return vmscm_error_nomem(err);
    if ((rc = vmscm_model_new(&out->machine, err)))
        goto out;
    vmscm_model_remove_nics(out->machine);
    for (char *line = copy, *next; line && *line != '[' && !rc; line = next) {
        if ((next = strchr(line, '\n')))
            *next++ = '\0';
        if (split(&key, &value, line))
            rc = read_line(&r, key, value);
    }
    if (!rc && r.cores * r.sockets > CPUS_MAX)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "conf: more than %d CPUs", CPUS_MAX);
    out->machine->cpus = (uint32_t)(r.cores * r.sockets);
    out->machine->secure_boot = r.keys && strcmp(out->machine->firmware, "uefi") == 0;
out:
    if (rc)
        vmscm_proxmox_release(out);
    free(copy);
    return rc;
}
