/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/vagrant.h"
#include "base/str.h"
#include "machine/hint.h"
#include "machine/jsontext.h"
#include "machine/model.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISKS_MAX 256
#define CPUS_MAX 65536
#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)

static const char *const buses[] = {"virtio", "scsi", "sata", "ide", "usb"};
static const char *const formats[] = {"raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx"};

/* One of a list, or NULL. */
static const char *known(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; word && i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return words[i];
    return NULL;
}

#define KNOWN(word, words) known(word, words, sizeof words / sizeof words[0])

static int wrong(struct vmscm_error *err, const char *why)
{
    return vmscm_error_set(err, VMSCM_EINPUT, "metadata.json: %s", why);
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Architectures are those of Go. */
static const char *arch_of(const char *name)
{
    return name && (strcmp(name, "arm64") == 0 || strcmp(name, "aarch64") == 0) ? "aarch64"
                                                                                : "x86_64";
}

static int add_disk(struct vmscm_vagrant *v, const char *path, const char *format, const char *bus,
    struct vmscm_error *err)
{
    struct vmscm_machine_disk *disk;
    int rc;

    if (!path || !*path || strlen(path) > 4095 || !vmscm_str_printable(path))
        return wrong(err, "a disk without the name of a file");
    if (v->machine->disk_count == DISKS_MAX)
        return wrong(err, "more than 256 disks");
    if ((rc = vmscm_model_attach_file(&disk, &v->sources, v->machine, bus, path, err)))
        return rc;
    return vmscm_model_set(&disk->format, KNOWN(format, formats), err);
}

static int read_disks(struct vmscm_vagrant *v, const json_t *root, const char *bus,
    struct vmscm_error *err)
{
    const json_t *disks = json_object_get(root, "disks"), *disk;
    const char *format = text_of(root, "format");
    size_t i;
    int rc = 0;

    if (!disks)
        return add_disk(v, "box.img", format, bus, err);
    if (!json_is_array(disks) || !json_array_size(disks))
        return wrong(err, "disks: no list of disks");
    json_array_foreach(disks, i, disk) {
        const char *own = text_of(disk, "format");
        if ((rc = add_disk(v, text_of(disk, "path"), own ? own : format, bus, err)))
            return rc;
    }
    return 0;
}

static int read_hardware(struct vmscm_machine *m, const json_t *ours, struct vmscm_error *err)
{
    const json_t *cpus = json_object_get(ours, "cpus"), *memory = json_object_get(ours, "memory");
    json_int_t n;

    if (cpus) {
        n = json_integer_value(cpus);
        if (n < 1 || n > CPUS_MAX)
            return wrong(err, "vmscm: cpus: not a number of CPUs");
        m->cpus = (uint32_t)n;
    }
    if (memory) {
        n = json_integer_value(memory);
        if (n < 1 || n > INT64_C(1) << 42)
            return wrong(err, "vmscm: memory: not an amount of MiB");
        m->memory = (uint64_t)n * MIB;
    }
    return 0;
}

static int read_box(struct vmscm_vagrant *v, const json_t *root, struct vmscm_error *err)
{
    const json_t *ours = json_object_get(root, "vmscm");
    const char *provider = text_of(root, "provider");
    const char *bus = KNOWN(text_of(ours, "disk_bus"), buses);
    int rc;

    if (!provider || !*provider || strlen(provider) > 64 || !vmscm_str_printable(provider))
        return wrong(err, "has no provider: it is of no Vagrant box");
    if ((rc = vmscm_str_dup(&v->provider, provider, err)) ||
        (rc = vmscm_model_new(&v->machine, err)) ||
        (rc = vmscm_model_set(&v->machine->arch, arch_of(text_of(root, "architecture")), err)))
        return rc;
    if (strcmp(provider, "libvirt") != 0)
        return 0;
    if ((rc = read_hardware(v->machine, ours, err)) ||
        (rc = read_disks(v, root, bus ? bus : "virtio", err)))
        return rc;
    return vmscm_hint_apply(v->machine, v->sources, text_of(ours, "as"), text_of(ours, "is"), err);
}

void vmscm_vagrant_release(struct vmscm_vagrant *v)
{
    for (size_t i = 0; v->sources && i < v->machine->disk_count; i++)
        free(v->sources[i]);
    free(v->sources);
    free(v->provider);
    vmscm_model_free(v->machine);
    *v = (struct vmscm_vagrant){NULL, NULL, NULL};
}

int vmscm_vagrant_parse(struct vmscm_vagrant *out, const void *text, size_t len,
    struct vmscm_error *err)
{
    json_error_t why;
    json_t *root;
    int rc;

    *out = (struct vmscm_vagrant){NULL, NULL, NULL};
    if (len > VMSCM_VAGRANT_MAX)
        return wrong(err, "over 1 MiB");
    if (!(root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why))) {
        if (json_error_code(&why) == json_error_out_of_memory)
            return vmscm_error_nomem(err);
        return vmscm_error_set(err, VMSCM_EINPUT, "metadata.json: line %d: %s", why.line, why.text);
    }
    rc = json_is_object(root) ? read_box(out, root, err) : wrong(err, "is no object");
    json_decref(root);
    if (rc)
        vmscm_vagrant_release(out);
    return rc;
}

