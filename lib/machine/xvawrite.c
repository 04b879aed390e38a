/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing ova.xml: see xva.h. References are numbers that no two objects share. */
#include "machine/xvawrite.h"
#include "machine/xmltext.h"
#include "machine/xva.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct writing {
    struct vmscm_xmltext t;
    const struct vmscm_description *d;
};

static void text(struct writing *w, const char *name, const char *value)
{
    vmscm_xmltext_put(&w->t, "<member><name>", name, "</name><value>", value ? value : "",
        "</value></member>\n", NULL);
}

static void number(struct writing *w, const char *name, uint64_t value)
{
    char digits[24];

    snprintf(digits, sizeof digits, "%" PRIu64, value);
    text(w, name, digits);
}

static void boolean(struct writing *w, const char *name, int value)
{
    vmscm_xmltext_put(&w->t, "<member><name>", name, "</name><value><boolean>",
        value ? "1" : "0", "</boolean></value></member>\n", NULL);
}

static void reference(struct writing *w, const char *name, const char *kind, size_t n)
{
    char id[64];

    snprintf(id, sizeof id, "Ref:%s%zu", kind, n);
    text(w, name, id);
}

static void open_struct(struct writing *w, const char *name)
{
    vmscm_xmltext_put(&w->t, "<member><name>", name, "</name><value><struct>\n", NULL);
}

static void close_struct(struct writing *w)
{
    vmscm_xmltext_put(&w->t, "</struct></value></member>\n", NULL);
}

static void empty_struct(struct writing *w, const char *name)
{
    open_struct(w, name);
    close_struct(w);
}

/* References to count objects of a kind. */
static void list(struct writing *w, const char *name, const char *kind, size_t count)
{
    char id[64];

    vmscm_xmltext_put(&w->t, "<member><name>", name, "</name><value><array><data>\n", NULL);
    for (size_t i = 0; i < count; i++) {
        snprintf(id, sizeof id, "Ref:%s%zu", kind, i);
        vmscm_xmltext_put(&w->t, "<value>", id, "</value>\n", NULL);
    }
    vmscm_xmltext_put(&w->t, "</data></array></value></member>\n", NULL);
}

static void open_object(struct writing *w, const char *class, const char *id)
{
    vmscm_xmltext_put(&w->t, "<value><struct>\n", NULL);
    text(w, "class", class);
    text(w, "id", id);
    open_struct(w, "snapshot");
}

static void open_numbered(struct writing *w, const char *class, const char *kind, size_t n)
{
    char id[64];

    snprintf(id, sizeof id, "Ref:%s%zu", kind, n);
    open_object(w, class, id);
}

static void close_object(struct writing *w)
{
    close_struct(w);
    vmscm_xmltext_put(&w->t, "</struct></value>\n", NULL);
}

static void put_version(struct writing *w)
{
    open_struct(w, "version");
    text(w, "hostname", "localhost");
    text(w, "date", "1970-01-01");
    text(w, "product_version", "8.2.0");
    text(w, "product_brand", "XCP-ng");
    text(w, "build_number", "release");
    text(w, "xapi_major", "1");
    text(w, "xapi_minor", "20");
    text(w, "export_vsn", "2");
    close_struct(w);
}

