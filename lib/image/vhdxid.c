/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/vhdxid.h"
#include "base/endian.h"
#include "codec/crc32c.h"
#include "image/vhdxmap.h"
#include "sys/file.h"

#include <string.h>

enum { HEADER = 4096, HEADER_1 = 64 << 10, HEADER_2 = 128 << 10, LOG_MAX = 64 << 20, PIECE = 64 << 10 };
enum { CHECKSUM = 4, SEQUENCE = 8, FILE_WRITE = 16, DATA_WRITE = 32, LOG = 48, LOG_LENGTH = 68,
    LOG_OFFSET = 72 };

static const uint8_t page_83[16] =
    "\xab\x12\xca\xbe\xe6\xb2\x23\x45\x93\xef\xc3\x09\xe0\x00\xc7\x46";

/* One of several GUIDs of a seed, of the version for such ones (RFC 9562, 5.8). */
static void make_guid(uint8_t out[16], const uint8_t seed[VMSCM_VHDXID_SEED], uint8_t which)
{
    memcpy(out, seed, 16);
    out[0] ^= which;
    out[7] = (uint8_t)(0x80 | (out[7] & 0x0f));
    out[8] = (uint8_t)(0x80 | (out[8] & 0x3f));
}

static int clear_log(int fd, const char *path, const uint8_t *header, struct vmscm_error *err)
{
    static const uint8_t zeros[PIECE];
    uint64_t at = vmscm_get_le64(header + LOG_OFFSET);
    uint32_t left = vmscm_get_le32(header + LOG_LENGTH);
    int rc = 0;

    if (left > LOG_MAX)
        return vmscm_error_set(err, VMSCM_EIO, "%s: is no VHDX image as expected", path);
    while (left && !rc) {
        uint32_t n = left < PIECE ? left : PIECE;
        rc = vmscm_file_pwrite(fd, zeros, n, at, path, err);
        at += n;
        left -= n;
    }
    return rc;
}

static int set_headers(int fd, const char *path, const uint8_t seed[VMSCM_VHDXID_SEED],
    struct vmscm_error *err)
{
    static const uint8_t none[16];
    uint8_t a[HEADER], b[HEADER], *now;
    int rc;

    if ((rc = vmscm_file_pread(fd, a, HEADER, HEADER_1, path, err)) ||
        (rc = vmscm_file_pread(fd, b, HEADER, HEADER_2, path, err)))
        return rc;
    now = vmscm_get_le64(a + SEQUENCE) > vmscm_get_le64(b + SEQUENCE) ? a : b;
    if (memcmp(now, "head", 4) != 0 || memcmp(now + LOG, none, sizeof none) != 0)
        return vmscm_error_set(err, VMSCM_EIO, "%s: is no VHDX image as expected", path);
    if ((rc = clear_log(fd, path, now, err)))
        return rc;
    make_guid(now + FILE_WRITE, seed, 1);
    make_guid(now + DATA_WRITE, seed, 2);
    for (uint32_t i = 0; i < 2 && !rc; i++) {
        vmscm_put_le64(now + SEQUENCE, i + 1);
        vmscm_put_le32(now + CHECKSUM, 0);
        vmscm_put_le32(now + CHECKSUM, vmscm_crc32c(0, now, HEADER));
        rc = vmscm_file_pwrite(fd, now, HEADER, i ? HEADER_2 : HEADER_1, path, err);
    }
    return rc;
}

int vmscm_vhdxid_set(int fd, const char *path, const uint8_t seed[VMSCM_VHDXID_SEED],
    struct vmscm_error *err)
{
    const struct vmscm_probe probe = {.format = VMSCM_PROBE_VHDX, .path = (char *)path};
    const struct vmscm_layermap layer = {NULL, &probe, {fd, path, 0, INT64_MAX}, 0};
    uint8_t disk[16];
    uint64_t at;
    uint32_t len;
    int rc;

    if ((rc = set_headers(fd, path, seed, err)) ||
        (rc = vmscm_vhdxmap_item(&at, &len, &layer, page_83, err)))
        return rc;
    if (len != sizeof disk)
        return vmscm_error_set(err, VMSCM_EIO, "%s: is no VHDX image as expected", path);
    make_guid(disk, seed, 3);
    return vmscm_file_pwrite(fd, disk, sizeof disk, at, path, err);
}
