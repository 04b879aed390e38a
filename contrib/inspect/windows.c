/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the registry of a Windows guest says. */
#include "productkey.h"
#include "registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PROFILES_MAX 200

/* The product id, "55274-OEM-0011903-00102", is no key: it is shown to everyone. */
static void read_license(guestfs_h *g, int64_t node, json_t *system)
{
    json_t *license = facts_object(), *list = facts_list();
    char part[PRODUCTKEY_PART] = "", channel[65] = "";
    size_t size;
    unsigned char *bytes = registry_bytes(g, node, "DigitalProductId", &size);

    if (bytes)
        productkey_part(part, bytes, size);
    free(bytes);
    if ((bytes = registry_bytes(g, node, "DigitalProductId4", &size)))
        productkey_channel(channel, sizeof channel, bytes, size);
    free(bytes);
    facts_text(license, "channel", channel);
    facts_text(license, "partial_key", part);
    facts_own(license, "product_id", registry_text(g, node, "ProductId"));
    if (json_object_size(license)) {
        facts_text(license, "name", "Windows");
        facts_add(list, license);
    } else {
        json_decref(license);
    }
    facts_put(system, "licenses", list);
}

static void read_version(guestfs_h *g, int64_t top, json_t *system)
{
    int64_t node = registry_path(g, top, "Microsoft\\Windows NT\\CurrentVersion");
    int64_t revision = registry_number(g, node, "UBR");
    char *build = registry_text(g, node, "CurrentBuildNumber"), *pack = registry_text(g, node, "CSDVersion");
    static const char words[] = "Service Pack ";

    if (!build)
        build = registry_text(g, node, "CurrentBuild");
    if (pack && strncmp(pack, words, strlen(words)) == 0 && pack[strlen(words)] >= '0' &&
        pack[strlen(words)] <= '9')
        facts_number(system, "service_pack", pack[strlen(words)] - '0');
    facts_own(system, "service_pack_name", pack);
    facts_own(system, "build", build);
    if (revision >= 0)
        facts_number(system, "build_revision", revision);
    facts_own(system, "edition", registry_text(g, node, "EditionID"));
    facts_own(system, "release", registry_text(g, node, "DisplayVersion"));
    facts_date(system, "installed", registry_number(g, node, "InstallDate"));
    read_license(g, node, system);
}

static void add_profile(guestfs_h *g, int64_t node, const char *sid, void *data)
{
    char *home = registry_text(g, node, "ProfileImagePath");
    const char *last = home ? strrchr(home, '\\') : NULL;

    if (last && last[1]) {
        json_t *user = facts_object();
        facts_text(user, "name", last + 1);
        facts_text(user, "id", sid);
        facts_text(user, "home", home);
        facts_add(data, user);
    }
    free(home);
}

static void read_software(guestfs_h *g, json_t *system, char **inventory)
{
    int64_t top = guestfs_hivex_root(g);
    json_t *users = facts_list();

    if (top <= 0)
        return;
    read_version(g, top, system);
    winpatch_read(g, top, system);
    registry_each(g, registry_path(g, top, "Microsoft\\Windows NT\\CurrentVersion\\ProfileList"),
        add_profile, users);
    facts_put(system, "users", users);
    programs_read(g, top, facts_list_of(system, "applications"), inventory);
}

/* What users installed for themselves alone is in a hive in each profile. */
static void read_profiles(guestfs_h *g, json_t *system)
{
    json_t *users = json_object_get(system, "users"), *apps = facts_list_of(system, "applications");
    size_t count = json_array_size(users);

    for (size_t i = 0; i < count && i < PROFILES_MAX; i++) {
        json_t *user = json_array_get(users, i);
        char *path = NULL, *found = NULL;
        if (asprintf(&path, "%s\\NTUSER.DAT", facts_get(user, "home")) >= 0)
            found = registry_file(g, path);
        if (found && registry_open(g, found)) {
            programs_read_user(g, guestfs_hivex_root(g), facts_get(user, "name"), apps);
            registry_close(g);
        }
        free(found);
        free(path);
    }
}

/* Drivers and programs by which one sees for which platform it is prepared. */
static const char *agent_of(const char *service)
{
    static const char *const agents[][2] = {{"VMTools", "open-vm-tools"}, {"QEMU-GA", "qemu-guest-agent"},
        {"VBoxService", "virtualbox-guest-additions"}, {"cloudbase-init", "cloudbase-init"},
        {"xenagent", "xe-guest-utilities"}, {"xensvc", "xe-guest-utilities"}, {"vdservice", "spice-vdagent"},
        {"spice-agent", "spice-vdagent"}, {"WindowsAzureGuestAgent", "walinuxagent"},
        {"AmazonSSMAgent", "amazon-ssm-agent"}, {"GCEAgent", "google-guest-agent"}};

    for (size_t i = 0; i < sizeof agents / sizeof agents[0]; i++)
        if (strcasecmp(service, agents[i][0]) == 0)
            return agents[i][1];
    return NULL;
}