static void put_vm(struct writing *w)
{
    const struct vmscm_machine *m = w->d->machine;
    int uefi = strcmp(m->firmware, "uefi") == 0;

    open_object(w, "VM", "Ref:0");
    text(w, "uuid", NULL);
    list(w, "allowed_operations", "", 0);
    empty_struct(w, "current_operations");
    text(w, "power_state", "Halted");
    text(w, "name_label", m->name ? m->name : w->d->name);
    text(w, "name_description", w->d->annotation);
    number(w, "user_version", 1);
    boolean(w, "is_a_template", 0);
    boolean(w, "is_a_snapshot", 0);
    boolean(w, "is_control_domain", 0);
    text(w, "affinity", "OpaqueRef:NULL");
    text(w, "resident_on", "OpaqueRef:NULL");
    number(w, "memory_overhead", 0);
    number(w, "memory_target", m->memory);
    number(w, "memory_static_max", m->memory);
    number(w, "memory_dynamic_max", m->memory);
    number(w, "memory_dynamic_min", m->memory);
    number(w, "memory_static_min", m->memory);
    empty_struct(w, "VCPUs_params");
    number(w, "VCPUs_max", m->cpus);
    number(w, "VCPUs_at_startup", m->cpus);
    text(w, "actions_after_shutdown", "destroy");
    text(w, "actions_after_reboot", "restart");
    text(w, "actions_after_crash", "restart");
    list(w, "consoles", "", 0);
    list(w, "VIFs", "vif", m->nic_count);
    list(w, "VBDs", "vbd", m->disk_count);
    list(w, "crash_dumps", "", 0);
    list(w, "VTPMs", "", 0);
    text(w, "PV_bootloader", NULL);
    text(w, "PV_kernel", NULL);
    text(w, "PV_ramdisk", NULL);
    text(w, "PV_args", NULL);
    text(w, "PV_bootloader_args", NULL);
    text(w, "PV_legacy_args", NULL);
    text(w, "HVM_boot_policy", "BIOS order");
    open_struct(w, "HVM_boot_params");
    text(w, "firmware", uefi ? "uefi" : "bios");
    text(w, "order", "cdn");
    close_struct(w);
    vmscm_xmltext_put(&w->t,
        "<member><name>HVM_shadow_multiplier</name><value><double>1</double></value></member>\n",
        NULL);
    open_struct(w, "platform");
    text(w, "acpi", "1");
    text(w, "apic", "true");
    text(w, "nx", "true");
    text(w, "pae", "true");
    text(w, "secureboot", m->secure_boot ? "true" : "false");
    text(w, "viridian", "true");
    close_struct(w);
    text(w, "PCI_bus", NULL);
    open_struct(w, "other_config");
    if (w->d->as && w->d->is) {
        text(w, VMSCM_XVA_AS, w->d->as);
        text(w, VMSCM_XVA_IS, w->d->is);
    }
    close_struct(w);
    number(w, "domid", 0);
    text(w, "domarch", NULL);
    text(w, "recommendations", NULL);
    empty_struct(w, "xenstore_data");
    boolean(w, "ha_always_run", 0);
    text(w, "ha_restart_priority", NULL);
    list(w, "snapshots", "", 0);
    list(w, "tags", "", 0);
    empty_struct(w, "blocked_operations");
    close_object(w);
}

static void put_disk(struct writing *w, size_t i)
{
    const struct vmscm_machine_disk *disk = &w->d->machine->disks[i];

    open_numbered(w, "VBD", "vbd", i);
    text(w, "uuid", NULL);
    list(w, "allowed_operations", "", 0);
    empty_struct(w, "current_operations");
    text(w, "VM", "Ref:0");
    text(w, "VDI", w->d->files[i]);
    text(w, "device", NULL);
    number(w, "userdevice", i);
    boolean(w, "bootable", !i);
    text(w, "mode", "RW");
    text(w, "type", "Disk");
    boolean(w, "unpluggable", 1);
    boolean(w, "storage_lock", 0);
    boolean(w, "empty", 0);
    empty_struct(w, "other_config");
    boolean(w, "currently_attached", 0);
    number(w, "status_code", 0);
    text(w, "status_detail", NULL);
    empty_struct(w, "runtime_properties");
    text(w, "qos_algorithm_type", NULL);
    empty_struct(w, "qos_algorithm_params");
    list(w, "qos_supported_algorithms", "", 0);
    close_object(w);

    open_object(w, "VDI", w->d->files[i]);
    text(w, "uuid", NULL);
    text(w, "name_label", disk->id);
    text(w, "name_description", NULL);
    list(w, "allowed_operations", "", 0);
    empty_struct(w, "current_operations");
    text(w, "SR", "Ref:sr");
    list(w, "VBDs", "", 0);
    list(w, "crash_dumps", "", 0);
    number(w, "virtual_size", disk->size);
    number(w, "physical_utilisation", disk->size);
    text(w, "type", "user");
    boolean(w, "sharable", 0);
    boolean(w, "read_only", 0);
    empty_struct(w, "other_config");
    boolean(w, "storage_lock", 0);
    text(w, "location", NULL);
    boolean(w, "managed", 1);
    boolean(w, "missing", 0);
    text(w, "parent", "OpaqueRef:NULL");
    empty_struct(w, "xenstore_data");
    empty_struct(w, "sm_config");
    boolean(w, "is_a_snapshot", 0);
    text(w, "snapshot_of", "OpaqueRef:NULL");
    list(w, "snapshots", "", 0);
    list(w, "tags", "", 0);
    close_object(w);
}

