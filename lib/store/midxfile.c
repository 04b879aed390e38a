/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/midxfile.h"
#include "base/endian.h"
#include "base/path.h"
#include "base/str.h"
#include "codec/checksum.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

bool vmscm_midxfile_is_name(const char *file)
{
    return vmscm_str_starts(file, "midx-") && vmscm_str_ends(file, ".vmx");
}

bool vmscm_midxfile_is_unfinished(const char *file)
{
    return vmscm_str_starts(file, "midx-") && vmscm_str_ends(file, ".tmp");
}

int vmscm_midxfile_open(struct vmscm_midxfile **out, const char *dir, const char *file,
    struct vmscm_error *err)
{
    struct vmscm_midxfile *midx = calloc(1, sizeof *midx);
    uint8_t header[VMSCM_MIDX_HEADER_SIZE];
    struct stat st;
    int rc;

    if (!midx)
        return vmscm_error_nomem(err);
    midx->fd = -1;
    if ((rc = vmscm_path_join(&midx->path, dir, file, err)) ||
        (rc = vmscm_file_open(
             &midx->fd, midx->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err)))
        goto out;
    if (fstat(midx->fd, &st) < 0) {
        rc = vmscm_error_errno(err, errno, "%s", midx->path);
        goto out;
    }
    if (!S_ISREG(st.st_mode) || st.st_size < VMSCM_MIDX_HEADER_SIZE) {
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "%s: not a multi-pack index", midx->path);
        goto out;
    }
    if ((rc = vmscm_file_pread(midx->fd, header, sizeof header, 0, midx->path, err)))
        goto out;
    if ((rc = vmscm_midx_decode_header(&midx->header, header, (uint64_t)st.st_size, err))) {
        vmscm_error_prefix(err, "%s", midx->path);
        goto out;
    }
    midx->map_len = (size_t)midx->header.words_at;
    midx->map = mmap(NULL, midx->map_len, PROT_READ, MAP_SHARED, midx->fd, 0);
    if (midx->map == MAP_FAILED) {
        midx->map = NULL;
        rc = vmscm_error_errno(err, errno, "%s", midx->path);
        goto out;
    }
    midx->packs = calloc(midx->header.pack_count + 1, sizeof *midx->packs);
    if (!midx->packs)
        rc = vmscm_error_nomem(err);
out:
    if (rc)
        vmscm_midxfile_close(midx);
    else
        *out = midx;
    return rc;
}

void vmscm_midxfile_close(struct vmscm_midxfile *midx)
{
    if (!midx)
        return;
    if (midx->fd >= 0)
        close(midx->fd);
    if (midx->map)
        munmap(midx->map, midx->map_len);
    free(midx->packs);
    free(midx->path);
    free(midx);
}

const char *vmscm_midxfile_name(const struct vmscm_midxfile *midx)
{
    const char *slash = strrchr(midx->path, '/');

    return slash ? slash + 1 : midx->path;
}

const uint8_t *vmscm_midxfile_pack_name(const struct vmscm_midxfile *midx, uint32_t n)
{
    return midx->map + VMSCM_MIDX_HEADER_SIZE + (size_t)n * VMSCM_MIDX_NAME_SIZE;
}

uint32_t vmscm_midxfile_start(const struct vmscm_midxfile *midx, uint32_t bucket)
{
    return bucket ? vmscm_get_le32(midx->map + midx->header.ends_at + 4 * (uint64_t)(bucket - 1))
                  : 0;
}

static uint16_t print_at(const struct vmscm_midxfile *midx, uint32_t n)
{
    return vmscm_get_le16(
        midx->map + midx->header.prints_at + (uint64_t)n * VMSCM_MIDX_PRINT_SIZE);
}

bool vmscm_midxfile_find(const struct vmscm_midxfile *midx, uint32_t *pack,
    const struct vmscm_id *id, size_t nth)
{
    uint64_t key = vmscm_midx_key(id);
    uint32_t bucket = vmscm_midx_bucket(key, midx->header.bits);
    uint16_t print = vmscm_midx_print(key, midx->header.bits);
    uint32_t low = vmscm_midxfile_start(midx, bucket);
    uint32_t end = vmscm_midxfile_start(midx, bucket + 1), high = end;

    if (low > end || end > midx->header.entry_count)
        return false;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (print_at(midx, mid) < print)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < end && print_at(midx, low) == print; low++) {
        uint8_t bytes[VMSCM_MIDX_WORD_SIZE];
        /* Not mapped: these are too many, and looked at too seldom. */
        if (vmscm_file_pread(midx->fd, bytes, sizeof bytes,
                midx->header.words_at + (uint64_t)low * VMSCM_MIDX_WORD_SIZE, midx->path, NULL))
            continue;
        uint64_t word = vmscm_get_le64(bytes);
        *pack = vmscm_midx_word_pack(word);
        if (vmscm_midx_word_is(word, key) && *pack < midx->header.pack_count && nth-- == 0)
            return true;
    }
    return false;
}

/* The checksum of the bytes from `at` to `end`; false if they cannot be read. */
static bool sum_of(const struct vmscm_midxfile *midx, uint8_t *piece, uint64_t at, uint64_t end,
    uint64_t *sum)
{
    *sum = 0;
    while (at < end) {
        size_t len = end - at < VMSCM_MIDX_PIECE ? (size_t)(end - at) : VMSCM_MIDX_PIECE;
        if (vmscm_file_pread(midx->fd, piece, len, at, midx->path, NULL))
            return false;
        *sum = vmscm_checksum_64(piece, len, *sum);
        at += len;
    }
    return true;
}

int vmscm_midxfile_check(struct vmscm_midxfile *midx, struct vmscm_error *err)
{
    const struct vmscm_midx *h = &midx->header;
    const uint64_t starts[] = {0, h->ends_at, h->prints_at, h->words_at, h->sums_at};
    uint8_t sums[8 * VMSCM_MIDX_SUMS], *piece = NULL;
    bool good = true;

    if (midx->state == VMSCM_MIDXFILE_UNCHECKED) {
        if (!(piece = malloc(VMSCM_MIDX_PIECE)))
            return vmscm_error_nomem(err);
        good = !vmscm_file_pread(midx->fd, sums, sizeof sums, h->sums_at, midx->path, NULL);
        for (size_t i = 0; i < VMSCM_MIDX_SUMS && good; i++) {
            uint64_t sum;
            good = sum_of(midx, piece, starts[i], starts[i + 1], &sum) &&
                sum == vmscm_get_le64(sums + 8 * i);
        }
        free(piece);
        midx->state = good ? VMSCM_MIDXFILE_GOOD : VMSCM_MIDXFILE_BAD;
    }
    if (midx->state == VMSCM_MIDXFILE_BAD)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "multi-pack index: wrong checksum");
    return 0;
}
