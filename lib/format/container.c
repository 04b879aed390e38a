/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "T1" and so on in comments are the rules of vmscm-format-container(5). */
#include "format/container.h"
#include "base/endian.h"
#include "base/str.h"
#include "codec/checksum.h"
#include "format/tarhead.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK VMSCM_TARHEAD_BLOCK
#define MAGIC "VMSCMTAR"
#define VERSION 1
#define VERSION_LINKS 2 /* hard links hold bytes */
#define CUT_BELOW (UINT64_MAX / 8)

enum { AT_VERSION = 8, AT_TAR = 16, AT_METADATA = 24, AT_MEMBERS = 32, AT_REST = 40 };

void vmscm_container_encode(uint8_t block[VMSCM_CONTAINER_BLOCK], const struct vmscm_container_head *head)
{
    memset(block, 0, VMSCM_CONTAINER_BLOCK);
    memcpy(block, MAGIC, 8);
    block[AT_VERSION] = head->links_hold ? VERSION_LINKS : VERSION;
    vmscm_put_le64(block + AT_TAR, head->tar);
    vmscm_put_le64(block + AT_METADATA, head->metadata);
    vmscm_put_le64(block + AT_MEMBERS, head->members);
}

int vmscm_container_decode(struct vmscm_container_head *out, const uint8_t block[VMSCM_CONTAINER_BLOCK],
    struct vmscm_error *err)
{
    static const uint8_t zeros[VMSCM_CONTAINER_BLOCK];

    *out = (struct vmscm_container_head){0};
    if (memcmp(block, MAGIC, 8) != 0)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "container: has no header");
    if (block[AT_VERSION] != VERSION && block[AT_VERSION] != VERSION_LINKS)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "container: version %u: this vmscm knows versions up to %d", block[AT_VERSION], VERSION_LINKS);
    out->links_hold = block[AT_VERSION] == VERSION_LINKS;
    out->tar = vmscm_get_le64(block + AT_TAR);
    out->metadata = vmscm_get_le64(block + AT_METADATA);
    out->members = vmscm_get_le64(block + AT_MEMBERS);
    if (memcmp(block + AT_VERSION + 1, zeros, AT_TAR - AT_VERSION - 1) != 0 ||
        memcmp(block + AT_REST, zeros, VMSCM_CONTAINER_BLOCK - AT_REST) != 0 ||
        out->tar > VMSCM_TARHEAD_SIZE_LIMIT || out->metadata > VMSCM_TARHEAD_SIZE_LIMIT ||
        out->metadata % VMSCM_CONTAINER_BLOCK || out->members > VMSCM_CONTAINER_MEMBERS_MAX)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "container: its header is malformed");
    return 0;
}

static void empty(struct vmscm_container_group *group)
{
    free(group->said);
    free(group->link);
    group->bytes.len = 0;
    group->said = group->name = group->link = NULL;
    group->size = group->link_size = 0;
    group->type = 0;
    group->end = group->directory = false;
}

void vmscm_container_release(struct vmscm_container_group *group)
{
    empty(group);
    vmscm_buf_release(&group->bytes);
}

/* A group while it is read. */
struct reading {
    struct vmscm_container_group *group;
    int (*pull)(void *data, void *out, size_t len, bool *end, struct vmscm_error *err);
    void *data;
    uint64_t size; /* as a pax header says */
    bool has_size;
    struct vmscm_error *err;
};

static int bad(struct reading *r, const char *why)
{
    return vmscm_error_set(r->err, VMSCM_EINPUT, "%.300s%s%s",
        r->group->said ? r->group->said : "", r->group->said ? ": " : "", why);
}

/* So many bytes more, appended. */
static int more(struct reading *r, size_t len)
{
    struct vmscm_buf *bytes = &r->group->bytes;
    int rc;

    if (bytes->len + len > VMSCM_CONTAINER_GROUP_MAX)
        return bad(r, "its headers are too long");
    if ((rc = vmscm_buf_reserve(bytes, len, r->err)) ||
        (rc = r->pull(r->data, bytes->data + bytes->len, len, &r->group->end, r->err)))
        return rc;
    if (!r->group->end)
        bytes->len += len;
    return 0;
}

static int replace(char **field, const char *value, struct vmscm_error *err)
{
    free(*field);
    *field = NULL;
    return vmscm_str_dup(field, value, err);
}

static int pax_record(struct reading *r, const struct vmscm_tarhead_record *record, bool global)
{
    bool path = strcmp(record->key, "path") == 0, link = strcmp(record->key, "linkpath") == 0;

    if (!path && !link && strcmp(record->key, "size") != 0)
        return 0;
    if (global)
        return bad(r, "a pax header that names all members at once");
    if ((path || link) && strlen(record->value) != record->len)
        return bad(r, "a name with a NUL byte");
    if (path)
        return replace(&r->group->said, record->value, r->err);
    if (link)
        return replace(&r->group->link, record->value, r->err);
    if (!vmscm_str_uint(&r->size, record->value, 0, VMSCM_TARHEAD_SIZE_LIMIT))
        return bad(r, "a malformed size");
    r->has_size = true;
    return 0;
}

