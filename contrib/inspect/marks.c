/* SPDX-License-Identifier: GPL-3.0-or-later */
/* By which files one sees which platform a Unix guest is prepared for, and what it is registered
 * with. */
#include "guest.h"

#include <stdlib.h>
#include <string.h>

struct mark {
    const char *name, *paths[4];
};

static int is_there(guestfs_h *g, const struct mark *mark)
{
    for (size_t i = 0; i < 4 && mark->paths[i]; i++) {
        char **found = guest_glob(g, mark->paths[i]);
        int yes = found && found[0];
        guest_free_strings(found);
        if (yes)
            return 1;
    }
    return 0;
}

static void read_agents(guestfs_h *g, json_t *system)
{
    static const struct mark agents[] = {{"cloud-init", {"/usr/bin/cloud-init"}},
        {"qemu-guest-agent", {"/usr/sbin/qemu-ga", "/usr/bin/qemu-ga"}},
        {"open-vm-tools", {"/usr/bin/vmtoolsd", "/usr/sbin/vmtoolsd"}},
        {"virtualbox-guest-additions", {"/usr/sbin/VBoxService", "/usr/bin/VBoxService"}},
        {"xe-guest-utilities", {"/usr/sbin/xe-daemon", "/usr/sbin/xe-linux-distribution"}},
        {"hyperv-daemons", {"/usr/sbin/hv_kvp_daemon", "/usr/sbin/hypervkvpd"}},
        {"spice-vdagent", {"/usr/bin/spice-vdagent"}},
        {"walinuxagent", {"/usr/sbin/waagent", "/usr/bin/waagent"}},
        {"amazon-ssm-agent", {"/usr/bin/amazon-ssm-agent", "/usr/sbin/amazon-ssm-agent"}},
        {"google-guest-agent", {"/usr/bin/google_guest_agent"}},
        {"ignition", {"/usr/lib/dracut/modules.d/30ignition"}}};
    json_t *list = facts_list();

    for (size_t i = 0; i < sizeof agents / sizeof agents[0]; i++)
        if (is_there(g, &agents[i]))
            facts_add_text(list, agents[i].name);
    facts_put(system, "agents", list);
}

static void put_syspurpose(guestfs_h *g, json_t *license)
{
    size_t size;
    char *text = guest_bytes(g, "/etc/rhsm/syspurpose/syspurpose.json", 65536, &size);
    json_t *purpose = text ? json_loadb(text, size, 0, NULL) : NULL;

    facts_text(license, "channel", facts_get(purpose, "usage"));
    facts_text(license, "level", facts_get(purpose, "service_level_agreement"));
    json_decref(purpose);
    free(text);
}

/* That it has certificates or tokens: these themselves are secrets, and are not read. */
static void read_licenses(guestfs_h *g, json_t *system)
{
    static const struct mark rights[] = {{"RHEL subscription", {"/etc/pki/consumer/cert.pem"}},
        {"RHN", {"/etc/sysconfig/rhn/systemid"}},
        {"SUSE registration", {"/etc/zypp/credentials.d/SCCcredentials"}},
        {"Ubuntu Pro", {"/var/lib/ubuntu-advantage/private/machine-token.json"}}};
    json_t *list = facts_list();

    for (size_t i = 0; i < sizeof rights / sizeof rights[0]; i++) {
        if (!is_there(g, &rights[i]))
            continue;
        json_t *license = facts_object();
        facts_text(license, "name", rights[i].name);
        if (i == 0)
            put_syspurpose(g, license);
        facts_add(list, license);
    }
    facts_put(system, "licenses", list);
}

void marks_read(guestfs_h *g, json_t *system)
{
    read_agents(g, system);
    read_licenses(g, system);
}
