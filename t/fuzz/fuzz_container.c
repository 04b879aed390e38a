/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A container's archive from anywhere: the disk that is made of it gives it back, byte by byte, however it is
 * read. And a disk from anywhere, as one that was pushed may be: what is read from it is within it. Checksums
 * of what has a header's magic are made right, or nothing behind them would ever be reached. */
#include "bundle/containerdev.h"
#include "bundle/containerread.h"
#include "format/tarhead.h"
#include "memfile.h"
#include "tarcopy.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
    struct vmscm_blockdev dev;
    const uint8_t *bytes;
};

static int read_memory(struct vmscm_blockdev *dev, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    (void)err;
    if (offset > dev->size || len > dev->size - offset)
        abort();
    memcpy(data, ((const struct memory *)dev)->bytes + offset, len);
    return 0;
}

static const struct vmscm_blockdev_ops ops = {.pread = read_memory};

/* The archive in a disk; expected NULL: whatever it is. */
static int unpack(const uint8_t *disk, size_t size, const uint8_t *expected, size_t length)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct memory memory = {{&ops, size, "disk", 0, 0}, disk};
    const struct vmscm_container_group *group = NULL;
    struct vmscm_containerread *r = NULL;
    uint64_t at = 0, bytes;
    int rc = vmscm_containerread_open(&r, &memory.dev, &err);

    while (!rc && !(rc = vmscm_containerread_next(r, &group, &bytes, &err))) {
        const uint8_t *piece;
        size_t len = 0;
        if (group) {
            if (expected && (group->bytes.len > length - at ||
                                memcmp(expected + at, group->bytes.data, group->bytes.len) != 0))
                abort();
            at += group->bytes.len;
        }
        while (!(rc = vmscm_containerread_data(r, &piece, &len, &err)) && len) {
            if (len > bytes || (expected && memcmp(expected + at, piece, len) != 0))
                abort();
            bytes -= len;
            at += len;
        }
        if (bytes)
            abort();
        if (!group)
            break;
    }
    vmscm_containerread_close(r);
    if (rc && !err.message[0])
        abort();
    if (expected && (rc || at != length))
        abort();
    return rc;
}

static void pack(const uint8_t *tar, size_t size)
{
    static int fd = -1;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_blockdev *dev = NULL;
    uint8_t *disk;
    char path[64];

    memfile_set(&fd, tar, size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (vmscm_containerdev_open(&dev, path, &err)) {
        if (!err.message[0])
            abort();
        return;
    }
    if (!(disk = malloc((size_t)dev->size)))
        abort();
    /* In pieces that are no blocks. */
    for (uint64_t at = 0, n; at < dev->size; at += n) {
        n = dev->size - at < 1721 ? dev->size - at : 1721;
        if (vmscm_blockdev_pread(dev, disk + at, (size_t)n, at, &err))
            abort();
    }
    unpack(disk, (size_t)dev->size, tar, size);
    vmscm_blockdev_close(dev);
    free(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = tarcopy_make(data, size);

    pack(copy, size);
    unpack(copy, size, NULL, 0);
    free(copy);
    return 0;
}
