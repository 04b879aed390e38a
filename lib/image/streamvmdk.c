/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A batch is what one grain table covers, 32 MiB: its pieces are read and compressed by several threads,
 * then its grains are put in their order, and their table after them.
 */
#include "image/streamvmdk.h"
#include "base/buf.h"
#include "base/endian.h"
#include "codec/deflate.h"
#include "sys/parallel.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512u
#define GRAIN (64u << 10)
#define GRAINS 512u /* of a table */
#define BATCH ((uint64_t)GRAINS * GRAIN)
#define PIECE (1u << 20) /* what a thread takes at once */
#define OVERHEAD 128u    /* sectors before the first grain */
#define DESCRIPTOR_AT 1u
#define DESCRIPTOR_SECTORS 20u
#define SIZE_LIMIT (UINT64_C(64) << 40)
#define AT_DIRECTORY 56 /* of the header: where the grain directory is */

enum marker { MARKER_END, MARKER_TABLE, MARKER_DIRECTORY, MARKER_FOOTER };

struct grain {
    uint8_t *bytes; /* in the batch's memory */
    size_t len;     /* 0: it is zeros */
};

struct stream {
    struct vmscm_blockdev *dev;
    const struct vmscm_streamvmdk_options *options;
    uint64_t sectors;  /* of the disk */
    uint64_t written;  /* bytes */
    uint32_t *directory;
    size_t tables;
    uint64_t start;    /* of the batch in the disk */
    uint64_t length;
    uint8_t *memory;   /* room for each grain of a batch */
    size_t room;       /* for one */
    struct grain grains[GRAINS];
    struct vmscm_deflate **deflate; /* one a thread */
    uint8_t **pieces;
    _Atomic size_t next;
};

