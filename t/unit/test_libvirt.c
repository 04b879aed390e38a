/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/machine/libvirt: domains of several ages, and XML that means ill. */
#include "machine/json.h"
#include "machine/libvirt.h"
#include "machine/model.h"
#include "unit.h"

/* As virt-install makes them today. */
static const char q35[] =
    "<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE.\n-->\n"
    "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
    "  <name>web-server</name>\n"
    "  <uuid>0e2b1c5a-27a3-4b4f-9d0f-0d1c1c7e9a11</uuid>\n"
    "  <metadata><libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'>"
    "<libosinfo:os id='http://debian.org/debian/12'/></libosinfo:libosinfo></metadata>\n"
    "  <memory unit='KiB'>4194304</memory>\n"
    "  <currentMemory unit='KiB'>2097152</currentMemory>\n"
    "  <vcpu placement='static' current='2'>4</vcpu>\n"
    "  <os firmware='efi'>\n"
    "    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>\n"
    "    <firmware><feature enabled='yes' name='enrolled-keys'/>"
    "<feature enabled='yes' name='secure-boot'/></firmware>\n"
    "    <loader readonly='yes' secure='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.ms.fd</loader>\n"
    "    <nvram template='/usr/share/OVMF/OVMF_VARS_4M.ms.fd'>/var/lib/libvirt/qemu/nvram/w.fd</nvram>\n"
    "    <boot dev='hd'/>\n"
    "  </os>\n"
    "  <features><acpi/><apic/><smm state='on'/></features>\n"
    "  <cpu mode='host-passthrough' check='none' migratable='on'/>\n"
    "  <devices>\n"
    "    <emulator>/usr/bin/qemu-system-x86_64</emulator>\n"
    "    <disk type='file' device='disk'>\n"
    "      <driver name='qemu' type='qcow2' discard='unmap'/>\n"
    "      <source file='/var/lib/libvirt/images/web server.qcow2'/>\n"
    "      <target dev='vda' bus='virtio'/>\n"
    "      <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/>\n"
    "    </disk>\n"
    "    <disk type='file' device='cdrom'>\n"
    "      <driver name='qemu' type='raw'/>\n"
    "      <source file='/iso/debian.iso'/>\n"
    "      <target dev='sda' bus='sata'/>\n      <readonly/>\n"
    "    </disk>\n"
    "    <interface type='network'>\n"
    "      <mac address='52:54:00:AB:cd:EF'/>\n"
    "      <source network='default'/>\n"
    "      <model type='virtio'/>\n"
    "    </interface>\n"
    "    <interface type='bridge'><source bridge='br0'/></interface>\n"
    "    <graphics type='spice' autoport='yes'/>\n"
    "  </devices>\n"
    "</domain>\n";

/* A paravirtual Xen guest of long ago: no arch, no units, disks of several kinds. */
static const char xen[] =
    "<domain type='xen' id='5'>\n"
    "  <name>oldie</name>\n"
    "  <memory>524288</memory>\n"
    "  <vcpu>1</vcpu>\n"
    "  <bootloader>/usr/bin/pygrub</bootloader>\n"
    "  <os><type>linux</type><kernel>/boot/vmlinuz-2.6</kernel></os>\n"
    "  <devices>\n"
    "    <disk type='block' device='disk'>\n"
    "      <driver name='phy'/><source dev='/dev/vg0/oldie'/><target dev='xvda'/>\n"
    "    </disk>\n"
    "    <disk type='file'>\n"
    "      <driver name='tap' type='aio'/><source file='/srv/swap.img'/>"
    "<target dev='hdb'/>\n"
    "    </disk>\n"
    "    <disk type='file' device='floppy'><source file='/f.img'/><target dev='fda'/></disk>\n"
    "    <interface type='bridge'>\n"
    "      <mac address='00:16:3e:00:00:01'/><source bridge='xenbr0'/><script path='vif-bridge'/>\n"
    "    </interface>\n"
    "  </devices>\n"
    "</domain>\n";

