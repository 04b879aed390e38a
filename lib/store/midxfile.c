/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/midxfile.h"
#include "base/buf.h"
#include "base/endian.h"
#include "base/path.h"
#include "base/str.h"
#include "codec/checksum.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define PREFIX "midx-"
#define SUFFIX ".vmx"
#define UNFINISHED ".tmp"
#define WRITE_BUFFER (1u << 20)

bool vmscm_midxfile_is_name(const char *file)
{
    return vmscm_str_starts(file, PREFIX) && vmscm_str_ends(file, SUFFIX);
}

bool vmscm_midxfile_is_unfinished(const char *file)
{
    return vmscm_str_starts(file, PREFIX) && vmscm_str_ends(file, UNFINISHED);
}

int vmscm_midxfile_open(struct vmscm_midxfile **out, const char *dir, const char *file,
    struct vmscm_packfile *(*find)(void *data, const uint8_t *name), void *data,
    struct vmscm_error *err)
{
    struct vmscm_midxfile *midx = calloc(1, sizeof *midx);
    struct stat st;
    int fd = -1, rc;

    if (!midx)
        return vmscm_error_nomem(err);
    if ((rc = vmscm_path_join(&midx->path, dir, file, err)) ||
        (rc = vmscm_file_open(&fd, midx->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err)))
        goto out;
    if (fstat(fd, &st) < 0) {
        rc = vmscm_error_errno(err, errno, "%s", midx->path);
        goto out;
    }
    if (!S_ISREG(st.st_mode) || st.st_size < VMSCM_MIDX_HEADER_SIZE) {
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "%s: not a multi-pack index", midx->path);
        goto out;
    }
    midx->map_len = (size_t)st.st_size;
    midx->map = mmap(NULL, midx->map_len, PROT_READ, MAP_SHARED, fd, 0);
    if (midx->map == MAP_FAILED) {
        midx->map = NULL;
        rc = vmscm_error_errno(err, errno, "%s", midx->path);
        goto out;
    }
    if ((rc = vmscm_midx_decode_header(&midx->header, midx->map, midx->map_len, err))) {
        vmscm_error_prefix(err, "%s", midx->path);
        goto out;
    }
    madvise(midx->map, midx->map_len, MADV_RANDOM);
    midx->packs = calloc(midx->header.pack_count + 1, sizeof *midx->packs);
    if (!midx->packs) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    const uint8_t *names = (const uint8_t *)midx->map + VMSCM_MIDX_HEADER_SIZE;
    for (uint32_t i = 0; i < midx->header.pack_count; i++)
        if ((midx->packs[i] = find(data, names + (size_t)i * VMSCM_MIDX_NAME_SIZE)))
            midx->packs[i]->covered = true;
out:
    if (fd >= 0)
        close(fd);
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
    if (midx->map)
        munmap(midx->map, midx->map_len);
    free(midx->packs);
    free(midx->path);
    free(midx);
}

bool vmscm_midxfile_find(const struct vmscm_midxfile *midx, struct vmscm_pack_entry *entry,
    const struct vmscm_id *id)
{
    return vmscm_pack_search(entry, (const uint8_t *)midx->map + midx->header.entries_offset,
               midx->header.entry_count, id) &&
        entry->pack < midx->header.pack_count;
}

bool vmscm_midxfile_check(const struct vmscm_midxfile *midx)
{
    const uint8_t *p = midx->map;
    uint64_t sum = 0;
    size_t len = midx->map_len - 8;

    for (size_t at = 0; at < len; at += WRITE_BUFFER)
        sum = vmscm_checksum_64(p + at, len - at < WRITE_BUFFER ? len - at : WRITE_BUFFER, sum);
    return sum == vmscm_get_le64(p + len);
}

/* What is written so far, through a buffer whose every full megabyte goes into the checksum. */
struct output {
    int fd;
    const char *path;
    struct vmscm_buf buf;
    uint64_t sum;
};

static int output_flush(struct output *o, size_t len, struct vmscm_error *err)
{
    int rc;

    /* Nothing must stay nothing: even an empty piece would change the checksum. */
    if (!len)
        return 0;
    if ((rc = vmscm_file_write(o->fd, o->buf.data, len, o->path, err)))
        return rc;
    o->sum = vmscm_checksum_64(o->buf.data, len, o->sum);
    memmove(o->buf.data, o->buf.data + len, o->buf.len - len);
    o->buf.len -= len;
    return 0;
}

