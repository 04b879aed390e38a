/* SPDX-License-Identifier: GPL-3.0-or-later */
/* contrib/inspect: what is made of the configuration files and records of guests. */
#include "bootconf.h"
#include "mountable.h"
#include "netconf.h"
#include "productkey.h"
#include "rpmheader.h"
#include "unit.h"
#include "utmp.h"

#define LINES_MAX 64

typedef void (*network_fn)(json_t *list, const char *source, char **lines);
typedef int (*boot_fn)(json_t *system, char **lines);

/* The text's lines, which it becomes. */
static char **split(char *lines[LINES_MAX + 1], char *text)
{
    size_t count = 0;

    for (char *line; (line = strsep(&text, "\n")) && count < LINES_MAX;)
        lines[count++] = line;
    lines[count] = NULL;
    return lines;
}

static void check_json(json_t *value, const char *expected)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);

    assert_string_equal(text, expected);
    free(text);
    json_decref(value);
}

static void check_network(
    network_fn read, const char *source, const char *text, const char *expected)
{
    char *copy = strdup(text), *lines[LINES_MAX + 1];
    json_t *list = facts_list();

    read(list, source, split(lines, copy));
    for (size_t i = 0; i < json_array_size(list); i++)
        json_object_del(json_array_get(list, i), "source");
    check_json(list, expected);
    free(copy);
}

