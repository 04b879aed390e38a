/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a Windows guest boots unless somebody chooses: boot.ini, or the boot configuration data
 * since Vista. */
#include "bootconf.h"
#include "registry.h"

#include <stdlib.h>
#include <string.h>

#define PARTITIONS_MAX 8
#define SIZE_MAX_OF_BOOT ((int64_t)2 << 30) /* larger than any that only boots */

/* Of the hive that is open. */
static int read_hive(guestfs_h *g, json_t *system)
{
    int64_t objects = registry_path(g, guestfs_hivex_root(g), "Objects");
    int64_t manager =
        registry_path(g, objects, "{9dea862c-5cdd-4e70-acc1-f32b344d4795}\\Elements\\23000003");
    char *id = registry_text(g, manager, "Element"), *title = NULL;

    if (id) {
        const char *const keys[] = {id, "Elements", "12000004", NULL};
        title = registry_text(g, registry_find(g, objects, keys), "Element");
    }
    if (title) {
        facts_text(system, "boot_loader", "bootmgr");
        facts_text(system, "default_boot", title);
    }
    free(title);
    free(id);
    return json_object_get(system, "default_boot") != NULL;
}

static int read_mounted(guestfs_h *g, json_t *system)
{
    static const char *const hives[] = {"/Boot/BCD", "/EFI/Microsoft/Boot/BCD"};
    int found = 0;

    for (size_t i = 0; i < 2 && !found; i++) {
        char *path = registry_file(g, hives[i]);
        if (path && registry_open(g, path)) {
            found = read_hive(g, system);
            registry_close(g);
        }
        free(path);
    }
    return found;
}

static int read_partition(guestfs_h *g, const char *device, json_t *system)
{
    char *type = guestfs_vfs_type(g, device);
    int fits = type && (strcmp(type, "ntfs") == 0 || strcmp(type, "vfat") == 0) &&
               guestfs_blockdev_getsize64(g, device) <= SIZE_MAX_OF_BOOT;

    free(type);
    if (!fits || guestfs_umount_all(g) || guestfs_mount_ro(g, device, "/"))
        return 0;
    return read_mounted(g, system);
}

void bcd_read(const struct guest *guest, const char *root, json_t *system)
{
    guestfs_h *g = guest->g;
    char *path = registry_file(g, "/boot.ini");
    char **lines = path ? guest_lines(g, path) : NULL, **devices = NULL;
    int found = (lines && bootconf_ini(system, lines)) || read_mounted(g, system);

    if (!found)
        devices = guestfs_list_partitions(g);
    for (size_t i = 0; devices && devices[i] && i < PARTITIONS_MAX && !found; i++)
        if (strcmp(devices[i], root) != 0)
            found = read_partition(g, devices[i], system);
    guest_free_strings(devices);
    guest_free_strings(lines);
    free(path);
}