/* Three disks, one of them on the network and one without a usable target. */
static const char three[] =
    "<domain type='qemu'>\n"
    "  <name>store</name>\n"
    "  <memory unit='GB'>3</memory>\n"
    "  <vcpu> 16 </vcpu>\n"
    "  <os><type arch='aarch64' machine='virt-8.0'>hvm</type>\n"
    "    <loader readonly='yes' type='pflash'>/usr/share/AAVMF/AAVMF_CODE.fd</loader></os>\n"
    "  <devices>\n"
    "    <disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/>\n"
    "      <source file='/srv/a.img'/><target dev='sda' bus='scsi'/></disk>\n"
    "    <disk type='network' device='disk'><driver name='qemu' type='raw'/>\n"
    "      <source protocol='rbd' name='pool/image'><host name='mon1' port='6789'/></source>\n"
    "      <target dev='sdb' bus='scsi'/></disk>\n"
    "    <disk type='file' device='disk'><driver name='qemu' type='qed'/>"
    "<source file='c.vmdk'/></disk>\n"
    "    <disk type='block' device='lun'><source dev='/dev/sdz'/><target dev='sdc'/></disk>\n"
    "    <interface type='user'><model type='e1000e'/></interface>\n"
    "    <interface type='direct'><source dev='eth0' mode='bridge'/></interface>\n"
    "  </devices>\n"
    "</domain>\n";

static struct vmscm_machine *parse(char ***sources, const char *xml)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_machine *m;

    assert_done(vmscm_libvirt_parse(&m, sources, xml, strlen(xml), &err), &err);
    return m;
}

static void done(struct vmscm_machine *m, char **sources)
{
    for (size_t i = 0; i < m->disk_count; i++)
        free(sources[i]);
    free(sources);
    vmscm_model_free(m);
}

static void a_modern_domain(void **state)
{
    char **sources;
    struct vmscm_machine *m = parse(&sources, q35);

    (void)state;
    assert_string_equal(m->name, "web-server");
    assert_string_equal(m->arch, "x86_64");
    assert_string_equal(m->machine_type, "pc-q35-7.2");
    assert_string_equal(m->firmware, "uefi");
    assert_int_equal(m->secure_boot, 1);
    assert_int_equal(m->cpus, 4);
    assert_int_equal(m->memory, UINT64_C(4) << 30);
    assert_int_equal(m->disk_count, 1);
    assert_string_equal(m->disks[0].id, "vda");
    assert_string_equal(m->disks[0].target, "vda");
    assert_string_equal(m->disks[0].bus, "virtio");
    assert_string_equal(m->disks[0].format, "qcow2");
    assert_string_equal(sources[0], "/var/lib/libvirt/images/web server.qcow2");
    assert_int_equal(m->nic_count, 2);
    assert_string_equal(m->nics[0].mac, "52:54:00:ab:cd:ef");
    assert_string_equal(m->nics[0].model, "virtio");
    assert_string_equal(m->nics[0].type, "network");
    assert_string_equal(m->nics[0].network, "default");
    assert_null(m->nics[1].mac);
    assert_null(m->nics[1].model);
    assert_string_equal(m->nics[1].network, "br0");
    /* What comes of a domain can be stored, once the sizes are known. */
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    m->disks[0].size = 1;
    assert_done(vmscm_json_encode(&buf, m, &err), &err);
    vmscm_buf_release(&buf);
    done(m, sources);
}

static void an_old_domain(void **state)
{
    char **sources;
    struct vmscm_machine *m = parse(&sources, xen);

    (void)state;
    assert_string_equal(m->name, "oldie");
    assert_string_equal(m->arch, "x86_64");
    assert_null(m->machine_type);
    assert_string_equal(m->firmware, "bios");
    assert_int_equal(m->secure_boot, 0);
    assert_int_equal(m->memory, 512 << 20);
    assert_int_equal(m->disk_count, 2);
    assert_string_equal(m->disks[0].id, "xvda");
    assert_string_equal(m->disks[0].bus, "xen");
    assert_null(m->disks[0].format);
    assert_string_equal(sources[0], "/dev/vg0/oldie");
    assert_string_equal(m->disks[1].id, "hdb");
    assert_string_equal(m->disks[1].bus, "ide");
    assert_null(m->disks[1].format);
    assert_string_equal(sources[1], "/srv/swap.img");
    assert_int_equal(m->nic_count, 1);
    assert_string_equal(m->nics[0].network, "xenbr0");
    done(m, sources);
}

