/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/describe.h"
#include "base/path.h"
#include "machine/model.h"
#include "repo/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Disks known from the configuration or the parent, and which of them a source took. */
struct known {
    struct vmscm_machine *machine; /* NULL: none */
    char **sources;                /* file names, or NULL */
    bool *taken;
};

static void known_release(struct known *k)
{
    for (size_t i = 0; k->sources && k->machine && i < k->machine->disk_count; i++)
        free(k->sources[i]);
    free(k->sources);
    free(k->taken);
    vmscm_model_free(k->machine);
}

static int load_known(struct known *k, struct vmscm_repo *repo, const char *parent,
    const struct vmscm_buf *xml, const char *xml_name, struct vmscm_error *err)
{
    int rc = 0;

    if (xml_name) {
        rc = vmscm_libvirt_parse(&k->machine, &k->sources, xml->data ? (const void *)xml->data : "",
            xml->len, err);
        if (rc)
            return vmscm_error_prefix(err, "%s", xml_name);
    } else if (parent[0]) {
        rc = vmscm_snapshot_machine(&k->machine, repo, parent, err);
    }
    if (rc || !k->machine)
        return rc;
    k->taken = calloc(k->machine->disk_count + 1, sizeof *k->taken);
    return k->taken ? 0 : vmscm_error_nomem(err);
}

static bool same_file_name(const char *a, const char *b)
{
    return a && strcmp(vmscm_path_basename(a), vmscm_path_basename(b)) == 0;
}

/* The index of the known disk a source is, SIZE_MAX if none. */
static size_t match(const struct known *k, const struct vmscm_checkin_disk *source)
{
    size_t count = k->machine ? k->machine->disk_count : 0;

    for (size_t i = 0; i < count; i++)
        if (source->id && strcmp(k->machine->disks[i].id, source->id) == 0)
            return i;
    if (source->id)
        return SIZE_MAX;
    for (size_t i = 0; i < count && k->sources; i++)
        if (!k->taken[i] && same_file_name(k->sources[i], source->path))
            return i;
    for (size_t i = 0; i < count; i++)
        if (!k->taken[i])
            return i;
    return SIZE_MAX;
}

/* KVM's own formats sit on virtio in most guests, the others' on SATA. */
static bool is_virtio(enum vmscm_probe_format format)
{
    return format == VMSCM_PROBE_RAW || format == VMSCM_PROBE_QCOW2;
}

/* "vda", "vdb", ... "vdz", "vdaa": the first that is free. */
static void new_id(char out[16], const struct vmscm_machine *machine, const struct known *k,
    const struct vmscm_checkin_disk *sources, size_t count, const char *prefix)
{
    for (unsigned n = 0;; n++) {
        char letters[4];
        if (n < 26)
            snprintf(letters, sizeof letters, "%c", (char)('a' + n));
        else
            snprintf(letters, sizeof letters, "%c%c", (char)('a' + n / 26 - 1),
                (char)('a' + n % 26));
        snprintf(out, 16, "%s%s", prefix, letters);
        bool taken = vmscm_model_disk(machine, out) ||
            (k->machine && vmscm_model_disk(k->machine, out));
        for (size_t i = 0; i < count && !taken; i++)
            taken = sources[i].id && strcmp(sources[i].id, out) == 0;
        if (!taken)
            return;
    }
}

static int set_image(struct vmscm_machine_disk *disk, const struct vmscm_probe *probe,
    struct vmscm_error *err)
{
    int rc = vmscm_model_set(&disk->format, vmscm_probe_format_name(probe->format), err);

    disk->size = probe->size;
    for (size_t i = 0; i < probe->option_count && !rc; i++)
        rc = vmscm_model_set_option(
            disk, probe->options[i].name, probe->options[i].value, err);
    return rc;
}

static int add_disk(struct vmscm_machine *machine, struct known *k,
    const struct vmscm_checkin_disk *sources, size_t count, size_t n,
    const struct vmscm_probe *probe, struct vmscm_error *err)
{
    const struct vmscm_checkin_disk *source = &sources[n];
    size_t at = match(k, source);
    const struct vmscm_machine_disk *old = at == SIZE_MAX ? NULL : &k->machine->disks[at];
    struct vmscm_machine_disk *disk;
    char fresh[16];
    const char *id = source->id;
    int rc;

    if (!id && old)
        id = old->id;
    if (!id) {
        new_id(fresh, machine, k, sources, count, is_virtio(probe->format) ? "vd" : "sd");
        id = fresh;
    }
    if ((rc = vmscm_model_add_disk(&disk, machine, id, err))) {
        if (rc == VMSCM_EEXIST)
            return vmscm_error_set(
                err, VMSCM_EUSAGE, "%s: two disks with the id %s", source->path, id);
        return rc;
    }
    if (old) {
        k->taken[at] = true;
        if ((rc = vmscm_model_set(&disk->target, old->target, err)) ||
            (rc = vmscm_model_set(&disk->bus, old->bus, err)))
            return rc;
    } else if ((rc = vmscm_model_set(&disk->target, id, err)) ||
        (rc = vmscm_model_set(&disk->bus, is_virtio(probe->format) ? "virtio" : "sata", err))) {
        return rc;
    }
    return set_image(disk, probe, err);
}

int vmscm_describe_machine(struct vmscm_machine **out, struct vmscm_repo *repo, const char *name,
    const char *parent, const struct vmscm_checkin_disk *sources,
    struct vmscm_probe *const *probes, size_t count, const struct vmscm_buf *xml,
    const char *xml_name, const struct vmscm_events *events, struct vmscm_error *err)
{
    struct known k = {0};
    struct vmscm_machine *machine = NULL;
    int rc = load_known(&k, repo, parent, xml, xml_name, err);

    if (rc)
        goto out;
    if (k.machine)
        rc = vmscm_model_copy(&machine, k.machine, err);
    else if (!(rc = vmscm_model_new(&machine, err)))
        rc = vmscm_model_set(&machine->name, name, err);
    if (rc)
        goto out;
    while (machine->disk_count)
        vmscm_model_remove_disk(machine, machine->disks[0].id);
    /* Disks asked for by id are not for others to take. */
    for (size_t i = 0; i < count && k.machine; i++)
        if (sources[i].id && match(&k, &sources[i]) != SIZE_MAX)
            k.taken[match(&k, &sources[i])] = true;
    for (size_t i = 0; i < count && !rc; i++)
        rc = add_disk(machine, &k, sources, count, i, probes[i], err);
    for (size_t i = 0; !rc && k.machine && i < k.machine->disk_count; i++)
        if (!k.taken[i])
            vmscm_handle_warn(events, "disk %s of %s was not given and is left out",
                k.machine->disks[i].id, xml_name ? xml_name : "the revision before");
out:
    if (rc)
        vmscm_model_free(machine);
    else
        *out = machine;
    known_release(&k);
    return rc;
}
