/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/tar.h"
#include "base/buf.h"
#include "base/path.h"
#include "base/str.h"
#include "sys/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK VMSCM_TAR_BLOCK
#define EXTENDED_MAX (1u << 20) /* bytes of a pax header or a long name */
#define SIZE_LIMIT (UINT64_C(1) << 62)

/* Where the fields of a header are. */
enum {
    AT_MODE = 100,
    AT_UID = 108,
    AT_GID = 116,
    AT_SIZE = 124,
    AT_MTIME = 136,
    AT_SUM = 148,
    AT_TYPE = 156,
    AT_MAGIC = 257,
    AT_DEVICE = 329,
    AT_PREFIX = 345,
};

struct walk {
    int fd;
    const char *path;
    uint64_t at; /* offset of the next header */
    uint64_t end;
    char *name; /* of the next member, from a header before it; NULL: none */
    uint64_t size;
    bool has_size;
    struct vmscm_error *err;
};

/* A number in octal, or in GNU's base 256. */
static bool number(uint64_t *out, const uint8_t *field, size_t len)
{
    uint64_t value = 0;
    size_t i = 0;

    if (field[0] & 0x80) {
        if (field[0] != 0x80)
            return false; /* negative, or far too large */
        for (i = 1; i < len; i++) {
            if (value >> 55)
                return false;
            value = value << 8 | field[i];
        }
        *out = value;
        return value <= SIZE_LIMIT;
    }
    while (i < len && field[i] == ' ')
        i++;
    for (; i < len && field[i] >= '0' && field[i] <= '7'; i++) {
        if (value >> 59)
            return false;
        value = value << 3 | (uint64_t)(field[i] - '0');
    }
    for (; i < len; i++)
        if (field[i] != ' ' && field[i] != '\0')
            return false;
    *out = value;
    return value <= SIZE_LIMIT;
}

/* The sum of a header's bytes, its own field taken for spaces; some took bytes for signed. */
static bool sum_fits(const uint8_t *block)
{
    uint64_t stored;
    int64_t plain = 0, odd = 0;

    if (!number(&stored, block + AT_SUM, 8))
        return false;
    for (size_t i = 0; i < BLOCK; i++) {
        uint8_t c = i >= AT_SUM && i < AT_SUM + 8 ? ' ' : block[i];
        plain += c;
        odd += (int8_t)c;
    }
    return (int64_t)stored == plain || (int64_t)stored == odd;
}

static bool is_zero(const uint8_t *block)
{
    return block[0] == 0 && memcmp(block, block + 1, BLOCK - 1) == 0;
}

bool vmscm_tar_match(const uint8_t *block, size_t len)
{
    return len >= BLOCK && block[0] && memcmp(block + AT_MAGIC, "ustar", 5) == 0 && sum_fits(block);
}

static int bad(struct walk *w, const char *name, const char *why)
{
    return vmscm_error_set(w->err, VMSCM_EINPUT, "%s: %s%s%s, at %" PRIu64, w->path,
        name ? name : "", name ? ": " : "", why, w->at);
}

static int refuse(struct walk *w, const char *name, const char *why)
{
    return vmscm_error_set(w->err, VMSCM_EREFUSED, "%s: %.300s: %s", w->path, name, why);
}

static int unsupported(struct walk *w, const char *name, const char *why)
{
    return vmscm_error_set(w->err, VMSCM_EUNSUPPORTED, "%s: %.300s: %s", w->path, name, why);
}

/* The bytes of an extended header; *out is the caller's, NUL-terminated past *len. */
static int read_extended(char **out, size_t *len, struct walk *w, uint64_t size)
{
    int rc;

    *out = NULL;
    if (size > EXTENDED_MAX || size > w->end - w->at - BLOCK)
        return bad(w, NULL, "an extended header is too long");
    if (!(*out = malloc((size_t)size + 1)))
        return vmscm_error_nomem(w->err);
    rc = vmscm_file_pread(w->fd, *out, (size_t)size, w->at + BLOCK, w->path, w->err);
    (*out)[size] = '\0';
    *len = (size_t)size;
    if (rc) {
        free(*out);
        *out = NULL;
    }
    return rc;
}

