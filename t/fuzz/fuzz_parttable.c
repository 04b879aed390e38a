/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz target of lib/image/parttable: whatever a table says, partitions are on the disk and in order, and no
 * more of the disk is read than a bound.
 *
 *   byte 0    bit 0: checksums of GPTs are made right first; bit 1: in sectors of 4096 bytes
 *   bytes 1-2 size of the disk, in units of 512 bytes, if it is more than the pieces need
 *   pieces    of the disk, as in pieces.h
 */
#include "codec/checksum.h"
#include "image/parttable.h"
#include "memfile.h"
#include "pieces.h"

/* Two headers, their entries, and links of logical partitions. */
#define READ_MAX (2u * (512 + 4096 + VMSCM_PARTTABLE_BYTES_MAX) + 4u * 512 * VMSCM_PARTTABLE_LINKS_MAX)

struct disk {
    struct vmscm_blockdev dev;
    int fd;
    size_t read;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int disk_pread(struct vmscm_blockdev *dev, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    struct disk *disk = (struct disk *)dev;

    (void)err;
    if (pread(disk->fd, data, len, (off_t)offset) != (ssize_t)len)
        abort();
    disk->read += len;
    return 0;
}

/* Else no fuzzer gets beyond them. */
static void correct(int fd, uint64_t size, uint64_t at, uint32_t sector)
{
    uint8_t header[4096], crc[4];
    uint64_t place, len;

    if (at + sector > size || pread(fd, header, sector, (off_t)at) != (ssize_t)sector ||
        memcmp(header, "EFI PART", 8) != 0)
        return;
    place = vmscm_get_le64(header + 72) * sector;
    len = (uint64_t)vmscm_get_le32(header + 80) * vmscm_get_le32(header + 84);
    if (len <= VMSCM_PARTTABLE_BYTES_MAX && place <= size && len <= size - place) {
        uint8_t *entries = malloc(len + 1);
        if (!entries || pread(fd, entries, len, (off_t)place) != (ssize_t)len)
            abort();
        vmscm_put_le32(header + 88, vmscm_checksum_crc32(entries, len));
        free(entries);
    }
    len = vmscm_get_le32(header + 12);
    memset(header + 16, 0, 4);
    vmscm_put_le32(crc, vmscm_checksum_crc32(header, len < sector ? len : sector));
    memcpy(header + 16, crc, 4);
    if (pwrite(fd, header, sector, (off_t)at) != (ssize_t)sector)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct vmscm_blockdev_ops ops = {.pread = disk_pread};
    static int fd = -1;
    struct disk disk = {.dev = {.ops = &ops, .name = "disk"}};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_parttable_entry *list = NULL;
    size_t count = 0;

    if (size < 3)
        return 0;
    if (fd < 0)
        memfile_set(&fd, NULL, 0);
    disk.fd = fd;
    disk.dev.size =
        (uint64_t)pieces_write(fd, (off_t)vmscm_get_le16(data + 1) * 512, data + 3, size - 3);
    if (data[0] & 1) {
        uint32_t sector = data[0] & 2 ? 4096 : 512;
        correct(fd, disk.dev.size, sector, sector);
        if (disk.dev.size >= sector)
            correct(fd, disk.dev.size, (disk.dev.size / sector - 1) * sector, sector);
    }
    if (vmscm_parttable_read(&list, &count, &disk.dev, &err)) {
        if (!err.message[0] || list || count)
            abort();
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        if (!list[i].number || !list[i].len || list[i].offset > disk.dev.size ||
            list[i].len > disk.dev.size - list[i].offset ||
            (i && list[i].number <= list[i - 1].number))
            abort();
    if (disk.read > READ_MAX)
        abort();
    free(list);
    return 0;
}
