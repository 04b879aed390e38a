/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of a Linux or Unix guest say. */
#include "facts.h"

#include <stdlib.h>
#include <string.h>

#define FILE_MAX (1 << 20)

/* The lines of a regular file that is not large; NULL if it cannot be read. */
static char **read_lines(guestfs_h *g, const char *path)
{
    int64_t size;

    /* Followed within the appliance, where a link cannot lead out of the guest. */
    if (guestfs_is_file_opts(g, path, GUESTFS_IS_FILE_OPTS_FOLLOWSYMLINKS, 1, -1) != 1)
        return NULL;
    size = guestfs_filesize(g, path);
    return size < 0 || size > FILE_MAX ? NULL : guestfs_read_lines(g, path);
}

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
    char **lines = read_lines(g, "/etc/passwd"), *f[7];
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
    facts_free_strings(lines);
}

static void read_groups(guestfs_h *g, json_t *system)
{
    char **lines = read_lines(g, "/etc/group"), *f[4], *member;
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
    facts_free_strings(lines);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static void read_kernels(guestfs_h *g, json_t *system)
{
    char **paths = guestfs_glob_expand(g, "/boot/vmlinuz-*");
    json_t *list = facts_list();

    for (size_t i = 0; paths && paths[i]; i++)
        facts_add_text(list, base_name(paths[i]) + strlen("vmlinuz-"));
    facts_put(system, "kernels", list);
    facts_free_strings(paths);
}

static void read_timezone(guestfs_h *g, json_t *system)
{
    char *link = guestfs_readlink(g, "/etc/localtime");
    const char *at = link ? strstr(link, "zoneinfo/") : NULL;
    char **lines = at ? NULL : read_lines(g, "/etc/timezone");

    facts_text(system, "timezone", at ? at + strlen("zoneinfo/") : lines ? lines[0] : NULL);
    facts_free_strings(lines);
    free(link);
}

static void read_services(guestfs_h *g, json_t *system)
{
    static const struct {
        const char *name, *sign;
    } inits[] = {{"systemd", "/lib/systemd/systemd"}, {"openrc", "/sbin/openrc"},
        {"upstart", "/sbin/upstart"}, {"sysvinit", "/etc/inittab"}};
    char **paths = guestfs_glob_expand(g, "/etc/systemd/system/*.wants/*");
    json_t *list = facts_list();

    for (size_t i = 0; i < sizeof inits / sizeof inits[0]; i++)
        if (guestfs_exists(g, inits[i].sign) == 1) {
            facts_text(system, "init", inits[i].name);
            break;
        }
    for (size_t i = 0; paths && paths[i]; i++)
        facts_add_text(list, base_name(paths[i]));
    facts_free_strings(paths);
    paths = guestfs_glob_expand(g, "/etc/runlevels/default/*");
    for (size_t i = 0; paths && paths[i]; i++)
        facts_add_text(list, base_name(paths[i]));
    facts_free_strings(paths);
    facts_put(system, "services", list);
}

/* As it calls itself, which of Debian is more than libguestfs tells: os-release(5). */
static void read_product(guestfs_h *g, json_t *system)
{
    static const char key[] = "PRETTY_NAME=";
    char **lines = read_lines(g, "/etc/os-release");

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
    facts_free_strings(lines);
}

void unix_read(guestfs_h *g, json_t *system)
{
    read_product(g, system);
    read_users(g, system);
    read_groups(g, system);
    read_kernels(g, system);
    read_timezone(g, system);
    read_services(g, system);
}
