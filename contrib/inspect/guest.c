/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guest.h"
#include "mountable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (1 << 20)

void guest_free_strings(char **list)
{
    for (char **s = list; s && *s; s++)
        free(*s);
    free(list);
}

static char *need(char *text)
{
    if (text)
        return text;
    fputs("vmscm-inspect: out of memory\n", stderr);
    exit(3);
}

static char *plain_device(const struct guest *guest, const char *device)
{
    char *disk = guestfs_part_to_dev(guest->g, device), *out = NULL;
    int number = disk ? guestfs_part_to_partnum(guest->g, device) : -1;
    int index = guestfs_device_index(guest->g, disk ? disk : device);
    size_t count = 0;

    while (guest->disks[count])
        count++;
    if (index < 0 || (size_t)index >= count)
        out = strdup(device);
    else if (number > 0) {
        if (asprintf(&out, "%s:%d", guest->disks[index], number) < 0)
            out = NULL;
    } else {
        out = strdup(guest->disks[index]);
    }
    free(disk);
    return need(out);
}

char *guest_device(const struct guest *guest, const char *device)
{
    const char *subvolume;
    char *holder = mountable_device(device, guest->filesystems, &subvolume), *plain, *out = NULL;

    if (!holder)
        return plain_device(guest, device);
    plain = plain_device(guest, holder);
    if (asprintf(&out, "%s/%s", plain, subvolume) < 0)
        out = NULL;
    free(plain);
    free(holder);
    return need(out);
}

char *guest_mountable(const struct guest *guest, const char *mountable)
{
    return need(mountable_own(mountable, guest->filesystems));
}

char **guest_lines(guestfs_h *g, const char *path)
{
    int64_t size;

    if (guestfs_is_file_opts(g, path, GUESTFS_IS_FILE_OPTS_FOLLOWSYMLINKS, 1, -1) != 1)
        return NULL;
    size = guestfs_filesize(g, path);
    return size < 0 || size > FILE_MAX ? NULL : guestfs_read_lines(g, path);
}

char *guest_bytes(guestfs_h *g, const char *path, size_t max, size_t *size)
{
    int64_t claimed;

    *size = 0;
    if (guestfs_is_file_opts(g, path, GUESTFS_IS_FILE_OPTS_FOLLOWSYMLINKS, 1, -1) != 1)
        return NULL;
    claimed = guestfs_filesize(g, path);
    return claimed < 0 || (uint64_t)claimed > max ? NULL : guestfs_read_file(g, path, size);
}

int64_t guest_time(guestfs_h *g, const char *path)
{
    struct guestfs_statns *st = guestfs_exists(g, path) == 1 ? guestfs_statns(g, path) : NULL;
    int64_t time = st ? st->st_mtime_sec : 0;

    guestfs_free_statns(st);
    return time;
}

char **guest_glob(guestfs_h *g, const char *pattern)
{
    return guestfs_glob_expand_opts(g, pattern, GUESTFS_GLOB_EXPAND_OPTS_DIRECTORYSLASH, 0, -1);
}

const char *guest_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}
