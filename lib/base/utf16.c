/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/utf16.h"
#include "base/endian.h"

#define REPLACEMENT 0xfffdu

static size_t put_utf8(uint8_t out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

int vmscm_utf16_decode(struct vmscm_buf *out, const uint8_t *text, size_t len, bool big_endian,
    struct vmscm_error *err)
{
    uint8_t bytes[4];
    int rc = vmscm_buf_reserve(out, len / 2 * 3, err);

    if (rc)
        return rc;
    out->data[out->len] = '\0';
    for (size_t i = 0; i + 1 < len && !rc; i += 2) {
        uint32_t c = big_endian ? vmscm_get_be16(text + i) : vmscm_get_le16(text + i);
        if (!c)
            break;
        if (c >= 0xd800 && c < 0xe000) {
            uint32_t low = i + 3 >= len ? 0
                : big_endian            ? vmscm_get_be16(text + i + 2)
                                        : vmscm_get_le16(text + i + 2);
            bool pair = c < 0xdc00 && low >= 0xdc00 && low < 0xe000;
            c = pair ? 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff)) : REPLACEMENT;
            i += pair ? 2 : 0;
        }
        rc = vmscm_buf_append(out, bytes, put_utf8(bytes, c), err);
    }
    return rc;
}
