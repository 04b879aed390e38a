/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/lockcheck.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* QEMU's permission bits: 0 consistent read, 1 write, 2 write unchanged, 3 resize. */
enum { HELD_BASE = 100, BIT_WRITE = 1, BIT_RESIZE = 3 };

int vmscm_lockcheck_writer(bool *held, const char *path, struct vmscm_error *err)
{
    static const int bits[] = {BIT_WRITE, BIT_RESIZE};
    struct stat st;
    int fd = -1, rc;

    *held = false;
    if ((rc = vmscm_file_open(&fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err)))
        return rc;
    if (fstat(fd, &st) < 0) {
        rc = vmscm_error_errno(err, errno, "%s", path);
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: not a regular file", path);
        goto out;
    }
    for (size_t i = 0; i < sizeof bits / sizeof bits[0] && !*held; i++) {
        /* A holder has a shared lock: only asking for an exclusive one shows it. */
        struct flock lock = {
            .l_type = F_WRLCK,
            .l_whence = SEEK_SET,
            .l_start = HELD_BASE + bits[i],
            .l_len = 1,
        };
        if (fcntl(fd, F_OFD_GETLK, &lock) == 0)
            *held = lock.l_type != F_UNLCK;
        else if (errno != EINVAL && errno != ENOLCK && errno != EOPNOTSUPP && errno != ENOSYS)
            rc = vmscm_error_errno(err, errno, "%s: asking for locks", path);
    }
out:
    close(fd);
    return rc;
}