static void three_disks(void **state)
{
    char **sources;
    struct vmscm_machine *m = parse(&sources, three);

    (void)state;
    assert_string_equal(m->arch, "aarch64");
    assert_string_equal(m->firmware, "uefi");
    assert_int_equal(m->secure_boot, 0);
    assert_int_equal(m->cpus, 16);
    assert_int_equal(m->memory, 3000000000);
    assert_int_equal(m->disk_count, 3);
    assert_string_equal(m->disks[0].format, "raw");
    assert_string_equal(sources[0], "/srv/a.img");
    assert_string_equal(m->disks[1].id, "sdb");
    assert_null(sources[1]);
    assert_string_equal(m->disks[2].id, "disk1");
    assert_null(m->disks[2].target);
    assert_null(m->disks[2].bus);
    assert_null(m->disks[2].format);
    assert_string_equal(sources[2], "c.vmdk");
    assert_string_equal(m->nics[0].type, "user");
    assert_string_equal(m->nics[0].model, "e1000e");
    assert_null(m->nics[0].network);
    assert_string_equal(m->nics[1].network, "eth0");
    done(m, sources);
}

static void least_domain(void **state)
{
    char **sources;
    struct vmscm_machine *m = parse(&sources, "<domain><memory>1</memory></domain>");

    (void)state;
    assert_null(m->name);
    assert_int_equal(m->cpus, 1);
    assert_int_equal(m->memory, 1024);
    assert_int_equal(m->disk_count, 0);
    assert_int_equal(m->nic_count, 0);
    assert_non_null(sources);
    done(m, sources);
}

static void memory_units(void **state)
{
    static const struct {
        const char *unit;
        uint64_t bytes;
    } units[] = {{"b", 1}, {"bytes", 1}, {"KB", 1000}, {"k", 1024}, {"KiB", 1024}, {"MB", 1000000},
        {"M", 1 << 20}, {"MiB", 1 << 20}, {"GB", 1000000000}, {"G", 1 << 30}, {"GiB", 1 << 30},
        {"TiB", UINT64_C(1) << 40}, {"EB", UINT64_C(1000000000000000000)}};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_machine *m;
    char xml[200], **sources;

    (void)state;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        snprintf(xml, sizeof xml, "<domain><memory unit='%s'> 2\n</memory></domain>",
            units[i].unit);
        m = parse(&sources, xml);
        assert_int_equal(m->memory, 2 * units[i].bytes);
        done(m, sources);
    }
    static const char *const bad[] = {"unit='x'>1", "unit='KiBx'>1", "unit='kBB'>1",
        "unit='EiB'>5", "unit='b'>0", "unit='b'>-1", "unit='b'>1.5", "unit='b'>", "unit='b'>1 2",
        "unit='KiB'>99999999999999999999", "unit='KiB'>4611686018427387904"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(xml, sizeof xml, "<domain><memory %s</memory></domain>", bad[i]);
        assert_fails(vmscm_libvirt_parse(&m, &sources, xml, strlen(xml), &err), &err, VMSCM_EINPUT,
            "<memory>");
    }
}

#define DOMAIN(inside) "<domain><memory>1</memory>" inside "</domain>"
#define DEVICES(inside) DOMAIN("<devices>" inside "</devices>")