static void networks(void **state)
{
    static const char netplan[] =
        "network:\n  version: 2\n  ethernets:\n    eth0:\n      dhcp4: true\n"
        "    eth1:\n      match: {macaddress: '52:54:00:00:00:01'}\n      addresses: [10.0.0.2/24,"
        " {\"fd00::2/64\": {lifetime: 0}}]\n      routes: [{to: default, via: 10.0.0.1}, {to: "
        "10.9.0.0/16, via: 10.0.0.9}]\n"
        "      nameservers: {addresses: [1.1.1.1]}\n  wifis:\n    wlan0:\n      access-points: "
        "{home: {password: SECRET}}\n";
    json_t *list = facts_list();

    (void)state;
    check_network(netconf_interfaces, "",
        "# about\nauto lo eth0\niface lo inet loopback\niface eth0 inet static\n\taddress "
        "10.0.0.2\n"
        "\tnetmask 255.255.240.0\n\tgateway 10.0.0.1\n\tdns-nameservers 1.1.1.1 8.8.8.8\niface "
        "eth1 inet dhcp\n"
        "  hwaddress ether 52:54:00:00:00:01\n  wpa-psk SECRET\niface eth2 inet static\n  address "
        "10.1.0.2/16",
        "[{\"addresses\":[\"10.0.0.2/"
        "20\"],\"dns\":[\"1.1.1.1\",\"8.8.8.8\"],\"gateways\":[\"10.0.0.1\"],"
        "\"interface\":\"eth0\",\"method\":\"static\"},{\"interface\":\"eth1\",\"mac\":\"52:54:00:"
        "00:00:01\",\"method\":\"dhcp\"},"
        "{\"addresses\":[\"10.1.0.2/16\"],\"interface\":\"eth2\",\"method\":\"static\"}]");
    check_network(netconf_ifcfg, "/etc/sysconfig/network-scripts/ifcfg-eth0",
        "DEVICE=\"eth0\"\nBOOTPROTO=none\nIPADDR=10.0.0.2\nPREFIX=24\nIPADDR1=10.0.1.2\nNETMASK1="
        "255.255.0.0\n"
        "GATEWAY=10.0.0.1\nDNS1=1.1.1.1\n#DNS2=2.2.2.2\nHWADDR=52:54:00:00:00:01\n",
        "[{\"addresses\":[\"10.0.0.2/24\",\"10.0.1.2/"
        "16\"],\"dns\":[\"1.1.1.1\"],\"gateways\":[\"10.0.0.1\"],"
        "\"interface\":\"eth0\",\"mac\":\"52:54:00:00:00:01\",\"method\":\"none\"}]");
    check_network(netconf_ifcfg, "/etc/sysconfig/network/ifcfg-eth1", "BOOTPROTO='dhcp'\n",
        "[{\"interface\":\"eth1\",\"method\":\"dhcp\"}]");
    check_network(netconf_ifcfg, "/etc/sysconfig/network/ifcfg-lo", "IPADDR=127.0.0.1\n", "[]");
    check_network(netconf_keyfile, "",
        "[connection]\nid=Wired 1\ninterface-name=ens3\n[802-11-wireless-security]\n"
        "psk=SECRET\n[ipv4]\nmethod=manual\naddress1=10.0.0.2/"
        "24,10.0.0.1\ndns=1.1.1.1;8.8.8.8;\n[ipv6]\n"
        "method=auto\naddress1=fd00::2/64\n",
        "[{\"addresses\":[\"10.0.0.2/24\",\"fd00::2/"
        "64\"],\"dns\":[\"1.1.1.1\",\"8.8.8.8\"],\"gateways\":[\"10.0.0.1\"],"
        "\"interface\":\"ens3\",\"method\":\"static\"}]");
    check_network(netconf_keyfile, "", "[connection]\nid=Wired 1\n[ipv4]\nmethod=auto\n",
        "[{\"interface\":\"Wired 1\",\"method\":\"dhcp\"}]");
    check_network(netconf_networkd, "",
        "[Match]\nName=en*\n\n[Network]\nDHCP=ipv4\nDNS=1.1.1.1 8.8.8.8\n[Address]\n"
        "Address = 10.0.0.2/24\n[Route]\nGateway=10.0.0.1\n",
        "[{\"addresses\":[\"10.0.0.2/"
        "24\"],\"dns\":[\"1.1.1.1\",\"8.8.8.8\"],\"gateways\":[\"10.0.0.1\"],"
        "\"interface\":\"en*\",\"method\":\"dhcp\"}]");
    netconf_netplan(list, "f", netplan, strlen(netplan));
    netconf_netplan(list, "f", "network: [", strlen("network: ["));
    netconf_netplan(list, "f", "- a\n", strlen("- a\n"));
    check_json(list, "[{\"interface\":\"eth0\",\"method\":\"dhcp\",\"source\":\"f\"},"
                     "{\"addresses\":[\"10.0.0.2/24\",\"fd00::2/"
                     "64\"],\"dns\":[\"1.1.1.1\"],\"gateways\":[\"10.0.0.1\"],"
                     "\"interface\":\"eth1\",\"mac\":\"52:54:00:00:00:01\",\"method\":\"static\","
                     "\"source\":\"f\"},"
                     "{\"interface\":\"wlan0\",\"source\":\"f\"}]");
}

static void check_boot(boot_fn read, const char *text, const char *expected)
{
    char *copy = strdup(text), *lines[LINES_MAX + 1];
    json_t *system = facts_object();

    assert_int_equal(read(system, split(lines, copy)), strcmp(expected, "{}") != 0);
    check_json(system, expected);
    free(copy);
}

static const char *saved;

static int read_grub(json_t *system, char **lines)
{
    return bootconf_grub(system, lines, saved);
}

static int read_entry(json_t *system, char **lines)
{
    return bootconf_entry(system, "systemd-boot", lines);
}

#define GRUB(title, kernel)                                                                        \
    "{\"boot_loader\":\"grub\",\"default_boot\":\"" title "\",\"default_kernel\":\"" kernel "\"}"

