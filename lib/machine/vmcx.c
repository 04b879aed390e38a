/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/vmcx.h"
#include "base/buf.h"
#include "base/endian.h"
#include "base/str.h"
#include "base/utf16.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define STORAGE UINT32_C(0x01282014)
#define REPLAY_LOG UINT32_C(0x01110003)
#define OBJECTS UINT32_C(0x01110001)
#define VERSION 0x400u
#define SECOND 0x1000u /* header */
#define OBJECTS_AT 0x2000u
#define KEY_TABLE 2u
#define DEPTH_MAX 64

enum { HEADER = 46, OBJECT = 18, TABLE = 10, ENTRY = 21 };
enum { TYPE_FREE = 1, TYPE_INT = 3, TYPE_UINT = 4, TYPE_STRING = 6, TYPE_BOOL = 8, TYPE_NODE = 9 };

struct table {
    uint16_t index, sequence;
    uint64_t offset;
    uint32_t size;
};

/* An entry of a table that counts. */
struct entry {
    uint16_t table, parent_table;
    uint32_t offset, parent;
    const uint8_t *at; /* its header */
    uint32_t size;
    uint32_t node;
    bool outside; /* not below what is read */
};

struct store {
    const uint8_t *data;
    size_t len;
    VMSCM_VEC(struct table) tables;
    VMSCM_VEC(struct entry) entries; /* sorted by table and offset */
    struct vmscm_error *err;
};

static int bad(const struct store *s, const char *what)
{
    return vmscm_error_set(s->err, VMSCM_EINPUT, "configuration: malformed .vmcx: %s", what);
}

static bool has(const struct store *s, uint64_t offset, uint64_t len)
{
    return offset <= s->len && len <= s->len - offset;
}

bool vmscm_vmcx_match(const void *head, size_t len)
{
    return len >= 4 && vmscm_get_le32(head) == STORAGE;
}

static int read_header(const struct store *s)
{
    const uint8_t *first = s->data, *second = s->data + SECOND, *h;
    uint64_t log;

    if (!has(s, SECOND, HEADER))
        return bad(s, "too short");
    if (vmscm_get_le32(first) != STORAGE && vmscm_get_le32(second) != STORAGE)
        return bad(s, "no header");
    h = vmscm_get_le32(first) != STORAGE    ? second
        : vmscm_get_le32(second) != STORAGE ? first
        : vmscm_get_le16(first + 8) > vmscm_get_le16(second + 8)
        ? first
        : second;
    if (vmscm_get_le32(h + 10) != VERSION)
        return vmscm_error_set(s->err, VMSCM_EUNSUPPORTED,
            "configuration: a .vmcx of version 0x%" PRIx32 " is not supported",
            vmscm_get_le32(h + 10));
    log = vmscm_get_le64(h + 26);
    if (!has(s, log, 12) || vmscm_get_le32(s->data + log) != REPLAY_LOG)
        return bad(s, "no replay log");
    if (vmscm_get_le32(s->data + log + 8))
        return vmscm_error_set(s->err, VMSCM_EUNSUPPORTED,
            "configuration: the .vmcx was not closed cleanly, and has changes that are not applied");
    return 0;
}

static int add_table(struct store *s, uint64_t offset, uint32_t size)
{
    struct table *t, found;

    if (!has(s, offset, size) || size < TABLE || vmscm_get_le16(s->data + offset) != KEY_TABLE)
        return bad(s, "a key table");
    found = (struct table){vmscm_get_le16(s->data + offset + 2), vmscm_get_le16(s->data + offset + 4),
        offset, size};
    for (size_t i = 0; i < s->tables.len; i++) {
        t = &s->tables.items[i];
        if (t->index != found.index)
            continue;
        if (t->sequence < found.sequence)
            *t = found;
        return 0;
    }
    int rc = vmscm_vec_add(&s->tables, &t, s->err);
    if (!rc)
        *t = found;
    return rc;
}

static int read_objects(struct store *s)
{
    uint32_t count;
    int rc = 0;

    if (!has(s, OBJECTS_AT, 8) || vmscm_get_le32(s->data + OBJECTS_AT) != OBJECTS)
        return bad(s, "no table of objects");
    count = vmscm_get_le32(s->data + OBJECTS_AT + 4);
    if (!has(s, OBJECTS_AT + 8, (uint64_t)count * OBJECT) || count > UINT16_MAX)
        return bad(s, "table of objects");
    for (uint32_t i = 0; i < count && !rc; i++) {
        const uint8_t *o = s->data + OBJECTS_AT + 8 + (size_t)i * OBJECT;
        if (o[0] == KEY_TABLE && o[17])
            rc = add_table(s, vmscm_get_le64(o + 5), vmscm_get_le32(o + 13));
    }
    return rc;
}

