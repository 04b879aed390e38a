/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of a Linux or Unix guest say. */
#include "bootconf.h"
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Splits a line of /etc/passwd and the like in place; false if it has fewer fields. */
static int split(char **fields, size_t count, char *line)
{
    for (size_t i = 0; i < count; i++) {
        fields[i] = line;
        if (!line)
            return 0;
        line = i + 1 < count ? strchr(line, ':') : NULL;
        if (line)
            *line++ = '\0';
    }
    return 1;
}

static void read_users(guestfs_h *g, json_t *system)
{
    char **lines = guest_lines(g, "/etc/passwd"), *f[7];
    json_t *list = facts_list();

    for (size_t i = 0; lines && lines[i]; i++) {
        if (!split(f, 7, lines[i]) || !*f[0])
            continue;
        json_t *user = facts_object();
        facts_text(user, "name", f[0]);
        facts_text(user, "id", f[2]);
        facts_text(user, "group", f[3]);
        facts_text(user, "home", f[5]);
        facts_text(user, "shell", f[6]);
        facts_add(list, user);
    }
    facts_put(system, "users", list);
    guest_free_strings(lines);
}

static void read_groups(guestfs_h *g, json_t *system)
{
    char **lines = guest_lines(g, "/etc/group"), *f[4], *member;
    json_t *list = facts_list();

    for (size_t i = 0; lines && lines[i]; i++) {
        if (!split(f, 4, lines[i]) || !*f[0])
            continue;
        json_t *group = facts_object(), *members = facts_list();
        facts_text(group, "name", f[0]);
        facts_text(group, "id", f[2]);
        while ((member = strsep(&f[3], ",")))
            if (*member)
                facts_add_text(members, member);
        facts_put(group, "members", members);
        facts_add(list, group);
    }
    facts_put(system, "groups", list);
    guest_free_strings(lines);
}

static void read_kernels(guestfs_h *g, json_t *system)
{
    char **paths = guestfs_glob_expand(g, "/boot/vmlinuz-*");
    json_t *list = facts_list();

    for (size_t i = 0; paths && paths[i]; i++)
        facts_add_text(list, guest_base_name(paths[i]) + strlen("vmlinuz-"));
    facts_put(system, "kernels", list);
    guest_free_strings(paths);
}

static void read_timezone(guestfs_h *g, json_t *system)
{
    char *link = guestfs_readlink(g, "/etc/localtime");
    const char *at = link ? strstr(link, "zoneinfo/") : NULL;
    char **lines = at ? NULL : guest_lines(g, "/etc/timezone");
    char **clock = at || lines ? NULL : guest_lines(g, "/etc/sysconfig/clock");

    facts_text(system, "timezone",
        at          ? at + strlen("zoneinfo/")
            : lines ? lines[0]
                    : bootconf_value(clock, "ZONE"));
    guest_free_strings(clock);
    guest_free_strings(lines);
    free(link);
}

static void add_names(guestfs_h *g, json_t *list, const char *pattern, size_t skip)
{
    char **paths = guest_glob(g, pattern);

    for (size_t i = 0; paths && paths[i]; i++) {
        const char *name = guest_base_name(paths[i]);
        /* A unit may be wanted by several. */
        size_t k = 0, count = json_array_size(list);
        while (k < count && strcmp(json_string_value(json_array_get(list, k)), name + skip) != 0)
            k++;
        if (strlen(name) > skip && k == count)
            facts_add_text(list, name + skip);
    }
    guest_free_strings(paths);
}

/* "id:3:initdefault:" of /etc/inittab, or what is usual. */
static char default_runlevel(guestfs_h *g)
{
    char **lines = guest_lines(g, "/etc/inittab");
    char level = guestfs_exists(g, "/etc/sysconfig") == 1 ? '3' : '2';

    for (size_t i = 0; lines && lines[i]; i++)
        if (strncmp(lines[i], "id:", 3) == 0 && lines[i][3] >= '1' && lines[i][3] <= '5' &&
            strncmp(lines[i] + 4, ":initdefault", strlen(":initdefault")) == 0)
            level = lines[i][3];
    guest_free_strings(lines);
    return level;
}

static void read_services(guestfs_h *g, json_t *system)
{
    static const struct {
        const char *name, *sign;
    } inits[] = {{"systemd", "/lib/systemd/systemd"}, {"openrc", "/sbin/openrc"},
        {"upstart", "/sbin/upstart"}, {"upstart", "/etc/init/rc.conf"}, {"sysvinit", "/etc/inittab"}};
    json_t *list = facts_list();
    char pattern[32];
    size_t which = 0;

    while (which < 5 && guestfs_exists(g, inits[which].sign) != 1)
        which++;
    facts_text(system, "init", which < 5 ? inits[which].name : NULL);
    add_names(g, list, "/etc/systemd/system/*.wants/*", 0);
    add_names(g, list, "/etc/systemd/system/*.requires/*", 0);
    add_names(g, list, "/etc/runlevels/*/*", 0);
    if (which > 1) {
        snprintf(pattern, sizeof pattern, "/etc/rc%c.d/S??*", default_runlevel(g));
        add_names(g, list, pattern, strlen("S00"));
    }
    facts_put(system, "services", list);
}

static void read_swap(guestfs_h *g, json_t *system)
{
    char **lines = guest_lines(g, "/etc/fstab");
    json_t *list = facts_list();

    for (size_t i = 0; lines && lines[i]; i++) {
        char *rest = lines[i], *device = facts_word(&rest), *type;
        facts_word(&rest);
        type = facts_word(&rest);
        if (type && *device != '#' && strcmp(type, "swap") == 0)
            facts_add_text(list, device);
    }
    facts_put(system, "swap", list);
    guest_free_strings(lines);
}

/* As it calls itself, which of Debian is more than libguestfs tells: os-release(5). */
static void read_product(guestfs_h *g, json_t *system)
{
    static const char key[] = "PRETTY_NAME=";
    char **lines = guest_lines(g, "/etc/os-release");

    for (size_t i = 0; lines && lines[i]; i++) {
        char *value = lines[i] + strlen(key);
        if (strncmp(lines[i], key, strlen(key)) != 0)
            continue;
        size_t len = strlen(value);
        if (len > 1 && strchr("\"'", *value) && value[len - 1] == *value) {
            value[len - 1] = '\0';
            value++;
        }
        facts_text(system, "product", value);
    }
    guest_free_strings(lines);
}

void unix_read(guestfs_h *g, json_t *system)
{
    read_product(g, system);
    read_users(g, system);
    read_groups(g, system);
    read_kernels(g, system);
    read_timezone(g, system);
    read_services(g, system);
    read_swap(g, system);
}
