/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/reflink.h"
#include "base/path.h"
#include "base/str.h"
#include "codec/checksum.h"
#include "image/probe.h"
#include "machine/model.h"
#include "repo/snapshot.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DIRECTORY "checkouts"
#define LOOKED_AT 256 /* checkouts, of which the best is taken */

/* The best one so far. */
struct search {
    struct vmscm_repo *repo;
    const struct vmscm_map *map;
    dev_t device;
    char *dir;
    struct vmscm_workfile work;
    size_t disk; /* in it */
    struct vmscm_map old;
    uint64_t shared, all; /* segments with data: alike, and there are */
};

/* Whether files beside this one can be clones: cloned onto itself, it is told as much as can be. */
static bool can_clone(int fd)
{
    return ioctl(fd, FICLONE, fd) == 0 ||
        (errno != EOPNOTSUPP && errno != ENOTTY && errno != ENOSYS && errno != EXDEV);
}

static bool is_raw(const struct vmscm_workfile_disk *disk)
{
    return strcmp(disk->format, vmscm_probe_format_name(VMSCM_PROBE_RAW)) == 0;
}

/* Segments that have the same leaf at the same place. */
static uint64_t count_shared(const struct vmscm_map *a, const struct vmscm_map *b)
{
    uint64_t shared = 0, end = 0;
    uint64_t segments_a = vmscm_map_segments(a->size), segments_b = vmscm_map_segments(b->size);

    for (uint64_t n = 0; n < segments_a && n < segments_b; n = end) {
        const struct vmscm_map_run *x = vmscm_map_run(a, n), *y = vmscm_map_run(b, n);
        uint64_t end_x = x->first + x->count, end_y = y->first + y->count;
        end = end_x < end_y ? end_x : end_y;
        if (!x->zero && !y->zero && vmscm_hash_cmp(&x->leaf, &y->leaf) == 0)
            shared += end - n;
    }
    return shared;
}

/* The user's own, unchanged, and on the file system. */
static bool is_usable(const struct search *s, const struct vmscm_workfile *work,
    const struct vmscm_workfile_disk *disk, const char *dir)
{
    char *path = NULL;
    struct stat st;
    bool usable = is_raw(disk) && disk->files.len == 1 &&
        vmscm_workfile_proves(work, disk, dir) &&
        !vmscm_path_join(&path, dir, disk->files.items[0].name, NULL) && lstat(path, &st) == 0 &&
        S_ISREG(st.st_mode) && st.st_dev == s->device && st.st_uid == geteuid();

    free(path);
    return usable;
}

/* Consider the disks of the checkout in dir; what cannot be read is no candidate. */
static int consider(struct search *s, const char *dir, struct vmscm_error *err)
{
    struct vmscm_workfile work = {0};
    struct vmscm_machine *machine = NULL;
    bool best = false;
    int rc = 0;

    if (vmscm_workfile_read(&work, dir, NULL))
        return 0;
    if (strcmp(work.repository, vmscm_handle_name(s->repo)) != 0)
        goto out;
    for (size_t i = 0; i < work.disks.len && !rc && s->shared < s->all; i++) {
        const struct vmscm_workfile_disk *d = &work.disks.items[i];
        const struct vmscm_machine_disk *recorded;
        struct vmscm_map map = {0};
        if (!is_usable(s, &work, d, dir))
            continue;
        if (!machine && (vmscm_snapshot_kept(s->repo, work.base, NULL) ||
                            vmscm_snapshot_machine(&machine, s->repo, work.base, NULL)))
            break;
        recorded = vmscm_model_disk(machine, d->id);
        if (!recorded || vmscm_snapshot_map(&map, s->repo, work.base, recorded, NULL))
            continue;
        uint64_t shared = count_shared(&map, s->map);
        if (shared > s->shared) {
            s->shared = shared;
            s->disk = i;
            best = true;
            vmscm_map_release(&s->old);
            s->old = map;
            map = (struct vmscm_map){0};
        }
        vmscm_map_release(&map);
    }
    if (best) {
        char *copy = NULL;
        if (!(rc = vmscm_str_dup(&copy, dir, err))) {
            free(s->dir);
            s->dir = copy;
            vmscm_workfile_release(&s->work);
            s->work = work;
            work = (struct vmscm_workfile){0};
        }
    }
out:
    vmscm_model_free(machine);
    vmscm_workfile_release(&work);
    return rc;
}

/* The name of a checkout's file among those of all. */
static int note_path(char **out, const struct vmscm_repo *repo, const char *dir,
    struct vmscm_error *err)
{
    return vmscm_str_printf(out, err, "%s/" DIRECTORY "/%016llx", repo->path,
        (unsigned long long)vmscm_checksum_64(dir, strlen(dir), 0));
}

