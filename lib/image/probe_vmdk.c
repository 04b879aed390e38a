/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * VMware's vmdk: a text descriptor that lists extents, in a file of its own or embedded in a sparse
 * extent.
 *
 * QEMU reads a descriptor less strictly than it is written: it looks for "parentFileNameHint" and
 * "createType" anywhere in the text, and for extent lines across line ends. What it would read
 * otherwise than here is refused, so that both see the same files.
 */
#include "base/endian.h"
#include "base/str.h"
#include "image/probe_format.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum {
    SECTOR = 512,
    TEXT_MAX = (1 << 20) - 1,     /* bytes of a descriptor that QEMU reads */
    WINDOW = 20 * SECTOR,         /* bytes in which QEMU looks for the parent */
    EMBEDDED_AT = SECTOR,         /* where QEMU looks for an embedded descriptor */
    NAME_MAX_BYTES = 511,         /* QEMU's bound of an extent's file name */
};

#define BLANKS " \t\v\f\r"
#define NO_PARENT UINT32_MAX

struct descriptor {
    struct vmscm_probe_image *image;
    bool embedded;
    char *text;       /* NUL-terminated; the parser cuts it into lines */
    size_t len;
    char *create_type; /* these point into text; NULL: not there */
    char *parent;      /* the file's name */
    char *adapter;
    char *hardware;
    size_t parent_at;  /* offset of the parentFileNameHint line in text */
    size_t create_type_at;
    uint32_t cid;
    uint32_t parent_cid;
    bool has_cid, has_parent_cid;
    bool zeroed; /* of the extents, as far as they are sparse */
    uint64_t extents;
    uint64_t sectors; /* sum of the extents' */
};

static int bad(const struct descriptor *d, const char *why, struct vmscm_error *err)
{
    return vmscm_error_set(
        err, VMSCM_EINPUT, "%s: malformed vmdk descriptor: %s", d->image->file.path, why);
}

static int unsupported(const struct descriptor *d, const char *what, const char *name,
    struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "%s: %s%s%s%s not supported",
        d->image->file.path, what, name ? " \"" : "", name ? name : "", name ? "\" is" : " are");
}

bool vmscm_probe_vmdk_match(const struct vmscm_probe_head *head)
{
    static const char *const versions[] = {
        "version=1\n", "version=1\r\n", "version=2\n", "version=2\r\n"};
    const char *p = (const char *)head->first, *end = p + head->first_len;

    if (memcmp(p, "KDMV", 4) == 0 || memcmp(p, "# Disk DescriptorFile", 21) == 0)
        return true;
    /* Comments and blank lines, then the version. */
    while (p < end && (*p == '#' || *p == ' ' || *p == '\n' || *p == '\r')) {
        if (*p != '#') {
            p++;
            continue;
        }
        while (p < end && *p != '\n')
            p++;
    }
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
        if ((size_t)(end - p) >= strlen(versions[i]) &&
            memcmp(p, versions[i], strlen(versions[i])) == 0)
            return true;
    return false;
}

/* The next word of a line, or NULL; *line moves past it. */
static char *word(char **line)
{
    char *start = *line + strspn(*line, BLANKS), *end;

    if (!*start)
        return NULL;
    end = start + strcspn(start, BLANKS);
    *line = end + (*end != '\0');
    *end = '\0';
    return start;
}

static int flat_extent(struct descriptor *d, const struct vmscm_probe_source *file,
    uint64_t sectors, const char *offset, struct vmscm_error *err)
{
    uint64_t at = 0;

    if (offset && !vmscm_str_uint(&at, offset, 0, VMSCM_PROBE_SIZE_MAX / SECTOR))
        return bad(d, "an extent's offset", err);
    return vmscm_probe_file_need(file, at * SECTOR, sectors * SECTOR, "extent", err);
}

static int sparse_extent(struct descriptor *d, const struct vmscm_probe_source *file,
    uint64_t sectors, struct vmscm_error *err)
{
    struct vmscm_probe_sparse sparse;
    int rc = vmscm_probe_sparse_read(&sparse, file, err);

    if (rc)
        return rc;
    if (sparse.sectors != sectors)
        return bad(d, "an extent is not of the size that it says", err);
    d->image->probe->compressed |= sparse.compressed;
    d->image->probe->dirty |= sparse.dirty;
    d->zeroed |= sparse.zeroed;
    return 0;
}

