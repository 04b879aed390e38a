/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/xmlbound.h"

#include <string.h>
#include <strings.h>

struct text {
    const char *at, *end;
};

static bool starts(const struct text *t, const char *with)
{
    size_t len = strlen(with);

    return (size_t)(t->end - t->at) >= len && memcmp(t->at, with, len) == 0;
}

/* Past the next of these; the end if there is none. */
static void skip(struct text *t, const char *past)
{
    const char *found = memmem(t->at, (size_t)(t->end - t->at), past, strlen(past));

    t->at = found ? found + strlen(past) : t->end;
}

/* Whether libxml2 takes it for UTF-8, in which markup is what its bytes look like: by its first bytes, and by
 * the encoding that it declares. */
static bool is_utf8(struct text t)
{
    struct text declaration;

    if (memchr(t.at, '\0', (size_t)(t.end - t.at)))
        return false;
    if (starts(&t, "\xef\xbb\xbf"))
        t.at += 3;
    if (!starts(&t, "<?xml"))
        return starts(&t, "<");
    declaration = t;
    skip(&declaration, "?>");
    t.end = declaration.at;
    skip(&t, "encoding");
    if (t.at == t.end)
        return true;
    while (t.at < t.end && strchr(" \t\r\n=\"'", *t.at))
        t.at++;
    return t.end - t.at > 5 && strncasecmp(t.at, "utf-8", 5) == 0 && strchr("\"'", t.at[5]);
}

/* To the end of a tag; false: it has too many values in quotes. */
static bool pass_tag(struct text *t)
{
    size_t values = 0;

    for (; t->at < t->end && *t->at != '>'; t->at++) {
        if (*t->at != '"' && *t->at != '\'')
            continue;
        if (++values > VMSCM_XMLBOUND_ATTRIBUTES)
            return false;
        if (!(t->at = memchr(t->at + 1, *t->at, (size_t)(t->end - t->at - 1)))) {
            t->at = t->end;
            break;
        }
    }
    return true;
}

bool vmscm_xmlbound_fits(const void *xml, size_t len)
{
    struct text t = {xml, (const char *)xml + len};

    if (len <= VMSCM_XMLBOUND_OTHER)
        return true;
    if (!is_utf8(t))
        return false;
    while (t.at < t.end) {
        skip(&t, "<");
        if (starts(&t, "!--"))
            skip(&t, "-->");
        else if (starts(&t, "![CDATA["))
            skip(&t, "]]>");
        else if (starts(&t, "?"))
            skip(&t, "?>");
        else if (!pass_tag(&t))
            return false;
    }
    return true;
}