static void refused(void **state)
{
    static const struct {
        const char *xml;
        int code;
        const char *why;
    } cases[] = {
        {"", VMSCM_EINPUT, "is empty"},
        {"not XML", VMSCM_EINPUT, "line 1"},
        {"<domain>", VMSCM_EINPUT, "line 1"},
        {"<domain>\n<memory>\n</domain>", VMSCM_EINPUT, "line 3"},
        {"<network><memory>1</memory></network>", VMSCM_EINPUT, "its root is <network>"},
        {"<domain/>", VMSCM_EINPUT, "has no <memory>"},
        {DOMAIN("<name>a&#10;b</name>"), VMSCM_EINPUT, "<name>"},
        {DOMAIN("<vcpu>0</vcpu>"), VMSCM_EINPUT, "<vcpu>"},
        {DOMAIN("<vcpu>65537</vcpu>"), VMSCM_EINPUT, "<vcpu>"},
        {DOMAIN("<os><type arch='x/y'/></os>"), VMSCM_EINPUT, "<type>: x/y"},
        {DOMAIN("<os><type machine='a b'/></os>"), VMSCM_EINPUT, "<type>: a b"},
        {DEVICES("<disk><target dev='../x'/></disk>"), VMSCM_EINPUT, "<target>"},
        {DEVICES("<disk><target dev='sda'/></disk><disk><target dev='sda'/></disk>"), VMSCM_EINPUT,
            "two disks"},
        {DEVICES("<disk><target dev='sda' bus='s c'/></disk>"), VMSCM_EINPUT, "<target>: s c"},
        {DEVICES("<disk><source file='a&#127;b'/><target dev='sda'/></disk>"), VMSCM_EINPUT,
            "<source>"},
        {DEVICES("<interface><mac address='52:54:00:12:34'/></interface>"), VMSCM_EINPUT, "<mac>"},
        {DEVICES("<interface><mac address='52:54:00:12:34:5g'/></interface>"), VMSCM_EINPUT,
            "<mac>"},
        {DEVICES("<interface type='a b'/>"), VMSCM_EINPUT, "<interface>"},
        {DEVICES("<interface><source bridge='a&#10;b'/></interface>"), VMSCM_EINPUT, "<source>"},
        {DOMAIN("<name>&undefined;</name>"), VMSCM_EINPUT, "line 1"},
        /* Entities: those that grow, those that read files, those of other hosts. */
        {"<!DOCTYPE d [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
         "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'><!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;'>"
         "<!ENTITY e '&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;'><!ENTITY f '&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;'>"
         "<!ENTITY g '&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;'><!ENTITY h '&g;&g;&g;&g;&g;&g;&g;&g;&g;&g;'>]>"
         "<domain><name>&h;&h;&h;&h;</name><memory>1</memory></domain>",
            VMSCM_EREFUSED, "document type"},
        {"<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"
         "<domain><name>&x;</name><memory>1</memory></domain>",
            VMSCM_EREFUSED, "document type"},
        {"<!DOCTYPE d [<!ENTITY % x SYSTEM 'http://example.org/x'> %x;]>"
         "<domain><memory>1</memory></domain>",
            VMSCM_EREFUSED, "document type"},
        {"<!DOCTYPE domain SYSTEM '/etc/hostname'><domain><memory>1</memory></domain>",
            VMSCM_EREFUSED, "document type"},
        {"<!DOCTYPE domain><domain><memory>1</memory></domain>", VMSCM_EREFUSED, "document type"},
    };
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_machine *m;
    char **sources;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_fails(vmscm_libvirt_parse(&m, &sources, cases[i].xml, strlen(cases[i].xml), &err),
            &err, cases[i].code, cases[i].why);
        assert_null(m);
        assert_null(sources);
    }
    for (size_t len = 0; len + 3 < sizeof q35; len++)
        assert_int_equal(vmscm_libvirt_parse(&m, &sources, q35, len, &err), VMSCM_EINPUT);
}

/* An element repeated up to a size. */
static char *repeat(const char *head, const char *part, size_t count, const char *tail)
{
    size_t n = strlen(head) + count * strlen(part) + strlen(tail) + 1, at = 0;
    char *out = malloc(n);

    assert_non_null(out);
    at += (size_t)snprintf(out, n, "%s", head);
    for (size_t i = 0; i < count; i++, at += strlen(part))
        memcpy(out + at, part, strlen(part));
    snprintf(out + at, n - at, "%s", tail);
    return out;
}

static void bounds(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_machine *m;
    char **sources, *xml;

    (void)state;
    xml = repeat("<domain><memory>1</memory><devices>", "<disk/>", 256, "</devices></domain>");
    assert_done(vmscm_libvirt_parse(&m, &sources, xml, strlen(xml), &err), &err);
    assert_int_equal(m->disk_count, 256);
    assert_string_equal(m->disks[255].id, "disk256");
    done(m, sources);
    free(xml);
    xml = repeat("<domain><memory>1</memory><devices>", "<disk/>", 257, "</devices></domain>");
    assert_fails(vmscm_libvirt_parse(&m, &sources, xml, strlen(xml), &err), &err, VMSCM_EINPUT,
        "more than 256");
    free(xml);
    xml = repeat("<domain><memory>1</memory><devices>", "<interface/>", 257, "</devices></domain>");
    assert_fails(vmscm_libvirt_parse(&m, &sources, xml, strlen(xml), &err), &err, VMSCM_EINPUT,
        "more than 256");
    free(xml);
    xml = repeat("", "<a>", 100000, "");
    assert_fails(vmscm_libvirt_parse(&m, &sources, xml, strlen(xml), &err), &err, VMSCM_EINPUT,
        "line 1");
    free(xml);
    xml = repeat("<domain>", " ", VMSCM_LIBVIRT_MAX, "<memory>1</memory></domain>");
    assert_fails(
        vmscm_libvirt_parse(&m, &sources, xml, strlen(xml), &err), &err, VMSCM_EINPUT, "over");
    free(xml);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_modern_domain),
        cmocka_unit_test(an_old_domain),
        cmocka_unit_test(three_disks),
        cmocka_unit_test(least_domain),
        cmocka_unit_test(memory_units),
        cmocka_unit_test(refused),
        cmocka_unit_test(bounds),
    };
    return unit_run(tests);
}