static int open_extent(struct descriptor *d, const char *type, uint64_t sectors, const char *name,
    const char *offset, struct vmscm_error *err)
{
    struct vmscm_probe_source file = {.fd = -1};
    char *path = NULL;
    int rc;

    if ((rc = vmscm_probe_file_link(&path, d->image, name, "extent", true, err)) ||
        (rc = vmscm_probe_file_add(&file, d->image->probe, path, err)))
        return rc;
    rc = strcmp(type, "SPARSE") == 0 ? sparse_extent(d, &file, sectors, err)
                                     : flat_extent(d, &file, sectors, offset, err);
    close(file.fd);
    return rc;
}

/* ACCESS SECTORS TYPE "NAME" [OFFSET] */
static int extent_line(struct descriptor *d, const char *access, char *line,
    struct vmscm_error *err)
{
    char *count = word(&line), *type = word(&line), *name, *offset;
    uint64_t sectors;
    bool flat, vmfs;

    if (!count || !type || !vmscm_str_uint(&sectors, count, 1, VMSCM_PROBE_SIZE_MAX / SECTOR))
        return bad(d, "an extent line", err);
    /* QEMU passes over these lines, and so would shift all that follows. */
    if (strcmp(type, "ZERO") == 0)
        return unsupported(d, "extents of type ZERO", NULL, err);
    if (strcmp(access, "RW") != 0 && !d->embedded)
        return unsupported(d, "extents with the access", access, err);
    flat = strcmp(type, "FLAT") == 0;
    vmfs = strcmp(type, "VMFS") == 0;
    if (!flat && !vmfs && strcmp(type, "SPARSE") != 0)
        return vmscm_error_set(err, VMSCM_EREFUSED, "%s: an extent of the unknown type \"%s\"",
            d->image->file.path, type);
    name = line + strspn(line, BLANKS);
    if (*name++ != '"')
        return bad(d, "an extent's file name", err);
    line = strchr(name, '"');
    if (!line || line == name || line - name > NAME_MAX_BYTES)
        return bad(d, "an extent's file name", err);
    *line++ = '\0';
    offset = word(&line);
    if ((flat && !offset) || (!flat && offset) || word(&line))
        return bad(d, "an extent line", err);
    if (++d->extents > VMSCM_PROBE_FILES_MAX)
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: more than %d extents", d->image->file.path,
            VMSCM_PROBE_FILES_MAX);
    d->sectors += sectors; /* at most 2^12 * 2^53 */
    if (d->sectors > VMSCM_PROBE_SIZE_MAX / SECTOR)
        return bad(d, "its virtual size is too large", err);
    if (!d->embedded)
        return open_extent(d, type, sectors, name, offset, err);
    /* Names the file that it is in, by a name that may be an old one: nobody opens it. */
    if (flat || vmfs || d->extents > 1)
        return bad(d, "extents in other files, in an embedded descriptor", err);
    return 0;
}

/* The value of NAME=VALUE, without quotes. */
static char *unquote(char *value)
{
    size_t len;

    value += strspn(value, BLANKS);
    len = strlen(value);
    if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
        value[len - 1] = '\0';
        value++;
    }
    return value;
}

static int hex_value(uint32_t *out, bool *has, const struct descriptor *d, const char *value,
    struct vmscm_error *err)
{
    size_t len = strspn(value, "0123456789abcdefABCDEF");

    if (*has || len == 0 || len > 8 || value[len])
        return bad(d, "a content id", err);
    *has = true;
    *out = (uint32_t)strtoul(value, NULL, 16);
    return 0;
}

/* For the names that QEMU looks for, only the form that it expects: NAME="VALUE". */
static int exact_value(char **out, size_t *at, const struct descriptor *d, const char *line,
    char *value, struct vmscm_error *err)
{
    size_t len = strlen(value);

    if (*out || len < 3 || value[0] != '"' || value[len - 1] != '"' ||
        strchr(value + 1, '"') != value + len - 1)
        return bad(d, "createType or parentFileNameHint", err);
    value[len - 1] = '\0';
    *out = value + 1;
    *at = (size_t)(line - d->text);
    return 0;
}

