/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A tar archive from anywhere: every member lies in it, and has a name that stays in it. */
#include "base/path.h"
#include "bundle/tar.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

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
    struct vmscm_error err = VMSCM_ERROR_INIT;
    int fd = memfd_create("tar", MFD_CLOEXEC);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    vmscm_tar_walk(fd, "tar", each, &size, &err);
    close(fd);
    return 0;
}
