/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "qemuargs.h"

#include "memory.h"
#include "report.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_DEFAULT 1024u /* MiB, where nothing is recorded */
#define PORTS 6              /* of an AHCI controller */

void qemuargs_add(struct qemuargs *args, const char *fmt, ...)
{
    char *text = NULL;
    va_list list;

    va_start(list, fmt);
    if (vasprintf(&text, fmt, list) < 0)
        memory_die();
    va_end(list);
    args->items = memory_grow(args->items, args->len + 2, sizeof *args->items);
    args->items[args->len++] = text;
    args->items[args->len] = NULL;
}

void qemuargs_release(struct qemuargs *args)
{
    for (size_t i = 0; i < args->len; i++)
        free(args->items[i]);
    free(args->items);
    *args = (struct qemuargs){0};
}

int qemuargs_forward(unsigned *host, unsigned *guest, const char *text, struct vmscm_error *err)
{
    char *end, *rest = NULL;
    unsigned long a = strtoul(text, &end, 10), b = 0;

    if (end > text && *end == ':')
        b = strtoul(end + 1, &rest, 10);
    if (!rest || rest == end + 1 || *rest || a < 1 || a > 65535 || b < 1 || b > 65535 ||
        strpbrk(text, "+- "))
        return report_set(err, VMSCM_EUSAGE, "--forward: %s: not HOST-PORT:GUEST-PORT", text);
    *host = (unsigned)a;
    *guest = (unsigned)b;
    return 0;
}

char *qemuargs_escape(const char *s)
{
    char *out = memory_zero(strlen(s) * 2 + 1), *p = out;

    for (; *s; s++) {
        *p++ = *s;
        if (*s == ',')
            *p++ = ',';
    }
    return out;
}

static const char *bus_of(const struct vmscm_machine_disk *disk, const struct qemuargs_options *o)
{
    return o->bus ? o->bus : disk->bus ? disk->bus : "virtio";
}

static bool has_bus(const struct vmscm_machine *m, const struct qemuargs_options *o,
    const char *bus)
{
    for (size_t i = 0; i < m->disk_count; i++)
        if (strcmp(bus_of(&m->disks[i], o), bus) == 0)
            return true;
    return false;
}

static int add_device(struct qemuargs *args, const struct vmscm_machine_disk *disk,
    const struct qemuargs_options *o, size_t n, unsigned *sata, struct vmscm_error *err)
{
    const char *bus = bus_of(disk, o);

    qemuargs_add(args, "-device");
    if (strcmp(bus, "virtio") == 0)
        qemuargs_add(args, "virtio-blk-pci,drive=disk%zu,bootindex=%zu", n, n + 1);
    else if (strcmp(bus, "scsi") == 0)
        qemuargs_add(args, "scsi-hd,bus=scsi.0,drive=disk%zu,bootindex=%zu", n, n + 1);
    else if (strcmp(bus, "sata") == 0 && *sata < PORTS)
        qemuargs_add(args, "ide-hd,bus=ahci.%u,drive=disk%zu,bootindex=%zu", (*sata)++, n, n + 1);
    else if (strcmp(bus, "ide") == 0)
        qemuargs_add(args, "ide-hd,drive=disk%zu,bootindex=%zu", n, n + 1);
    else if (strcmp(bus, "nvme") == 0)
        qemuargs_add(args, "nvme,serial=disk%zu,drive=disk%zu,bootindex=%zu", n, n, n + 1);
    else if (strcmp(bus, "usb") == 0)
        qemuargs_add(args, "usb-storage,bus=xhci.0,drive=disk%zu,bootindex=%zu", n, n + 1);
    else {
        report_set(err, VMSCM_EUNSUPPORTED, "disk %s: on a bus that cannot be had here: %s",
            disk->id, bus);
        return report_hint(err, "--bus=virtio, or another that the guest knows, puts it there");
    }
    return 0;
}