static int one_line(struct descriptor *d, char *line, bool after_blank, struct vmscm_error *err)
{
    static const char *const accesses[] = {"RW", "RDONLY", "NOACCESS"};
    size_t len = strlen(line);
    char *start, *value;

    while (len && strchr(BLANKS, line[len - 1]))
        line[--len] = '\0';
    start = line + strspn(line, BLANKS);
    if (!*start || *start == '#')
        return 0;
    for (size_t i = 0; i < sizeof accesses / sizeof accesses[0]; i++) {
        size_t n = strlen(accesses[i]);
        if (strncmp(start, accesses[i], n) != 0 || (start[n] && !strchr(BLANKS, start[n])))
            continue;
        /* QEMU would count such an extent twice. */
        if (after_blank && !d->embedded)
            return unsupported(d, "empty lines before an extent line", NULL, err);
        return extent_line(d, accesses[i], start + n, err);
    }
    value = strchr(start, '=');
    if (!value || value == start)
        return bad(d, "an unknown kind of line", err);
    *value++ = '\0';
    if (strcmp(start, "CID") == 0)
        return hex_value(&d->cid, &d->has_cid, d, value, err);
    if (strcmp(start, "parentCID") == 0)
        return hex_value(&d->parent_cid, &d->has_parent_cid, d, value, err);
    if (strcmp(start, "createType") == 0)
        return exact_value(&d->create_type, &d->create_type_at, d, start, value, err);
    if (strcmp(start, "parentFileNameHint") == 0)
        return exact_value(&d->parent, &d->parent_at, d, start, value, err);
    for (char *p = value - 2; p > start && strchr(BLANKS, *p); p--)
        *p = '\0';
    if (strcmp(start, "ddb.adapterType") == 0)
        d->adapter = unquote(value);
    else if (strcmp(start, "ddb.virtualHWVersion") == 0)
        d->hardware = unquote(value);
    return 0;
}

/* Where QEMU finds a name, or SIZE_MAX. */
static size_t qemu_finds(const char *text, const char *name)
{
    const char *found = strstr(text, name);
    return found ? (size_t)(found - text) : SIZE_MAX;
}

/* Parse d->text; window is what QEMU searches for the parent, whole and unchanged. */
static int parse(struct descriptor *d, const char *window, struct vmscm_error *err)
{
    size_t parent_at = qemu_finds(window, "parentFileNameHint");
    size_t create_type_at = qemu_finds(d->text, "createType");
    bool after_blank = false;
    int rc;

    d->cid = 0;
    d->parent_cid = NO_PARENT;
    d->parent_at = d->create_type_at = SIZE_MAX;
    for (char *line = d->text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        bool blank = line[strspn(line, BLANKS)] == '\0';
        if ((rc = one_line(d, line, after_blank, err)))
            return rc;
        after_blank = blank;
    }
    if (parent_at != d->parent_at || (create_type_at != d->create_type_at && !d->embedded))
        return vmscm_error_set(err, VMSCM_EREFUSED,
            "%s: its descriptor has a parent or type in an unusual place", d->image->file.path);
    if (!d->create_type)
        return 0;
    if ((d->parent_cid == NO_PARENT) != (d->parent == NULL))
        return bad(d, "its parent's content id and file name do not fit each other", err);
    return 0;
}

static int record(struct descriptor *d, const char *subformat, struct vmscm_error *err)
{
    static const char *const adapters[] = {"ide", "buslogic", "lsilogic", "legacyESX"};
    struct vmscm_probe_image *image = d->image;
    uint64_t version;
    int rc;

    image->probe->cid = d->cid;
    if ((rc = vmscm_probe_file_option(image->probe, err, "subformat", "%s", subformat)))
        return rc;
    for (size_t i = 0; i < sizeof adapters / sizeof adapters[0]; i++)
        if (d->adapter && strcmp(d->adapter, adapters[i]) == 0 &&
            (rc = vmscm_probe_file_option(image->probe, err, "adapter_type", "%s", d->adapter)))
            return rc;
    if (d->hardware && vmscm_str_uint(&version, d->hardware, 1, 100) &&
        (rc = vmscm_probe_file_option(
             image->probe, err, "hwversion", "%" PRIu64, version)))
        return rc;
    if (d->zeroed &&
        (rc = vmscm_probe_file_option(image->probe, err, "zeroed_grain", "on")))
        return rc;
    image->probe->link.has_id = true;
    vmscm_put_le32(image->probe->link.id, d->cid);
    vmscm_put_le32(image->probe->link.parent, d->parent_cid);
    if (!d->parent)
        return 0;
    if (image->allow & VMSCM_PROBE_CHILD) {
        image->probe->link.child = true;
        return 0;
    }
    image->parent_cid = d->parent_cid;
    if ((rc = vmscm_probe_file_link(
             &image->backing, image, d->parent, "backing file", false, err)))
        return rc;
    return vmscm_str_dup(&image->backing_format, "vmdk", err); /* QEMU knows no other */
}

