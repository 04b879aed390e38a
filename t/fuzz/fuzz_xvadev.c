/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The members of an XVA's disk, and reading it: whatever is there, all reads are within the disk. */
#include "bundle/xvadev.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE 3000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int each(void *data, const struct vmscm_tar_member *member, struct vmscm_error *err)
{
    const char *slash = strchr(member->name, '/');

    return slash ? vmscm_xvadev_add(data, member, slash + 1, err) : 0;
}

/* In pieces, as a check-in does. */
static void read_all(struct vmscm_blockdev *dev, struct vmscm_error *err)
{
    uint8_t bytes[700];

    for (uint64_t at = 0, len; at < dev->size; at += len) {
        bool zero;
        if (vmscm_blockdev_extent(dev, at, &len, &zero, err) || !len || len > dev->size - at)
            abort();
        for (uint64_t done = 0, n; done < len; done += n) {
            n = len - done < sizeof bytes ? len - done : sizeof bytes;
            if (vmscm_blockdev_pread(dev, bytes, (size_t)n, at + done, err))
                return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_xvadev *disk = NULL;
    struct vmscm_blockdev *dev = NULL;
    struct stat st;
    char path[64];
    int fd = memfd_create("xva", MFD_CLOEXEC);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size || fstat(fd, &st) < 0)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (int verify = 0; verify < 2; verify++) {
        if (vmscm_xvadev_new(&disk, path, "Ref:7", SIZE, verify, &err))
            abort();
        if (vmscm_tar_walk(fd, path, each, disk, &err)) {
            vmscm_xvadev_free(disk);
        } else if (!vmscm_xvadev_open(&dev, disk, &st, &err)) {
            read_all(dev, &err);
            vmscm_blockdev_close(dev);
        }
    }
    close(fd);
    return 0;
}