static int read_table(struct store *s, const struct table *t)
{
    struct entry *e;
    int rc;

    for (uint32_t at = TABLE; t->size - at >= ENTRY;) {
        const uint8_t *p = s->data + t->offset + at;
        uint32_t size = vmscm_get_le32(p + 2);
        if (!size)
            break;
        if (size < ENTRY || size > t->size - at)
            return bad(s, "a key's size");
        if (p[0] != TYPE_FREE) {
            if (s->entries.len == VMSCM_HYPERVTREE_NODES)
                return bad(s, "too many keys");
            if ((rc = vmscm_vec_add(&s->entries, &e, s->err)))
                return rc;
            *e = (struct entry){t->index, vmscm_get_le16(p + 6), at, vmscm_get_le32(p + 8), p, size,
                VMSCM_HYPERVTREE_NONE, false};
            if (!p[20] || p[20] > size - ENTRY || p[ENTRY + p[20] - 1] ||
                strlen((const char *)p + ENTRY) != p[20] - 1u)
                return bad(s, "a key's name");
        }
        at += size;
    }
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return x->table != y->table ? (x->table > y->table) - (x->table < y->table)
                                : (x->offset > y->offset) - (x->offset < y->offset);
}

static struct entry *parent_of(const struct store *s, const struct entry *e)
{
    const struct entry key = {.table = e->parent_table, .offset = e->parent};

    return bsearch(&key, s->entries.items, s->entries.len, sizeof key, by_place);
}

/* The value as text; what has none has no value. */
static int read_value(char **out, const struct store *s, const struct entry *e)
{
    const uint8_t *value = e->at + ENTRY + e->at[20];
    uint32_t left = e->size - ENTRY - e->at[20];
    unsigned type = e->at[0];
    struct vmscm_buf text = VMSCM_BUF_INIT;
    int rc = 0;

    if (e->at[1] & 1)
        return 0;
    if ((type == TYPE_INT || type == TYPE_UINT) && left >= 8) {
        uint64_t n = vmscm_get_le64(value);
        return type == TYPE_INT ? vmscm_str_printf(out, s->err, "%" PRId64, (int64_t)n)
                                : vmscm_str_printf(out, s->err, "%" PRIu64, n);
    }
    if (type == TYPE_BOOL && left >= 4)
        return vmscm_str_dup(out, vmscm_get_le32(value) ? "True" : "False", s->err);
    if (type == TYPE_STRING && left >= 4) {
        uint32_t len = vmscm_get_le32(value);
        if (len > left - 4)
            return bad(s, "a string's length");
        if (!(rc = vmscm_utf16_decode(&text, value + 4, len, false, s->err)))
            rc = vmscm_str_dup(out, vmscm_buf_str(&text), s->err);
        vmscm_buf_release(&text);
    }
    return rc;
}

static int add_node(struct vmscm_hypervtree *tree, const struct store *s, struct entry *e,
    uint32_t parent)
{
    int rc = vmscm_hypervtree_add(&e->node, tree, parent, (const char *)e->at + ENTRY, s->err);

    return rc ? rc : read_value(&tree->nodes.items[e->node].value, s, e);
}

/* An entry, after those that it is below. */
static int place(struct vmscm_hypervtree *tree, const struct store *s, struct entry *e)
{
    struct entry *line[DEPTH_MAX];
    size_t depth = 0;
    int rc = 0;

    while (e && e->node == VMSCM_HYPERVTREE_NONE && !e->outside) {
        if (depth == DEPTH_MAX)
            return bad(s, "keys too deep, or in a circle");
        line[depth++] = e;
        e = e->parent_table ? parent_of(s, e) : NULL;
    }
    uint32_t above = e ? e->node : VMSCM_HYPERVTREE_NONE; /* NONE, too, if it is outside */
    while (depth-- && !rc) {
        if (above == VMSCM_HYPERVTREE_NONE)
            line[depth]->outside = true;
        else if (!(rc = add_node(tree, s, line[depth], above)))
            above = line[depth]->node;
    }
    return rc;
}

static int build(struct vmscm_hypervtree *tree, const struct store *s)
{
    bool found = false;
    int rc = 0;

    for (size_t i = 0; i < s->entries.len && !found && !rc; i++) {
        struct entry *e = &s->entries.items[i];
        found = !e->parent_table && e->at[0] == TYPE_NODE &&
            strcmp((const char *)e->at + ENTRY, "configuration") == 0;
        if (found)
            rc = add_node(tree, s, e, VMSCM_HYPERVTREE_NONE);
    }
    if (!found)
        return bad(s, "it has no configuration");
    for (size_t i = 0; i < s->entries.len && !rc; i++)
        rc = place(tree, s, &s->entries.items[i]);
    return rc;
}

int vmscm_vmcx_read(struct vmscm_hypervtree *tree, const void *data, size_t len,
    struct vmscm_error *err)
{
    struct store s = {.data = data, .len = len, .err = err};
    int rc = 0;

    if (len > VMSCM_HYPERVTREE_MAX)
        return vmscm_error_set(
            err, VMSCM_EINPUT, "configuration: over %u bytes", VMSCM_HYPERVTREE_MAX);
    if ((rc = read_header(&s)) || (rc = read_objects(&s)))
        goto out;
    for (size_t i = 0; i < s.tables.len && !rc; i++)
        rc = read_table(&s, &s.tables.items[i]);
    if (rc)
        goto out;
    if (s.entries.len)
        qsort(s.entries.items, s.entries.len, sizeof *s.entries.items, by_place);
    rc = build(tree, &s);
out:
    vmscm_vec_release(&s.tables);
    vmscm_vec_release(&s.entries);
    return rc;
}
