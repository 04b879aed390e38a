/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mountable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char begin[] = "btrfsvol:";

static int is_subvolume(const char *mountable)
{
    return strncmp(mountable, begin, strlen(begin)) == 0;
}

/* How much of a subvolume's name, behind the colon, is the device that libguestfs itself calls `own`. Only
 * disks and their partitions, which have no slash, have two names. */
static size_t device_len(const char *name, const char *own)
{
    static const char dev[] = "/dev/";
    size_t len = strlen(own);

    if (strncmp(name, own, len) == 0 && name[len] == '/')
        return len;
    len = strncmp(name, dev, strlen(dev)) == 0 ? strlen(dev) + strcspn(name + strlen(dev), "/") : 0;
    return len && name[len] == '/' ? len : 0;
}

/* libguestfs's own name of the device that a subvolume is in, and how long it is in its name; NULL: it is
 * in none of these. */
static const char *find_own(const char *mountable, char *const *filesystems, size_t *len)
{
    const char *own = NULL, *name = mountable + strlen(begin);

    for (char *const *pair = filesystems; pair && pair[0] && pair[1]; pair += 2) {
        if (!is_subvolume(pair[0])) {
            own = pair[0];
            continue;
        }
        const char *other = pair[0] + strlen(begin);
        *len = own ? device_len(other, own) : 0;
        if (*len && strncmp(name, other, *len) == 0 && name[*len] == '/')
            return own;
    }
    return NULL;
}

char *mountable_own(const char *mountable, char *const *filesystems)
{
    const char *own;
    char *out = NULL;
    size_t len;

    if (!is_subvolume(mountable) || !(own = find_own(mountable, filesystems, &len)))
        return strdup(mountable);
    return asprintf(&out, "%s%s%s", begin, own, mountable + strlen(begin) + len) < 0 ? NULL : out;
}

char *mountable_device(const char *mountable, char *const *filesystems, const char **subvolume)
{
    *subvolume = NULL;
    if (!is_subvolume(mountable))
        return NULL;
    for (char *const *pair = filesystems; pair && pair[0] && pair[1]; pair += 2) {
        const char *name = mountable + strlen(begin);
        size_t len = strlen(pair[0]);
        if (strncmp(name, pair[0], len) == 0 && name[len] == '/') {
            *subvolume = name + len + 1;
            return strdup(pair[0]);
        }
    }
    return NULL;
}