static void put_sr(struct writing *w)
{
    open_object(w, "SR", "Ref:sr");
    text(w, "uuid", NULL);
    text(w, "name_label", "Local storage");
    text(w, "name_description", NULL);
    list(w, "allowed_operations", "", 0);
    empty_struct(w, "current_operations");
    list(w, "VDIs", "", 0);
    list(w, "PBDs", "", 0);
    number(w, "virtual_allocation", 0);
    number(w, "physical_utilisation", 0);
    number(w, "physical_size", 0);
    text(w, "type", "ext");
    text(w, "content_type", "user");
    boolean(w, "shared", 0);
    empty_struct(w, "other_config");
    empty_struct(w, "sm_config");
    close_object(w);
}

static void put_nic(struct writing *w, size_t i)
{
    const struct vmscm_machine_nic *nic = &w->d->machine->nics[i];

    open_numbered(w, "VIF", "vif", i);
    text(w, "uuid", NULL);
    list(w, "allowed_operations", "", 0);
    empty_struct(w, "current_operations");
    number(w, "device", i);
    reference(w, "network", "net", i);
    text(w, "VM", "Ref:0");
    text(w, "MAC", nic->mac);
    number(w, "MTU", 1500);
    empty_struct(w, "other_config");
    boolean(w, "currently_attached", 0);
    number(w, "status_code", 0);
    text(w, "status_detail", NULL);
    empty_struct(w, "runtime_properties");
    text(w, "qos_algorithm_type", NULL);
    empty_struct(w, "qos_algorithm_params");
    list(w, "qos_supported_algorithms", "", 0);
    boolean(w, "MAC_autogenerated", !nic->mac);
    close_object(w);

    open_numbered(w, "network", "net", i);
    text(w, "uuid", NULL);
    text(w, "name_label",
        nic->network ? nic->network : "Pool-wide network associated with eth0");
    text(w, "name_description", NULL);
    list(w, "allowed_operations", "", 0);
    empty_struct(w, "current_operations");
    list(w, "VIFs", "", 0);
    list(w, "PIFs", "", 0);
    number(w, "MTU", 1500);
    empty_struct(w, "other_config");
    text(w, "bridge", "xenbr0");
    close_object(w);
}

int vmscm_xvawrite_encode(struct vmscm_buf *out, const struct vmscm_description *d,
    struct vmscm_error *err)
{
    struct writing w = {{out, err, 0}, d};

    vmscm_xmltext_put(&w.t, "<value><struct>\n", NULL);
    put_version(&w);
    vmscm_xmltext_put(
        &w.t, "<member><name>objects</name><value><array><data>\n", NULL);
    put_vm(&w);
    for (size_t i = 0; i < d->machine->disk_count; i++)
        put_disk(&w, i);
    put_sr(&w);
    for (size_t i = 0; i < d->machine->nic_count; i++)
        put_nic(&w, i);
    vmscm_xmltext_put(
        &w.t, "</data></array></value></member>\n</struct></value>\n", NULL);
    return w.t.rc;
}
