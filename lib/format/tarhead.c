/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/tarhead.h"
#include "base/str.h"

#include <string.h>

#define BLOCK VMSCM_TARHEAD_BLOCK

bool vmscm_tarhead_number(uint64_t *out, const uint8_t *field, size_t len)
{
    uint64_t value = 0;
    size_t i = 0;

    if (field[0] & 0x80) {
        if (field[0] != 0x80)
            return false; /* negative, or far too large */
        for (i = 1; i < len; i++) {
            if (value >> 55)
                return false;
            value = value << 8 | field[i];
        }
        *out = value;
        return value <= VMSCM_TARHEAD_SIZE_LIMIT;
    }
    while (i < len && field[i] == ' ')
        i++;
    for (; i < len && field[i] >= '0' && field[i] <= '7'; i++) {
        if (value >> 59)
            return false;
        value = value << 3 | (uint64_t)(field[i] - '0');
    }
    for (; i < len; i++)
        if (field[i] != ' ' && field[i] != '\0')
            return false;
    *out = value;
    return value <= VMSCM_TARHEAD_SIZE_LIMIT;
}

bool vmscm_tarhead_sum_fits(const uint8_t block[VMSCM_TARHEAD_BLOCK])
{
    uint64_t stored;
    int64_t plain = 0, odd = 0;

    if (!vmscm_tarhead_number(&stored, block + VMSCM_TARHEAD_SUM, 8))
        return false;
    /* Some took bytes for signed. */
    for (size_t i = 0; i < BLOCK; i++) {
        uint8_t c = i >= VMSCM_TARHEAD_SUM && i < VMSCM_TARHEAD_SUM + 8 ? ' ' : block[i];
        plain += c;
        odd += (int8_t)c;
    }
    return (int64_t)stored == plain || (int64_t)stored == odd;
}

bool vmscm_tarhead_is_old(const uint8_t block[VMSCM_TARHEAD_BLOCK])
{
    static const struct {
        uint16_t at, len;
    } numbers[] = {{VMSCM_TARHEAD_MODE, 8}, {VMSCM_TARHEAD_UID, 8}, {VMSCM_TARHEAD_GID, 8},
        {VMSCM_TARHEAD_SIZE, 12}, {VMSCM_TARHEAD_MTIME, 12}};
    char type = (char)block[VMSCM_TARHEAD_TYPE];
    size_t name = strnlen((const char *)block, 100);
    uint64_t number;

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const uint8_t *field = block + numbers[i].at;
        size_t blanks = 0;
        while (blanks < numbers[i].len && field[blanks] == ' ')
            blanks++;
        /* None of them is empty, or in base 256, which is younger. */
        if (blanks == numbers[i].len || field[blanks] < '0' || field[blanks] > '7' ||
            !vmscm_tarhead_number(&number, field, numbers[i].len))
            return false;
    }
    for (size_t i = 0; i < name; i++)
        if (block[i] < ' ' || block[i] == 127)
            return false;
    /* There is nothing after the name of a link, but, of GNU tar, a device's numbers. */
    for (size_t i = VMSCM_TARHEAD_MAGIC; i < BLOCK; i++)
        if (block[i] && (i < VMSCM_TARHEAD_DEVICE || i >= VMSCM_TARHEAD_PREFIX || block[i] < '0' ||
                            block[i] > '7'))
            return false;
    /* GNU tar has the younger types even so. */
    return name && (type == '\0' || (type >= '0' && type <= '6')) && vmscm_tarhead_sum_fits(block);
}

bool vmscm_tarhead_is_zero(const uint8_t block[VMSCM_TARHEAD_BLOCK])
{
    return block[0] == 0 && memcmp(block, block + 1, BLOCK - 1) == 0;
}

bool vmscm_tarhead_is_extended(char type)
{
    return type == 'x' || type == 'g' || type == 'L' || type == 'K';
}

bool vmscm_tarhead_has_bytes(char type)
{
    return type == '0' || type == '\0' || type == '7' || type == 'S' || type == 'M' ||
        vmscm_tarhead_is_extended(type);
}

int vmscm_tarhead_name(char **out, const uint8_t block[VMSCM_TARHEAD_BLOCK], struct vmscm_error *err)
{
    const char *name = (const char *)block, *prefix = name + VMSCM_TARHEAD_PREFIX;
    bool posix = memcmp(block + VMSCM_TARHEAD_MAGIC, "ustar\0" "00", 8) == 0;

    if (posix && *prefix)
        return vmscm_str_printf(out, err, "%.155s/%.100s", prefix, name);
    return vmscm_str_printf(out, err, "%.100s", name);
}

const char *vmscm_tarhead_plain_name(char *name)
{
    size_t len;

    while (name[0] == '.' && name[1] == '/')
        for (name += 2; *name == '/'; name++)
            ;
    len = strlen(name);
    while (len > 1 && name[len - 1] == '/')
        name[--len] = '\0';
    return *name && strcmp(name, ".") != 0 ? name : NULL;
}

int vmscm_tarhead_record(struct vmscm_tarhead_record *out, char *text, size_t len, size_t *at)
{
    char *start = text + *at, *key, *value, *end;
    uint64_t length;
    size_t digits;

    if (*at >= len || !*start)
        return 0;
    digits = strspn(start, "0123456789");
    if (digits == 0 || digits > 7 || start[digits] != ' ')
        return -1;
    start[digits] = '\0';
    if (!vmscm_str_uint(&length, start, digits + 3, len - *at) || start[length - 1] != '\n')
        return -1;
    end = start + length - 1;
    *end = '\0';
    key = start + digits + 1;
    if (!(value = memchr(key, '=', (size_t)(end - key))))
        return -1;
    *value++ = '\0';
    *out = (struct vmscm_tarhead_record){key, value, (size_t)(end - value)};
    *at += length;
    return 1;
}
