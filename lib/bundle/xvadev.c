/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/xvadev.h"
#include "base/str.h"
#include "base/vec.h"
#include "codec/checksum.h"
#include "codec/digest.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define BLOCK (1u << 20)
#define BLOCK_MAX (64u << 20)
#define SHA1_SIZE 20

enum sum { SUM_NONE, SUM_XXHASH, SUM_SHA1 };

struct block {
    uint64_t at;     /* in the disk */
    uint64_t offset; /* of its bytes in the archive */
    uint64_t sum_offset;
    uint32_t length;
    uint32_t number; /* in the queue */
    enum sum sum;
};

struct vmscm_xvadev {
    struct vmscm_blockdev dev; /* first */
    const char *path;
    char *name;
    int fd;
    struct stat st;
    struct vmscm_xvaqueue *queue; /* NULL: it is read where it is */
    uint32_t disk;   /* its number there */
    bool held;       /* the queue, by this */
    bool verify;
    VMSCM_VEC(struct block) blocks; /* those with bytes, in order */
    uint64_t end;    /* of the last block */
    uint64_t next;   /* the number that follows the last block's without a gap */
    uint64_t first;  /* bytes of the first block; 0: none yet */
    bool waits;      /* the last block's digest was not seen yet */
    bool was_empty;  /* the last block was */
};

int vmscm_xvadev_new(struct vmscm_xvadev **out, const char *path, const char *name, uint64_t size,
    bool verify, struct vmscm_error *err)
{
    struct vmscm_xvadev *x = calloc(1, sizeof *x);
    int rc;

    *out = NULL;
    if (!x)
        return vmscm_error_nomem(err);
    x->fd = -1;
    x->path = path;
    x->verify = verify;
    x->dev.size = size;
    if ((rc = vmscm_str_dup(&x->name, name, err))) {
        vmscm_xvadev_free(x);
        return rc;
    }
    x->dev.name = x->name;
    *out = x;
    return 0;
}

void vmscm_xvadev_free(struct vmscm_xvadev *x)
{
    if (!x)
        return;
    if (x->fd >= 0)
        close(x->fd);
    if (x->held)
        vmscm_xvaqueue_unref(x->queue);
    vmscm_vec_release(&x->blocks);
    free(x->name);
    free(x);
}

void vmscm_xvadev_set_queue(struct vmscm_xvadev *x, struct vmscm_xvaqueue *queue, uint32_t number)
{
    x->queue = queue;
    x->disk = number;
}

static int refuse(const struct vmscm_tar_member *member, const char *why, struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EREFUSED, "%s: %s", member->name, why);
}

static int add_sum(struct vmscm_xvadev *x, const struct vmscm_tar_member *member, uint64_t number,
    enum sum sum, struct vmscm_error *err)
{
    struct block *last;

    if (!x->waits || number + 1 != x->next)
        return refuse(member, "a digest that does not follow its block", err);
    x->waits = false;
    if (x->was_empty)
        return 0;
    last = &x->blocks.items[x->blocks.len - 1];
    if (member->length < (sum == SUM_XXHASH ? 16 : 2 * SHA1_SIZE))
        return refuse(member, "is no digest", err);
    last->sum = sum;
    last->sum_offset = member->offset;
    return 0;
}

static int add_block(struct vmscm_xvadev *x, const struct vmscm_tar_member *member, uint64_t number,
    struct vmscm_error *err)
{
    uint64_t step = x->first ? x->first : BLOCK, gap;
    struct block *block;
    int rc;

    if (number < x->next)
        return refuse(member, "is out of order, or there twice", err);
    if (x->waits && x->verify && !x->was_empty)
        return refuse(member, "the block before it has no digest", err);
    gap = number - x->next;
    if (gap && !x->blocks.len)
        return refuse(member, "the disk's first block is missing", err);
    if (member->length > BLOCK_MAX)
        return refuse(member, "is too long for a block", err);
    if (gap > (x->dev.size - x->end) / step ||
        member->length > x->dev.size - x->end - gap * step)
        return refuse(member, "lies beyond the end of its disk", err);
    x->end += gap * step;
    x->next = number + 1;
    x->waits = true;
    x->was_empty = !member->length;
    if (!member->length)
        return 0;
    if (!x->first)
        x->first = member->length;
    if ((rc = vmscm_vec_add(&x->blocks, &block, err)))
        return rc;
    block->at = x->end;
    block->offset = member->offset;
    block->length = (uint32_t)member->length;
    x->end += member->length;
    return x->queue ? vmscm_xvaqueue_add(x->queue, &block->number, x->disk, block->length, err) : 0;
}

