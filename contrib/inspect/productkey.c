/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The whole key is in memory while it is decoded, and is wiped. */
#include "productkey.h"

#include <string.h>

#define AT_KEY 52 /* of 15 bytes, a number to base 24 */
#define KEY_BYTES 15
#define KEY_CHARACTERS 25
#define AT_CHANNEL 0x3f8 /* 64 characters of UTF-16 */

void productkey_part(char part[PRODUCTKEY_PART], const unsigned char *id, size_t size)
{
    static const char digits[] = "BCDFGHJKMPQRTVWXY2346789";
    unsigned char bytes[KEY_BYTES];
    char key[KEY_CHARACTERS + 1] = "";
    unsigned rest = 0, any = 0;

    part[0] = '\0';
    if (size < AT_KEY + KEY_BYTES)
        return;
    memcpy(bytes, id + AT_KEY, KEY_BYTES);
    for (size_t i = 0; i < KEY_BYTES; i++)
        any |= bytes[i];
    /* Since Windows 8 a bit says that there is an N, and the first digit where. */
    int has_n = bytes[KEY_BYTES - 1] >> 3 & 1;
    bytes[KEY_BYTES - 1] &= 0xf7;
    for (size_t i = KEY_CHARACTERS; i-- > 0;) {
        rest = 0;
        for (size_t k = KEY_BYTES; k-- > 0;) {
            rest = rest << 8 | bytes[k];
            bytes[k] = (unsigned char)(rest / 24);
            rest %= 24;
        }
        key[i] = digits[rest];
    }
    if (has_n) {
        memmove(key, key + 1, rest);
        key[rest] = 'N';
    }
    if (any) {
        memcpy(part, key + KEY_CHARACTERS - (PRODUCTKEY_PART - 1), PRODUCTKEY_PART - 1);
        part[PRODUCTKEY_PART - 1] = '\0';
    }
    explicit_bzero(key, sizeof key);
    explicit_bzero(bytes, sizeof bytes);
}

void productkey_channel(char *channel, size_t room, const unsigned char *id, size_t size)
{
    size_t len = 0;

    for (size_t at = AT_CHANNEL; at + 2 <= size && at < AT_CHANNEL + 128 && len + 1 < room;
         at += 2) {
        if (id[at + 1] || id[at] < ' ' || id[at] > '~')
            break;
        channel[len++] = (char)id[at];
    }
    channel[len] = '\0';
}
