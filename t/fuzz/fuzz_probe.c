/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz target of lib/image/probe and bitmap. Images are sparse and their headers far apart, so the input is a
 * list of pieces of one; checksums that the formats have are made right, or nothing behind them
 * would ever be reached.
 *
 *   byte 0      bits 0-2: format to force, from 1 (0: none); bits 3-4: enum vmscm_allow
 *   bytes 1-2   least size of the file in units of 512 bytes
 *   pieces      offset in units of 16 bytes (3 bytes), length (2 bytes), data
 *
 * make-probe-corpus writes such inputs from real images.
 */
#include "base/endian.h"
#include "image/bitmap.h"
#include "image/probe.h"
#include "sys/file.h"
#include "sys/tempdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *dir;
static char image[512];

static void clean(void)
{
    vmscm_tempdir_remove(dir);
}

/* A directory with the image, and others that it can name: "b" is raw, "link" leads outside. */
static void prepare(void)
{
    char path[512];
    int fd;

    if (dir)
        return;
    if (vmscm_tempdir_make(&dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NULL, NULL))
        abort();
    atexit(clean);
    snprintf(image, sizeof image, "%s/i", dir);
    snprintf(path, sizeof path, "%s/b", dir);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    if (fd < 0 || ftruncate(fd, 1 << 20) < 0)
        abort();
    close(fd);
    snprintf(path, sizeof path, "%s/link", dir);
    if (symlink("/etc/passwd", path) < 0)
        abort();
}

static void fix_crc(int fd, off_t offset, size_t len)
{
    static uint32_t table[256];
    static uint8_t b[65536];
    uint32_t crc = UINT32_MAX;

    if (!table[1]) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (int bit = 0; bit < 8; bit++)
                c = c >> 1 ^ (c & 1 ? 0x82f63b78 : 0);
            table[i] = c;
        }
    }
    if (pread(fd, b, len, offset) != (ssize_t)len)
        return;
    memset(b + 4, 0, 4);
    for (size_t i = 0; i < len; i++)
        crc = crc >> 8 ^ table[(crc ^ b[i]) & 0xff];
    vmscm_put_le32(b, ~crc);
    if (pwrite(fd, b, 4, offset + 4) != 4)
        abort();
}

static void fix_footer(int fd, off_t offset)
{
    uint8_t b[512];
    uint32_t sum = 0;

    if (offset < 0 || pread(fd, b, sizeof b, offset) != sizeof b || memcmp(b, "conectix", 8) != 0)
        return;
    memset(b + 64, 0, 4);
    for (size_t i = 0; i < sizeof b; i++)
        sum += b[i];
    vmscm_put_be32(b, ~sum);
    if (pwrite(fd, b, 4, offset + 64) != 4)
        abort();
}

static void write_image(const uint8_t *data, size_t len)
{
    char magic[8] = "";
    off_t size = (off_t)vmscm_get_le16(data + 1) << 9;
    int fd = open(image, O_CREAT | O_TRUNC | O_RDWR, 0600);

    if (fd < 0)
        abort();
    data += 3;
    len -= 3;
    while (len > 5) {
        off_t offset = (off_t)(vmscm_get_le32(data) & 0xffffff) * 16;
        size_t n = vmscm_get_le16(data + 3);

        data += 5;
        len -= 5;
        if (n > len)
            n = len;
        if (pwrite(fd, data, n, offset) != (ssize_t)n)
            abort();
        if (offset + (off_t)n > size)
            size = offset + (off_t)n;
        data += n;
        len -= n;
    }
    if (ftruncate(fd, size) < 0)
        abort();
    if (pread(fd, magic, sizeof magic, 0) > 0 && memcmp(magic, "vhdxfile", 8) == 0) {
        fix_crc(fd, 64 << 10, 4096);
        fix_crc(fd, 128 << 10, 4096);
        fix_crc(fd, 192 << 10, 65536);
    }
    fix_footer(fd, 0);
    fix_footer(fd, size - 512);
    close(fd);
}

/* Whatever a bitmap says, it is in the disk. */
static void read_bitmap(const struct vmscm_probe *probe)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_changes changes = {0};

    if (!vmscm_bitmap_read(&changes, probe, "vmscm-0123456789abcdef", &err))
        for (size_t i = 0; i < changes.runs.len; i++)
            if (changes.runs.items[i].end > probe->size ||
                changes.runs.items[i].start >= changes.runs.items[i].end)
                abort();
    vmscm_changes_release(&changes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const formats[8] = {
        NULL, "raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx", "parallels"};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_probe *probe = NULL;

    if (len < 3)
        return 0;
    prepare();
    write_image(data, len);
    if (vmscm_probe_open(&probe, image, formats[data[0] & 7], data[0] >> 3 & 3, &err)) {
        if (probe || err.code >= 0 || !err.message[0])
            abort();
        return 0;
    }
    for (const struct vmscm_probe *p = probe; p; p = p->backing) {
        if (!p->size || p->size > UINT64_C(1) << 62 || !p->files.len)
            abort();
        /* Nothing but what is in the directory, unless allowed. */
        for (size_t i = 0; i < p->files.len; i++)
            if (!(data[0] & VMSCM_ALLOW_OUTSIDE << 3) &&
                strncmp(p->files.items[i].path, dir, strlen(dir)) != 0)
                abort();
    }
    read_bitmap(probe);
    vmscm_probe_close(probe);
    return 0;
}
