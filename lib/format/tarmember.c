/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/tarmember.h"
#include "base/str.h"
#include "format/tarhead.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK VMSCM_TARHEAD_BLOCK
#define GLOBAL_MAX (1u << 20)

/* GNU's sparse member: where its map, and the file's length, are. */
enum { MAP = 386, MAP_COUNT = 4, REAL_SIZE = 483, MORE_COUNT = 21, SPAN = 24 };

static int bad(const struct vmscm_tarmember *m, const char *why, struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EINPUT, "%.300s: %s", m->path ? m->path : ".", why);
}

static void empty(struct vmscm_tarmember *m)
{
    struct vmscm_buf global = m->global;

    for (size_t i = 0; i < m->xattrs.len; i++) {
        free(m->xattrs.items[i].name);
        free(m->xattrs.items[i].value);
    }
    vmscm_vec_release(&m->xattrs);
    vmscm_vec_release(&m->spans);
    free(m->acl);
    free(m->default_acl);
    free(m->real);
    *m = (struct vmscm_tarmember){.global = global};
}

void vmscm_tarmember_release(struct vmscm_tarmember *m)
{
    empty(m);
    vmscm_buf_release(&m->global);
}

/* "[-]SECONDS[.FRACTION]" */
static bool parse_time(struct vmscm_tarmember_time *out, const char *text)
{
    bool minus = *text == '-';
    char digits[24];
    uint64_t seconds;
    size_t len = strspn(text += minus, "0123456789");
    uint32_t part = 0, unit = 100000000;

    if (!len || len >= sizeof digits)
        return false;
    memcpy(digits, text, len);
    digits[len] = '\0';
    if (!vmscm_str_uint(&seconds, digits, 0, INT64_MAX - 1))
        return false;
    text += len;
    if (*text == '.')
        for (text++; *text >= '0' && *text <= '9'; text++, unit /= 10)
            part += (uint32_t)(*text - '0') * unit;
    if (*text)
        return false;
    out->seconds = minus ? -(int64_t)seconds : (int64_t)seconds;
    out->nanoseconds = part;
    if (minus && part) {
        out->seconds--;
        out->nanoseconds = 1000000000 - part;
    }
    return true;
}

