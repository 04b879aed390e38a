/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the registry of a Windows guest says. Hives are read within the appliance: they may be hostile. */
#include "facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REG_DWORD 4

/* The node below `at` by its keys; 0 if there is none. */
static int64_t find(guestfs_h *g, int64_t at, const char *const *keys)
{
    for (; at > 0 && *keys; keys++)
        at = guestfs_hivex_node_get_child(g, at, *keys);
    return at > 0 ? at : 0;
}

/* The caller's; NULL if it is not there, or no text. */
static char *text(guestfs_h *g, int64_t node, const char *key)
{
    int64_t value = node ? guestfs_hivex_node_get_value(g, node, key) : 0;
    int64_t type = value > 0 ? guestfs_hivex_value_type(g, value) : -1;

    return type == 1 || type == 2 ? guestfs_hivex_value_string(g, value) : NULL;
}

/* -1 if it is not there. */
static int64_t number(guestfs_h *g, int64_t node, const char *key)
{
    int64_t value = node ? guestfs_hivex_node_get_value(g, node, key) : 0, out = -1;
    size_t size;

    if (value <= 0 || guestfs_hivex_value_type(g, value) != REG_DWORD)
        return -1;
    unsigned char *bytes = (unsigned char *)guestfs_hivex_value_value(g, value, &size);
    if (bytes && size == 4)
        out = (int64_t)bytes[0] | (int64_t)bytes[1] << 8 | (int64_t)bytes[2] << 16 |
            (int64_t)bytes[3] << 24;
    free(bytes);
    return out;
}

static void read_version(guestfs_h *g, int64_t top, json_t *system)
{
    static const char *const keys[] = {"Microsoft", "Windows NT", "CurrentVersion", NULL};
    int64_t node = find(g, top, keys), revision = number(g, node, "UBR");
    char *build = text(g, node, "CurrentBuildNumber"), *pack = text(g, node, "CSDVersion");
    static const char words[] = "Service Pack ";

    if (!build)
        build = text(g, node, "CurrentBuild");
    if (pack && strncmp(pack, words, strlen(words)) == 0 && pack[strlen(words)] >= '0' &&
        pack[strlen(words)] <= '9')
        facts_number(system, "service_pack", pack[strlen(words)] - '0');
    facts_own(system, "service_pack_name", pack);
    facts_own(system, "build", build);
    if (revision >= 0)
        facts_number(system, "build_revision", revision);
    facts_own(system, "edition", text(g, node, "EditionID"));
    facts_own(system, "release", text(g, node, "DisplayVersion"));
}

/* "10.2.0" of "C:\oracle\product\10.2.0\db_1", or "10" of a name like "OraDb10g_home1". */
static void put_oracle_version(json_t *app, const char *home, const char *name)
{
    char found[32];
    const char *digit;

    for (const char *p = home; p; p = strpbrk(p, "\\/")) {
        p += strspn(p, "\\/");
        size_t len = strspn(p, "0123456789.");
        if (len > 2 && len < sizeof found && memchr(p, '.', len) && (!p[len] || strchr("\\/", p[len]))) {
            memcpy(found, p, len);
            found[len] = '\0';
            facts_text(app, "version", found);
            return;
        }
        if (!*p)
            break;
    }
    digit = name ? strpbrk(name, "123456789") : NULL;
    size_t len = digit ? strspn(digit, "0123456789") : 0;
    if (len && len < 3 && digit[len] && strchr("icgIGC", digit[len])) {
        memcpy(found, digit, len);
        found[len] = '\0';
        facts_text(app, "version", found);
    }
}

/* Oracle's products register their homes in keys of their own. */
static void read_oracle(guestfs_h *g, int64_t oracle, json_t *list)
{
    struct guestfs_hivex_node_list *keys = oracle ? guestfs_hivex_node_children(g, oracle) : NULL;

    for (uint32_t i = 0; keys && i < keys->len; i++) {
        int64_t node = keys->val[i].hivex_node_h;
        char *home = text(g, node, "ORACLE_HOME"), *name = text(g, node, "ORACLE_HOME_NAME");
        char *bundle = text(g, node, "ORACLE_BUNDLE_NAME"), *label = NULL;
        if (home && asprintf(&label, "Oracle %s%s%s", bundle ? bundle : "home",
                        name ? " " : "", name ? name : "") >= 0) {
            json_t *app = facts_object();
            facts_own(app, "name", label);
            put_oracle_version(app, home, name);
            facts_text(app, "publisher", "Oracle Corporation");
            facts_text(app, "path", home);
            facts_text(app, "origin", "registry");
            facts_add(list, app);
        }
        free(home);
        free(name);
        free(bundle);
    }
    guestfs_free_hivex_node_list(keys);
}

