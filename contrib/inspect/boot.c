/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a guest boots unless somebody chooses, by the boot loader whose configuration is there. */
#include "guest.h"
#include "bootconf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of GRUB's environment block, "NAME=VALUE" lines; the caller's, "" if there is none. */
static char *saved_entry(guestfs_h *g, const char *dir)
{
    char path[128], *saved;
    const char *value;

    snprintf(path, sizeof path, "%s/grubenv", dir);
    char **lines = guest_lines(g, path);
    value = bootconf_value(lines, "saved_entry");
    saved = strdup(value ? value : "");
    guest_free_strings(lines);
    return saved;
}

static int by_version(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

/* Of the entries of the Boot Loader Specification that of a name, which may end with "*", or the
 * newest. */
static int read_entries(
    guestfs_h *g, json_t *system, const char *loader, const char *dir, const char *want)
{
    char pattern[128];
    size_t count = 0, len = strcspn(want, "*");
    int found = 0;

    snprintf(pattern, sizeof pattern, "%s/loader/entries/*.conf", dir);
    char **paths = guest_glob(g, pattern);
    while (paths && paths[count])
        count++;
    if (count)
        qsort(paths, count, sizeof *paths, by_version);
    const char *chosen = count ? paths[count - 1] : NULL;
    for (size_t i = 0; i < count && len; i++)
        if (strncmp(guest_base_name(paths[i]), want, len) == 0)
            chosen = paths[i];
    char **lines = chosen ? guest_lines(g, chosen) : NULL;
    if (lines)
        found = bootconf_entry(system, loader, lines);
    guest_free_strings(lines);
    guest_free_strings(paths);
    return found;
}

static int has_line(char **lines, const char *word)
{
    for (size_t i = 0; lines && lines[i]; i++)
        if (strcmp(lines[i] + strspn(lines[i], " \t"), word) == 0)
            return 1;
    return 0;
}

static int read_grub(guestfs_h *g, json_t *system)
{
    static const char *const dirs[] = {"/boot/grub2", "/boot/grub"};
    char path[128];
    int found = 0;

    for (size_t i = 0; i < 2 && !found; i++) {
        snprintf(path, sizeof path, "%s/grub.cfg", dirs[i]);
        char **lines = guest_lines(g, path), *saved = lines ? saved_entry(g, dirs[i]) : NULL;
        if (saved)
            found =
                (has_line(lines, "blscfg") && read_entries(g, system, "grub", "/boot", saved)) ||
                bootconf_grub(system, lines, saved);
        free(saved);
        guest_free_strings(lines);
    }
    return found;
}

static int read_systemd_boot(guestfs_h *g, json_t *system)
{
    static const char *const dirs[] = {"/boot", "/efi", "/boot/efi"};
    char path[128];
    int found = 0;

    for (size_t i = 0; i < 3 && !found; i++) {
        snprintf(path, sizeof path, "%s/loader/loader.conf", dirs[i]);
        char **lines = guest_lines(g, path);
        const char *want = bootconf_value(lines, "default");
        found = lines && read_entries(g, system, "systemd-boot", dirs[i], want ? want : "");
        guest_free_strings(lines);
    }
    return found;
}

void boot_read(guestfs_h *g, json_t *system)
{
    static const struct {
        const char *path;
        int (*read)(json_t *system, char **lines);
    } others[] = {{"/boot/grub/menu.lst", bootconf_grub_legacy},
        {"/boot/grub/grub.conf", bootconf_grub_legacy}, {"/boot/extlinux.conf", bootconf_extlinux},
        {"/boot/extlinux/extlinux.conf", bootconf_extlinux},
        {"/boot/syslinux/syslinux.cfg", bootconf_extlinux}};
    int found = read_grub(g, system) || read_systemd_boot(g, system);

    for (size_t i = 0; i < sizeof others / sizeof others[0] && !found; i++) {
        char **lines = guest_lines(g, others[i].path);
        found = lines && others[i].read(system, lines);
        guest_free_strings(lines);
    }
}
