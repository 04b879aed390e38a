/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/refdir.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 128 /* a machine's name has up to 100 parts; each keeps a directory open */

struct walk {
    const struct vmscm_gitdb *db;
    const char *prefix;
    int (*each)(void *data, int dirfd, const char *file, const char *name);
    void *data;
    struct vmscm_error *err;
};

static int walk_dir(struct walk *w, const char *dir, unsigned depth)
{
    char *path = NULL, *name = NULL;
    size_t len = strlen(w->prefix);
    DIR *d = NULL;
    int rc = vmscm_str_printf(&path, w->err, "%s/%s", w->db->path, dir);

    if (rc)
        return rc;
    if (depth > DEPTH_MAX) {
        rc = vmscm_error_set(w->err, VMSCM_EDAMAGED, "%.300s...: nested too deeply", path);
        goto out;
    }
    if (!(d = opendir(path))) {
        if (errno != ENOENT && errno != ENOTDIR)
            rc = vmscm_error_errno(w->err, errno, "%s", path);
        goto out;
    }
    for (struct dirent *e; !rc && (errno = 0, e = readdir(d));) {
        struct stat st;
        unsigned char type = e->d_type;
        if (e->d_name[0] == '.' || vmscm_str_ends(e->d_name, ".lock"))
            continue;
        free(name);
        name = NULL;
        if ((rc = vmscm_str_printf(&name, w->err, "%s/%s", dir, e->d_name)))
            break;
        /* A directory counts if what is in it can begin with the prefix. */
        size_t n = strlen(name);
        if (strncmp(name, w->prefix, n < len ? n : len) != 0)
            continue;
        if (type != DT_DIR && type != DT_REG) {
            if (fstatat(dirfd(d), e->d_name, &st, 0) < 0) {
                if (errno != ENOENT)
                    rc = vmscm_error_errno(w->err, errno, "%s/%s", path, e->d_name);
                continue;
            }
            type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG : DT_UNKNOWN;
        }
        if (type == DT_DIR)
            rc = walk_dir(w, name, depth + 1);
        else if (type == DT_REG && n >= len)
            rc = w->each(w->data, dirfd(d), e->d_name, name);
    }
    if (d && !rc && errno)
        rc = vmscm_error_errno(w->err, errno, "%s", path);
out:
    if (d)
        closedir(d);
    free(path);
    free(name);
    return rc;
}

int vmscm_refdir_walk(const struct vmscm_gitdb *db, const char *dir, const char *prefix,
    int (*each)(void *data, int dirfd, const char *file, const char *name), void *data,
    struct vmscm_error *err)
{
    struct walk walk = {db, prefix, each, data, err};

    return walk_dir(&walk, dir, 0);
}
