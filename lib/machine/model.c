/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/model.h"
#include "base/str.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void release_disk(struct vmscm_machine_disk *disk)
{
    free(disk->id);
    free(disk->target);
    free(disk->bus);
    free(disk->format);
    for (size_t i = 0; i < disk->option_count; i++) {
        free(disk->options[i].name);
        free(disk->options[i].value);
    }
    free(disk->options);
}

void vmscm_model_free(struct vmscm_machine *machine)
{
    if (!machine)
        return;
    for (size_t i = 0; i < machine->disk_count; i++)
        release_disk(&machine->disks[i]);
    vmscm_model_remove_nics(machine);
    free(machine->disks);
    free(machine->name);
    free(machine->arch);
    free(machine->machine_type);
    free(machine->firmware);
    free(machine);
}

int vmscm_model_set(char **field, const char *value, struct vmscm_error *err)
{
    char *copy = NULL;

    if (value && !(copy = strdup(value)))
        return vmscm_error_nomem(err);
    free(*field);
    *field = copy;
    return 0;
}

int vmscm_model_new(struct vmscm_machine **out, struct vmscm_error *err)
{
    struct vmscm_machine *m = calloc(1, sizeof *m);
    struct vmscm_machine_nic *nic;
    int rc;

    *out = NULL;
    if (!m)
        return vmscm_error_nomem(err);
    m->cpus = 1;
    m->memory = UINT64_C(1) << 30;
    if ((rc = vmscm_model_set(&m->arch, "x86_64", err)) ||
        (rc = vmscm_model_set(&m->firmware, "bios", err)) ||
        (rc = vmscm_model_add_nic(&nic, m, err)) ||
        (rc = vmscm_model_set(&nic->model, "virtio", err)) ||
        (rc = vmscm_model_set(&nic->type, "user", err))) {
        vmscm_model_free(m);
        return rc;
    }
    *out = m;
    return 0;
}

static int copy_disk(struct vmscm_machine *to, const struct vmscm_machine_disk *from,
    struct vmscm_error *err)
{
    struct vmscm_machine_disk *disk;
    int rc;

    if ((rc = vmscm_model_add_disk(&disk, to, from->id, err)) ||
        (rc = vmscm_model_set(&disk->target, from->target, err)) ||
        (rc = vmscm_model_set(&disk->bus, from->bus, err)) ||
        (rc = vmscm_model_set(&disk->format, from->format, err)))
        return rc;
    disk->size = from->size;
    for (size_t i = 0; i < from->option_count; i++)
        if ((rc = vmscm_model_set_option(
                 disk, from->options[i].name, from->options[i].value, err)))
            return rc;
    return 0;
}

static int copy_nic(struct vmscm_machine *to, const struct vmscm_machine_nic *from,
    struct vmscm_error *err)
{
    struct vmscm_machine_nic *nic;
    int rc;

    if ((rc = vmscm_model_add_nic(&nic, to, err)) ||
        (rc = vmscm_model_set(&nic->mac, from->mac, err)) ||
        (rc = vmscm_model_set(&nic->model, from->model, err)) ||
        (rc = vmscm_model_set(&nic->type, from->type, err)))
        return rc;
    return vmscm_model_set(&nic->network, from->network, err);
}

int vmscm_model_copy(struct vmscm_machine **out, const struct vmscm_machine *from,
    struct vmscm_error *err)
{
    struct vmscm_machine *m = calloc(1, sizeof *m);
    int rc;

    *out = NULL;
    if (!m)
        return vmscm_error_nomem(err);
    m->cpus = from->cpus;
    m->memory = from->memory;
    m->secure_boot = from->secure_boot;
    if ((rc = vmscm_model_set(&m->name, from->name, err)) ||
        (rc = vmscm_model_set(&m->arch, from->arch, err)) ||
        (rc = vmscm_model_set(&m->machine_type, from->machine_type, err)) ||
        (rc = vmscm_model_set(&m->firmware, from->firmware, err)))
        goto out;
    for (size_t i = 0; i < from->disk_count; i++)
        if ((rc = copy_disk(m, &from->disks[i], err)))
            goto out;
    for (size_t i = 0; i < from->nic_count; i++)
        if ((rc = copy_nic(m, &from->nics[i], err)))
            goto out;
    *out = m;
    m = NULL;
out:
    vmscm_model_free(m);
    return rc;
}

/* Room for one more zeroed item; these lists are short, so they grow by one. */
static void *grow(void *items, size_t count, size_t size)
{
    char *grown = reallocarray(items, count + 1, size);
    if (grown)
        memset(grown + count * size, 0, size);
    return grown;
}

int vmscm_model_add_disk(struct vmscm_machine_disk **out, struct vmscm_machine *machine,
    const char *id, struct vmscm_error *err)
{
    struct vmscm_machine_disk *disks;
    char *copy = NULL;
    int rc = vmscm_model_check_disk_id(id, err);

    *out = NULL;
    if (rc)
        return rc;
    if (vmscm_model_disk(machine, id))
        return vmscm_error_set(err, VMSCM_EEXIST, "disk %s: there are two of that id", id);
    if ((rc = vmscm_str_dup(&copy, id, err)))
        return rc;
    if (!(disks = grow(machine->disks, machine->disk_count, sizeof *disks))) {
        free(copy);
        return vmscm_error_nomem(err);
    }
    machine->disks = disks;
    *out = &disks[machine->disk_count++];
    (*out)->id = copy;
    return 0;
}

int vmscm_model_add_nic(struct vmscm_machine_nic **out, struct vmscm_machine *machine,
    struct vmscm_error *err)
{
    struct vmscm_machine_nic *nics = grow(machine->nics, machine->nic_count, sizeof *nics);