/* The bus that all disks are on, or NULL. */
static const char *common_bus(const struct vmscm_machine *m)
{
    const char *bus = m->disk_count ? KNOWN(m->disks[0].bus, buses) : NULL;

    for (size_t i = 1; bus && i < m->disk_count; i++)
        if (!m->disks[i].bus || strcmp(m->disks[i].bus, bus) != 0)
            return NULL;
    return bus;
}

static uint64_t mebibytes(const struct vmscm_machine *m)
{
    return m->memory / MIB + (m->memory % MIB != 0);
}

/* json_object_set_new takes the value whatever happens, and fails on a NULL one. */
static bool put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

static bool put_text(json_t *object, const char *key, const char *value)
{
    return !value || put(object, key, json_string(value));
}

static json_t *hardware(const struct vmscm_description *d)
{
    const struct vmscm_machine *m = d->machine;
    json_t *ours = json_object();

    if (ours && put(ours, "cpus", json_integer((json_int_t)m->cpus)) &&
        put(ours, "memory", json_integer((json_int_t)mebibytes(m))) &&
        put_text(ours, "disk_bus", common_bus(m)) && put_text(ours, "note", d->annotation) &&
        (!d->is || (put_text(ours, "as", d->as) && put_text(ours, "is", d->is))))
        return ours;
    json_decref(ours);
    return NULL;
}

static json_t *list(const struct vmscm_description *d)
{
    json_t *disks = json_array();

    for (size_t i = 0; disks && i < d->machine->disk_count; i++) {
        json_t *disk = json_object();
        if (json_array_append_new(disks, disk) || !put_text(disk, "path", d->files[i]) ||
            !put_text(disk, "format", "qcow2")) {
            json_decref(disks);
            return NULL;
        }
    }
    return disks;
}

static const char *architecture(const struct vmscm_machine *m)
{
    return strcmp(m->arch, "x86_64") == 0 ? "amd64"
        : strcmp(m->arch, "aarch64") == 0 ? "arm64"
                                          : NULL;
}

static int print(struct vmscm_buf *out, json_t *root, bool good, struct vmscm_error *err)
{
    char *text = good ? vmscm_jsontext_dump(root, JSON_SORT_KEYS | JSON_INDENT(2)) : NULL;
    int rc = text ? vmscm_buf_puts(out, text, err) : vmscm_error_nomem(err);

    free(text);
    json_decref(root);
    return rc ? rc : vmscm_buf_puts(out, "\n", err);
}

int vmscm_vagrant_encode(struct vmscm_buf *out, const struct vmscm_description *d,
    struct vmscm_error *err)
{
    const struct vmscm_machine *m = d->machine;
    json_t *root = json_object();
    uint64_t size = m->disk_count ? m->disks[0].size : 0;
    bool one = m->disk_count == 1, good;

    good = root && put_text(root, "provider", "libvirt") && put_text(root, "format", "qcow2") &&
        put_text(root, "architecture", architecture(m)) && put(root, "vmscm", hardware(d)) &&
        (one ? put(root, "virtual_size", json_integer((json_int_t)(size / GIB + (size % GIB != 0))))
             : put(root, "disks", list(d)));
    return print(out, root, good, err);
}

/* Only plain words come into a program. */
static const char *plain(const char *word)
{
    return word &&
            strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
                strlen(word)
        ? word
        : NULL;
}

int vmscm_vagrant_program(struct vmscm_buf *out, const struct vmscm_machine *m,
    struct vmscm_error *err)
{
    const char *bus = common_bus(m), *model = m->nic_count ? plain(m->nics[0].model) : NULL;
    int rc = vmscm_buf_printf(out, err,
        "Vagrant.configure(\"2\") do |config|\n  config.vm.provider :libvirt do |libvirt|\n"
        "    libvirt.cpus = %" PRIu32 "\n    libvirt.memory = %" PRIu64 "\n",
        m->cpus, mebibytes(m));

    if (!rc && bus)
        rc = vmscm_buf_printf(out, err, "    libvirt.disk_bus = \"%s\"\n", bus);
    if (!rc && model)
        rc = vmscm_buf_printf(out, err, "    libvirt.nic_model_type = \"%s\"\n", model);
    if (!rc && plain(m->machine_type))
        rc = vmscm_buf_printf(out, err, "    libvirt.machine_type = \"%s\"\n", m->machine_type);
    return rc ? rc : vmscm_buf_puts(out, "  end\nend\n", err);
}

int vmscm_vagrant_virtualbox(struct vmscm_buf *metadata, struct vmscm_buf *program,
    const struct vmscm_machine *m, struct vmscm_error *err)
{
    json_t *root = json_object();
    const char *mac = m->nic_count ? m->nics[0].mac : NULL;
    bool good = root && put_text(root, "provider", "virtualbox") &&
        put_text(root, "architecture", architecture(m));
    int rc = print(metadata, root, good, err);

    if (rc || (rc = vmscm_buf_puts(program, "Vagrant.configure(\"2\") do |config|\n", err)))
        return rc;
    /* The guest knows its first NIC by it. */
    if (mac && strlen(mac) == 17)
        rc = vmscm_buf_printf(program, err, "  config.vm.base_mac = \"%.2s%.2s%.2s%.2s%.2s%.2s\"\n",
            mac, mac + 3, mac + 6, mac + 9, mac + 12, mac + 15);
    return rc ? rc : vmscm_buf_puts(program, "end\n", err);
}
