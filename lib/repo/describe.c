/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/describe.h"
#include "base/path.h"
#include "machine/model.h"
#include "repo/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
    const struct vmscm_describe_config *config, struct vmscm_error *err)
{
    const struct vmscm_buf *xml = config->xml;
    int rc = 0;

    if (config->xml_name) {
        rc = vmscm_libvirt_parse(&k->machine, &k->sources, xml->data ? (const void *)xml->data : "",
            xml->len, err);
        if (rc)
            return vmscm_error_prefix(err, "%s", config->xml_name);
    } else if (config->machine) {
        rc = vmscm_model_copy(&k->machine, config->machine, err);
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

/* "vda.qcow2" is what a checkout calls disk vda. */
static bool is_named_after(const char *path, const char *id)
{
    const char *name = vmscm_path_basename(path);
    size_t len = strlen(id);

    return strncmp(name, id, len) == 0 && (name[len] == '.' || name[len] == '\0');
}

/* How a source can be known to be a disk, surest first. */
enum match { MATCH_ID, MATCH_FILE, MATCH_NAME, MATCH_ORDER, MATCH_END };

static bool matches(const struct known *k, size_t i, const struct vmscm_checkin_disk *source,
    enum match how)
{
    if (how == MATCH_ID)
        return source->id && strcmp(k->machine->disks[i].id, source->id) == 0;
    if (source->id || k->taken[i])
        return false;
    if (how == MATCH_FILE)
        return k->sources && same_file_name(k->sources[i], source->path);
    if (how == MATCH_NAME)
        return is_named_after(source->path, k->machine->disks[i].id);
    return true;
}

/* at[n]: the index of the known disk that source n is, SIZE_MAX if none. What is sure is settled for
 * all sources before any takes what is left, so that a surer one does not come too late. */
static void assign(size_t *at, struct known *k, const struct vmscm_checkin_disk *sources,
    size_t count)
{
    size_t known = k->machine ? k->machine->disk_count : 0;

    for (size_t n = 0; n < count; n++)
        at[n] = SIZE_MAX;
    for (enum match how = MATCH_ID; how < MATCH_END; how++)
        for (size_t n = 0; n < count; n++)
            for (size_t i = 0; i < known && at[n] == SIZE_MAX; i++)
                if (matches(k, i, &sources[n], how)) {
                    at[n] = i;
                    k->taken[i] = true;
                }
}

/* The order of the machine's disks: those that are known stay in theirs. */
static void arrange(size_t *order, const struct known *k, const size_t *at, size_t count)
{
    size_t known = k->machine ? k->machine->disk_count : 0, len = 0;

    for (size_t i = 0; i < known; i++)
        for (size_t n = 0; n < count; n++)
            if (at[n] == i)
                order[len++] = n;
    for (size_t n = 0; n < count; n++)
        if (at[n] == SIZE_MAX)
            order[len++] = n;
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

/* Another disk's target, bus, format and options. */
static int set_like(struct vmscm_machine_disk *disk, const struct vmscm_machine_disk *old,
    uint64_t size, struct vmscm_error *err)
{
    int rc;

    disk->size = size;
    if ((rc = vmscm_model_set(&disk->target, old->target, err)) ||
        (rc = vmscm_model_set(&disk->bus, old->bus, err)) ||
        (rc = vmscm_model_set(&disk->format, old->format, err)))
        return rc;
    for (size_t i = 0; i < old->option_count && !rc; i++)
        rc = vmscm_model_set_option(disk, old->options[i].name, old->options[i].value, err);
    return rc;
}

/*
 * A raw disk's first bytes are its guest's to write, another format's header among them. So a disk
 * that is known to be raw is another format only if someone says so: the option, or the file's name.
 */
static int check_format(const struct vmscm_machine_disk *old,
    const struct vmscm_checkin_disk *source, const struct vmscm_probe *probe,
    struct vmscm_error *err)
{
    const char *name = vmscm_probe_format_name(probe->format);
    const char *dot = strrchr(vmscm_path_basename(source->path), '.');

    if (source->format || !old->format || strcmp(old->format, "raw") != 0 ||
        probe->format == VMSCM_PROBE_RAW ||
        (dot && (strcasecmp(dot + 1, name) == 0 ||
                    strcasecmp(dot + 1, vmscm_probe_format_suffix(probe->format)) == 0)))
        return 0;
    vmscm_error_set(err, VMSCM_EREFUSED,
        "%s: disk %s is known to be raw, but this looks like %s, which its guest could have written",
        source->path, old->id, name);
    return vmscm_error_hint(
        err, "--format raw if it is still raw; --format %s if it was converted", name);
}

/* Its archive is a device, that nothing else has this format of. */
static bool is_container(const struct vmscm_checkin_disk *source)
{
    return source->format && strcmp(source->format, VMSCM_MODEL_TAR) == 0;
}

static int add_disk(struct vmscm_machine *machine, const struct known *k,
    const struct vmscm_checkin_disk *sources, size_t count, size_t n, size_t at,
    const struct vmscm_probe *probe, struct vmscm_error *err)
{
    const struct vmscm_checkin_disk *source = &sources[n];
    const struct vmscm_machine_disk *old = at == SIZE_MAX ? NULL : &k->machine->disks[at];
    struct vmscm_machine_disk *disk;
    char fresh[16];
    const char *id = source->id;
    int rc;

    if (old && (rc = check_format(old, source, probe, err)))
        return rc;
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
        /* The overlay of a thin checkout is no format that the machine has. */
        if (probe->over)
            return set_like(disk, old, probe->size, err);
        if ((rc = vmscm_model_set(&disk->target, old->target, err)) ||
            (rc = vmscm_model_set(&disk->bus, old->bus, err)))
            return rc;
    } else if ((rc = vmscm_model_set(&disk->target, id, err)) ||
        (rc = vmscm_model_set(&disk->bus, is_virtio(probe->format) ? "virtio" : "sata", err))) {
        return rc;
    }
    if ((rc = set_image(disk, probe, err)) || !is_container(source))
        return rc;
    return vmscm_model_set(&disk->format, VMSCM_MODEL_TAR, err);
}

int vmscm_describe_machine(struct vmscm_machine **out, size_t *order, struct vmscm_repo *repo,
    const char *name, const char *parent, const struct vmscm_checkin_disk *sources,
    struct vmscm_probe *const *probes, size_t count,
    const struct vmscm_describe_config *config, const struct vmscm_events *events, struct vmscm_error *err)
{
    struct known k = {0};
    struct vmscm_machine *machine = NULL;
    size_t *at = NULL;
    int rc = load_known(&k, repo, parent, config, err);

    if (rc)
        goto out;
    if (!(at = calloc(count + 1, sizeof *at))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    if (k.machine)
        rc = vmscm_model_copy(&machine, k.machine, err);
    else if (!(rc = vmscm_model_new(&machine, err)))
        rc = vmscm_model_set(&machine->name, name, err);
    if (rc)
        goto out;
    while (machine->disk_count)
        vmscm_model_remove_disk(machine, machine->disks[0].id);
    assign(at, &k, sources, count);
    arrange(order, &k, at, count);
    for (size_t i = 0; i < count && !rc; i++)
        rc = add_disk(machine, &k, sources, count, order[i], at[order[i]], probes[order[i]], err);
    for (size_t i = 0; !rc && k.machine && i < k.machine->disk_count; i++)
        if (!k.taken[i])
            vmscm_handle_warn(events, "disk %s of %s was not given and is left out",
                k.machine->disks[i].id,
                config->xml_name ? config->xml_name : "the revision before");
out:
    if (rc)
        vmscm_model_free(machine);
    else
        *out = machine;
    free(at);
    known_release(&k);
    return rc;
}