static void add_service(guestfs_h *g, int64_t node, const char *name, void *data)
{
    int64_t start = registry_number(g, node, "Start");
    int64_t type = start >= 0 ? registry_number(g, node, "Type") : -1;
    const char *agent = agent_of(name);

    /* Started automatically, and a program rather than a driver. */
    if (start == 2 && type >= 0x10)
        facts_add_text(facts_list_of(data, "services"), name);
    if (agent)
        facts_add_text(facts_list_of(data, "agents"), agent);
}

static void read_shutdown(guestfs_h *g, int64_t control_set, json_t *system)
{
    size_t size;
    unsigned char *bytes = registry_bytes(g, registry_path(g, control_set, "Control\\Windows"),
        "ShutdownTime", &size);

    if (bytes && size == 8)
        facts_date(system, "last_shutdown", registry_filetime(bytes));
    free(bytes);
}

/* No value says when it was booted. The prefetcher counts it here each time. */
static void read_boot(guestfs_h *g, const char *hive, int64_t control_set, json_t *system)
{
    int64_t node = registry_path(
        g, control_set, "Control\\Session Manager\\Memory Management\\PrefetchParameters");

    if (registry_number(g, node, "BootId") > 0)
        facts_date(system, "last_boot", registry_written(g, hive, node));
}

/* Before Vista an edition is a suite. */
static void read_suite(guestfs_h *g, int64_t control_set, json_t *system)
{
    json_t *suites = facts_list();

    registry_texts(g, registry_path(g, control_set, "Control\\ProductOptions"), "ProductSuite", suites);
    for (size_t i = 0; i < json_array_size(suites); i++) {
        const char *suite = json_string_value(json_array_get(suites, i));
        if (!*facts_get(system, "edition") && strcmp(suite, "Terminal Server") != 0)
            facts_text(system, "edition", suite);
    }
    json_decref(suites);
}

static void read_control_set(guestfs_h *g, const char *hive, const char *name, json_t *system)
{
    int64_t top = guestfs_hivex_root(g), at = top > 0 ? registry_path(g, top, name) : 0;
    int64_t zone = registry_path(g, at, "Control\\TimeZoneInformation");
    char *timezone = registry_text(g, zone, "TimeZoneKeyName");
    json_t *swap = facts_list();

    facts_own(system, "timezone", timezone ? timezone : registry_text(g, zone, "StandardName"));
    registry_each(g, registry_path(g, at, "Services"), add_service, system);
    read_shutdown(g, at, system);
    read_boot(g, hive, at, system);
    read_suite(g, at, system);
    registry_texts(g, registry_path(g, at, "Control\\Session Manager\\Memory Management"),
        "PagingFiles", swap);
    facts_put(system, "swap", swap);
    winnet_read(g, at, system);
}

static void read_accounts(guestfs_h *g, const char *software, json_t *system)
{
    char *path = NULL, *found;
    int len = (int)(strrchr(software, '/') - software);

    if (asprintf(&path, "%.*s/SAM", len, software) < 0)
        return;
    found = guestfs_case_sensitive_path(g, path);
    if (found && registry_open(g, found)) {
        accounts_read(g, guestfs_hivex_root(g), system);
        registry_close(g);
    }
    free(found);
    free(path);
}

void windows_read(const struct guest *guest, const char *root, json_t *system)
{
    guestfs_h *g = guest->g;
    char *software = guestfs_inspect_get_windows_software_hive(g, root);
    char *hive = guestfs_inspect_get_windows_system_hive(g, root);
    char *set = guestfs_inspect_get_windows_current_control_set(g, root);
    char *inventory = NULL, *dir;

    if (registry_open(g, software)) {
        read_software(g, system, &inventory);
        registry_close(g);
    }
    if (set && registry_open(g, hive)) {
        read_control_set(g, hive, set, system);
        registry_close(g);
    }
    read_profiles(g, system);
    if (software && strchr(software, '/'))
        read_accounts(g, software, system);
    if (inventory && (dir = registry_file(g, inventory))) {
        oracle_read_inventory(g, dir, registry_file, facts_list_of(system, "applications"));
        free(dir);
    }
    bcd_read(guest, root, system);
    free(inventory);
    free(software);
    free(hive);
    free(set);
}
