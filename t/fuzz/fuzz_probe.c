/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz target of lib/image/probe and bitmap. Checksums that the formats have are made right, or nothing
 * behind them would ever be reached.
 *
 *   byte 0      bits 0-2: format to force, from 1 (0: none); bits 3-4: enum vmscm_allow; bit 5:
 *               it may be the difference to another
 *   bytes 1-2   least size of the file in units of 512 bytes
 *   pieces      as in pieces.h
 */
#include "codec/crc32c.h"
#include "image/bitmap.h"
#include "image/probe.h"
#include "pieces.h"
#include "scratch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *dir;
static char image[512];
static int image_fd = -1;

/* A directory with the image, and others that it can name: "b" is raw, "link" leads outside. */
static void prepare(void)
{
    char path[512];
    int fd;

    if (dir)
        return;
    dir = scratch_dir();
    snprintf(image, sizeof image, "%s/i", dir);
    if ((image_fd = open(image, O_CREAT | O_RDWR, 0600)) < 0)
        abort();
    snprintf(path, sizeof path, "%s/b", dir);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    if (fd < 0 || ftruncate(fd, 1 << 20) < 0)
        abort();
    close(fd);
    snprintf(path, sizeof path, "%s/link", dir);
    if (symlink("/etc/passwd", path) < 0)
        abort();
}

static void fix_crc(off_t offset, size_t len)
{
    static uint8_t b[65536];

    if (pread(image_fd, b, len, offset) != (ssize_t)len)
        return;
    memset(b + 4, 0, 4);
    vmscm_put_le32(b, vmscm_crc32c(0, b, len));
    if (pwrite(image_fd, b, 4, offset + 4) != 4)
        abort();
}

static void fix_footer(off_t offset)
{
    uint8_t b[512];
    uint32_t sum = 0;

    if (offset < 0 || pread(image_fd, b, sizeof b, offset) != sizeof b || memcmp(b, "conectix", 8) != 0)
        return;
    memset(b + 64, 0, 4);
    for (size_t i = 0; i < sizeof b; i++)
        sum += b[i];
    vmscm_put_be32(b, ~sum);
    if (pwrite(image_fd, b, 4, offset + 64) != 4)
        abort();
}

static void write_image(const uint8_t *data, size_t len)
{
    char magic[8] = "";
    off_t size = pieces_write(image_fd, (off_t)vmscm_get_le16(data + 1) << 9, data + 3, len - 3);

    if (pread(image_fd, magic, sizeof magic, 0) > 0 && memcmp(magic, "vhdxfile", 8) == 0) {
        fix_crc(64 << 10, 4096);
        fix_crc(128 << 10, 4096);
        fix_crc(192 << 10, 65536);
    }
    fix_footer(0);
    fix_footer(size - 512);
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
    unsigned allow = (data[0] >> 3 & 3) | (data[0] & 32 ? VMSCM_PROBE_CHILD : 0);
    if (vmscm_probe_open(&probe, image, formats[data[0] & 7], allow, &err)) {
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
