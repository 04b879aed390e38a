/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/lease.h"
#include "base/path.h"
#include "base/str.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#define PREFIX "lease-"
#define NAME_SIZE 16
#define FILE_NAME (sizeof PREFIX + (size_t)2 * NAME_SIZE) /* with NUL */
#define LEASE_MAX (64u << 20)                             /* bytes of one file */

struct vmscm_lease {
    char *path;
    int fd;
};

static int lock(int fd, int how)
{
    int rc;

    while ((rc = flock(fd, how)) < 0 && errno == EINTR)
        ;
    return rc;
}

/* Make the file and lock it. *lost: someone took it for a dead one's before it was locked. */
static int make(struct vmscm_lease *lease, const char *dir, bool *lost, struct vmscm_error *err)
{
    uint8_t name[NAME_SIZE];
    char hex[2 * NAME_SIZE + 1];
    struct stat st;
    int rc;

    *lost = false;
    if (getrandom(name, sizeof name, 0) != sizeof name)
        return vmscm_error_errno(err, errno, "random numbers");
    vmscm_str_hex(hex, name, sizeof name);
    free(lease->path);
    lease->path = NULL;
    if ((rc = vmscm_str_printf(&lease->path, err, "%s/" PREFIX "%s", dir, hex)) ||
        (rc = vmscm_file_open(
             &lease->fd, lease->path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL, 0666, err)))
        return rc;
    if (lock(lease->fd, LOCK_EX) < 0 || fstat(lease->fd, &st) < 0)
        return vmscm_error_errno(err, errno, "%s: locking", lease->path);
    if (st.st_nlink == 0) {
        *lost = true;
        close(lease->fd);
        lease->fd = -1;
    }
    return 0;
}

int vmscm_lease_open(struct vmscm_lease **out, const char *repo_dir, struct vmscm_error *err)
{
    struct vmscm_lease *lease = calloc(1, sizeof *lease);
    char *dir = NULL;
    bool lost = true;
    int rc;

    if (!lease)
        return vmscm_error_nomem(err);
    lease->fd = -1;
    if ((rc = vmscm_path_join(&dir, repo_dir, "leases", err)))
        goto out;
    if (mkdir(dir, 0777) < 0 && errno != EEXIST) {
        rc = vmscm_error_errno(err, errno, "%s", dir);
        goto out;
    }
    while (lost && !rc)
        rc = make(lease, dir, &lost, err);
out:
    free(dir);
    if (rc)
        vmscm_lease_close(lease);
    else
        *out = lease;
    return rc;
}

void vmscm_lease_close(struct vmscm_lease *lease)
{
    if (!lease)
        return;
    if (lease->fd >= 0) {
        unlink(lease->path);
        close(lease->fd);
    }
    free(lease->path);
    free(lease);
}

static int add(struct vmscm_lease *lease, const char *kind, const char *id,
    struct vmscm_error *err)
{
    char *line = NULL;
    int rc = vmscm_str_printf(&line, err, "%s %s\n", kind, id);

    if (!rc)
        rc = vmscm_file_write(lease->fd, line, strlen(line), lease->path, err);
    free(line);
    return rc;
}

int vmscm_lease_add_pack(struct vmscm_lease *lease, const uint8_t name[VMSCM_MIDX_NAME_SIZE],
    struct vmscm_error *err)
{
    char hex[2 * VMSCM_MIDX_NAME_SIZE + 1];

    vmscm_str_hex(hex, name, VMSCM_MIDX_NAME_SIZE);
    return add(lease, "pack", hex, err);
}

int vmscm_lease_add_commit(struct vmscm_lease *lease, const char *id, struct vmscm_error *err)
{
    return add(lease, "commit", id, err);
}

struct walk {
    int (*on_pack)(void *data, const uint8_t *name);
    int (*on_commit)(void *data, const char *id);
    void *data;
};

/* A line that is none was never finished, and nothing relies on it. */
static int read_line(const struct walk *w, const char *line)
{
    uint8_t name[VMSCM_MIDX_NAME_SIZE], commit[20];

    if (w->on_pack && vmscm_str_starts(line, "pack ") && strlen(line) == 5 + 2 * sizeof name &&
        vmscm_str_unhex(name, sizeof name, line + 5))
        return w->on_pack(w->data, name);
    if (w->on_commit && vmscm_str_starts(line, "commit ") &&
        strlen(line) == 7 + 2 * sizeof commit && vmscm_str_unhex(commit, sizeof commit, line + 7))
        return w->on_commit(w->data, line + 7);
    return 0;
}

static int read_lease(const struct walk *w, const char *path, struct vmscm_error *err)
{
    struct vmscm_buf text = VMSCM_BUF_INIT;
    int rc = vmscm_file_read(&text, path, LEASE_MAX, err);

    if (rc == VMSCM_ENOTFOUND) { /* ended just now */
        vmscm_error_clear(err);
        rc = 0;
        goto out;
    }
    if (rc || (rc = vmscm_buf_append(&text, "", 1, err)))
        goto out;
    char *line = (char *)text.data;
    for (char *end; !rc && (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        rc = read_line(w, line);
    }
out:
    vmscm_buf_release(&text);
    return rc;
}

static int visit(const struct walk *w, const char *path, struct vmscm_error *err)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int rc = 0;

    if (fd < 0)
        return errno == ENOENT ? 0 : vmscm_error_errno(err, errno, "%s", path);
    if (lock(fd, LOCK_EX | LOCK_NB) == 0)
        unlink(path);
    else if (errno == EWOULDBLOCK)
        rc = read_lease(w, path, err);
    else
        rc = vmscm_error_errno(err, errno, "%s: locking", path);
    close(fd);
    return rc;
}

int vmscm_lease_walk(const char *repo_dir, int (*on_pack)(void *data, const uint8_t *name),
    int (*on_commit)(void *data, const char *id), void *data, struct vmscm_error *err)
{
    struct walk walk = {on_pack, on_commit, data};
    char *dir = NULL;
    DIR *d = NULL;
    int rc = vmscm_path_join(&dir, repo_dir, "leases", err);

    if (rc)
        return rc;
    if (!(d = opendir(dir))) {
        rc = errno == ENOENT ? 0 : vmscm_error_errno(err, errno, "%s", dir);
        goto out;
    }
    for (struct dirent *e; !rc && (errno = 0, e = readdir(d));) {
        char *path = NULL;
        if (strlen(e->d_name) != FILE_NAME - 1 || !vmscm_str_starts(e->d_name, PREFIX))
            continue;
        if (!(rc = vmscm_path_join(&path, dir, e->d_name, err)))
            rc = visit(&walk, path, err);
        free(path);
    }
    if (!rc && errno)
        rc = vmscm_error_errno(err, errno, "%s", dir);
out:
    if (d)
        closedir(d);
    free(dir);
    return rc;
}