static int add_xattr(struct vmscm_tarmember *m, const char *name, const void *value, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_tarmember_xattr *xattr = NULL;
    uint8_t *copy;
    int rc;

    for (size_t i = 0; i < m->xattrs.len && !xattr; i++)
        if (strcmp(m->xattrs.items[i].name, name) == 0)
            xattr = &m->xattrs.items[i];
    if (!xattr && ((rc = vmscm_vec_add(&m->xattrs, &xattr, err)) ||
                      (rc = vmscm_str_dup(&xattr->name, name, err))))
        return rc;
    if (!(copy = malloc(len + 1)))
        return vmscm_error_nomem(err);
    memcpy(copy, value, len);
    copy[len] = 0;
    free(xattr->value);
    xattr->value = copy;
    xattr->len = len;
    return 0;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
        : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* In place: %XX, as libarchive writes names. */
static void decode_url(char *text)
{
    char *out = text;

    for (; *text; text++) {
        int high = *text == '%' ? hex_digit(text[1]) : -1;
        int low = high >= 0 ? hex_digit(text[2]) : -1;
        if (low >= 0 && (high || low)) {
            *out++ = (char)(high << 4 | low);
            text += 2;
        } else {
            *out++ = *text;
        }
    }
    *out = '\0';
}

/* In place; the length, or -1. */
static long decode_base64(char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = text;
    uint32_t bits = 0;
    unsigned held = 0;
    const char *p = text;

    for (; *p && *p != '='; p++) {
        const char *digit = strchr(digits, *p);
        if (!digit)
            return -1;
        bits = bits << 6 | (uint32_t)(digit - digits);
        if ((held += 6) >= 8)
            *out++ = (char)(bits >> (held -= 8));
    }
    return p[strspn(p, "=")] ? -1 : (long)(out - text);
}

/* LIBARCHIVE.xattr.NAME=BASE64 */
static int libarchive_xattr(struct vmscm_tarmember *m, const char *name, const char *value,
    struct vmscm_error *err)
{
    char *plain = NULL, *bytes = NULL;
    long len;
    int rc;

    if ((rc = vmscm_str_dup(&plain, name, err)) || (rc = vmscm_str_dup(&bytes, value, err)))
        goto out;
    decode_url(plain);
    rc = (len = decode_base64(bytes)) < 0 ? bad(m, "a malformed extended attribute", err)
                                          : add_xattr(m, plain, bytes, (size_t)len, err);
out:
    free(plain);
    free(bytes);
    return rc;
}

static int add_span(struct vmscm_tarmember *m, uint64_t offset, uint64_t length, struct vmscm_error *err)
{
    const struct vmscm_tarmember_span *last = m->spans.len ? &m->spans.items[m->spans.len - 1] : NULL;
    struct vmscm_tarmember_span *span;
    int rc;

    if (offset > VMSCM_TARHEAD_SIZE_LIMIT || length > VMSCM_TARHEAD_SIZE_LIMIT ||
        (last && offset < last->offset + last->length))
        return bad(m, "a sparse file's map is malformed", err);
    if (!length)
        return 0;
    if (m->spans.len == VMSCM_TARMEMBER_SPANS_MAX)
        return bad(m, "a sparse file's map is too long", err);
    if ((rc = vmscm_vec_add(&m->spans, &span, err)))
        return rc;
    *span = (struct vmscm_tarmember_span){offset, length};
    return 0;
}

/* One more number of a map: an offset, or a length. */
static int map_number(struct vmscm_tarmember *m, uint64_t number, struct vmscm_error *err)
{
    if ((m->pair = !m->pair)) {
        m->offset = number;
        return 0;
    }
    return add_span(m, m->offset, number, err);
}

/* GNU.sparse.map of 0.1: numbers with commas. */
static int map_text(struct vmscm_tarmember *m, const char *text, struct vmscm_error *err)
{
    int rc = 0;

    m->spans.len = 0;
    m->pair = false;
    while (*text && !rc) {
        uint64_t number = 0;
        size_t len = strspn(text, "0123456789");
        if (!len || len > 19)
            return bad(m, "a sparse file's map is malformed", err);
        for (size_t i = 0; i < len; i++)
            number = number * 10 + (uint64_t)(text[i] - '0');
        text += len;
        if (*text && *text++ != ',')
            return bad(m, "a sparse file's map is malformed", err);
        rc = map_number(m, number, err);
    }
    return rc || !m->pair ? rc : bad(m, "a sparse file's map is malformed", err);
}

static int sparse_record(struct vmscm_tarmember *m, const char *key, const char *value,
    struct vmscm_error *err)
{
    uint64_t number = 0;
    int rc;

    if (strcmp(key, "name") == 0) {
        free(m->real);
        m->real = NULL;
        if (!(rc = vmscm_str_dup(&m->real, value, err)))
            m->path = vmscm_tarhead_plain_name(m->real);
        return rc;
    }
    if (strcmp(key, "map") == 0) {
        m->sparse = true;
        return map_text(m, value, err);
    }
    if (!vmscm_str_uint(&number, value, 0, VMSCM_TARHEAD_SIZE_LIMIT))
        return bad(m, "a malformed number in a sparse file's pax header", err);
    if (strcmp(key, "major") == 0) {
        m->sparse = true;
        m->map_in_data = number == 1;
        if (number > 1)
            return bad(m, "a sparse file of a version that is not known", err);
    } else if (strcmp(key, "size") == 0 || strcmp(key, "realsize") == 0) {
        m->sparse = m->real_size = true;
        m->size = number;
    } else if (strcmp(key, "offset") == 0 || strcmp(key, "numbytes") == 0) {
        m->sparse = true;
        if (m->pair != (*key == 'n'))
            return bad(m, "a sparse file's map is malformed", err);
        return map_number(m, number, err);
    }
    return 0;
}

static int record_one(struct vmscm_tarmember *m, const struct vmscm_tarhead_record *r,
    struct vmscm_error *err)
{
    bool text = strlen(r->value) == r->len;
    uint64_t number;
    struct {
        const char *key;
        struct vmscm_tarmember_time *time;
        bool *said;
    } times[] = {{"mtime", &m->mtime, &m->said_mtime}, {"atime", &m->atime, &m->said_atime},
        {"ctime", &m->ctime, &m->said_ctime}};

    if (vmscm_str_starts(r->key, "SCHILY.xattr.") && r->key[13])
        return add_xattr(m, r->key + 13, r->value, r->len, err);
    if (vmscm_str_starts(r->key, "LIBARCHIVE.xattr.") && r->key[17])
        return text ? libarchive_xattr(m, r->key + 17, r->value, err)
                    : bad(m, "a malformed extended attribute", err);
    if (strcmp(r->key, "RHT.security.selinux") == 0) /* the kernel's value ends with a NUL */
        return add_xattr(m, "security.selinux", r->value, text ? r->len + 1 : r->len, err);
    if (vmscm_str_starts(r->key, "GNU.sparse."))
        return text ? sparse_record(m, r->key + 11, r->value, err)
                    : bad(m, "a malformed pax record of a sparse file", err);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        if (strcmp(r->key, times[i].key) == 0) {
            *times[i].said = true;
            return text && parse_time(times[i].time, r->value) ? 0 : bad(m, "a malformed time", err);
        }
    if (strcmp(r->key, "uid") == 0 || strcmp(r->key, "gid") == 0) {
        if (!text || !vmscm_str_uint(&number, r->value, 0, UINT32_MAX))
            return bad(m, "a malformed owner", err);
        *(*r->key == 'u' ? &m->uid : &m->gid) = (uint32_t)number;
        return 0;
    }
    if (strcmp(r->key, "SCHILY.acl.access") == 0 || strcmp(r->key, "SCHILY.acl.default") == 0) {
        char **acl = r->key[11] == 'a' ? &m->acl : &m->default_acl;
        free(*acl);
        *acl = NULL;
        return text ? vmscm_str_dup(acl, r->value, err) : bad(m, "a malformed access control list", err);
    }
    return 0;
}

static int records(struct vmscm_tarmember *m, const uint8_t *data, size_t len, struct vmscm_error *err)
{
    struct vmscm_tarhead_record record;
    char *text = malloc(len + 1);
    size_t at = 0;
    int got, rc = 0;

    if (!text)
        return vmscm_error_nomem(err);
    if (len)
        memcpy(text, data, len);
    text[len] = '\0';
    while (!rc && (got = vmscm_tarhead_record(&record, text, len, &at)))
        rc = got < 0 ? bad(m, "a malformed pax record", err) : record_one(m, &record, err);
    free(text);
    return rc;
}

/* A time that may be before 1970, which GNU tar writes in base 256. */
static bool time_field(struct vmscm_tarmember_time *out, const uint8_t *field)
{
    uint64_t value = 0;

    out->nanoseconds = 0;
    if (field[0] == 0xff) {
        for (size_t i = 4; i < 12; i++)
            value = value << 8 | field[i];
        out->seconds = (int64_t)value;
        return value >> 63 && field[1] == 0xff && field[2] == 0xff && field[3] == 0xff;
    }
    if (!vmscm_tarhead_number(&value, field, 12))
        return false;
    out->seconds = (int64_t)value;
    return true;
}

/* GNU's map, in the header and in the blocks after it. */
static int gnu_map(struct vmscm_tarmember *m, const uint8_t *header, const uint8_t *end,
    struct vmscm_error *err)
{
    const uint8_t *at = header + MAP;
    unsigned count = MAP_COUNT;
    uint64_t offset, length;
    int rc = 0;

    m->sparse = m->real_size = true;
    if (!vmscm_tarhead_number(&m->size, header + REAL_SIZE, 12))
        return bad(m, "a malformed size", err);
    for (const uint8_t *block = header; block < end && !rc; block += BLOCK) {
        if (block != header)
            at = block, count = MORE_COUNT;
        for (unsigned i = 0; i < count && at[SPAN * i] && !rc; i++)
            rc = vmscm_tarhead_number(&offset, at + SPAN * i, 12) &&
                    vmscm_tarhead_number(&length, at + SPAN * i + 12, 12)
                ? add_span(m, offset, length, err)
                : bad(m, "a sparse file's map is malformed", err);
    }
    return rc;
}

/* What the header itself says. */
static int header_fields(struct vmscm_tarmember *m, const uint8_t *h, struct vmscm_error *err)
{
    static const uint8_t no_magic[5] = "ustar";
    bool posix = memcmp(h + VMSCM_TARHEAD_MAGIC, no_magic, 5) == 0;
    uint64_t mode = 0, uid = 0, gid = 0, major = 0, minor = 0;

    if (!vmscm_tarhead_number(&mode, h + VMSCM_TARHEAD_MODE, 8) ||
        !vmscm_tarhead_number(&uid, h + VMSCM_TARHEAD_UID, 8) ||
        !vmscm_tarhead_number(&gid, h + VMSCM_TARHEAD_GID, 8) || uid > UINT32_MAX || gid > UINT32_MAX)
        return bad(m, "a malformed mode or owner", err);
    if ((m->type == '3' || m->type == '4') && posix &&
        (!vmscm_tarhead_number(&major, h + VMSCM_TARHEAD_DEVICE, 8) ||
            !vmscm_tarhead_number(&minor, h + VMSCM_TARHEAD_DEVICE + 8, 8) || major > 0xfff ||
            minor > 0xfffff))
        return bad(m, "a malformed device number", err);
    if (!time_field(&m->mtime, h + VMSCM_TARHEAD_MTIME))
        return bad(m, "a malformed time", err);
    m->mode = (uint32_t)mode & 07777;
    m->uid = (uint32_t)uid;
    m->gid = (uint32_t)gid;
    m->major = (uint32_t)major;
    m->minor = (uint32_t)minor;
    return 0;
}

static bool is_regular(char type)
{
    return type == '0' || type == '\0' || type == '7' || type == 'S';
}

static int settle(struct vmscm_tarmember *m, const struct vmscm_container_group *group,
    struct vmscm_error *err)
{
    if (!m->said_atime)
        m->atime = m->mtime;
    if (!m->said_ctime)
        m->ctime = m->mtime;
    if (!is_regular(group->type)) {
        m->type = group->type >= '1' && group->type <= '6' ? group->type : 0;
        m->sparse = m->map_in_data = false;
        m->size = 0;
        return 0;
    }
    /* Before POSIX a directory was a file whose name ends with a slash. */
    m->type = group->type == '\0' && group->directory && !group->size ? '5' : '0';
    m->stored = group->size;
    if (!m->sparse || !m->real_size)
        m->size = group->size;
    if (m->pair)
        return bad(m, "a sparse file's map is malformed", err);
    return 0;
}

/* Whether a map says where just the bytes are that there are. */
static int check_map(const struct vmscm_tarmember *m, struct vmscm_error *err)
{
    uint64_t sum = 0, end = 0;

    for (size_t i = 0; i < m->spans.len; i++) {
        sum += m->spans.items[i].length;
        if (sum > VMSCM_TARHEAD_SIZE_LIMIT)
            break;
        end = m->spans.items[i].offset + m->spans.items[i].length;
    }
    return sum != m->stored || end > m->size ? bad(m, "a sparse file's map does not fit it", err) : 0;
}

int vmscm_tarmember_decode(struct vmscm_tarmember *m, const struct vmscm_container_group *group,
    struct vmscm_error *err)
{
    const uint8_t *data = group->bytes.data, *header;
    size_t at = 0, len = group->bytes.len;
    uint64_t size;
    int rc;

    empty(m);
    m->path = group->name;
    m->link = group->link;
    /* The last header is the member's own; a map's blocks may follow it. */
    while (len - at >= BLOCK && vmscm_tarhead_is_extended((char)data[at + VMSCM_TARHEAD_TYPE])) {
        if (!vmscm_tarhead_number(&size, data + at + VMSCM_TARHEAD_SIZE, 12) ||
            size > len - at - BLOCK || vmscm_container_padded(size) > len - at - BLOCK)
            return bad(m, "its headers are malformed", err);
        if (data[at + VMSCM_TARHEAD_TYPE] == 'g' &&
            (m->global.len + size > GLOBAL_MAX
                    ? (rc = bad(m, "global pax headers are too long", err))
                    : (rc = vmscm_buf_append(&m->global, data + at + BLOCK, (size_t)size, err))))
            return rc;
        at += BLOCK + (size_t)vmscm_container_padded(size);
    }
    if (len - at < BLOCK)
        return bad(m, "its headers are malformed", err);
    header = data + at;
    m->type = group->type;
    if ((rc = header_fields(m, header, err)) ||
        (rc = records(m, m->global.data, m->global.len, err)))
        return rc;
    for (at = 0; data + at < header; at += BLOCK + (size_t)vmscm_container_padded(size)) {
        vmscm_tarhead_number(&size, data + at + VMSCM_TARHEAD_SIZE, 12);
        if (data[at + VMSCM_TARHEAD_TYPE] == 'x' &&
            (rc = records(m, data + at + BLOCK, (size_t)size, err)))
            return rc;
    }
    if ((group->type == 'S' && (rc = gnu_map(m, header, data + len, err))) ||
        (rc = settle(m, group, err)))
        return rc;
    return m->sparse && !m->map_in_data ? check_map(m, err) : 0;
}

int vmscm_tarmember_map(struct vmscm_tarmember *m, const uint8_t *data, size_t len, size_t *used,
    struct vmscm_error *err)
{
    int rc = 0;

    *used = 0;
    /* The first number says how many pairs follow. */
    while (m->map_in_data && *used < len && !rc) {
        bool all = m->numbers && m->seen == m->numbers;
        uint8_t c = data[(*used)++];
        if (m->map_bytes++ == m->stored)
            return bad(m, "a sparse file's map is longer than it", err);
        if (all) {
            /* The rest of the block is padding. */
        } else if (c >= '0' && c <= '9' && m->number <= VMSCM_TARHEAD_SIZE_LIMIT / 16) {
            m->number = m->number * 10 + (uint64_t)(c - '0');
            m->digits = true;
        } else if (c != '\n' || !m->digits) {
            return bad(m, "a sparse file's map is malformed", err);
        } else {
            if (!m->numbers && m->number > VMSCM_TARMEMBER_SPANS_MAX)
                return bad(m, "a sparse file's map is too long", err);
            if (!m->numbers)
                m->numbers = 2 * m->number + 1;
            else
                rc = map_number(m, m->number, err);
            m->seen++;
            m->number = 0;
            m->digits = false;
        }
        if (m->numbers && m->seen == m->numbers && m->map_bytes % BLOCK == 0) {
            m->map_in_data = false;
            m->stored -= m->map_bytes;
            if (!rc)
                rc = check_map(m, err);
        }
    }
    return rc;
}
