/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/tar.h"
#include "base/path.h"
#include "base/str.h"
#include "format/tarhead.h"
#include "sys/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK VMSCM_TAR_BLOCK

#define END_MAX (2 * VMSCM_TARHEAD_SIZE_LIMIT) /* of an archive whose end is not known yet */

struct walk {
    struct vmscm_tar_input *in;
    const char *path;
    uint64_t at; /* offset of the next header */
    uint64_t end;
    uint64_t data_end; /* where the last member's bytes end, without padding */
    char *name; /* of the next member, from a header before it; NULL: none */
    uint64_t size;
    bool has_size;
    struct vmscm_error *err;
};

bool vmscm_tar_match(const uint8_t *block, size_t len)
{
    if (len < BLOCK || !block[0])
        return false;
    return memcmp(block + VMSCM_TARHEAD_MAGIC, "ustar", 5) == 0 ? vmscm_tarhead_sum_fits(block)
                                                                 : vmscm_tarhead_is_old(block);
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
    size_t got = 0;
    int rc;

    *out = NULL;
    if (size > VMSCM_TARHEAD_EXTENDED_MAX || size > w->end - w->at - BLOCK)
        return bad(w, NULL, "an extended header is too long");
    if (!(*out = malloc((size_t)size + 1)))
        return vmscm_error_nomem(w->err);
    rc = w->in->pread_some(w->in->data, *out, (size_t)size, w->at + BLOCK, &got, w->err);
    if (!rc && got < size)
        rc = bad(w, NULL, "truncated: the archive ends before its end");
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
        if (!vmscm_str_uint(&w->size, value, 0, VMSCM_TARHEAD_SIZE_LIMIT))
            return bad(w, NULL, "a malformed size");
        w->has_size = true;
    }
    return 0;
}

static int pax_header(struct walk *w, uint64_t size, bool global)
{
    struct vmscm_tarhead_record record;
    char *text = NULL;
    size_t len, at = 0;
    int got, rc = read_extended(&text, &len, w, size);

    while (!rc && (got = vmscm_tarhead_record(&record, text, len, &at)))
        rc = got < 0 ? bad(w, NULL, "a malformed pax record")
                     : pax_record(w, record.key, record.value, record.len, global);
    free(text);
    return rc;
}

static int long_name(struct walk *w, uint64_t size)
{
    size_t len;

    free(w->name);
    return read_extended(&w->name, &len, w, size);
}

static int member(struct walk *w, char type, uint64_t size,
    int (*each)(void *data, const struct vmscm_tar_member *member, struct vmscm_error *err),
    void *data)
{
    /* Before POSIX a directory was a file whose name ends with a slash. */
    bool directory = type == '\0' && !size && vmscm_str_ends(w->name, "/");
    const char *name = vmscm_tarhead_plain_name(w->name);
    struct vmscm_tar_member m = {name, w->at + BLOCK, size};

    if ((type == '5' || directory) && !name)
        return 0;
    if (!name)
        return bad(w, NULL, "a member without a name");
    if (!vmscm_path_is_confined(name))
        return refuse(w, name, "a name that leaves the archive");
    switch (type) {
    case '0':
    case '\0':
    case '7':
        if (directory)
            return 0;
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

/* One header and what is behind it. */
static int step(struct walk *w, const uint8_t *block,
    int (*each)(void *data, const struct vmscm_tar_member *member, struct vmscm_error *err),
    void *data)
{
    char type = (char)block[VMSCM_TARHEAD_TYPE];
    uint64_t size;
    bool extended = vmscm_tarhead_is_extended(type);
    int rc;

    if (!vmscm_tarhead_sum_fits(block))
        return bad(w, NULL, "no header of a tar archive");
    if (!vmscm_tarhead_number(&size, block + VMSCM_TARHEAD_SIZE, 12))
        return bad(w, NULL, "a malformed size");
    if (w->has_size && !extended)
        size = w->size;
    if (!vmscm_tarhead_has_bytes(type))
        size = 0;
    if (!extended && !w->name && (rc = vmscm_tarhead_name(&w->name, block, w->err)))
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
    w->data_end = w->at + BLOCK + size;
    /* The last member's padding may be missing. */
    size = (size + BLOCK - 1) / BLOCK * BLOCK;
    w->at += BLOCK + (size < w->end - w->at - BLOCK ? size : w->end - w->at - BLOCK);
    return 0;
}

int vmscm_tar_walk_input(struct vmscm_tar_input *in,
    int (*each)(void *data, const struct vmscm_tar_member *member, struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    struct walk w = {
        .in = in, .path = in->path, .end = in->end < END_MAX ? in->end : END_MAX, .err = err};
    uint8_t block[BLOCK];
    size_t got;
    int rc = 0;

    while (!rc && w.end - w.at >= BLOCK) {
        if ((rc = in->pread_some(in->data, block, BLOCK, w.at, &got, err)))
            break;
        if (got < BLOCK) {
            if (in->end < w.data_end)
                rc = bad(&w, NULL, "truncated: the archive ends before its last member does");
            break;
        }
        if (vmscm_tarhead_is_zero(block))
            break;
        rc = step(&w, block, each, data);
    }
    free(w.name);
    return rc;
}

struct file {
    int fd;
    const char *path;
};

static int pread_file(void *data, void *out, size_t len, uint64_t offset, size_t *got,
    struct vmscm_error *err)
{
    const struct file *f = data;

    return vmscm_file_pread_some(f->fd, out, len, offset, got, f->path, err);
}

int vmscm_tar_walk(int fd, const char *path,
    int (*each)(void *data, const struct vmscm_tar_member *member, struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    struct file f = {fd, path};
    struct vmscm_tar_input in = {pread_file, &f, path, 0};
    struct stat st;

    if (fstat(fd, &st) < 0 || st.st_size < 0)
        return vmscm_error_set(err, VMSCM_EIO, "%s: its size is not known", path);
    in.end = (uint64_t)st.st_size;
    return vmscm_tar_walk_input(&in, each, data, err);
}

void vmscm_tar_header(uint8_t block[VMSCM_TAR_BLOCK], const char *name, uint64_t length)
{
    unsigned sum = 0;

    memset(block, 0, BLOCK);
    memcpy(block, name, strnlen(name, 100));
    memcpy(block + VMSCM_TARHEAD_MODE, "0000644", 8);
    memcpy(block + VMSCM_TARHEAD_UID, "0000000", 8);
    memcpy(block + VMSCM_TARHEAD_GID, "0000000", 8);
    memcpy(block + VMSCM_TARHEAD_MTIME, "00000000000", 12);
    memcpy(block + VMSCM_TARHEAD_MAGIC, "ustar\0" "00", 8);
    memcpy(block + VMSCM_TARHEAD_DEVICE, "0000000\0" "0000000", 16);
    block[VMSCM_TARHEAD_TYPE] = '0';
    if (length < UINT64_C(1) << 33) {
        for (int i = 10; i >= 0; i--, length >>= 3)
            block[VMSCM_TARHEAD_SIZE + i] = (uint8_t)('0' + (length & 7));
    } else {
        block[VMSCM_TARHEAD_SIZE] = 0x80;
        for (int i = 11; i > 3; i--, length >>= 8)
            block[VMSCM_TARHEAD_SIZE + i] = (uint8_t)length;
    }
    memset(block + VMSCM_TARHEAD_SUM, ' ', 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += block[i];
    for (int i = 5; i >= 0; i--, sum >>= 3)
        block[VMSCM_TARHEAD_SUM + i] = (uint8_t)('0' + (sum & 7));
    block[VMSCM_TARHEAD_SUM + 6] = '\0';
}
