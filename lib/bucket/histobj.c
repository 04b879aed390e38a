/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bucket/histobj.h"
#include "base/endian.h"
#include "base/path.h"
#include "base/str.h"
#include "codec/compress.h"
#include "format/objstream.h"
#include "history/histblocks.h"
#include "sys/file.h"
#include "sys/space.h"
#include "sys/tempdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define HEAD 16
#define VERSION 1
#define PIECE ((uint64_t)8 << 20) /* of an object that is got at once */
#define SIZE_MAX_OBJECT ((uint64_t)64 << 30)

static const uint8_t magic[8] = {'V', 'M', 'S', 'C', 'M', 'H', 'S', 'T'};

void vmscm_histobj_key(char out[VMSCM_HISTOBJ_KEY], const uint8_t name[VMSCM_GENERATION_NAME])
{
    char hex[2 * VMSCM_GENERATION_NAME + 1];

    vmscm_str_hex(hex, name, VMSCM_GENERATION_NAME);
    snprintf(out, VMSCM_HISTOBJ_KEY, "history/%s", hex);
}

struct writing {
    int fd;
    const char *path;
    uint64_t size;
};

static int write_block(void *data, const uint8_t head[VMSCM_WIRE_BLOCK_HEAD], const uint8_t *packed,
    size_t len, struct vmscm_error *err)
{
    struct writing *w = data;
    uint8_t out[4 + VMSCM_WIRE_BLOCK_HEAD], first[HEAD] = {0};
    int rc;

    if (!w->size) {
        memcpy(first, magic, sizeof magic);
        first[8] = VERSION;
        if ((rc = vmscm_file_write(w->fd, first, sizeof first, w->path, err)))
            return rc;
        w->size = sizeof first;
    }
    vmscm_put_le32(out, (uint32_t)(VMSCM_WIRE_BLOCK_HEAD + len));
    memcpy(out + 4, head, VMSCM_WIRE_BLOCK_HEAD);
    if ((rc = vmscm_file_write(w->fd, out, sizeof out, w->path, err)) ||
        (rc = vmscm_file_write(w->fd, packed, len, w->path, err)))
        return rc;
    w->size += sizeof out + len;
    return 0;
}

int vmscm_histobj_put(uint8_t name[VMSCM_GENERATION_NAME], uint64_t *size, struct vmscm_mirror *m,
    struct vmscm_novel *novel, struct vmscm_error *err)
{
    char key[VMSCM_HISTOBJ_KEY], *tmp = NULL, *dir = NULL, *path = NULL;
    struct writing writing = {.fd = -1};
    int rc;

    *size = 0;
    if ((rc = vmscm_mirror_path(&tmp, m, "tmp", err)) || (rc = vmscm_tempdir_make(&dir, tmp, err)) ||
        (rc = vmscm_path_join(&path, dir, "history", err)) ||
        (rc = vmscm_file_open(&writing.fd, path, O_RDWR | O_CREAT | O_EXCL, 0600, err)))
        goto out;
    writing.path = path;
    if ((rc = vmscm_histblocks_run(&novel, 1, write_block, &writing, err)) || !writing.size)
        goto out;
    if (getrandom(name, VMSCM_GENERATION_NAME, 0) != VMSCM_GENERATION_NAME) {
        rc = vmscm_error_set(err, VMSCM_EIO, "random numbers: there are none");
        goto out;
    }
    vmscm_histobj_key(key, name);
    if (!(rc = vmscm_s3_put_file(m->s3, key, writing.fd, writing.size, NULL, NULL, err)))
        *size = writing.size;
out:
    if (writing.fd >= 0)
        close(writing.fd);
    vmscm_tempdir_remove(dir);
    free(tmp);
    free(path);
    return rc;
}

struct reading {
    struct vmscm_incoming *incoming;
    struct vmscm_compress *compress;
    struct vmscm_objstream objects;
    struct vmscm_buf plain;
};

static int add_object(void *data, unsigned type, const void *bytes, size_t len,
    struct vmscm_error *err)
{
    struct reading *r = data;

    return vmscm_incoming_add(r->incoming, (enum vmscm_novel_type)type, bytes, len, err);
}

static int take_block(struct reading *r, const uint8_t *in, size_t len, struct vmscm_error *err)
{
    const uint8_t *stored;
    size_t stored_len;
    unsigned algorithm;
    uint32_t plain;
    int rc;

    r->plain.len = 0;
    if ((rc = vmscm_wire_decode_block(&algorithm, &plain, &stored, &stored_len, in, len, err)) ||
        (rc = vmscm_buf_reserve(&r->plain, plain, err)) ||
        (rc = vmscm_compress_decode(r->compress, r->plain.data, plain, (int)algorithm, stored,
             stored_len, NULL, 0, err)))
        return rc;
    return vmscm_objstream_feed(&r->objects, r->plain.data, plain, add_object, r, err);
}

