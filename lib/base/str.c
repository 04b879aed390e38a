/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/str.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void vmscm_str_hex(char *out, const uint8_t *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * len] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool vmscm_str_unhex(uint8_t *out, size_t len, const char *s)
{
    for (size_t i = 0; i < len; i++) {
        int hi = hex_value(s[2 * i]);
        int lo = hi < 0 ? -1 : hex_value(s[2 * i + 1]);
        if (lo < 0)
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return s[2 * len] == '\0';
}

bool vmscm_str_uint(uint64_t *out, const char *s, uint64_t min, uint64_t max)
{
    uint64_t v = 0;

    if (!isdigit((unsigned char)*s))
        return false;
    for (; isdigit((unsigned char)*s); s++) {
        uint64_t d = (uint64_t)(*s - '0');
        if (v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
    }
    if (*s || v < min || v > max)
        return false;
    *out = v;
    return true;
}

int vmscm_str_size(uint64_t *out, const char *s, struct vmscm_error *err)
{
    static const char units[] = "bkmgtpe";
    char digits[24];
    size_t n = strspn(s, "0123456789");
    const char *unit = s + n;
    unsigned shift = 0;
    uint64_t v;

    if (n == 0 || n >= sizeof digits)
        goto bad;
    memcpy(digits, s, n);
    digits[n] = '\0';
    if (!vmscm_str_uint(&v, digits, 0, UINT64_MAX))
        goto bad;
    if (*unit) {
        const char *u = strchr(units, tolower((unsigned char)*unit));
        if (!u)
            goto bad;
        shift = (unsigned)(u - units) * 10;
        unit++;
        if (shift && (unit[0] == 'i' || unit[0] == 'I') && (unit[1] == 'b' || unit[1] == 'B'))
            unit += 2;
        else if (shift && (unit[0] == 'b' || unit[0] == 'B'))
            unit++;
        if (*unit)
            goto bad;
    }
    if (shift && v > UINT64_MAX >> shift)
        goto bad;
    *out = v << shift;
    return 0;
bad:
    vmscm_error_set(err, VMSCM_EUSAGE, "%.80s: not a size", s);
    return vmscm_error_hint(err, "a number with an optional unit, such as 512, 64K, 20M or 4G");
}

unsigned vmscm_str_distance(const char *a, const char *b, unsigned cap)
{
    size_t la = strlen(a), lb = strlen(b);
    unsigned row[3][65];

    if (la > 64 || lb > 64 || (la > lb ? la - lb : lb - la) > cap)
        return cap;
    for (size_t j = 0; j <= lb; j++)
        row[0][j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned *cur = row[i % 3], *prev = row[(i + 2) % 3], *prev2 = row[(i + 1) % 3];
        cur[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned best = prev[j - 1] + (a[i - 1] != b[j - 1]);
            if (prev[j] + 1 < best)
                best = prev[j] + 1;
            if (cur[j - 1] + 1 < best)
                best = cur[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                prev2[j - 2] + 1 < best)
                best = prev2[j - 2] + 1;
            cur[j] = best;
        }
    }
    return row[la % 3][lb] < cap ? row[la % 3][lb] : cap;
}

bool vmscm_str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool vmscm_str_ends(const char *s, const char *suffix)
{
    size_t ls = strlen(s), lx = strlen(suffix);
    return ls >= lx && memcmp(s + ls - lx, suffix, lx) == 0;
}

bool vmscm_str_printable(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;

    while (*p) {
        uint32_t c = *p++;
        unsigned more = 0;
        uint32_t least = 0;
        if (c >= 0xf0 && c <= 0xf4) {
            c &= 7, more = 3, least = 0x10000;
        } else if (c >= 0xe0 && c <= 0xef) {
            c &= 15, more = 2, least = 0x800;
        } else if (c >= 0xc2 && c <= 0xdf) {
            c &= 31, more = 1, least = 0x80;
        } else if (c >= 0x80) {
            return false;
        }
        for (; more; more--, p++) {
            if ((*p & 0xc0) != 0x80)
                return false;
            c = c << 6 | (*p & 0x3f);
        }
        if (c < least || c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0xd800 && c < 0xe000) ||
            c > 0x10ffff)
            return false;
    }
    return true;
}

int vmscm_str_dup(char **out, const char *s, struct vmscm_error *err)
{
    *out = strdup(s);
    return *out ? 0 : vmscm_error_nomem(err);
}

int vmscm_str_printf(char **out, struct vmscm_error *err, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(out, fmt, ap);
    va_end(ap);
    if (n < 0) {
        *out = NULL;
        return vmscm_error_nomem(err);
    }
    return 0;
}

const char *vmscm_str_amount(char *out, uint64_t bytes)
{
    static const char units[] = "KMGTPE";
    double value = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        snprintf(out, VMSCM_STR_AMOUNT, "%u B", (unsigned)bytes);
        return out;
    }
    for (; value >= 1023.5 && units[unit + 1]; unit++)
        value /= 1024;
    snprintf(out, VMSCM_STR_AMOUNT, "%.*f %ciB", value < 99.95 ? 1 : 0, value, units[unit]);
    return out;
}