/* What an extended header says, of which the bytes are the last ones. */
static int read_extended(struct reading *r, char type, uint64_t size)
{
    struct vmscm_tarhead_record record;
    size_t padded, at = 0;
    char *text;
    int got, rc;

    if (size > VMSCM_TARHEAD_EXTENDED_MAX)
        return bad(r, "an extended header is too long");
    padded = (size_t)vmscm_container_padded(size);
    if ((rc = more(r, padded)) || r->group->end)
        return rc;
    if (!(text = malloc((size_t)size + 1)))
        return vmscm_error_nomem(r->err);
    memcpy(text, r->group->bytes.data + r->group->bytes.len - padded, (size_t)size);
    text[size] = '\0';
    if (type == 'L')
        rc = replace(&r->group->said, text, r->err);
    else if (type == 'K')
        rc = replace(&r->group->link, text, r->err);
    else
        while (!rc && (got = vmscm_tarhead_record(&record, text, (size_t)size, &at)))
            rc = got < 0 ? bad(r, "a malformed pax record") : pax_record(r, &record, type == 'g');
    free(text);
    return rc;
}

/* GNU's sparse member: its map goes on in blocks of their own. */
static int read_map(struct reading *r, size_t header)
{
    bool goes_on = r->group->bytes.data[header + VMSCM_TARHEAD_SPARSE_MORE] != 0;
    int rc = 0;

    while (goes_on && !(rc = more(r, BLOCK)) && !r->group->end)
        goes_on = r->group->bytes.data[r->group->bytes.len - BLOCK + VMSCM_TARHEAD_MAP_MORE] != 0;
    return rc;
}

static int read_member(struct reading *r, size_t header, uint64_t size)
{
    struct vmscm_container_group *group = r->group;
    int rc;

    if (group->type == 'M')
        return vmscm_error_set(r->err, VMSCM_EUNSUPPORTED,
            "%.100s: archives of several volumes are not supported",
            (const char *)group->bytes.data + header);
    if (!group->said &&
        (rc = vmscm_tarhead_name(&group->said, group->bytes.data + header, r->err)))
        return rc;
    if ((group->type == '1' || group->type == '2') && !group->link &&
        (rc = vmscm_str_printf(&group->link, r->err, "%.100s",
             (const char *)group->bytes.data + header + VMSCM_TARHEAD_LINK)))
        return rc;
    group->directory = vmscm_str_ends(group->said, "/");
    group->name = (char *)vmscm_tarhead_plain_name(group->said);
    if (r->has_size)
        size = r->size;
    group->size = vmscm_tarhead_has_bytes(group->type) ? size : 0;
    group->link_size = group->type == '1' ? size : 0;
    return group->type == 'S' ? read_map(r, header) : 0;
}

int vmscm_container_next(struct vmscm_container_group *group,
    int (*pull)(void *data, void *out, size_t len, bool *end, struct vmscm_error *err), void *data,
    struct vmscm_error *err)
{
    struct reading r = {.group = group, .pull = pull, .data = data, .err = err};
    int rc = 0;

    empty(group);
    while (!rc) {
        const uint8_t *block;
        size_t header = group->bytes.len;
        uint64_t size;
        if ((rc = more(&r, BLOCK)) || group->end)
            break;
        block = group->bytes.data + header;
        group->type = (char)block[VMSCM_TARHEAD_TYPE];
        if (vmscm_tarhead_is_zero(block))
            group->end = true;
        else if (!vmscm_tarhead_sum_fits(block))
            rc = bad(&r, "no header of a tar archive");
        else if (!vmscm_tarhead_number(&size, block + VMSCM_TARHEAD_SIZE, 12))
            rc = bad(&r, "a malformed size");
        else if (vmscm_tarhead_is_extended(group->type))
            rc = read_extended(&r, group->type, size);
        else
            return read_member(&r, header, size);
        if (group->end)
            break;
    }
    return rc;
}

bool vmscm_container_cuts(const struct vmscm_container_group *group)
{
    return vmscm_checksum_64(group->bytes.data, group->bytes.len, 0) <= CUT_BELOW;
}

uint64_t vmscm_container_padded(uint64_t size)
{
    return (size + BLOCK - 1) / BLOCK * BLOCK;
}

uint64_t vmscm_container_blocks(uint64_t size)
{
    return (size + VMSCM_CONTAINER_BLOCK - 1) / VMSCM_CONTAINER_BLOCK * VMSCM_CONTAINER_BLOCK;
}

uint64_t vmscm_container_place(uint64_t at, uint64_t len, bool cut)
{
    uint64_t over = at % VMSCM_CONTAINER_BLOCK;

    return over && (cut || over + len > VMSCM_CONTAINER_BLOCK) ? vmscm_container_blocks(at) : at;
}
