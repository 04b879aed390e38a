/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "text.h"

#include "memory.h"
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <wchar.h>

/* The code point at s and its length; -1 and 1 for a byte that is not part of valid UTF-8. */
static int32_t decode(const char *s, size_t *len)
{
    static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)s;
    size_t more = *p < 0x80 ? 0 : *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
    int32_t c;

    *len = 1;
    if (more == 0)
        return *p;
    if (*p < 0xc2 || *p > 0xf4)
        return -1;
    c = *p & (0x3f >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return -1;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return -1;
    *len = more + 1;
    return c;
}

static bool harmless(int32_t c)
{
    if (c < 0x20 || (c >= 0x7f && c < 0xa0))
        return false;
    /* Marks that reorder what is shown, line separators, and the byte order mark. */
    return !(c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
        (c >= 0x2066 && c <= 0x2069) || c == 0xfeff);
}

/* Write the cleaned form of [s, end). */
static void put_range(FILE *out, const char *s, const char *end, bool tabs)
{
    while (s < end) {
        size_t len;
        int32_t c = decode(s, &len);
        if (c >= 0 && (harmless(c) || (tabs && c == '\t')))
            fwrite(s, 1, len, out);
        else if (c == '\n')
            fputs("\\n", out);
        else if (c == '\t')
            fputs("\\t", out);
        else if (c > 0xff)
            fprintf(out, "\\u%04" PRIx32, (uint32_t)c);
        else
            fprintf(out, "\\x%02x", c < 0 ? (unsigned char)*s : (unsigned)c);
        s += len;
    }
}

void text_put(FILE *out, const char *s)
{
    put_range(out, s, s + strlen(s), false);
}

char *text_clean(const char *s)
{
    char *clean = NULL;
    size_t size;
    FILE *out = open_memstream(&clean, &size);

    if (!out)
        memory_die();
    text_put(out, s);
    if (fclose(out))
        memory_die();
    return clean;
}

void text_put_lines(FILE *out, const char *s, const char *indent)
{
    while (*s) {
        const char *end = strchrnul(s, '\n');
        if (end > s)
            fputs(indent, out);
        put_range(out, s, end, true);
        fputc('\n', out);
        s = *end ? end + 1 : end;
    }
}

size_t text_width(const char *s)
{
    size_t width = 0, len;

    for (; *s; s += len) {
        int columns = wcwidth((wchar_t)decode(s, &len));
        width += columns < 0 ? 1 : (size_t)columns;
    }
    return width;
}

const char *text_size(char *buf, uint64_t bytes)
{
    static const char units[] = "KMGTPE";
    double value = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        snprintf(buf, TEXT_MAX, "%" PRIu64 " B", bytes);
        return buf;
    }
    while (value >= 1023.5 && units[unit + 1]) {
        value /= 1024;
        unit++;
    }
    snprintf(buf, TEXT_MAX, "%.*f %ciB", value < 99.95 ? 1 : 0, value, units[unit]);
    return buf;
}

const char *text_seconds(char *buf, double seconds)
{
    if (!(seconds >= 0))
        seconds = 0;
    if (seconds < 100)
        snprintf(buf, TEXT_MAX, "%.1f s", seconds);
    else
        snprintf(buf, TEXT_MAX, "%.0f min %d s", (double)(uint64_t)(seconds / 60),
            (int)((uint64_t)seconds % 60));
    return buf;
}

const char *text_id(char *buf, const char *id)
{
    snprintf(buf, TEXT_MAX, "%.7s", id ? id : "-");
    return buf;
}

/* The fields of a time some minutes east of UTC; false for one that no calendar has. */
static bool calendar(struct tm *tm, int64_t when, int offset)
{
    time_t t;

    if (when > INT64_MAX / 2 || when < INT64_MIN / 2)
        return false;
    t = (time_t)(when + (int64_t)offset * 60);
    return gmtime_r(&t, tm) != NULL;
}

static void append_zone(char *buf, int offset, const char *colon)
{
    size_t len = strlen(buf);
    unsigned minutes = (unsigned)(offset < 0 ? -(int64_t)offset : offset) % 6000;

    snprintf(buf + len, TEXT_MAX - len, "%c%02u%s%02u", offset < 0 ? '-' : '+', minutes / 60,
        colon, minutes % 60);
}

const char *text_date(char *buf, int64_t when, int offset)
{
    struct tm tm;

    if (!calendar(&tm, when, offset) || strftime(buf, TEXT_MAX, "%Y-%m-%d %H:%M:%S ", &tm) == 0)
        snprintf(buf, TEXT_MAX, "? ");
    append_zone(buf, offset, "");
    return buf;
}

const char *text_iso(char *buf, int64_t when, int offset)
{
    struct tm tm;

    if (!calendar(&tm, when, offset) || strftime(buf, TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        snprintf(buf, TEXT_MAX, "?");
    append_zone(buf, offset, ":");
    return buf;
}

const char *text_local(char *buf, int64_t when)
{
    time_t t = (time_t)when;
    struct tm tm;

    if (!localtime_r(&t, &tm) || strftime(buf, TEXT_MAX, "%Y-%m-%d %H:%M", &tm) == 0)
        snprintf(buf, TEXT_MAX, "?");
    return buf;
}

const char *text_count(char *buf, uint64_t n, const char *one)
{
    snprintf(buf, TEXT_MAX, "%" PRIu64 " %s%s", n, one, n == 1 ? "" : "s");
    return buf;
}

unsigned text_distance(const char *a, const char *b)
{
    enum { LONGEST = 32 };
    unsigned row[3][LONGEST + 1];
    size_t la = strlen(a), lb = strlen(b);

    if (la > LONGEST || lb > LONGEST)
        return UINT_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[0][j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[la % 3][lb];
}

const char *text_mode(char *text, mode_t mode)
{
    static const struct {
        mode_t kind;
        char letter;
    } kinds[] = {{S_IFDIR, 'd'}, {S_IFLNK, 'l'}, {S_IFCHR, 'c'}, {S_IFBLK, 'b'}, {S_IFIFO, 'p'},
        {S_IFSOCK, 's'}};

    memcpy(text, "----------", 11);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if ((mode & S_IFMT) == kinds[i].kind)
            text[0] = kinds[i].letter;
    for (int i = 0; i < 9; i++)
        if (mode & (0400 >> i))
            text[i + 1] = "rwx"[i % 3];
    if (mode & S_ISUID)
        text[3] = mode & S_IXUSR ? 's' : 'S';
    if (mode & S_ISGID)
        text[6] = mode & S_IXGRP ? 's' : 'S';
    if (mode & S_ISVTX)
        text[9] = mode & S_IXOTH ? 't' : 'T';
    return text;
}
