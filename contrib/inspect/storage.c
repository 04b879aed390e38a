/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a guest's disks are divided into. */
#include "guest.h"
#include "mountable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void read_disks(const struct guest *guest, json_t *document)
{
    char **devices = guestfs_list_devices(guest->g);
    json_t *list = facts_list();

    for (size_t i = 0; devices && devices[i] && guest->disks[i]; i++) {
        json_t *disk = facts_object();
        int64_t size = guestfs_blockdev_getsize64(guest->g, devices[i]);
        facts_text(disk, "id", guest->disks[i]);
        if (size >= 0)
            facts_number(disk, "size", size);
        facts_own(disk, "table", guestfs_part_get_parttype(guest->g, devices[i]));
        facts_add(list, disk);
    }
    facts_put(document, "disks", list);
    guest_free_strings(devices);
}

static void read_partitions(const struct guest *guest, json_t *document)
{
    char **devices = guestfs_list_partitions(guest->g);
    json_t *list = facts_list();

    for (size_t i = 0; devices && devices[i]; i++) {
        json_t *partition = facts_object();
        int64_t size = guestfs_blockdev_getsize64(guest->g, devices[i]);
        facts_own(partition, "device", guest_device(guest, devices[i]));
        if (size >= 0)
            facts_number(partition, "size", size);
        facts_own(partition, "type", guestfs_vfs_type(guest->g, devices[i]));
        facts_add(list, partition);
    }
    facts_put(document, "partitions", list);
    guest_free_strings(devices);
}

/* libguestfs leaves out of its list of file systems what is encrypted. */
static void add_opaque(const struct guest *guest, char **devices, json_t *list)
{
    static const char *const types[] = {"crypto_LUKS", "BitLocker"};

    for (size_t i = 0; devices && devices[i]; i++) {
        char *type = guestfs_vfs_type(guest->g, devices[i]);
        int64_t size = guestfs_blockdev_getsize64(guest->g, devices[i]);
        for (size_t k = 0; type && k < sizeof types / sizeof types[0]; k++) {
            if (strcmp(type, types[k]) != 0)
                continue;
            json_t *fs = facts_object();
            facts_own(fs, "device", guest_device(guest, devices[i]));
            facts_text(fs, "type", type);
            facts_own(fs, "uuid", guestfs_vfs_uuid(guest->g, devices[i]));
            if (size >= 0)
                facts_number(fs, "size", size);
            facts_put(fs, "opaque", json_true());
            facts_add(list, fs);
        }
        free(type);
    }
    guest_free_strings(devices);
}

static void read_filesystems(const struct guest *guest, json_t *document)
{
    char **pairs = guest->filesystems;
    json_t *list = facts_list();

    for (size_t i = 0; pairs && pairs[i] && pairs[i + 1]; i += 2) {
        json_t *fs = facts_object();
        const char *subvolume;
        char *name = guest_mountable(guest, pairs[i]), *device = mountable_device(name, pairs, &subvolume);
        int64_t size = guestfs_blockdev_getsize64(guest->g, device ? device : name);
        facts_own(fs, "device", guest_device(guest, device ? device : name));
        facts_text(fs, "subvolume", subvolume);
        facts_text(fs, "type", pairs[i + 1]);
        facts_own(fs, "label", guestfs_vfs_label(guest->g, name));
        facts_own(fs, "uuid", guestfs_vfs_uuid(guest->g, name));
        if (size >= 0)
            facts_number(fs, "size", size);
        free(device);
        free(name);
        facts_add(list, fs);
    }
    add_opaque(guest, guestfs_list_devices(guest->g), list);
    add_opaque(guest, guestfs_list_partitions(guest->g), list);
    add_opaque(guest, guestfs_lvs(guest->g), list);
    add_opaque(guest, guestfs_list_md_devices(guest->g), list);
    facts_put(document, "filesystems", list);
}

static void add_volume(const struct guest *guest, json_t *list, const char *device, const char *kind,
    json_t *members)
{
    json_t *volume = facts_object();
    int64_t size = guestfs_blockdev_getsize64(guest->g, device);

    facts_text(volume, "device", device);
    facts_text(volume, "kind", kind);
    if (size >= 0)
        facts_number(volume, "size", size);
    facts_put(volume, "members", members);
    facts_add(list, volume);
}

/* Of a volume group: all it is made of. By the ids, since in what libguestfs lists of physical volumes beside
 * their devices these have the kernel's names, which are in another order in some starts. */
static json_t *members_of(const struct guest *guest, char **physical, const char *group)
{
    char **ids = physical ? guestfs_vgpvuuids(guest->g, group) : NULL;
    json_t *list = facts_list();

    for (size_t k = 0; ids && physical[k]; k++) {
        char *id = guestfs_pvuuid(guest->g, physical[k]);
        for (size_t i = 0; id && ids[i]; i++)
            if (strcmp(ids[i], id) == 0) {
                char *device = guest_device(guest, physical[k]);
                facts_add_text(list, device);
                free(device);
            }
        free(id);
    }
    guest_free_strings(ids);
    return list;
}

static void read_lvm(const struct guest *guest, json_t *list)
{
    char **devices = guestfs_lvs(guest->g);
    char **physical = devices && devices[0] ? guestfs_pvs(guest->g) : NULL;

    for (size_t i = 0; devices && devices[i]; i++) {
        const char *name = devices[i] + strlen("/dev/");
        char *group = strndup(name, strcspn(name, "/"));
        add_volume(guest, list, devices[i], "lvm", group ? members_of(guest, physical, group) : facts_list());
        free(group);
    }
    guest_free_strings(physical);
    guest_free_strings(devices);
}

static void read_raid(const struct guest *guest, json_t *list)
{
    char **devices = guestfs_list_md_devices(guest->g), path[64];

    for (size_t i = 0; devices && devices[i]; i++) {
        struct guestfs_mdstat_list *parts = guestfs_md_stat(guest->g, devices[i]);
        char **detail = guestfs_md_detail(guest->g, devices[i]);
        json_t *members = facts_list();
        for (uint32_t k = 0; parts && k < parts->len; k++) {
            snprintf(path, sizeof path, "/dev/%.40s", guest_base_name(parts->val[k].mdstat_device));
            char *device = guest_device(guest, path);
            facts_add_text(members, device);
            free(device);
        }
        add_volume(guest, list, devices[i], "md", members);
        for (size_t k = 0; detail && detail[k] && detail[k + 1]; k += 2)
            if (strcmp(detail[k], "level") == 0)
                facts_text(json_array_get(list, json_array_size(list) - 1), "level", detail[k + 1]);
        guest_free_strings(detail);
        guestfs_free_mdstat_list(parts);
    }
    guest_free_strings(devices);
}

/* LVM's logical volumes and md's devices. */
static void read_volumes(const struct guest *guest, json_t *document)
{
    json_t *list = facts_list();

    read_lvm(guest, list);
    read_raid(guest, list);
    facts_put(document, "volumes", list);
}

void storage_read(const struct guest *guest, json_t *document)
{
    read_disks(guest, document);
    read_partitions(guest, document);
    read_volumes(guest, document);
    read_filesystems(guest, document);
}
