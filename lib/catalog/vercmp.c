/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "catalog/vercmp.h"

#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* How a character outside numbers sorts: the tilde before the end, letters before all others. */
static int order(const char *p, const char *end)
{
    if (p == end || is_digit(*p))
        return 0;
    return *p == '~' ? -1 : is_letter(*p) ? *p : (unsigned char)*p + 256;
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

int vmscm_vercmp(const char *a, const char *b)
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
    difference = compare_parts(a, a_dash ? a_dash : a_end, b, b_dash ? b_dash : b_end);
    if (difference)
        return difference;
    return compare_parts(
        a_dash ? a_dash + 1 : a_end, a_end, b_dash ? b_dash + 1 : b_end, b_end);
}

bool vmscm_vercmp_within(const char *version, const char *prefix)
{
    size_t len = strlen(prefix);

    if (strncmp(version, prefix, len) != 0)
        return false;
    return !version[len] || !len || !is_digit(version[len]) || !is_digit(version[len - 1]);
}
