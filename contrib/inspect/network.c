/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How the network of a Unix guest is configured, by the files of all that do it. */
#include "guest.h"
#include "netconf.h"

#include <stdlib.h>
#include <string.h>

#define FILES_MAX 256
#define YAML_MAX ((size_t)256 << 10)

static void read_all(guestfs_h *g, json_t *list, const char *pattern,
    void (*read)(json_t *list, const char *source, char **lines))
{
    char **paths = guest_glob(g, pattern);

    for (size_t i = 0; paths && paths[i] && i < FILES_MAX; i++) {
        char **lines = guest_lines(g, paths[i]);
        if (lines)
            read(list, paths[i], lines);
        guest_free_strings(lines);
    }
    guest_free_strings(paths);
}

static void read_netplan(guestfs_h *g, json_t *list)
{
    char **paths = guest_glob(g, "/etc/netplan/*.yaml");
    size_t size;

    for (size_t i = 0; paths && paths[i] && i < FILES_MAX; i++) {
        char *text = guest_bytes(g, paths[i], YAML_MAX, &size);
        if (text)
            netconf_netplan(list, paths[i], text, size);
        free(text);
    }
    guest_free_strings(paths);
}

static void read_nameservers(guestfs_h *g, json_t *system)
{
    static const char key[] = "nameserver";
    char **lines = guest_lines(g, "/etc/resolv.conf");
    json_t *list = facts_list();

    for (size_t i = 0; lines && lines[i]; i++) {
        char *rest = lines[i] + strlen(key);
        if (strncmp(lines[i], key, strlen(key)) == 0 && strspn(rest, " \t"))
            netconf_add_all(list, rest + strspn(rest, " \t"), " \t\r");
    }
    facts_put(system, "nameservers", list);
    guest_free_strings(lines);
}

void network_read(guestfs_h *g, json_t *system)
{
    json_t *list = facts_list();

    read_all(g, list, "/etc/network/interfaces", netconf_interfaces);
    read_all(g, list, "/etc/network/interfaces.d/*", netconf_interfaces);
    read_all(g, list, "/etc/sysconfig/network-scripts/ifcfg-*", netconf_ifcfg);
    read_all(g, list, "/etc/sysconfig/network/ifcfg-*", netconf_ifcfg);
    read_all(g, list, "/etc/NetworkManager/system-connections/*", netconf_keyfile);
    read_all(g, list, "/etc/systemd/network/*.network", netconf_networkd);
    read_netplan(g, list);
    facts_put(system, "network", list);
    read_nameservers(g, system);
}
