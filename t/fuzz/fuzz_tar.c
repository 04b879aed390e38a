/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A tar archive from anywhere: every member lies in it, and has a name that stays in it. Checksums of what
 * has a header's magic are made right, or nothing behind them would ever be reached. */
#include "base/path.h"
#include "bundle/tar.h"
#include "memfile.h"
#include "tarcopy.h"

#include <string.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t *copy = tarcopy_make(data, size);

    memfile_set(&fd, copy, size);
    free(copy);
    if (vmscm_tar_walk(fd, "tar", each, &size, &err) && !err.message[0])
        abort();
    return 0;
}