/* What is whole of the bytes at hand; *used of them. */
static int take_blocks(struct reading *r, const struct vmscm_buf *bytes, size_t *used,
    struct vmscm_error *err)
{
    int rc = 0;

    *used = 0;
    while (!rc && bytes->len - *used >= 4) {
        uint32_t len = vmscm_get_le32(bytes->data + *used);
        if (len > VMSCM_WIRE_FRAME_MAX)
            return vmscm_error_set(err, VMSCM_EDAMAGED, "a block that is too long");
        if (bytes->len - *used - 4 < len)
            break;
        rc = take_block(r, bytes->data + *used + 4, len, err);
        *used += 4 + len;
    }
    return rc;
}

static int check_head(struct vmscm_buf *bytes, struct vmscm_error *err)
{
    static const uint8_t zeros[7];

    if (bytes->len < HEAD || memcmp(bytes->data, magic, sizeof magic) != 0 ||
        memcmp(bytes->data + 9, zeros, sizeof zeros) != 0)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "no history");
    if (bytes->data[8] != VERSION)
        return vmscm_error_set(
            err, VMSCM_EUNSUPPORTED, "history of version %d, which is not known", bytes->data[8]);
    bytes->len -= HEAD;
    memmove(bytes->data, bytes->data + HEAD, bytes->len);
    return 0;
}

static int get_pieces(struct reading *r, struct vmscm_mirror *m, const char *key, uint64_t size,
    struct vmscm_error *err)
{
    struct vmscm_buf bytes = VMSCM_BUF_INIT;
    size_t used;
    int rc = 0;

    for (uint64_t at = 0; at < size && !rc;) {
        size_t len = size - at < PIECE ? (size_t)(size - at) : (size_t)PIECE;
        if ((rc = vmscm_space_check(m->dir, err)) || (rc = vmscm_buf_reserve(&bytes, len, err)) ||
            (rc = vmscm_s3_get_range(m->s3, key, bytes.data + bytes.len, len, at, err)))
            break;
        bytes.len += len;
        if ((at == 0 && (rc = check_head(&bytes, err))) || (rc = take_blocks(r, &bytes, &used, err)))
            break;
        at += len;
        bytes.len -= used;
        memmove(bytes.data, bytes.data + used, bytes.len);
    }
    if (!rc && bytes.len)
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "ends within a block");
    vmscm_buf_release(&bytes);
    return rc ? rc : vmscm_objstream_end(&r->objects, err);
}

int vmscm_histobj_get(struct vmscm_mirror *m, struct vmscm_incoming *incoming,
    const struct vmscm_generation_object *object, struct vmscm_error *err)
{
    struct reading r = {.incoming = incoming};
    char key[VMSCM_HISTOBJ_KEY];
    int rc;

    vmscm_histobj_key(key, object->name);
    if (object->size < HEAD || object->size > SIZE_MAX_OBJECT)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "%s: of no possible size", key);
    if (!(rc = vmscm_compress_new(&r.compress, VMSCM_COMPRESS_LEVEL_DEFAULT, err)) &&
        (rc = get_pieces(&r, m, key, object->size, err))) {
        if (rc == VMSCM_EINPUT && err)
            err->code = VMSCM_EDAMAGED;
        rc = rc == VMSCM_EINPUT ? VMSCM_EDAMAGED : rc;
        vmscm_error_prefix(err, "%s", key);
    }
    vmscm_compress_free(r.compress);
    vmscm_objstream_release(&r.objects);
    vmscm_buf_release(&r.plain);
    return rc;
}

bool vmscm_histobj_is_here(const struct vmscm_mirror *m, const uint8_t name[VMSCM_GENERATION_NAME])
{
    char key[VMSCM_HISTOBJ_KEY], *path = NULL;
    bool here;

    vmscm_histobj_key(key, name);
    here = !vmscm_mirror_path(&path, m, key, NULL) && vmscm_file_exists(path);
    free(path);
    return here;
}

int vmscm_histobj_note(const struct vmscm_mirror *m, const uint8_t name[VMSCM_GENERATION_NAME],
    struct vmscm_error *err)
{
    char key[VMSCM_HISTOBJ_KEY], *path = NULL, *dir = NULL;
    int rc;

    vmscm_histobj_key(key, name);
    if (!(rc = vmscm_mirror_path(&path, m, key, err)) && !(rc = vmscm_mirror_path(&dir, m, "history", err)) &&
        !(rc = vmscm_file_mkdirs(dir, err)))
        rc = vmscm_file_replace(path, "", 0, 0600, err);
    free(path);
    free(dir);
    return rc;
}
