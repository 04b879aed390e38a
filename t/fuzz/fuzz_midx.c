/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz target of multi-pack indexes, as files. The input is one; the checksum of its header is made
 * right, or nothing behind it would ever be reached.
 */
#include "base/endian.h"
#include "codec/checksum.h"
#include "store/midxwriter.h"
#include "scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "midx-00000000000000000000000000000000.vmx"

static char *dir;

static void look(const struct vmscm_midxfile *midx, const uint8_t *id_bytes)
{
    struct vmscm_id id;
    uint32_t pack;

    memcpy(id.bytes, id_bytes, sizeof id.bytes);
    for (size_t nth = 0; nth < 3 && vmscm_midxfile_find(midx, &pack, &id, nth); nth++)
        if (pack >= midx->header.pack_count)
            abort();
}

/* As a newer index takes it in: all its packs are there. What is written is whole. */
static void rewrite(struct vmscm_midxfile *midx)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_packfile *packs = calloc(midx->header.pack_count + 1, sizeof *packs);
    struct dirent *e;
    DIR *d = opendir(dir);

    if (!packs || !d)
        abort();
    for (uint32_t i = 0; i < midx->header.pack_count; i++) {
        memcpy(packs[i].name, vmscm_midxfile_pack_name(midx, i), sizeof packs[i].name);
        midx->packs[i] = i % 3 == 2 ? NULL : &packs[i];
    }
    if (vmscm_midxwriter_write(dir, NULL, 0, &midx, 1, &err) && !err.message[0])
        abort();
    while ((e = readdir(d))) {
        struct vmscm_midxfile *other = NULL;
        if (!vmscm_midxfile_is_name(e->d_name) || strcmp(e->d_name, FILE_NAME) == 0)
            continue;
        if (vmscm_midxfile_open(&other, dir, e->d_name, &err) || vmscm_midxfile_check(other, &err))
            abort();
        vmscm_midxfile_close(other);
        if (unlinkat(dirfd(d), e->d_name, 0))
            abort();
    }
    closedir(d);
    free(packs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_midxfile *midx = NULL;
    uint8_t header[VMSCM_MIDX_HEADER_SIZE];
    char path[512];
    int fd;

    dir = scratch_dir();
    snprintf(path, sizeof path, "%s/" FILE_NAME, dir);
    if ((fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600)) < 0 ||
        write(fd, data, size) != (ssize_t)size)
        abort();
    if (size >= sizeof header) {
        memcpy(header, data, sizeof header);
        vmscm_put_le64(header + 24, vmscm_checksum_64(header, 24, 0));
        if (pwrite(fd, header, sizeof header, 0) != sizeof header)
            abort();
    }
    close(fd);
    if (vmscm_midxfile_open(&midx, dir, FILE_NAME, &err)) {
        if (!err.message[0])
            abort();
        return 0;
    }
    vmscm_midxfile_check(midx, NULL);
    for (size_t at = 0; at + VMSCM_HASH_SIZE <= size; at += 16)
        look(midx, data + at);
    rewrite(midx);
    vmscm_midxfile_close(midx);
    return 0;
}