static int add_disks(struct qemuargs *args, const struct vmscm_machine *m,
    const struct qemuargs_options *o, struct vmscm_error *err)
{
    unsigned sata = 0;
    int rc = 0;

    if (has_bus(m, o, "scsi"))
        qemuargs_add(args, "-device"), qemuargs_add(args, "virtio-scsi-pci,id=scsi");
    if (has_bus(m, o, "sata"))
        qemuargs_add(args, "-device"), qemuargs_add(args, "ich9-ahci,id=ahci");
    if (has_bus(m, o, "usb"))
        qemuargs_add(args, "-device"), qemuargs_add(args, "qemu-xhci,id=xhci");
    for (size_t i = 0; i < m->disk_count && !rc; i++) {
        char *name = o->file(o->data, m->disks[i].id);
        if (!name)
            return report_set(err, VMSCM_ENOTFOUND, "disk %s: is not there", m->disks[i].id);
        char *file = qemuargs_escape(name);
        qemuargs_add(args, "-drive");
        if (o->kept)
            qemuargs_add(args, "if=none,id=disk%zu,format=qcow2,discard=unmap,file=%s", i, file);
        else
            /* What the guest writes goes to a temporary file that has no name any more. */
            qemuargs_add(
                args, "if=none,id=disk%zu,format=raw,snapshot=on,cache=unsafe,file=%s", i, file);
        free(name);
        free(file);
        rc = add_device(args, &m->disks[i], o, i, &sata, err);
    }
    return rc;
}

static const char *nic_device(const char *model)
{
    static const char *const known[][2] = {{"virtio", "virtio-net-pci"},
        {"virtio-net", "virtio-net-pci"}, {"e1000", "e1000"}, {"e1000e", "e1000e"},
        {"rtl8139", "rtl8139"}, {"ne2k_pci", "ne2k_pci"}, {"pcnet", "pcnet"},
        {"vmxnet3", "vmxnet3"}};

    for (size_t i = 0; model && i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i][0], model) == 0)
            return known[i][1];
    return model ? "e1000" : "virtio-net-pci";
}

/* Six bytes in hexadecimal: it becomes part of an argument. */
static bool is_mac(const char *s)
{
    return s && strlen(s) == 17 && strspn(s, "0123456789abcdefABCDEF:") == 17;
}

static int add_nics(struct qemuargs *args, const struct vmscm_machine *m,
    const struct qemuargs_options *o, struct vmscm_error *err)
{
    static const struct vmscm_machine_nic usual = {.model = NULL};
    size_t count = m->nic_count ? m->nic_count : 1;
    char *net = memory_printf("user,id=net0%s", o->isolate ? ",restrict=on" : "");
    unsigned host, guest;
    int rc = 0;

    for (size_t i = 0; i < o->forwards->len && !rc; i++) {
        if ((rc = qemuargs_forward(&host, &guest, o->forwards->items[i], err)))
            break;
        char *more = memory_printf("%s,hostfwd=tcp:127.0.0.1:%u-:%u", net, host, guest);
        free(net);
        net = more;
    }
    for (size_t i = 0; i < count && !rc; i++) {
        const struct vmscm_machine_nic *nic = m->nic_count ? &m->nics[i] : &usual;
        qemuargs_add(args, "-netdev");
        if (i == 0)
            qemuargs_add(args, "%s", net);
        else
            qemuargs_add(args, "user,id=net%zu%s", i, o->isolate ? ",restrict=on" : "");
        qemuargs_add(args, "-device");
        qemuargs_add(args, "%s,netdev=net%zu%s%s", nic_device(nic->model), i,
            is_mac(nic->mac) ? ",mac=" : "", is_mac(nic->mac) ? nic->mac : "");
    }
    free(net);
    return rc;
}