int vmscm_xvadev_add(struct vmscm_xvadev *x, const struct vmscm_tar_member *member,
    const char *name, struct vmscm_error *err)
{
    char digits[24];
    size_t len = strspn(name, "0123456789");
    const char *suffix = name + len;
    uint64_t number;

    snprintf(digits, sizeof digits, "%.*s", (int)len, name);
    if (len < 8 || len > 18 || !vmscm_str_uint(&number, digits, 0, UINT64_MAX / 2))
        return refuse(member, "is no block of a disk", err);
    if (!*suffix)
        return add_block(x, member, number, err);
    if (strcmp(suffix, ".xxhash") == 0)
        return add_sum(x, member, number, SUM_XXHASH, err);
    if (strcmp(suffix, ".checksum") == 0)
        return add_sum(x, member, number, SUM_SHA1, err);
    return refuse(member, "is no block of a disk", err);
}

/* The last block that begins at or before this place; NULL: none does. */
static const struct block *before(const struct vmscm_xvadev *x, uint64_t at)
{
    size_t low = 0, high = x->blocks.len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (x->blocks.items[middle].at <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &x->blocks.items[low - 1] : NULL;
}

static int extent(struct vmscm_blockdev *dev, uint64_t offset, uint64_t *len, bool *zero,
    struct vmscm_error *err)
{
    const struct vmscm_xvadev *x = (const struct vmscm_xvadev *)dev;
    const struct block *block = before(x, offset), *next;

    (void)err;
    *zero = !block || offset >= block->at + block->length;
    if (!*zero) {
        *len = block->at + block->length - offset;
        return 0;
    }
    next = block ? block + 1 : x->blocks.items;
    *len = (next < x->blocks.items + x->blocks.len ? next->at : dev->size) - offset;
    return 0;
}

static int compute(char hex[2 * SHA1_SIZE + 1], const struct block *block, const uint8_t *bytes,
    struct vmscm_error *err)
{
    struct vmscm_digest *digest = NULL;
    uint8_t sum[VMSCM_DIGEST_MAX];
    int rc;

    if (block->sum == SUM_XXHASH) {
        snprintf(hex, 17, "%016" PRIX64, vmscm_checksum_xxh64(bytes, block->length, 0));
        return 0;
    }
    if (!(rc = vmscm_digest_new(&digest, VMSCM_DIGEST_SHA1, err)) &&
        !(rc = vmscm_digest_add(digest, bytes, block->length, err)) &&
        !(rc = vmscm_digest_finish(digest, sum, err)))
        vmscm_str_hex(hex, sum, SHA1_SIZE);
    vmscm_digest_free(digest);
    return rc;
}

/* From the archive; packed NULL: from the file itself. */
static int get(const struct vmscm_xvadev *x, struct vmscm_packed *packed, void *to, size_t len,
    uint64_t offset, struct vmscm_error *err)
{
    return packed ? vmscm_packed_pread(packed, to, len, offset, err)
                  : vmscm_file_pread(x->fd, to, len, offset, x->path, err);
}

/* All of a block, held against its digest. */
static int read_block(const struct vmscm_xvadev *x, struct vmscm_packed *packed,
    const struct block *block, uint8_t *to, struct vmscm_error *err)
{
    char expected[2 * SHA1_SIZE + 1] = "", hex[2 * SHA1_SIZE + 1] = "";
    int rc = get(x, packed, to, block->length, block->offset, err);

    if (rc || !x->verify)
        return rc;
    if ((rc = get(x, packed, expected, block->sum == SUM_XXHASH ? 16 : 2 * SHA1_SIZE,
             block->sum_offset, err)) ||
        (rc = compute(hex, block, to, err)))
        return rc;
    if (strcasecmp(expected, hex) == 0)
        return 0;
    return vmscm_error_set(err, VMSCM_EREFUSED,
        "%s: %s: the block of %" PRIu32 " bytes at %" PRIu64 " of the disk is not what its digest says",
        x->path, x->name, block->length, block->at);
}

/* For the queue: its numbers rise with the disk's blocks. */
static int load_block(void *data, struct vmscm_packed *packed, uint8_t *to, uint32_t number,
    struct vmscm_error *err)
{
    const struct vmscm_xvadev *x = data;
    size_t low = 0, high = x->blocks.len;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (x->blocks.items[middle].number <= number)
            low = middle;
        else
            high = middle;
    }
    return read_block(x, packed, &x->blocks.items[low], to, err);
}