/* A record of a pax header; value is NUL-terminated. */
static int pax_record(struct walk *w, const char *key, const char *value, size_t len, bool global)
{
    if (strncmp(key, "GNU.sparse.", 11) == 0)
        return unsupported(w, w->name ? w->name : key, "sparse members are not supported");
    if (global) {
        if (strcmp(key, "path") == 0 || strcmp(key, "size") == 0)
            return bad(w, key, "for all members at once");
        return 0;
    }
    if (strcmp(key, "path") == 0) {
        if (strlen(value) != len)
            return bad(w, NULL, "a name with a NUL byte");
        free(w->name);
        w->name = NULL;
        return vmscm_str_dup(&w->name, value, w->err);
    }
    if (strcmp(key, "size") == 0) {
        if (!vmscm_str_uint(&w->size, value, 0, SIZE_LIMIT))
            return bad(w, NULL, "a malformed size");
        w->has_size = true;
    }
    return 0;
}

/* "LENGTH KEY=VALUE\n", the length of all that, again and again. */
static int pax_header(struct walk *w, uint64_t size, bool global)
{
    char *text = NULL;
    size_t len, at = 0;
    int rc = read_extended(&text, &len, w, size);

    while (!rc && at < len && text[at]) {
        size_t digits = strspn(text + at, "0123456789");
        uint64_t length;
        char *key = text + at + digits + 1, *value;
        if (digits == 0 || digits > 7 || text[at + digits] != ' ') {
            rc = bad(w, NULL, "a malformed pax record");
            break;
        }
        text[at + digits] = '\0';
        if (!vmscm_str_uint(&length, text + at, digits + 3, len - at) ||
            text[at + length - 1] != '\n') {
            rc = bad(w, NULL, "a malformed pax record");
            break;
        }
        text[at + length - 1] = '\0';
        value = memchr(key, '=', (size_t)(text + at + length - key));
        if (!value) {
            rc = bad(w, NULL, "a malformed pax record");
            break;
        }
        *value++ = '\0';
        rc = pax_record(w, key, value, (size_t)(text + at + length - 1 - value), global);
        at += length;
    }
    free(text);
    return rc;
}

static int long_name(struct walk *w, uint64_t size)
{
    size_t len;

    free(w->name);
    return read_extended(&w->name, &len, w, size);
}

/* The name as the header itself has it. */
static int header_name(char **out, const uint8_t *block, struct vmscm_error *err)
{
    const char *name = (const char *)block, *prefix = (const char *)block + AT_PREFIX;
    bool posix = memcmp(block + AT_MAGIC, "ustar\0" "00", 8) == 0;

    if (posix && *prefix)
        return vmscm_str_printf(out, err, "%.155s/%.100s", prefix, name);
    return vmscm_str_printf(out, err, "%.100s", name);
}

/* The name as members are looked up; NULL: the archive's own directory. */
static const char *plain_name(char *name)
{
    size_t len;

    while (name[0] == '.' && name[1] == '/')
        for (name += 2; *name == '/'; name++)
            ;
    len = strlen(name);
    while (len > 1 && name[len - 1] == '/')
        name[--len] = '\0';
    return *name && strcmp(name, ".") != 0 ? name : NULL;
}

static int member(struct walk *w, char type, uint64_t size,
    int (*each)(void *data, const struct vmscm_tar_member *member, struct vmscm_error *err),
    void *data)
{
    const char *name = plain_name(w->name);
    struct vmscm_tar_member m = {name, w->at + BLOCK, size};

    if (type == '5' && !name)
        return 0;
    if (!name)
        return bad(w, NULL, "a member without a name");
    if (!vmscm_path_is_confined(name))
        return refuse(w, name, "a name that leaves the archive");
    switch (type) {
    case '0':
    case '\0':
    case '7':
        return each(data, &m, w->err);
    case '5':
        return 0;
    case '1':
        return refuse(w, name, "is a hard link");
    case '2':
        return refuse(w, name, "is a symbolic link");
    case '3':
    case '4':
        return refuse(w, name, "is a device");
    case '6':
        return refuse(w, name, "is a FIFO");
    case 'S':
        return unsupported(w, name, "sparse members are not supported");
    case 'M':
        return unsupported(w, name, "archives of several volumes are not supported");
    default:
        return refuse(w, name, "is a member of an unknown kind");
    }
}

