/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A tar archive from anywhere: every member lies in it, and has a name that stays in it. Checksums of what
 * has a header's magic are made right, or nothing behind them would ever be reached. */
#include "base/path.h"
#include "bundle/tar.h"
#include "memfile.h"

#include <stdio.h>
#include <string.h>

enum { SUM = 148, MAGIC = 257 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int each(void *data, const struct vmscm_tar_member *member, struct vmscm_error *err)
{
    size_t size = *(size_t *)data;

    (void)err;
    if (member->offset > size || member->length > size - member->offset ||
        !vmscm_path_is_confined(member->name))
        abort();
    return 0;
}

/* In the form that most write: six digits, a NUL and a space. */
static void fix_sum(uint8_t *block)
{
    unsigned sum = 8 * ' ';
    char digits[16];

    for (size_t i = 0; i < VMSCM_TAR_BLOCK; i++)
        sum += i >= SUM && i < SUM + 8 ? 0 : block[i];
    snprintf(digits, sizeof digits, "%06o", sum);
    memcpy(block + SUM, digits, 7);
    block[SUM + 7] = ' ';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t *copy = malloc(size + 1);

    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    for (size_t at = 0; size - at >= VMSCM_TAR_BLOCK; at += VMSCM_TAR_BLOCK)
        if (memcmp(copy + at + MAGIC, "ustar", 5) == 0)
            fix_sum(copy + at);
    memfile_set(&fd, copy, size);
    free(copy);
    if (vmscm_tar_walk(fd, "tar", each, &size, &err) && !err.message[0])
        abort();
    return 0;
}
