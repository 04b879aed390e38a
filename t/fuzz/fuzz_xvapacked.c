/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The members of two disks of an XVA in a compressed archive, through the queue: read in any order, they are
 * what they are in the archive itself. The last bytes of an input say what is read. */
#include "base/endian.h"
#include "bundle/xvadev.h"
#include "codec/checksum.h"
#include "memfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE 700
#define READS 12 /* of three bytes each: disk, place, length */
#define DISKS 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int each(void *data, const struct vmscm_tar_member *member, struct vmscm_error *err)
{
    struct vmscm_xvadev **disks = data;
    const char *slash = strchr(member->name, '/');

    return slash ? vmscm_xvadev_add(disks[member->name[0] & 1], member, slash + 1, err) : 0;
}

/* gzip, RFC 1952, of one stored block. */
static void put_packed(int *fd, const uint8_t *data, size_t size)
{
    static const uint8_t head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1};
    uint8_t *out = malloc(size + 32);

    if (!out)
        abort();
    memcpy(out, head, sizeof head);
    vmscm_put_le16(out + 11, (uint16_t)size);
    vmscm_put_le16(out + 13, (uint16_t)~size);
    memcpy(out + 15, data, size);
    vmscm_put_le32(out + 15 + size, vmscm_checksum_crc32(data, size));
    vmscm_put_le32(out + 19 + size, (uint32_t)size);
    memfile_set(fd, out, size + 23);
    free(out);
}

static int open_both(struct vmscm_blockdev *out[DISKS], struct vmscm_xvaqueue **queue, int fd,
    const char *path, bool packed, bool verify)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_xvadev *disks[DISKS] = {NULL, NULL};
    struct vmscm_packed *file = NULL;
    struct stat st;
    int rc = 0;

    *queue = NULL;
    if (fstat(fd, &st) < 0 || (packed && (vmscm_packed_open(&file, path, NULL, &err) ||
                                             vmscm_xvaqueue_new(queue, file, 1, &err))))
        abort();
    for (unsigned i = 0; i < DISKS; i++) {
        if (vmscm_xvadev_new(&disks[i], path, "Ref:7", SIZE, verify, &err))
            abort();
        vmscm_xvadev_set_queue(disks[i], *queue, i);
    }
    rc = packed ? vmscm_packed_walk(file, each, disks, &err) : vmscm_tar_walk(fd, path, each, disks, &err);
    for (unsigned i = 0; i < DISKS; i++) {
        out[i] = NULL;
        if (rc)
            vmscm_xvadev_free(disks[i]);
        else
            rc = vmscm_xvadev_open(&out[i], disks[i], &st, &err);
    }
    if (rc && !err.message[0])
        abort();
    return rc;
}

static void compare(struct vmscm_blockdev *plain[DISKS], struct vmscm_blockdev *packed[DISKS],
    const uint8_t *reads)
{
    uint8_t a[256 * 4], b[sizeof a];

    for (unsigned i = 0; i < READS; i++, reads += 3) {
        uint64_t at = reads[1] * (uint64_t)SIZE / 256;
        size_t len = reads[2] * (size_t)4;
        unsigned disk = reads[0] & 1;
        int rc;
        len = len > SIZE - at ? (size_t)(SIZE - at) : len;
        rc = vmscm_blockdev_pread(plain[disk], a, len, at, NULL);
        if (vmscm_blockdev_pread(packed[disk], b, len, at, NULL)) {
            /* A block that is before what was asked for may be wrong. */
            if (!rc && reads[0] < 128)
                break;
        } else if (rc || memcmp(a, b, len) != 0) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int files[2] = {-1, -1};
    struct vmscm_blockdev *plain[DISKS], *packed[DISKS];
    struct vmscm_xvaqueue *none, *queue;
    char paths[2][64];

    if (size <= 3 * READS || size > 65000)
        return 0;
    size -= 3 * READS;
    memfile_set(&files[0], data, size);
    put_packed(&files[1], data, size);
    for (unsigned i = 0; i < 2; i++)
        snprintf(paths[i], sizeof paths[i], "/proc/self/fd/%d", files[i]);
    for (int verify = 0; verify < 2; verify++) {
        int rc = open_both(plain, &none, files[0], paths[0], false, verify);
        if (!rc != !open_both(packed, &queue, files[1], paths[1], true, verify))
            abort();
        if (!rc)
            compare(plain, packed, data + size);
        for (unsigned i = 0; i < DISKS; i++) {
            vmscm_blockdev_close(plain[i]);
            vmscm_blockdev_close(packed[i]);
        }
        vmscm_xvaqueue_unref(queue);
    }
    return 0;
}