static bool has_bytes(char type)
{
    return type == '0' || type == '\0' || type == '7' || type == 'x' || type == 'g' || type == 'L' ||
        type == 'K' || type == 'S' || type == 'M';
}

/* One header and what is behind it. */
static int step(struct walk *w, const uint8_t *block,
    int (*each)(void *data, const struct vmscm_tar_member *member, struct vmscm_error *err),
    void *data)
{
    char type = (char)block[AT_TYPE];
    uint64_t size;
    bool extended = type == 'x' || type == 'g' || type == 'L' || type == 'K';
    int rc;

    if (!sum_fits(block))
        return bad(w, NULL, "no header of a tar archive");
    if (!number(&size, block + AT_SIZE, 12))
        return bad(w, NULL, "a malformed size");
    if (w->has_size && !extended)
        size = w->size;
    if (!has_bytes(type))
        size = 0;
    if (!extended && !w->name && (rc = header_name(&w->name, block, w->err)))
        return rc;
    if (size > w->end - w->at - BLOCK)
        return bad(w, w->name, "truncated: the archive ends before its end");
    if (type == 'x' || type == 'g')
        rc = pax_header(w, size, type == 'g');
    else if (type == 'L')
        rc = long_name(w, size);
    else if (type == 'K' || type == 'V')
        rc = 0;
    else
        rc = member(w, type, size, each, data);
    if (rc)
        return rc;
    if (!extended) {
        free(w->name);
        w->name = NULL;
        w->has_size = false;
    }
    /* The last member's padding may be missing. */
    size = (size + BLOCK - 1) / BLOCK * BLOCK;
    w->at += BLOCK + (size < w->end - w->at - BLOCK ? size : w->end - w->at - BLOCK);
    return 0;
}

int vmscm_tar_walk(int fd, const char *path,
    int (*each)(void *data, const struct vmscm_tar_member *member, struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    struct walk w = {.fd = fd, .path = path, .err = err};
    uint8_t block[BLOCK];
    struct stat st;
    int rc = 0;

    if (fstat(fd, &st) < 0 || st.st_size < 0)
        return vmscm_error_set(err, VMSCM_EIO, "%s: its size is not known", path);
    w.end = (uint64_t)st.st_size;
    while (!rc && w.end - w.at >= BLOCK) {
        if ((rc = vmscm_file_pread(fd, block, BLOCK, w.at, path, err)) || is_zero(block))
            break;
        rc = step(&w, block, each, data);
    }
    free(w.name);
    return rc;
}

void vmscm_tar_header(uint8_t block[VMSCM_TAR_BLOCK], const char *name, uint64_t length)
{
    unsigned sum = 0;

    memset(block, 0, BLOCK);
    memcpy(block, name, strnlen(name, 100));
    memcpy(block + AT_MODE, "0000644", 8);
    memcpy(block + AT_UID, "0000000", 8);
    memcpy(block + AT_GID, "0000000", 8);
    memcpy(block + AT_MTIME, "00000000000", 12);
    memcpy(block + AT_MAGIC, "ustar\0" "00", 8);
    memcpy(block + AT_DEVICE, "0000000\0" "0000000", 16);
    block[AT_TYPE] = '0';
    if (length < UINT64_C(1) << 33) {
        for (int i = 10; i >= 0; i--, length >>= 3)
            block[AT_SIZE + i] = (uint8_t)('0' + (length & 7));
    } else {
        block[AT_SIZE] = 0x80;
        for (int i = 11; i > 3; i--, length >>= 8)
            block[AT_SIZE + i] = (uint8_t)length;
    }
    memset(block + AT_SUM, ' ', 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += block[i];
    for (int i = 5; i >= 0; i--, sum >>= 3)
        block[AT_SUM + i] = (uint8_t)('0' + (sum & 7));
    block[AT_SUM + 6] = '\0';
}
