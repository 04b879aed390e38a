/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/acltext.h"
#include "base/str.h"
#include "base/vec.h"

#include <string.h>

#define VERSION 2
#define NO_ID UINT32_MAX
#define ENTRIES_MAX 4096

enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32 };

struct entry {
    uint16_t tag, perm;
    uint32_t id;
};

/* Up to the next colon, which is passed over, in a line that is cut. */
static const char *field(char **line)
{
    char *start = *line, *end = start ? strchr(start, ':') : NULL;

    if (end)
        *end++ = '\0';
    *line = end;
    return start ? start : "";
}

static bool parse_perm(uint16_t *perm, const char *text)
{
    *perm = 0;
    for (; *text; text++) {
        const char *letters = "xwr", *at = strchr(letters, *text);
        if (at)
            *perm |= (uint16_t)(1u << (at - letters));
        else if (*text != '-')
            return false;
    }
    return true;
}

/* 1: an entry; 0: one that is left out; -1: malformed. */
static int parse(struct entry *e, char *line)
{
    const char *kind = field(&line), *who = "", *perm = field(&line), *number;
    bool user = strcmp(kind, "user") == 0 || strcmp(kind, "u") == 0;
    bool group = strcmp(kind, "group") == 0 || strcmp(kind, "g") == 0;
    bool mask = strcmp(kind, "mask") == 0 || strcmp(kind, "m") == 0;
    uint64_t id;

    if (!user && !group && !mask && strcmp(kind, "other") != 0 && strcmp(kind, "o") != 0)
        return -1;
    /* "mask:r-x" and "mask::r-x" are the same. */
    if (user || group || !*perm) {
        who = perm;
        perm = field(&line);
    }
    number = field(&line);
    if (!parse_perm(&e->perm, perm) || ((mask || !(user || group)) && *who))
        return -1;
    e->id = NO_ID;
    e->tag = mask ? MASK : user ? USER_OBJ : group ? GROUP_OBJ : OTHER;
    if (!*who)
        return 1;
    e->tag = user ? USER : GROUP;
    if (!vmscm_str_uint(&id, *number ? number : who, 0, UINT32_MAX - 1))
        return *number ? -1 : 0;
    e->id = (uint32_t)id;
    return 1;
}

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->tag != y->tag)
        return x->tag < y->tag ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int write(struct vmscm_buf *out, const struct entry *entries, size_t count, struct vmscm_error *err)
{
    int rc = vmscm_buf_put32(out, VERSION, err);

    for (size_t i = 0; i < count && !rc; i++)
        if (!(rc = vmscm_buf_put16(out, entries[i].tag, err)) &&
            !(rc = vmscm_buf_put16(out, entries[i].perm, err)))
            rc = vmscm_buf_put32(out, entries[i].id, err);
    return rc;
}

int vmscm_acltext_encode(struct vmscm_buf *out, bool *names, const char *text, struct vmscm_error *err)
{
    VMSCM_VEC(struct entry) entries = {0};
    char *copy = NULL, *next, *line;
    int rc = vmscm_str_dup(&copy, text, err);

    for (next = copy; !rc && next && *next; ) {
        struct entry one = {0, 0, 0}, *slot;
        size_t len = strcspn(next, ",\n");
        int got;
        line = next + strspn(next, " \t");
        next += len;
        if (*next)
            *next++ = '\0';
        line[strcspn(line, " \t#")] = '\0';
        if (!*line)
            continue;
        if ((got = parse(&one, line)) < 0 || entries.len == ENTRIES_MAX)
            rc = vmscm_error_set(err, VMSCM_EINPUT, "a malformed access control list");
        else if (!got)
            *names = true;
        else if (!(rc = vmscm_vec_add(&entries, &slot, err)))
            *slot = one;
    }
    if (!rc && entries.len) {
        qsort(entries.items, entries.len, sizeof *entries.items, compare);
        rc = write(out, entries.items, entries.len, err);
    }
    vmscm_vec_release(&entries);
    free(copy);
    return rc;
}