static int read_sparse(struct descriptor *d, struct vmscm_error *err)
{
    const struct vmscm_probe_source *file = &d->image->file;
    struct vmscm_probe_sparse sparse;
    char window[WINDOW + 1];
    size_t window_len;
    int rc;

    if ((rc = vmscm_probe_sparse_read(&sparse, file, err)))
        return rc;
    d->embedded = true;
    d->image->probe->size = sparse.sectors * SECTOR;
    d->image->probe->compressed = sparse.compressed;
    d->image->probe->dirty = sparse.dirty;
    d->zeroed = sparse.zeroed;
    if (sparse.descriptor && sparse.descriptor != EMBEDDED_AT)
        return unsupported(d, "descriptors that are not in the second sector", NULL, err);
    if (sparse.descriptor_sectors > TEXT_MAX / SECTOR)
        return bad(d, "too long", err);
    d->len = sparse.descriptor ? sparse.descriptor_sectors * SECTOR : 0;
    d->text = calloc(1, d->len + 1);
    if (!d->text)
        return vmscm_error_nomem(err);
    window_len = file->size - EMBEDDED_AT < WINDOW ? file->size - EMBEDDED_AT : WINDOW;
    window[window_len] = '\0';
    if ((rc = vmscm_probe_file_read(file, d->text, d->len, EMBEDDED_AT, "descriptor", err)) ||
        (rc = vmscm_probe_file_read(file, window, window_len, EMBEDDED_AT, "descriptor", err)) ||
        (rc = parse(d, window, err)))
        return rc;
    if (!d->create_type) {
        rc = bad(d, "there is none: this is one of several files of a disk", err);
        vmscm_error_hint(err, "give the small .vmdk file that lists them");
        return rc;
    }
    if (strcmp(d->create_type, sparse.compressed ? "streamOptimized" : "monolithicSparse") != 0)
        return unsupported(d, "an embedded descriptor of type", d->create_type, err);
    return record(d, d->create_type, err);
}

static int read_text(struct descriptor *d, struct vmscm_error *err)
{
    static const char *const types[] = {
        "monolithicFlat", "twoGbMaxExtentFlat", "twoGbMaxExtentSparse"};
    const struct vmscm_probe_source *file = &d->image->file;
    char window[WINDOW + 1];
    int rc;

    if (file->size > TEXT_MAX)
        return bad(d, "too long", err);
    d->len = file->size;
    d->text = calloc(1, d->len + 1);
    if (!d->text)
        return vmscm_error_nomem(err);
    if ((rc = vmscm_probe_file_read(file, d->text, d->len, 0, "descriptor", err)))
        return rc;
    memcpy(window, d->text, d->len < WINDOW ? d->len : WINDOW);
    window[d->len < WINDOW ? d->len : WINDOW] = '\0';
    if ((rc = parse(d, window, err)))
        return rc;
    if (!d->create_type)
        return bad(d, "no createType", err);
    if (!d->extents)
        return bad(d, "no extents", err);
    d->image->probe->size = d->sectors * SECTOR;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(d->create_type, types[i]) == 0)
            return record(d, types[i], err);
    if (strcmp(d->create_type, "vmfs") == 0) /* ESXi's own, which nobody else makes */
        return record(d, "monolithicFlat", err);
    return unsupported(d, "a vmdk of type", d->create_type, err);
}

int vmscm_probe_vmdk_read(struct vmscm_probe_image *image, struct vmscm_error *err)
{
    struct descriptor d = {.image = image};
    char magic[4] = {0};
    int rc;

    if ((rc = vmscm_probe_file_read(&image->file, magic, sizeof magic, 0, "header", err)))
        return rc;
    rc = memcmp(magic, "KDMV", 4) == 0 ? read_sparse(&d, err) : read_text(&d, err);
    free(d.text);
    return rc;
}