static bool is_zero(const uint8_t *data, size_t len)
{
    return data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

static int put(struct stream *s, const void *bytes, size_t len, struct vmscm_error *err)
{
    s->written += len;
    return s->options->put(s->options->data, bytes, len, err);
}

/* Up to a whole sector. */
static int pad(struct stream *s, struct vmscm_error *err)
{
    static const uint8_t zeros[SECTOR];
    size_t over = s->written % SECTOR;

    return over ? put(s, zeros, SECTOR - over, err) : 0;
}

static int put_marker(struct stream *s, enum marker type, uint64_t sectors, struct vmscm_error *err)
{
    uint8_t block[SECTOR] = {0};

    vmscm_put_le64(block, sectors);
    vmscm_put_le32(block + 12, type);
    return put(s, block, sizeof block, err);
}

static void fill_header(const struct stream *s, uint8_t block[SECTOR], uint64_t directory)
{
    memset(block, 0, SECTOR);
    memcpy(block, "KDMV", 4);
    vmscm_put_le32(block + 4, 3);           /* version */
    vmscm_put_le32(block + 8, 0x30001);     /* line ends can be checked, compressed, markers */
    vmscm_put_le64(block + 12, s->sectors); /* capacity */
    vmscm_put_le64(block + 20, GRAIN / SECTOR);
    vmscm_put_le64(block + 28, DESCRIPTOR_AT);
    vmscm_put_le64(block + 36, DESCRIPTOR_SECTORS);
    vmscm_put_le32(block + 44, GRAINS);
    vmscm_put_le64(block + 48, 0); /* no redundant directory */
    vmscm_put_le64(block + AT_DIRECTORY, directory);
    vmscm_put_le64(block + 64, OVERHEAD);
    memcpy(block + 72, "\0\n \r\n", 5);
    vmscm_put_le16(block + 77, 1); /* deflate */
}

static int put_start(struct stream *s, struct vmscm_error *err)
{
    const struct vmscm_streamvmdk_options *o = s->options;
    struct vmscm_buf text = VMSCM_BUF_INIT;
    uint8_t block[OVERHEAD * SECTOR] = {0};
    bool ide = o->adapter && strcmp(o->adapter, "ide") == 0;
    uint32_t heads = ide ? 16 : 255, cid = o->cid;
    uint64_t cylinders = s->sectors / (heads * UINT64_C(63));
    int rc;

    /* Two values mean something else. */
    if (cid >= UINT32_MAX - 1 || cid == 0)
        cid = 1;
    if (!cylinders)
        cylinders = 1;
    if (ide && cylinders > 16383)
        cylinders = 16383;
    rc = vmscm_buf_printf(&text, err,
        "# Disk DescriptorFile\nversion=1\nCID=%08" PRIx32 "\nparentCID=ffffffff\n"
        "createType=\"streamOptimized\"\n\n# Extent description\nRW %" PRIu64 " SPARSE \"%s\"\n\n"
        "# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"%u\"\n"
        "ddb.geometry.cylinders = \"%" PRIu64 "\"\nddb.geometry.heads = \"%" PRIu32 "\"\n"
        "ddb.geometry.sectors = \"63\"\nddb.adapterType = \"%s\"\n",
        cid, s->sectors, o->name, o->hardware ? o->hardware : 4, cylinders, heads,
        o->adapter ? o->adapter : "lsilogic");
    if (!rc && text.len > DESCRIPTOR_SECTORS * SECTOR)
        rc = vmscm_error_set(err, VMSCM_EUNSUPPORTED, "%s: too long a name for a vmdk", o->name);
    if (!rc) {
        fill_header(s, block, UINT64_MAX);
        memcpy(block + DESCRIPTOR_AT * SECTOR, text.data, text.len);
        rc = put(s, block, sizeof block, err);
    }
    vmscm_buf_release(&text);
    return rc;
}

/* A piece of the batch: read, and its grains compressed. */
static int do_piece(struct stream *s, unsigned index, size_t n, struct vmscm_error *err)
{
    uint64_t offset = s->start + (uint64_t)n * PIECE;
    uint64_t end = offset + PIECE, size = s->dev->size;
    uint8_t *piece = s->pieces[index];
    uint64_t len;
    bool zero;
    int rc;

    end = end < size ? end : size;
    /* Nothing in all of it: nothing to read. */
    if ((rc = vmscm_blockdev_extent(s->dev, offset, &len, &zero, err)) ||
        (zero && len >= end - offset))
        return rc;
    memset(piece, 0, PIECE);
    if ((rc = vmscm_blockdev_pread(s->dev, piece, (size_t)(end - offset), offset, err)))
        return rc;
    if (s->options->read)
        *s->options->read += end - offset;
    for (size_t at = 0; at < end - offset; at += GRAIN) {
        size_t number = (n * PIECE + at) / GRAIN;
        struct grain *grain = &s->grains[number];
        if (is_zero(piece + at, GRAIN))
            continue;
        grain->bytes = s->memory + number * s->room;
        if ((rc = vmscm_deflate_run(
                 s->deflate[index], grain->bytes, &grain->len, piece + at, GRAIN, err)))
            return rc;
    }
    return 0;
}

static int work(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct stream *s = p->data;
    size_t count = (size_t)((s->length + PIECE - 1) / PIECE);
    int rc = 0;

    while (!rc && !p->stop) {
        size_t n = s->next++;
        if (n >= count)
            break;
        rc = do_piece(s, index, n, err);
    }
    return rc;
}

static int too_long(struct vmscm_error *err)
{
    return vmscm_error_set(
        err, VMSCM_EUNSUPPORTED, "a streamOptimized vmdk of over 2 TiB is not possible");
}

/* The grains of the batch, and their table if there are any. */
static int put_batch(struct stream *s, struct vmscm_error *err)
{
    uint8_t table[GRAINS * 4] = {0}, head[12];
    bool any = false;
    int rc;

    for (size_t i = 0; i < GRAINS; i++) {
        const struct grain *grain = &s->grains[i];
        if (!grain->len)
            continue;
        if (s->written / SECTOR > UINT32_MAX)
            return too_long(err);
        any = true;
        vmscm_put_le32(table + i * 4, (uint32_t)(s->written / SECTOR));
        vmscm_put_le64(head, (s->start + i * (uint64_t)GRAIN) / SECTOR);
        vmscm_put_le32(head + 8, (uint32_t)grain->len);
        if ((rc = put(s, head, sizeof head, err)) ||
            (rc = put(s, grain->bytes, grain->len, err)) || (rc = pad(s, err)))
            return rc;
    }
    if (!any)
        return 0;
    if ((rc = put_marker(s, MARKER_TABLE, sizeof table / SECTOR, err)))
        return rc;
    if (s->written / SECTOR > UINT32_MAX)
        return too_long(err);
    s->directory[s->start / BATCH] = (uint32_t)(s->written / SECTOR);
    return put(s, table, sizeof table, err);
}

static int put_end(struct stream *s, struct vmscm_error *err)
{
    uint64_t sectors = ((uint64_t)s->tables * 4 + SECTOR - 1) / SECTOR, directory;
    uint8_t block[SECTOR];
    int rc = put_marker(s, MARKER_DIRECTORY, sectors, err);

    if (rc)
        return rc;
    directory = s->written / SECTOR;
    for (size_t i = 0; i < s->tables; i++)
        vmscm_put_le32((uint8_t *)&s->directory[i], s->directory[i]);
    if ((rc = put(s, s->directory, s->tables * 4, err)) || (rc = pad(s, err)) ||
        (rc = put_marker(s, MARKER_FOOTER, 1, err)))
        return rc;
    fill_header(s, block, directory);
    if ((rc = put(s, block, sizeof block, err)))
        return rc;
    return put_marker(s, MARKER_END, 0, err);
}

static int prepare(struct stream *s, unsigned jobs, struct vmscm_error *err)
{
    int rc = 0;

    s->room = vmscm_deflate_bound(GRAIN);
    s->tables = (size_t)((s->dev->size + BATCH - 1) / BATCH);
    s->memory = malloc(GRAINS * s->room);
    s->directory = calloc(s->tables, sizeof *s->directory);
    s->deflate = calloc(jobs, sizeof *s->deflate);
    s->pieces = calloc(jobs, sizeof *s->pieces);
    if (!s->memory || !s->directory || !s->deflate || !s->pieces)
        return vmscm_error_nomem(err);
    for (unsigned i = 0; i < jobs && !rc; i++) {
        if (!(s->pieces[i] = malloc(PIECE)))
            return vmscm_error_nomem(err);
        rc = vmscm_deflate_new(&s->deflate[i], s->options->level, err);
    }
    return rc;
}

static int write_batches(struct stream *s, unsigned jobs, struct vmscm_error *err)
{
    uint64_t size = s->dev->size;
    int rc = 0;

    for (s->start = 0; s->start < size && !rc; s->start += s->length) {
        uint64_t zeros;
        bool zero;
        s->length = BATCH < size - s->start ? BATCH : size - s->start;
        if (!(rc = vmscm_blockdev_extent(s->dev, s->start, &zeros, &zero, err)) &&
            !(zero && zeros >= s->length)) {
            memset(s->grains, 0, sizeof s->grains);
            s->next = 0;
            if (!(rc = vmscm_parallel_run(jobs, work, s, err)))
                rc = put_batch(s, err);
        }
        if (!rc && s->options->progress &&
            s->options->progress(s->options->data, s->start + s->length))
            rc = vmscm_error_set(err, VMSCM_ECANCELED, "%s: canceled", s->dev->name);
    }
    return rc;
}

int vmscm_streamvmdk_write(struct vmscm_blockdev *dev,
    const struct vmscm_streamvmdk_options *options, struct vmscm_error *err)
{
    unsigned jobs = options->jobs ? options->jobs : 1;
    struct stream *s;
    int rc;

    if (dev->size > SIZE_LIMIT)
        return vmscm_error_set(
            err, VMSCM_EUNSUPPORTED, "%s: a vmdk holds no disk of over 64 TiB", dev->name);
    if (!(s = calloc(1, sizeof *s)))
        return vmscm_error_nomem(err);
    if (jobs > VMSCM_PARALLEL_MAX)
        jobs = VMSCM_PARALLEL_MAX;
    s->dev = dev;
    s->options = options;
    s->sectors = (dev->size + SECTOR - 1) / SECTOR;
    if ((rc = prepare(s, jobs, err)) || (rc = put_start(s, err)) ||
        (rc = write_batches(s, jobs, err)))
        goto out;
    rc = put_end(s, err);
out:
    for (unsigned i = 0; i < jobs; i++) {
        if (s->deflate)
            vmscm_deflate_free(s->deflate[i]);
        if (s->pieces)
            free(s->pieces[i]);
    }
    free(s->deflate);
    free(s->pieces);
    free(s->memory);
    free(s->directory);
    free(s);
    return rc;
}
