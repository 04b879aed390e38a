/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz target of multi-pack indexes, as files. The input is one; the checksum of its header is made
 * right, or nothing behind it would ever be reached.
 */
#include "base/endian.h"
#include "codec/checksum.h"
#include "store/midxfile.h"
#include "sys/tempdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_NAME "midx-00000000000000000000000000000000.vmx"

static char *dir;
static struct vmscm_packfile some_pack;

static void clean(void)
{
    vmscm_tempdir_remove(dir);
}

/* Every other pack is gone. */
static struct vmscm_packfile *find(void *data, const uint8_t *name)
{
    (void)data;
    return name[0] & 1 ? NULL : &some_pack;
}

static void look(const struct vmscm_midxfile *midx, const uint8_t *id_bytes)
{
    struct vmscm_pack_entry entry;
    struct vmscm_id id;

    memcpy(id.bytes, id_bytes, sizeof id.bytes);
    if (vmscm_midxfile_find(midx, &entry, &id) &&
        (entry.pack >= midx->header.pack_count || vmscm_hash_cmp(&entry.id, &id) != 0 ||
            (midx->packs[entry.pack] && midx->packs[entry.pack] != &some_pack)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_midxfile *midx = NULL;
    uint8_t header[VMSCM_MIDX_HEADER_SIZE];
    char path[512];
    int fd;

    if (!dir) {
        if (vmscm_tempdir_make(&dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NULL, NULL))
            abort();
        atexit(clean);
    }
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
    if (vmscm_midxfile_open(&midx, dir, FILE_NAME, find, NULL, &err)) {
        if (!err.message[0])
            abort();
        return 0;
    }
    vmscm_midxfile_check(midx);
    for (size_t at = 0; at + VMSCM_HASH_SIZE <= size; at += 16)
        look(midx, data + at);
    vmscm_midxfile_close(midx);
    return 0;
}
