/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "inspect/vercmp.h"

#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_before(const char *p, const char *end)
{
    static const char *const words[] = {"_alpha", "_beta", "_pre", "_rc"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if ((size_t)(end - p) >= strlen(words[i]) && memcmp(p, words[i], strlen(words[i])) == 0)
            return true;
    return *p == '~';
}

/* How a character outside numbers sorts: the tilde before the end, letters before all others. */
static int order(const char *p, const char *end)
{
    if (p == end || is_digit(*p))
        return 0;
    if (is_before(p, end))
        return -1;
    /* Only Alpine has it: "_p1" is before all else that goes on. */
    return *p == '_' ? 1 : is_letter(*p) ? *p : (unsigned char)*p + 256;
}

static int compare_numbers(const char **a, const char *a_end, const char **b, const char *b_end)
{
    const char *x, *y;
    int difference;

    while (*a < a_end && **a == '0')
        ++*a;
    while (*b < b_end && **b == '0')
        ++*b;
    x = *a;
    y = *b;
    while (*a < a_end && is_digit(**a))
        ++*a;
    while (*b < b_end && is_digit(**b))
        ++*b;
    if (*a - x != *b - y)
        return *a - x < *b - y ? -1 : 1;
    difference = memcmp(x, y, (size_t)(*a - x));
    return difference;
}

static int compare_parts(const char *a, const char *a_end, const char *b, const char *b_end)
{
    while (a < a_end || b < b_end) {
        while ((a < a_end && !is_digit(*a)) || (b < b_end && !is_digit(*b))) {
            int x = order(a, a_end), y = order(b, b_end);
            if (x != y)
                return x - y;
            a += a < a_end;
            b += b < b_end;
        }
        int difference = compare_numbers(&a, a_end, &b, b_end);
        if (difference)
            return difference;
    }
    return 0;
}

/* What is behind the epoch, which is [*from, *to). */
static const char *skip_epoch(const char *version, const char **from, const char **to)
{
    size_t digits = strspn(version, "0123456789");
    bool has = digits > 0 && version[digits] == ':';

    *from = version;
    *to = version + (has ? digits : 0);
    return has ? version + digits + 1 : version;
}

/* As rpm's rpmvercmp(). */
static int compare_segments(const char *a, const char *a_end, const char *b, const char *b_end)
{
    for (;;) {
        while (a < a_end && !is_digit(*a) && !is_letter(*a) && *a != '~' && *a != '^')
            a++;
        while (b < b_end && !is_digit(*b) && !is_letter(*b) && *b != '~' && *b != '^')
            b++;
        char x = a < a_end ? *a : '\0', y = b < b_end ? *b : '\0';
        if (x == '~' || y == '~') {
            if (x != y)
                return x == '~' ? -1 : 1;
            a++;
            b++;
            continue;
        }
        if (x == '^' || y == '^') {
            if (x == y) {
                a++;
                b++;
                continue;
            }
            /* After the end, but before anything that goes on. */
            return x == '^' ? (y ? -1 : 1) : (x ? 1 : -1);
        }
        if (!x || !y)
            return (x != 0) - (y != 0);
        if (is_digit(x) != is_digit(y))
            return is_digit(x) ? 1 : -1;
        if (is_digit(x)) {
            int difference = compare_numbers(&a, a_end, &b, b_end);
            if (difference)
                return difference;
            continue;
        }
        const char *from = a, *other = b;
        while (a < a_end && is_letter(*a))
            a++;
        while (b < b_end && is_letter(*b))
            b++;
        size_t len = (size_t)(a - from), other_len = (size_t)(b - other);
        int difference = memcmp(from, other, len < other_len ? len : other_len);
        if (difference || len != other_len)
            return difference ? difference : len < other_len ? -1 : 1;
    }
}

static int compare(const char *a, const char *b,
    int (*parts)(const char *, const char *, const char *, const char *))
{
    const char *a_from, *a_to, *b_from, *b_to, *a_dash, *b_dash;
    int difference;

    a = skip_epoch(a, &a_from, &a_to);
    b = skip_epoch(b, &b_from, &b_to);
    if ((difference = compare_numbers(&a_from, a_to, &b_from, b_to)))
        return difference;
    a_dash = strrchr(a, '-');
    b_dash = strrchr(b, '-');
    const char *a_end = a + strlen(a), *b_end = b + strlen(b);
    difference = parts(a, a_dash ? a_dash : a_end, b, b_dash ? b_dash : b_end);
    if (difference)
        return difference;
    return parts(a_dash ? a_dash + 1 : a_end, a_end, b_dash ? b_dash + 1 : b_end, b_end);
}

int vmscm_vercmp(const char *a, const char *b)
{
    return compare(a, b, compare_parts);
}

int vmscm_vercmp_rpm(const char *a, const char *b)
{
    return compare(a, b, compare_segments);
}

bool vmscm_vercmp_within(const char *version, const char *prefix)
{
    size_t len = strlen(prefix);

    if (strncmp(version, prefix, len) != 0)
        return false;
    return !version[len] || !len || !is_digit(version[len]) || !is_digit(version[len - 1]);
}
