/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sys/lockfile.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

static int lock(int *fd, const char *path, int op, struct vmscm_error *err)
{
    int rc = vmscm_file_open(fd, path, O_RDWR | O_CREAT, 0666, err);

    if (rc)
        return rc;
    while (flock(*fd, op) < 0) {
        if (errno == EINTR)
            continue;
        if (errno == EWOULDBLOCK)
            rc = vmscm_error_set(err, VMSCM_EBUSY, "%s: locked by another process", path);
        else
            rc = vmscm_error_errno(err, errno, "%s: locking", path);
        close(*fd);
        *fd = -1;
        return rc;
    }
    return 0;
}

int vmscm_lockfile_acquire(int *fd, const char *path, enum vmscm_lockfile_mode mode,
    struct vmscm_error *err)
{
    return lock(fd, path, mode == VMSCM_LOCK_SHARED ? LOCK_SH : LOCK_EX, err);
}

int vmscm_lockfile_try(int *fd, const char *path, enum vmscm_lockfile_mode mode,
    struct vmscm_error *err)
{
    return lock(fd, path, (mode == VMSCM_LOCK_SHARED ? LOCK_SH : LOCK_EX) | LOCK_NB, err);
}

void vmscm_lockfile_release(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}
