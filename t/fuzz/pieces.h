/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Images as inputs of fuzz targets. They are sparse and their headers far apart, so an input is a list of
 * pieces of one, each of them
 *
 *   offset in units of 16 bytes (3 bytes), length (2 bytes), data
 *
 * make-probe-corpus writes such lists from real images.
 */
#ifndef FUZZ_PIECES_H
#define FUZZ_PIECES_H

#include "base/endian.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Make the file what a list says, of at least size bytes. Returns its size. */
static inline off_t pieces_write(int fd, off_t size, const uint8_t *data, size_t len)
{
    if (ftruncate(fd, 0) < 0)
        abort();
    while (len > 5) {
        uint8_t at[4] = {data[0], data[1], data[2], 0};
        off_t offset = (off_t)vmscm_get_le32(at) * 16;
        size_t n = vmscm_get_le16(data + 3);

        data += 5;
        len -= 5;
        if (n > len)
            n = len;
        if (n && pwrite(fd, data, n, offset) != (ssize_t)n)
            abort();
        if (offset + (off_t)n > size)
            size = offset + (off_t)n;
        data += n;
        len -= n;
    }
    if (ftruncate(fd, size) < 0)
        abort();
    return size;
}

#endif