    *out = NULL;
    if (!nics)
        return vmscm_error_nomem(err);
    machine->nics = nics;
    *out = &nics[machine->nic_count++];
    return 0;
}

int vmscm_model_set_option(struct vmscm_machine_disk *disk, const char *name, const char *value,
    struct vmscm_error *err)
{
    struct vmscm_machine_option fresh = {NULL, NULL}, *options;
    int rc;

    for (size_t i = 0; i < disk->option_count; i++)
        if (strcmp(disk->options[i].name, name) == 0)
            return vmscm_model_set(&disk->options[i].value, value, err);
    if ((rc = vmscm_str_dup(&fresh.name, name, err)) ||
        (rc = vmscm_str_dup(&fresh.value, value, err)))
        goto out;
    if (!(options = grow(disk->options, disk->option_count, sizeof *options))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    disk->options = options;
    options[disk->option_count++] = fresh;
    return 0;
out:
    free(fresh.name);
    free(fresh.value);
    return rc;
}

int vmscm_model_set_mac(struct vmscm_machine_nic *nic, const char *value, struct vmscm_error *err)
{
    char mac[18];

    if (!value || strlen(value) != 17)
        return 0;
    for (size_t i = 0; i < 18; i++)
        mac[i] = (char)tolower((unsigned char)value[i]);
    for (size_t i = 0; i < 17; i++)
        if (i % 3 == 2 ? mac[i] != ':' : !isxdigit((unsigned char)mac[i]))
            return 0;
    return vmscm_model_set(&nic->mac, mac, err);
}

const char *vmscm_model_option(const struct vmscm_machine_disk *disk, const char *name)
{
    for (size_t i = 0; i < disk->option_count; i++)
        if (strcmp(disk->options[i].name, name) == 0)
            return disk->options[i].value;
    return NULL;
}

struct vmscm_machine_disk *vmscm_model_disk(const struct vmscm_machine *machine, const char *id)
{
    for (size_t i = 0; i < machine->disk_count; i++)
        if (strcmp(machine->disks[i].id, id) == 0)
            return &machine->disks[i];
    return NULL;
}

int vmscm_machine_is_container(const struct vmscm_machine *machine)
{
    return machine->disk_count == 1 && machine->disks[0].format &&
        strcmp(machine->disks[0].format, VMSCM_MODEL_TAR) == 0;
}

void vmscm_model_remove_disk(struct vmscm_machine *machine, const char *id)
{
    struct vmscm_machine_disk *disk = vmscm_model_disk(machine, id);

    if (!disk)
        return;
    size_t after = machine->disk_count - (size_t)(disk - machine->disks) - 1;
    release_disk(disk);
    memmove(disk, disk + 1, after * sizeof *disk);
    machine->disk_count--;
}

void vmscm_model_remove_nics(struct vmscm_machine *machine)
{
    for (size_t i = 0; i < machine->nic_count; i++) {
        free(machine->nics[i].mac);
        free(machine->nics[i].model);
        free(machine->nics[i].type);
        free(machine->nics[i].network);
    }
    free(machine->nics);
    machine->nics = NULL;
    machine->nic_count = 0;
}

void vmscm_model_name_disk(char out[16], const struct vmscm_machine *machine, const char *bus)
{
    const char *prefix = strcmp(bus, "ide") == 0 ? "hd"
        : strcmp(bus, "virtio") == 0             ? "vd"
        : strcmp(bus, "xen") == 0                ? "xvd"
                                                 : "sd";

    for (unsigned n = 0;; n++) {
        if (strcmp(bus, "nvme") == 0)
            snprintf(out, 16, "nvme%un1", n);
        else if (n < 26)
            snprintf(out, 16, "%s%c", prefix, (char)('a' + n));
        else
            snprintf(out, 16, "%s%c%c", prefix, (char)('a' + n / 26 - 1), (char)('a' + n % 26));
        if (!vmscm_model_disk(machine, out))
            return;
    }
}

int vmscm_model_attach_disk(struct vmscm_machine_disk **disk, struct vmscm_machine *machine,
    const char *bus, struct vmscm_error *err)
{
    char id[16];
    int rc;

    vmscm_model_name_disk(id, machine, bus);
    if ((rc = vmscm_model_add_disk(disk, machine, id, err)) ||
        (rc = vmscm_model_set(&(*disk)->target, id, err)))
        return rc;
    return vmscm_model_set(&(*disk)->bus, bus, err);
}

int vmscm_model_attach_file(struct vmscm_machine_disk **disk, char ***sources,
    struct vmscm_machine *machine, const char *bus, const char *file, struct vmscm_error *err)
{
    size_t n = machine->disk_count;
    char **grown = reallocarray(*sources, n + 1, sizeof *grown);
    int rc;

    if (!grown)
        return vmscm_error_nomem(err);
    *sources = grown;
    grown[n] = NULL;
    if ((rc = vmscm_model_attach_disk(disk, machine, bus, err)))
        return rc;
    return vmscm_str_dup(&grown[n], file, err);
}

int vmscm_model_check_disk_id(const char *id, struct vmscm_error *err)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strlen(id);

    if (len == 0 || len > 64 || id[0] == '.' || id[0] == '-' || strspn(id, allowed) != len) {
        vmscm_error_set(err, VMSCM_EUSAGE, "%.80s: not a disk id", len ? id : "\"\"");
        return vmscm_error_hint(err,
            "an id is 1 to 64 letters, digits, '.', '_' or '-', and starts with no '.' or '-'");
    }
    return 0;
}
