/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { REG_SZ = 1, REG_EXPAND_SZ = 2, REG_DWORD = 4, REG_MULTI_SZ = 7 };

int registry_open(guestfs_h *g, const char *path)
{
    /* A device or a pipe would be waited for. */
    return path && guestfs_is_file_opts(g, path, GUESTFS_IS_FILE_OPTS_FOLLOWSYMLINKS, 1, -1) == 1 &&
           guestfs_hivex_open(g, path, -1) == 0;
}

void registry_close(guestfs_h *g)
{
    guestfs_hivex_close(g);
}

int64_t registry_find(guestfs_h *g, int64_t at, const char *const *keys)
{
    for (; at > 0 && *keys; keys++)
        at = guestfs_hivex_node_get_child(g, at, *keys);
    return at > 0 ? at : 0;
}

int64_t registry_path(guestfs_h *g, int64_t at, const char *path)
{
    while (at > 0 && *path) {
        size_t len = strcspn(path, "\\");
        char *key = strndup(path, len);
        at = key ? guestfs_hivex_node_get_child(g, at, key) : 0;
        free(key);
        path += len + (path[len] != '\0');
    }
    return at > 0 ? at : 0;
}

static int64_t value_of(guestfs_h *g, int64_t node, const char *key, int64_t *type)
{
    int64_t value = node ? guestfs_hivex_node_get_value(g, node, key) : 0;

    *type = value > 0 ? guestfs_hivex_value_type(g, value) : -1;
    return value;
}

char *registry_text(guestfs_h *g, int64_t node, const char *key)
{
    int64_t type, value = value_of(g, node, key, &type);

    return type == REG_SZ || type == REG_EXPAND_SZ ? guestfs_hivex_value_string(g, value) : NULL;
}

/* One string of UTF-16 that ends with zero or where the bytes end; what is no ASCII becomes UTF-8.
 */
static size_t add_utf16(json_t *list, const unsigned char *bytes, size_t size)
{
    char text[FACTS_TEXT_MAX + 4];
    size_t len = 0, at = 0;

    for (; at + 2 <= size; at += 2) {
        unsigned c = bytes[at] | (unsigned)bytes[at + 1] << 8;
        if (c == 0)
            break;
        if (len + 3 > FACTS_TEXT_MAX)
            continue;
        if (c < 0x80) {
            text[len++] = (char)c;
        } else if (c < 0x800) {
            text[len++] = (char)(0xc0 | c >> 6);
            text[len++] = (char)(0x80 | (c & 0x3f));
        } else {
            text[len++] = (char)(0xe0 | c >> 12);
            text[len++] = (char)(0x80 | (c >> 6 & 0x3f));
            text[len++] = (char)(0x80 | (c & 0x3f));
        }
    }
    text[len] = '\0';
    if (len)
        facts_add_text(list, text);
    return at + 2;
}

void registry_texts(guestfs_h *g, int64_t node, const char *key, json_t *list)
{
    int64_t type, value = value_of(g, node, key, &type);
    size_t size = 0;

    if (type != REG_SZ && type != REG_EXPAND_SZ && type != REG_MULTI_SZ)
        return;
    unsigned char *bytes = (unsigned char *)guestfs_hivex_value_value(g, value, &size);
    for (size_t at = 0; bytes && at + 2 <= size && json_array_size(list) < FACTS_LIST_MAX;)
        at += add_utf16(list, bytes + at, size - at);
    free(bytes);
}

unsigned char *registry_bytes(guestfs_h *g, int64_t node, const char *key, size_t *size)
{
    int64_t type, value = value_of(g, node, key, &type);

    *size = 0;
    return type >= 0 ? (unsigned char *)guestfs_hivex_value_value(g, value, size) : NULL;
}

int64_t registry_number(guestfs_h *g, int64_t node, const char *key)
{
    int64_t type, value = value_of(g, node, key, &type), out = -1;
    size_t size;

    if (type != REG_DWORD)
        return -1;
    unsigned char *bytes = (unsigned char *)guestfs_hivex_value_value(g, value, &size);
    if (bytes && size == 4)
        out = (int64_t)bytes[0] | (int64_t)bytes[1] << 8 | (int64_t)bytes[2] << 16 |
              (int64_t)bytes[3] << 24;
    free(bytes);
    return out;
}

void registry_each(guestfs_h *g, int64_t node,
    void (*each)(guestfs_h *g, int64_t child, const char *name, void *data), void *data)
{
    struct guestfs_hivex_node_list *nodes = node ? guestfs_hivex_node_children(g, node) : NULL;

    for (uint32_t i = 0; nodes && i < nodes->len && i < FACTS_LIST_MAX; i++) {
        int64_t child = nodes->val[i].hivex_node_h;
        char *name = guestfs_hivex_node_name(g, child);
        if (name)
            each(g, child, name, data);
        free(name);
    }
    guestfs_free_hivex_node_list(nodes);
}

int64_t registry_filetime(const unsigned char *bytes)
{
    uint64_t time = 0;

    for (size_t i = 8; i-- > 0;)
        time = time << 8 | bytes[i];
    return registry_ticks(time);
}

int64_t registry_ticks(uint64_t ticks)
{
    return (int64_t)(ticks / 10000000) - INT64_C(11644473600);
}

/* hivex does not tell it, but where in the file the key is: size, "nk", flags, and then the time. */
int64_t registry_written(guestfs_h *g, const char *path, int64_t node)
{
    size_t size = 0;
    char *bytes = node > 0 ? guestfs_pread(g, path, 16, node, &size) : NULL;
    int64_t time = 0;

    if (bytes && size == 16 && memcmp(bytes + 4, "nk", 2) == 0)
        time = registry_filetime((unsigned char *)bytes + 8);
    free(bytes);
    return time > 0 ? time : 0;
}

char *registry_file(guestfs_h *g, const char *path)
{
    static const struct {
        const char *begin, *is;
    } begins[] = {{"%SystemDrive%", ""}, {"%SystemRoot%", "/Windows"}, {"%windir%", "/Windows"},
        {"%ProgramFiles%", "/Program Files"}};
    const char *is = "", *rest = path;
    char *whole = NULL, *found;

    if (path[0] && path[1] == ':')
        rest = path + 2;
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
        if (strncasecmp(path, begins[i].begin, strlen(begins[i].begin)) == 0) {
            rest = path + strlen(begins[i].begin);
            is = begins[i].is;
        }
    if ((*rest != '\\' && *rest != '/') || asprintf(&whole, "%s%s", is, rest) < 0)
        return NULL;
    for (char *p = whole; *p; p++)
        if (*p == '\\')
            *p = '/';
    found = guestfs_case_sensitive_path(g, whole);
    free(whole);
    return found;
}