static int output_add(struct output *o, const void *data, size_t len, struct vmscm_error *err)
{
    int rc = vmscm_buf_append(&o->buf, data, len, err);

    while (!rc && o->buf.len >= WRITE_BUFFER)
        rc = output_flush(o, WRITE_BUFFER, err);
    return rc;
}

/* A heap of packs by their next entry: the smallest id is on top. */
struct cursor {
    const uint8_t *at, *end;
    uint32_t pack;
};

static void sift(struct cursor *heap, size_t count, size_t i)
{
    for (;;) {
        size_t least = i, child = 2 * i + 1;
        for (size_t c = child; c < child + 2 && c < count; c++)
            if (memcmp(heap[c].at, heap[least].at, VMSCM_HASH_SIZE) < 0)
                least = c;
        if (least == i)
            return;
        struct cursor t = heap[i];
        heap[i] = heap[least];
        heap[least] = t;
        i = least;
    }
}

static int merge(struct output *o, struct cursor *heap, size_t count, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = count; i-- > 0;)
        sift(heap, count, i);
    while (count && !rc) {
        struct vmscm_pack_entry entry;
        uint8_t encoded[VMSCM_PACK_ENTRY_SIZE];
        vmscm_pack_decode_entry(&entry, heap[0].at);
        entry.pack = heap[0].pack;
        vmscm_pack_encode_entry(encoded, &entry);
        rc = output_add(o, encoded, sizeof encoded, err);
        heap[0].at += VMSCM_PACK_ENTRY_SIZE;
        if (heap[0].at == heap[0].end)
            heap[0] = heap[--count];
        sift(heap, count, 0);
    }
    return rc;
}

int vmscm_midxfile_write(const char *dir, struct vmscm_packfile *const *packs, size_t count,
    struct vmscm_error *err)
{
    uint8_t name[VMSCM_MIDX_NAME_SIZE], header[VMSCM_MIDX_HEADER_SIZE], sum[8];
    char hex[2 * VMSCM_MIDX_NAME_SIZE + 1];
    char *tmp = NULL, *path = NULL;
    struct cursor *heap = NULL;
    struct output o = {.fd = -1};
    size_t used = 0;
    uint64_t entries = 0;
    int rc;

    if (count > VMSCM_MIDX_PACKS_MAX)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "too many packs for one index");
    if (getrandom(name, sizeof name, 0) != sizeof name)
        return vmscm_error_errno(err, errno, "random numbers");
    vmscm_str_hex(hex, name, sizeof name);
    if ((rc = vmscm_str_printf(&tmp, err, "%s/" PREFIX "%s" UNFINISHED, dir, hex)) ||
        (rc = vmscm_str_printf(&path, err, "%s/" PREFIX "%s" SUFFIX, dir, hex)))
        goto out;
    o.path = tmp;
    if (!(heap = calloc(count + 1, sizeof *heap))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        size_t n = packs[i]->trailer.entry_count;
        entries += n;
        if (n)
            heap[used++] = (struct cursor){
                packs[i]->index, packs[i]->index + n * VMSCM_PACK_ENTRY_SIZE, (uint32_t)i};
    }
    vmscm_midx_encode_header(header, (uint32_t)count, entries);
    if ((rc = vmscm_file_open(&o.fd, tmp, O_WRONLY | O_CREAT | O_EXCL, 0444, err)) ||
        (rc = output_add(&o, header, sizeof header, err)))
        goto out;
    for (size_t i = 0; i < count && !rc; i++)
        rc = output_add(&o, packs[i]->name, VMSCM_MIDX_NAME_SIZE, err);
    if (rc || (rc = merge(&o, heap, used, err)) || (rc = output_flush(&o, o.buf.len, err)))
        goto out;
    vmscm_put_le64(sum, o.sum);
    if ((rc = vmscm_file_write(o.fd, sum, sizeof sum, tmp, err)) ||
        (rc = vmscm_file_fsync(o.fd, tmp, err)) || (rc = vmscm_file_close(&o.fd, tmp, err)) ||
        (rc = vmscm_file_rename_new(tmp, path, err)))
        goto out;
    rc = vmscm_file_sync_dir(dir, err);
out:
    if (o.fd >= 0)
        close(o.fd);
    if (rc && tmp)
        unlink(tmp);
    vmscm_buf_release(&o.buf);
    free(heap);
    free(tmp);
    free(path);
    return rc;
}