/* One note: the directory's path and a newline. A note of what is no checkout any more is removed. */
static int read_note(struct search *s, const char *path, struct vmscm_error *err)
{
    struct vmscm_buf text = VMSCM_BUF_INIT;
    struct stat st;
    char *work = NULL;
    int rc = 0;

    if (vmscm_file_read(&text, path, PATH_MAX + 1, NULL) || text.len < 2 || text.data[0] != '/' ||
        text.data[text.len - 1] != '\n')
        goto out;
    text.data[text.len - 1] = '\0';
    const char *dir = (const char *)text.data;
    if ((rc = vmscm_path_join(&work, dir, VMSCM_WORKFILE_NAME, err)))
        goto out;
    if (lstat(work, &st) == 0) {
        /* Whoever could write it could make us believe anything of the files it names. */
        if (S_ISREG(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH)))
            rc = consider(s, dir, err);
    } else if (errno == ENOENT || errno == ENOTDIR) {
        unlink(path);
    }
out:
    vmscm_buf_release(&text);
    free(work);
    return rc;
}

static int look_for_best(struct search *s, struct vmscm_error *err)
{
    char *dir = NULL, *path = NULL;
    DIR *d = NULL;
    size_t seen = 0;
    int rc = vmscm_path_join(&dir, s->repo->path, DIRECTORY, err);

    for (size_t i = 0; i < s->map->runs.len; i++)
        if (!s->map->runs.items[i].zero)
            s->all += s->map->runs.items[i].count;
    if (!rc)
        d = opendir(dir);
    for (struct dirent *e; !rc && d && s->shared < s->all && seen < LOOKED_AT && (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        seen++;
        if (!(rc = vmscm_path_join(&path, dir, e->d_name, err)))
            rc = read_note(s, path, err);
        free(path);
        path = NULL;
    }
    if (d)
        closedir(d);
    free(dir);
    return rc;
}

/* Clone the best one into fd. False: it changed, or cannot be cloned. */
static bool clone_best(const struct search *s, int fd)
{
    const struct vmscm_workfile_disk *disk = &s->work.disks.items[s->disk];
    char *path = NULL;
    int from = -1;
    bool done = !vmscm_path_join(&path, s->dir, disk->files.items[0].name, NULL) &&
        !vmscm_file_open(&from, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, NULL) &&
        ioctl(fd, FICLONE, from) == 0 && vmscm_workfile_proves(&s->work, disk, s->dir);

    if (from >= 0)
        close(from);
    free(path);
    return done;
}

int vmscm_reflink_clone(bool *cloned, struct vmscm_map *old, struct vmscm_repo *repo,
    const char *path, const struct vmscm_map *map, const struct vmscm_events *events,
    struct vmscm_error *err)
{
    struct search s = {.repo = repo, .map = map};
    struct stat st;
    int fd = -1, rc;

    *cloned = false;
    if ((rc = vmscm_file_open(&fd, path, O_RDWR | O_CREAT | O_EXCL, 0666, err)))
        return rc;
    if (fstat(fd, &st) == 0 && can_clone(fd)) {
        s.device = st.st_dev;
        rc = look_for_best(&s, err);
        if (!rc && s.shared)
            *cloned = clone_best(&s, fd);
    }
    close(fd);
    if (*cloned) {
        vmscm_handle_note(events, "%s: cloned from %s, which has %llu of %llu segments",
            vmscm_path_basename(path), s.dir, (unsigned long long)s.shared,
            (unsigned long long)s.all);
        *old = s.old;
        s.old = (struct vmscm_map){0};
    } else {
        unlink(path);
    }
    vmscm_map_release(&s.old);
    vmscm_workfile_release(&s.work);
    free(s.dir);
    return rc;
}

void vmscm_reflink_remember(const struct vmscm_repo *repo, const char *dir,
    const struct vmscm_workfile *work)
{
    const struct vmscm_workfile_disk *raw = NULL;
    char *parent = NULL, *path = NULL, *file = NULL;
    int fd = -1;

    for (size_t i = 0; i < work->disks.len && !raw; i++)
        if (is_raw(&work->disks.items[i]))
            raw = &work->disks.items[i];
    if (!raw || strchr(dir, '\n') ||
        vmscm_path_join(&file, dir, raw->files.items[0].name, NULL) ||
        vmscm_file_open(&fd, file, O_RDWR | O_NOFOLLOW, 0, NULL))
        goto out;
    bool worth = can_clone(fd);
    close(fd);
    fd = -1;
    if (!worth || vmscm_path_join(&parent, repo->path, DIRECTORY, NULL) ||
        vmscm_file_mkdirs(parent, NULL) || note_path(&path, repo, dir, NULL) ||
        vmscm_file_open(&fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0666, NULL))
        goto out;
    /* Not synced: it may be lost. */
    if (vmscm_file_write(fd, dir, strlen(dir), path, NULL) == 0)
        vmscm_file_write(fd, "\n", 1, path, NULL);
out:
    if (fd >= 0)
        close(fd);
    free(parent);
    free(path);
    free(file);
}
