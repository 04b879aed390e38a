/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target of lib/bucket/uploaded: the note of a pack that was uploaded, in a cache that anything may have
 * written. The input is the base of the mirror in 8 bytes, then the note. */
#include "base/endian.h"
#include "bucket/uploaded.h"
#include "scratch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *dir;
static char path[512];

static void prepare(void)
{
    dir = scratch_dir();
    snprintf(path, sizeof path, "%s/uploaded", dir);
    if (mkdir(path, 0700) < 0)
        abort();
    snprintf(path, sizeof path, "%s/uploaded/00112233445566778899aabbccddeeff", dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t whole = VMSCM_GENERATION_NAME + 8;
    struct vmscm_mirror m = {.dir = NULL};
    bool good;
    int fd;

    if (!dir)
        prepare();
    if (size < 8)
        return 0;
    m.dir = dir;
    m.base = vmscm_get_le64(data);
    data += 8;
    size -= 8;
    if ((fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600)) < 0 ||
        (size && write(fd, data, size) != (ssize_t)size))
        abort();
    close(fd);
    good = size == whole && vmscm_get_le64(data + VMSCM_GENERATION_NAME) >= m.base;
    vmscm_uploaded_sweep(&m);
    if ((access(path, F_OK) == 0) != good)
        abort();
    return 0;
}