/* What it takes for the rest of the segment is unpacked at once. */
static int read_queued(const struct vmscm_xvadev *x, const struct block *block, uint8_t *to, size_t len,
    uint64_t offset, struct vmscm_error *err)
{
    uint64_t end = (offset / VMSCM_BLOCKDEV_PART + 1) * VMSCM_BLOCKDEV_PART;
    const struct block *last = before(x, end - 1);

    return vmscm_xvaqueue_read(
        x->queue, to, len, block->number, (uint32_t)(offset - block->at), last->number, err);
}

static int pread_disk(struct vmscm_blockdev *dev, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    const struct vmscm_xvadev *x = (const struct vmscm_xvadev *)dev;
    uint8_t *to = data, *whole = NULL;
    int rc = 0;

    while (len && !rc) {
        const struct block *block = before(x, offset);
        uint64_t run;
        bool zero;
        extent(dev, offset, &run, &zero, err);
        size_t n = run < len ? (size_t)run : len;
        if (zero) {
            memset(to, 0, n);
        } else if (x->queue) {
            rc = read_queued(x, block, to, n, offset, err);
        } else if (n == block->length) {
            rc = read_block(x, NULL, block, to, err);
        } else {
            free(whole);
            if (!(whole = malloc(block->length)))
                return vmscm_error_nomem(err);
            if (!(rc = read_block(x, NULL, block, whole, err)))
                memcpy(to, whole + (offset - block->at), n);
        }
        to += n;
        offset += n;
        len -= n;
    }
    free(whole);
    return rc;
}

static int unchanged(struct vmscm_blockdev *dev, struct vmscm_error *err)
{
    const struct vmscm_xvadev *x = (const struct vmscm_xvadev *)dev;
    struct stat st;

    if (fstat(x->fd, &st) < 0)
        return vmscm_error_errno(err, errno, "%s", x->path);
    if (st.st_dev != x->st.st_dev || st.st_ino != x->st.st_ino || st.st_size != x->st.st_size ||
        st.st_mtim.tv_sec != x->st.st_mtim.tv_sec || st.st_mtim.tv_nsec != x->st.st_mtim.tv_nsec)
        return vmscm_error_set(err, VMSCM_EBUSY, "%s: changed while it was read", x->path);
    return 0;
}

static void close_disk(struct vmscm_blockdev *dev)
{
    vmscm_xvadev_free((struct vmscm_xvadev *)dev);
}

static const struct vmscm_blockdev_ops ops = {
    .pread = pread_disk, .extent = extent, .unchanged = unchanged, .close = close_disk};

int vmscm_xvadev_open(struct vmscm_blockdev **out, struct vmscm_xvadev *x, const struct stat *st,
    struct vmscm_error *err)
{
    int rc = 0;

    *out = NULL;
    if (x->end != x->dev.size)
        rc = vmscm_error_set(err, VMSCM_EREFUSED,
            "%s: its disk %s ends at %" PRIu64 " of %" PRIu64 " bytes: the last block is missing",
            x->path, x->name, x->end, x->dev.size);
    else if (x->waits && x->verify && !x->was_empty)
        rc = vmscm_error_set(
            err, VMSCM_EREFUSED, "%s: %s: the last block has no digest", x->path, x->name);
    if (!rc)
        rc = vmscm_file_open(&x->fd, x->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
    x->st = *st;
    if (!rc && x->queue && !(rc = vmscm_xvaqueue_loader(x->queue, x->disk, load_block, x, err))) {
        vmscm_xvaqueue_ref(x->queue);
        x->held = true;
    }
    if (rc || (rc = unchanged(&x->dev, err))) {
        vmscm_xvadev_free(x);
        return rc;
    }
    x->dev.ops = &ops;
    *out = &x->dev;
    return 0;
}
