/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/stalelock.h"
#include "base/path.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/git.h"
#include "sys/lockfile.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SUFFIX ".lock"
#define WAIT 3000 /* milliseconds: packed-refs may take plain git so long */
#define NAP 10
#define DEPTH 200 /* of directories; a ref's name has fewer parts */

struct found {
    char *path;
    struct stat st;
};

struct sweep {
    VMSCM_VEC(struct found) locks;
};

static bool is_same(const char *path, const struct stat *first)
{
    struct stat now;

    return lstat(path, &now) == 0 && now.st_ino == first->st_ino &&
        now.st_ctim.tv_sec == first->st_ctim.tv_sec &&
        now.st_ctim.tv_nsec == first->st_ctim.tv_nsec;
}

void vmscm_stalelock_clear(const char *path, unsigned ms)
{
    struct stat first;

    if (lstat(path, &first) < 0)
        return;
    for (unsigned waited = 0; waited < ms; waited += NAP) {
        nanosleep(&(struct timespec){0, NAP * 1000 * 1000}, NULL);
        if (!is_same(path, &first))
            return;
    }
    unlink(path);
}

/* A directory that cannot be read has nothing that could be removed. */
static int collect(struct sweep *s, const char *dir, unsigned depth, struct vmscm_error *err)
{
    DIR *d = opendir(dir);
    int rc = 0;

    for (struct dirent *e; d && !rc && (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        struct found found = {NULL, {0}}, *slot;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            (rc = vmscm_path_join(&found.path, dir, e->d_name, err)))
            continue;
        if (lstat(found.path, &found.st) == 0) {
            if (S_ISDIR(found.st.st_mode) && depth) {
                rc = collect(s, found.path, depth - 1, err);
            } else if (S_ISREG(found.st.st_mode) && len > strlen(SUFFIX) &&
                strcmp(e->d_name + len - strlen(SUFFIX), SUFFIX) == 0 &&
                !(rc = vmscm_vec_add(&s->locks, &slot, err))) {
                *slot = found;
                found.path = NULL;
            }
        }
        free(found.path);
    }
    if (d)
        closedir(d);
    return rc;
}

int vmscm_stalelock_sweep(const struct vmscm_gitdb *db, struct vmscm_error *err)
{
    struct sweep s = {0};
    char *refs = NULL, *logs = NULL;
    bool left;
    int lock = -1, rc;

    if ((rc = vmscm_path_join(&refs, db->path, "refs", err)) ||
        (rc = vmscm_path_join(&logs, db->path, "logs", err)) ||
        (rc = vmscm_lockfile_acquire(&lock, db->refs_lock, VMSCM_LOCK_EXCLUSIVE, err)) ||
        (rc = collect(&s, db->path, 0, err)) || (rc = collect(&s, refs, DEPTH, err)) ||
        (rc = collect(&s, logs, DEPTH, err)))
        goto out;
    left = s.locks.len > 0;
    for (unsigned waited = 0; left && waited < WAIT; waited += NAP) {
        left = false;
        nanosleep(&(struct timespec){0, NAP * 1000 * 1000}, NULL);
        for (size_t i = 0; i < s.locks.len && !left; i++)
            left = is_same(s.locks.items[i].path, &s.locks.items[i].st);
    }
    for (size_t i = 0; i < s.locks.len; i++)
        if (is_same(s.locks.items[i].path, &s.locks.items[i].st))
            unlink(s.locks.items[i].path);
out:
    vmscm_lockfile_release(&lock);
    for (size_t i = 0; i < s.locks.len; i++)
        free(s.locks.items[i].path);
    vmscm_vec_release(&s.locks);
    free(refs);
    free(logs);
    return rc;
}