static void read_profiles(guestfs_h *g, int64_t top, json_t *system)
{
    static const char *const keys[] = {"Microsoft", "Windows NT", "CurrentVersion", "ProfileList",
        NULL};
    int64_t at = find(g, top, keys);
    struct guestfs_hivex_node_list *nodes = at ? guestfs_hivex_node_children(g, at) : NULL;
    json_t *list = facts_list();

    for (uint32_t i = 0; nodes && i < nodes->len; i++) {
        int64_t node = nodes->val[i].hivex_node_h;
        char *sid = guestfs_hivex_node_name(g, node), *home = text(g, node, "ProfileImagePath");
        const char *last = home ? strrchr(home, '\\') : NULL;
        if (last && last[1] && sid) {
            json_t *user = facts_object();
            facts_text(user, "name", last + 1);
            facts_text(user, "id", sid);
            facts_text(user, "home", home);
            facts_add(list, user);
        }
        free(sid);
        free(home);
    }
    guestfs_free_hivex_node_list(nodes);
    facts_put(system, "users", list);
}

static void read_software(guestfs_h *g, json_t *system)
{
    static const char *const oracle[] = {"ORACLE", NULL};
    static const char *const oracle32[] = {"Wow6432Node", "ORACLE", NULL};
    int64_t top = guestfs_hivex_root(g);
    json_t *apps = json_object_get(system, "applications");

    if (top <= 0)
        return;
    read_version(g, top, system);
    read_profiles(g, top, system);
    apps = apps ? json_incref(apps) : facts_list();
    read_oracle(g, find(g, top, oracle), apps);
    read_oracle(g, find(g, top, oracle32), apps);
    facts_put(system, "applications", apps);
}

static void read_services(guestfs_h *g, int64_t control_set, json_t *system)
{
    static const char *const keys[] = {"Services", NULL};
    int64_t at = find(g, control_set, keys);
    struct guestfs_hivex_node_list *nodes = at ? guestfs_hivex_node_children(g, at) : NULL;
    json_t *list = facts_list();

    for (uint32_t i = 0; nodes && i < nodes->len; i++) {
        int64_t start = number(g, nodes->val[i].hivex_node_h, "Start");
        int64_t type = number(g, nodes->val[i].hivex_node_h, "Type");
        /* Started automatically, and a program rather than a driver. */
        if (start == 2 && type >= 0x10) {
            char *name = guestfs_hivex_node_name(g, nodes->val[i].hivex_node_h);
            if (name)
                facts_add_text(list, name);
            free(name);
        }
    }
    guestfs_free_hivex_node_list(nodes);
    facts_put(system, "services", list);
}

static void read_control_set(guestfs_h *g, const char *name, json_t *system)
{
    const char *const set[] = {name, NULL};
    static const char *const zone[] = {"Control", "TimeZoneInformation", NULL};
    int64_t top = guestfs_hivex_root(g), at = top > 0 ? find(g, top, set) : 0;
    char *timezone = text(g, find(g, at, zone), "TimeZoneKeyName");

    facts_own(system, "timezone",
        timezone ? timezone : text(g, find(g, at, zone), "StandardName"));
    read_services(g, at, system);
}

void windows_read(guestfs_h *g, const char *root, json_t *system)
{
    char *software = guestfs_inspect_get_windows_software_hive(g, root);
    char *hive = guestfs_inspect_get_windows_system_hive(g, root);
    char *set = guestfs_inspect_get_windows_current_control_set(g, root);

    if (software && guestfs_hivex_open(g, software, -1) == 0) {
        read_software(g, system);
        guestfs_hivex_close(g);
    }
    if (hive && set && guestfs_hivex_open(g, hive, -1) == 0) {
        read_control_set(g, set, system);
        guestfs_hivex_close(g);
    }
    free(software);
    free(hive);
    free(set);
}
