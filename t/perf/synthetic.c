/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fills a repository with packs whose indexes are real and whose records are holes: to see how
 * vmscm does with more data than there is disk. What it writes takes 49 bytes a chunk.
 *
 * Usage: synthetic REPOSITORY GIB [SEED]     GIB: of unique data, in chunks of 64 KiB
 */
#include "base/endian.h"
#include "codec/checksum.h"
#include "format/pack.h"
#include "store/packfile.h"
#include "sys/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHUNK (64u << 10)
#define CHUNKS 4096u              /* of a pack: 256 MiB that do not compress */
#define STORED (CHUNK - 1)        /* bytes of a record, its header included */
#define INDEX_AT (VMSCM_PACK_HEADER_SIZE + CHUNKS * STORED)

static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u; /* splitmix64 */

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void random_bytes(uint8_t *out, size_t len, uint64_t *state)
{
    for (size_t i = 0; i < len; i += 8)
        vmscm_put_le64(out + i, next(state));
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, VMSCM_HASH_SIZE);
}

static int write_pack(const char *dir, uint64_t *state, struct vmscm_error *err)
{
    static uint8_t index[CHUNKS * VMSCM_PACK_ENTRY_SIZE + VMSCM_PACK_TRAILER_SIZE];
    const size_t bytes = CHUNKS * VMSCM_PACK_ENTRY_SIZE;
    uint8_t name[VMSCM_MIDX_NAME_SIZE], header[VMSCM_PACK_HEADER_SIZE];
    char file[VMSCM_PACKFILE_NAME], path[4096];
    int fd = -1, rc;

    random_bytes(name, sizeof name, state);
    vmscm_packfile_format_name(file, name);
    snprintf(path, sizeof path, "%s/packs/%s", dir, file);
    for (uint32_t i = 0; i < CHUNKS; i++) {
        struct vmscm_pack_entry entry = {.offset = VMSCM_PACK_HEADER_SIZE + i * STORED,
            .length = STORED,
            .plain_len = CHUNK,
            .type = VMSCM_PACK_CHUNK};
        random_bytes(entry.id.bytes, VMSCM_HASH_SIZE, state);
        vmscm_pack_encode_entry(index + (size_t)i * VMSCM_PACK_ENTRY_SIZE, &entry);
    }
    qsort(index, CHUNKS, VMSCM_PACK_ENTRY_SIZE, by_id);
    vmscm_pack_encode_trailer(index + bytes,
        &(struct vmscm_pack_trailer){.index_offset = INDEX_AT,
            .entry_count = CHUNKS,
            .index_checksum = vmscm_checksum_64(index, bytes, 0)});
    vmscm_pack_encode_header(header);
    if ((rc = vmscm_file_open(&fd, path, O_WRONLY | O_CREAT | O_EXCL, 0444, err)) ||
        (rc = vmscm_file_pwrite(fd, header, sizeof header, 0, path, err)) ||
        (rc = vmscm_file_pwrite(fd, index, sizeof index, INDEX_AT, path, err)))
        return rc;
    return vmscm_file_close(&fd, path, err);
}

int main(int argc, char **argv)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint64_t state = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    uint64_t packs = argc > 2 ? strtoull(argv[2], NULL, 10) * 4 : 0;

    if (argc < 3 || argc > 4 || !packs) {
        fprintf(stderr, "usage: synthetic REPOSITORY GIB [SEED]\n");
        return 2;
    }
    for (uint64_t n = 0; n < packs; n++)
        if (write_pack(argv[1], &state, &err)) {
            fprintf(stderr, "synthetic: %s\n", err.message);
            return 3;
        }
    return 0;
}