static void boots(void **state)
{
#define MENU                                                                                       \
    "function load_video {\n  insmod x\n}\n"                                                       \
    "menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'simple' {\n"                \
    "\tlinux\t/boot/vmlinuz-6.1.0-18-amd64 root=UUID=1 ro quiet\n}\n"                              \
    "submenu 'Advanced options' $menuentry_id_option 'advanced' {\n"                               \
    "\tmenuentry 'With 6.1' $menuentry_id_option 'new' {\n\t\tlinux "                              \
    "/boot/vmlinuz-6.1.0-18-amd64\n\t}\n"                                                          \
    "\tmenuentry 'With 5.10' --id old {\n\t\tlinux /boot/vmlinuz-5.10.0-28-amd64\n\t}\n}\n"        \
    "menuentry 'Memory test' {\n\tlinux16 /boot/memtest86+x32.bin\n}\n"
    static const char next[] = "if [ \"${next_entry}\" ] ; then\n   set "
                               "default=\"${next_entry}\"\nelse\n   set default=\"%s\"\nfi\n" MENU;
    static const char *const cases[][3] = {{"0", "", GRUB("Debian GNU/Linux", "6.1.0-18-amd64")},
        {"1", "", GRUB("With 6.1", "6.1.0-18-amd64")},
        {"1>1", "", GRUB("With 5.10", "5.10.0-28-amd64")},
        {"advanced>old", "", GRUB("With 5.10", "5.10.0-28-amd64")},
        {"Advanced options>With 5.10", "", GRUB("With 5.10", "5.10.0-28-amd64")},
        {"2", "", GRUB("Memory test", "memtest86+x32.bin")},
        {"nothing", "", GRUB("Debian GNU/Linux", "6.1.0-18-amd64")},
        {"${saved_entry}", "advanced>old", GRUB("With 5.10", "5.10.0-28-amd64")},
        {"${saved_entry}", "", GRUB("Debian GNU/Linux", "6.1.0-18-amd64")}};
    char text[2048];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *mark = strstr(memcpy(text, next, sizeof next), "%s");
        size_t before = (size_t)(mark - text);
        snprintf(text + before, sizeof text - before, "%s%s", cases[i][0], next + before + 2);
        saved = cases[i][1];
        check_boot(read_grub, text, cases[i][2]);
    }
    check_boot(read_grub, "set default=\"0\"\n", "{}");
    check_boot(bootconf_grub_legacy,
        "default=1\ntimeout 5\ntitle One\n\tkernel /vmlinuz-1 ro\ntitle Two\n\troot (hd0,0)\n"
        "\tkernel /vmlinuz-2.6.32 ro\n",
        "{\"boot_loader\":\"grub legacy\",\"default_boot\":\"Two\",\"default_kernel\":\"2.6.32\"}");
    check_boot(bootconf_extlinux,
        "DEFAULT virt\nLABEL other\n  KERNEL vmlinuz-lts\nLABEL virt\n  MENU LABEL Linux virt\n"
        "  LINUX /boot/vmlinuz-virt\nLABEL last\n  LINUX x\n",
        "{\"boot_loader\":\"extlinux\",\"default_boot\":\"Linux "
        "virt\",\"default_kernel\":\"virt\"}");
    check_boot(bootconf_ini,
        "[boot loader]\r\ntimeout=30\r\ndefault=multi(0)disk(0)rdisk(0)partition(1)\\WINDOWS\r\n"
        "[operating systems]\r\nmulti(0)disk(0)rdisk(0)partition(1)\\WINDOWS=\"Windows Server "
        "2003, Standard\" /fastdetect\r\n",
        "{\"boot_loader\":\"ntldr\",\"default_boot\":\"Windows Server 2003, Standard\"}");
    check_boot(read_entry,
        "title Fedora Linux 39\nversion 6.5\nlinux /vmlinuz-6.5.6-300.fc39.x86_64\n",
        "{\"boot_loader\":\"systemd-boot\",\"default_boot\":\"Fedora Linux "
        "39\",\"default_kernel\":\"6.5.6-300.fc39.x86_64\"}");
}

static void put32(char *p, uint32_t n)
{
    for (size_t i = 0; i < 4; i++)
        p[i] = (char)(n >> i * 8);
}

