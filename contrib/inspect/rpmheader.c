/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpmheader.h"

#include <string.h>

enum {
    NAME = 1000,
    VERSION = 1001,
    RELEASE = 1002,
    EPOCH = 1003,
    INSTALL_TIME = 1008,
    VENDOR = 1011,
    LICENSE = 1014,
    ARCH = 1022,
    SOURCE = 1044
};
enum { INT32 = 4, STRING = 6, I18N_STRING = 9 };

#define ENTRY 16 /* tag, type, offset, count */

struct header {
    const unsigned char *entries, *data;
    uint32_t entry_count, data_size;
};

static uint32_t get32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Where the value of a tag begins, and the bytes from there on; NULL: there is none of these types.
 */
static const unsigned char *find(
    const struct header *h, uint32_t tag, uint32_t type, uint32_t other, size_t *left)
{
    for (uint32_t i = 0; i < h->entry_count; i++) {
        const unsigned char *entry = h->entries + (size_t)i * ENTRY;
        uint32_t offset = get32(entry + 8), kind = get32(entry + 4);
        if (get32(entry) != tag || (kind != type && kind != other))
            continue;
        if (offset >= h->data_size)
            return NULL;
        *left = h->data_size - offset;
        return h->data + offset;
    }
    return NULL;
}

/* Borrowed; NULL if it does not end within the header. */
static const char *text(const struct header *h, uint32_t tag)
{
    size_t left;
    const unsigned char *at = find(h, tag, STRING, I18N_STRING, &left);

    return at && memchr(at, 0, left) ? (const char *)at : NULL;
}

static int64_t number(const struct header *h, uint32_t tag)
{
    size_t left;
    const unsigned char *at = find(h, tag, INT32, INT32, &left);

    return at && left >= 4 ? get32(at) : 0;
}

json_t *rpmheader_read(const unsigned char *bytes, size_t size)
{
    struct header h;
    const char *name;
    json_t *app;

    if (size < 8)
        return NULL;
    h.entry_count = get32(bytes);
    h.data_size = get32(bytes + 4);
    if (h.entry_count > (size - 8) / ENTRY ||
        h.data_size > size - 8 - (size_t)h.entry_count * ENTRY)
        return NULL;
    h.entries = bytes + 8;
    h.data = h.entries + (size_t)h.entry_count * ENTRY;
    name = text(&h, NAME);
    if (!name || !*name || strcmp(name, "gpg-pubkey") == 0)
        return NULL;
    app = facts_object();
    facts_text(app, "name", name);
    if (number(&h, EPOCH) > 0)
        facts_number(app, "epoch", number(&h, EPOCH));
    facts_text(app, "version", text(&h, VERSION));
    facts_text(app, "release", text(&h, RELEASE));
    facts_text(app, "arch", text(&h, ARCH));
    facts_text(app, "publisher", text(&h, VENDOR));
    facts_text(app, "license", text(&h, LICENSE));
    facts_text(app, "source", text(&h, SOURCE));
    facts_date(app, "date", number(&h, INSTALL_TIME));
    return app;
}
