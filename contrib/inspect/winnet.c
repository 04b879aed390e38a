/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How the network of a Windows guest is configured. */
#include "netconf.h"
#include "registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    json_t *list;
    int64_t names; /* of connections, by the same keys */
};

static void add_interface(guestfs_h *g, int64_t node, const char *key, void *data)
{
    const struct reading *r = data;
    const char *const path[] = {key, "Connection", NULL};
    int dhcp = registry_number(g, node, "EnableDHCP") == 1;
    json_t *entry = facts_object(), *addresses = facts_list(), *masks = facts_list();
    json_t *gateways = facts_list(), *dns = facts_list();
    char *name = registry_text(g, registry_find(g, r->names, path), "Name");
    char *servers = registry_text(g, node, "NameServer");

    facts_text(entry, "interface", name ? name : key);
    facts_text(entry, "method", dhcp ? "dhcp" : "static");
    facts_text(entry, "source", "registry");
    if (dhcp) {
        registry_texts(g, node, "DhcpIPAddress", addresses);
    } else {
        registry_texts(g, node, "IPAddress", addresses);
        registry_texts(g, node, "SubnetMask", masks);
        registry_texts(g, node, "DefaultGateway", gateways);
    }
    for (size_t i = 0; i < json_array_size(addresses); i++) {
        const char *address = json_string_value(json_array_get(addresses, i));
        if (strcmp(address, "0.0.0.0") != 0)
            netconf_address(facts_list_of(entry, "addresses"), address,
                json_string_value(json_array_get(masks, i)));
    }
    netconf_add_all(dns, servers, " ,");
    facts_put(entry, "gateways", gateways);
    facts_put(entry, "dns", dns);
    /* What never had a connection or an address is left of old hardware, or no interface. */
    if (name || json_object_get(entry, "addresses"))
        facts_add(r->list, entry);
    else
        json_decref(entry);
    json_decref(addresses);
    json_decref(masks);
    free(name);
    free(servers);
}

void winnet_read(guestfs_h *g, int64_t control_set, json_t *system)
{
    struct reading reading = {facts_list(),
        registry_path(g, control_set, "Control\\Network\\{4D36E972-E325-11CE-BFC1-08002BE10318}")};
    int64_t parameters = registry_path(g, control_set, "Services\\Tcpip\\Parameters");

    registry_each(g, registry_path(g, parameters, "Interfaces"), add_interface, &reading);
    facts_put(system, "network", reading.list);
    facts_own(system, "domain", registry_text(g, parameters, "Domain"));
}