static void record(char *at, int type, const char *user, uint32_t seconds)
{
    memset(at, 0, UTMP_SIZE);
    at[0] = (char)type;
    memcpy(at + 44, user, strlen(user));
    put32(at + 340, seconds);
}

static void logins(void **state)
{
    char bytes[UTMP_SIZE * 5 + 10] = {0}, last[LASTLOG_SIZE] = {0};
    json_t *system = json_loads("{\"users\":[{\"name\":\"ann\"},{\"name\":\"bob\"}]}", 0, NULL),
           *bob;

    (void)state;
    record(bytes, 2, "reboot", 1000000000);
    record(bytes + UTMP_SIZE, 7, "ann", 1000000100);
    record(bytes + UTMP_SIZE * 2, 7, "ann", 1000000050);
    record(bytes + UTMP_SIZE * 3, 1, "shutdown", 1000000200);
    /* A name without a zero behind it is no longer than it may be. */
    record(bytes + UTMP_SIZE * 4, 7, "a name of thirty-two characters.and its host", 1000000300);
    utmp_read(system, bytes, sizeof bytes);
    put32(last, 1000000400);
    bob = json_array_get(json_object_get(system, "users"), 1);
    utmp_put_login(bob, utmp_lastlog(last));
    utmp_put_login(bob, 1000000399);
    check_json(system, "{\"last_boot\":\"2001-09-09T01:46:40+00:00\",\"last_shutdown\":\"2001-09-"
                       "09T01:50:00+00:00\","
                       "\"users\":[{\"last_login\":\"2001-09-09T01:48:20+00:00\",\"name\":\"ann\"},"
                       "{\"last_login\":\"2001-09-09T01:53:20+00:00\",\"name\":\"bob\"}]}");
}

static size_t put_entry(unsigned char *at, uint32_t tag, uint32_t type, uint32_t offset)
{
    const uint32_t values[] = {tag, type, offset, 1};

    for (size_t i = 0; i < 16; i++)
        at[i] = (unsigned char)(values[i / 4] >> (24 - i % 4 * 8));
    return 16;
}

/* Of every length that is too short, nothing is made but what is in it. */
static void packages(void **state)
{
    static const char data[] = "hello\0002.12\0004.fc39\0\0\0\0\2\x3b\x9a\xca\0MIT";
    unsigned char bytes[256] = {0, 0, 0, 6, 0, 0, 0, sizeof data};
    size_t size = 8;

    (void)state;
    size += put_entry(bytes + size, 1000, 6, 0);
    size += put_entry(bytes + size, 1001, 6, 6);
    size += put_entry(bytes + size, 1002, 9, 11);
    size += put_entry(bytes + size, 1003, 4, 18);
    size += put_entry(bytes + size, 1008, 4, 22);
    size += put_entry(bytes + size, 1014, 6, 26);
    memcpy(bytes + size, data, sizeof data);
    size += sizeof data;
    check_json(rpmheader_read(bytes, size), "{\"date\":\"2001-09-09T01:46:40+00:00\",\"epoch\":2,"
                                            "\"license\":\"MIT\",\"name\":\"hello\","
                                            "\"release\":\"4.fc39\",\"version\":\"2.12\"}");
    for (size_t i = 0; i < size; i++)
        assert_null(rpmheader_read(bytes, i));
    /* An offset behind the end, and a text that has none. */
    put_entry(bytes + 8, 1000, 6, sizeof data);
    assert_null(rpmheader_read(bytes, size));
    put_entry(bytes + 8, 1000, 6, 26);
    bytes[size - 1] = 'x';
    assert_null(rpmheader_read(bytes, size));
}