static int copy(const char *from, const char *to, struct vmscm_error *err)
{
    char buf[65536];
    ssize_t n = 0;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    while (in >= 0 && out >= 0 && (n = read(in, buf, sizeof buf)) > 0)
        if (write(out, buf, (size_t)n) != n) {
            n = -1;
            break;
        }
    int why = errno, bad = in < 0 || out < 0 || n < 0;
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return bad ? report_set(err, VMSCM_EIO, "%s: %s", from, strerror(why)) : 0;
}

/* OVMF where Debian and Fedora have it, with a copy of its variables. */
static int add_firmware(struct qemuargs *args, const struct vmscm_machine *m,
    const struct qemuargs_options *o, struct vmscm_error *err)
{
    static const char *const plain[][2] = {
        {"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
        {"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
        {"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"}};
    static const char *const secure[][2] = {
        {"/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"},
        {"/usr/share/OVMF/OVMF_CODE.ms.fd", "/usr/share/OVMF/OVMF_VARS.ms.fd"},
        {"/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd"}};
    const char *const(*files)[2] = m->secure_boot ? secure : plain;

    if (strcmp(m->firmware, "uefi") != 0)
        return 0;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (access(files[i][0], R_OK) == 0 && access(files[i][1], R_OK) == 0) {
            char *vars = memory_printf("%s/vars", o->dir);
            /* It is there already if KVM failed, and qemu is started again. */
            unlink(vars);
            int rc = copy(files[i][1], vars, err);
            if (m->secure_boot)
                qemuargs_add(args, "-global"),
                    qemuargs_add(args, "driver=cfi.pflash01,property=secure,value=on");
            qemuargs_add(args, "-drive");
            qemuargs_add(args, "if=pflash,unit=0,format=raw,readonly=on,file=%s", files[i][0]);
            qemuargs_add(args, "-drive");
            qemuargs_add(args, "if=pflash,unit=1,format=raw,file=%s", vars);
            free(vars);
            return rc;
        }
    report_set(err, VMSCM_ETOOL, "OVMF: not installed, and the machine starts by UEFI");
    return report_hint(err, "apt install ovmf");
}

int qemuargs_machine(struct qemuargs *args, const struct vmscm_machine *m,
    const struct qemuargs_options *o, struct vmscm_error *err)
{
    uint64_t memory = o->memory ? o->memory : m->memory >> 20;
    bool uefi = strcmp(m->firmware, "uefi") == 0;
    bool q35 = m->machine_type ? strstr(m->machine_type, "q35") != NULL : uefi;
    int rc;

    if (strcmp(m->arch, "x86_64") != 0 && strcmp(m->arch, "i686") != 0)
        return report_set(err, VMSCM_EUNSUPPORTED,
            "a machine of architecture %s: only x86 ones can be run here", m->arch);
    qemuargs_add(args, "qemu-system-x86_64");
    qemuargs_add(args, "-nodefaults");
    qemuargs_add(args, "-no-user-config");
    qemuargs_add(args, "-machine");
    /* The family: a version of it may be one that this qemu does not have. */
    qemuargs_add(args, "%s%s", (q35 && !has_bus(m, o, "ide")) || m->secure_boot ? "q35" : "pc",
        m->secure_boot ? ",smm=on" : "");
    if (!o->emulate && access(QEMUARGS_KVM, R_OK | W_OK) == 0) {
        qemuargs_add(args, "-accel");
        qemuargs_add(args, "kvm");
    }
    /* Taken if the one before does not work. */
    qemuargs_add(args, "-accel");
    qemuargs_add(args, "tcg,thread=multi");
    qemuargs_add(args, "-cpu");
    qemuargs_add(args, "max");
    qemuargs_add(args, "-smp");
    qemuargs_add(args, "%u", o->cpus ? o->cpus : m->cpus ? m->cpus : 1);
    qemuargs_add(args, "-m");
    qemuargs_add(args, "%llu", (unsigned long long)(memory ? memory : MEMORY_DEFAULT));
    if ((rc = add_firmware(args, m, o, err)) || (rc = add_disks(args, m, o, err)))
        return rc;
    return add_nics(args, m, o, err);
}
