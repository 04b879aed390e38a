/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a guest's disks are divided into. */
#include "facts.h"

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
    facts_free_strings(devices);
}

static void read_partitions(const struct guest *guest, json_t *document)
{
    char **devices = guestfs_list_partitions(guest->g);
    json_t *list = facts_list();

    for (size_t i = 0; devices && devices[i]; i++) {
        json_t *partition = facts_object();
        int64_t size = guestfs_blockdev_getsize64(guest->g, devices[i]);
        facts_own(partition, "device", facts_device(guest, devices[i]));
        if (size >= 0)
            facts_number(partition, "size", size);
        facts_add(list, partition);
    }
    facts_put(document, "partitions", list);
    facts_free_strings(devices);
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
            facts_own(fs, "device", facts_device(guest, devices[i]));
            facts_text(fs, "type", type);
            facts_own(fs, "uuid", guestfs_vfs_uuid(guest->g, devices[i]));
            if (size >= 0)
                facts_number(fs, "size", size);
            facts_put(fs, "opaque", json_true());
            facts_add(list, fs);
        }
        free(type);
    }
    facts_free_strings(devices);
}

static void read_filesystems(const struct guest *guest, json_t *document)
{
    char **pairs = guestfs_list_filesystems(guest->g);
    json_t *list = facts_list();

    for (size_t i = 0; pairs && pairs[i] && pairs[i + 1]; i += 2) {
        json_t *fs = facts_object();
        char *device = guestfs_mountable_device(guest->g, pairs[i]);
        char *volume = guestfs_mountable_subvolume(guest->g, pairs[i]);
        int64_t size = device ? guestfs_blockdev_getsize64(guest->g, device) : -1;
        facts_own(fs, "device", facts_device(guest, device ? device : pairs[i]));
        facts_own(fs, "subvolume", volume);
        facts_text(fs, "type", pairs[i + 1]);
        facts_own(fs, "label", guestfs_vfs_label(guest->g, pairs[i]));
        facts_own(fs, "uuid", guestfs_vfs_uuid(guest->g, pairs[i]));
        if (size >= 0)
            facts_number(fs, "size", size);
        free(device);
        facts_add(list, fs);
    }
    facts_free_strings(pairs);
    add_opaque(guest, guestfs_list_devices(guest->g), list);
    add_opaque(guest, guestfs_list_partitions(guest->g), list);
    add_opaque(guest, guestfs_lvs(guest->g), list);
    facts_put(document, "filesystems", list);
}

/* LVM's logical volumes and md's devices. */
static void read_volumes(const struct guest *guest, json_t *document)
{
    char **lists[] = {guestfs_lvs(guest->g), guestfs_list_md_devices(guest->g)};
    static const char *const kinds[] = {"lvm", "md"};
    json_t *list = facts_list();

    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; lists[k] && lists[k][i]; i++) {
            json_t *volume = facts_object();
            int64_t size = guestfs_blockdev_getsize64(guest->g, lists[k][i]);
            facts_text(volume, "device", lists[k][i]);
            facts_text(volume, "kind", kinds[k]);
            if (size >= 0)
                facts_number(volume, "size", size);
            facts_add(list, volume);
        }
        facts_free_strings(lists[k]);
    }
    facts_put(document, "volumes", list);
}

void storage_read(const struct guest *guest, json_t *document)
{
    read_disks(guest, document);
    read_partitions(guest, document);
    read_volumes(guest, document);
    read_filesystems(guest, document);
}