/* Keys that Microsoft publishes for everybody, as they are kept. */
static void keys(void **state)
{
    static const struct {
        unsigned char bytes[15];
        const char *part;
    } known[] = {
        {{0x7d, 0x29, 0xd9, 0xaf, 0x2c, 0x54, 0x91, 0x7d, 0xd6, 0xec, 0xd2, 0x33, 0x11, 0xd2, 0x04},
            "HVTHH"},
        {{0xef, 0x0c, 0x10, 0x00, 0x00, 0x00, 0x34, 0x3d, 0xc5, 0x39, 0x4e, 0xbd, 0x6e, 0x2f, 0x09},
            "T83GX"},
        {{0x34, 0xbb, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x56, 0xe3, 0x77, 0xae, 0xa6, 0x0d},
            "T8N3G"},
        {{0}, ""}};
    unsigned char id[0x4f8] = {0};
    char part[PRODUCTKEY_PART], channel[32];

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        memcpy(id + 52, known[i].bytes, 15);
        productkey_part(part, id, 164);
        assert_string_equal(part, known[i].part);
        productkey_part(part, id, 60);
        assert_string_equal(part, "");
    }
    for (size_t i = 0; i < strlen("Volume:GVLK"); i++)
        id[0x3f8 + i * 2] = (unsigned char)"Volume:GVLK"[i];
    productkey_channel(channel, sizeof channel, id, sizeof id);
    assert_string_equal(channel, "Volume:GVLK");
    productkey_channel(channel, sizeof channel, id, 0x3f8);
    assert_string_equal(channel, "");
}

/* As libguestfs lists them where the kernel has the disks in another order: what it calls sdb is its sdc. */
static void subvolumes(void **state)
{
    static char names[][32] = {"/dev/sda", "ext4", "/dev/sdb", "btrfs", "btrfsvol:/dev/sdc/@", "btrfs",
        "btrfsvol:/dev/sdc/@/a/b", "btrfs", "/dev/sdc1", "btrfs", "btrfsvol:/dev/sdb1/@", "btrfs", "/dev/sdd",
        "btrfs", "btrfsvol:/dev/sdd/x", "btrfs", "/dev/vg/a", "btrfs", "btrfsvol:/dev/vg/a/x/y", "btrfs"};
    static const struct {
        const char *said, *own, *device, *subvolume;
    } cases[] = {{"/dev/sda", "/dev/sda", NULL, NULL},
        {"btrfsvol:/dev/sdc/@", "btrfsvol:/dev/sdb/@", "/dev/sdb", "@"},
        {"btrfsvol:/dev/sdc/@/a/b", "btrfsvol:/dev/sdb/@/a/b", "/dev/sdb", "@/a/b"},
        {"btrfsvol:/dev/sdc/of its own", "btrfsvol:/dev/sdb/of its own", "/dev/sdb", "of its own"},
        {"btrfsvol:/dev/sdb1/@", "btrfsvol:/dev/sdc1/@", "/dev/sdc1", "@"},
        {"btrfsvol:/dev/sdd/x", "btrfsvol:/dev/sdd/x", "/dev/sdd", "x"},
        {"btrfsvol:/dev/vg/a/x/y", "btrfsvol:/dev/vg/a/x/y", "/dev/vg/a", "x/y"},
        {"btrfsvol:/dev/sdx/y", "btrfsvol:/dev/sdx/y", NULL, NULL},
        {"btrfsvol:", "btrfsvol:", NULL, NULL}};
    char *list[sizeof names / sizeof names[0] + 1] = {NULL};
    const char *subvolume;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        list[i] = names[i];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *own = mountable_own(cases[i].said, list), *device = mountable_device(own, list, &subvolume);
        assert_string_equal(own, cases[i].own);
        assert_string_equal(device ? device : "-", cases[i].device ? cases[i].device : "-");
        assert_string_equal(subvolume ? subvolume : "-", cases[i].subvolume ? cases[i].subvolume : "-");
        free(device);
        free(own);
        own = mountable_own(cases[i].said, NULL);
        assert_string_equal(own, cases[i].said);
        free(own);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(networks), cmocka_unit_test(boots),
        cmocka_unit_test(logins), cmocka_unit_test(keys), cmocka_unit_test(packages),
        cmocka_unit_test(subvolumes)};

    return unit_run(tests);
}
