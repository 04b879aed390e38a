/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/containerdev.h"
#include "base/path.h"
#include "base/str.h"
#include "base/vec.h"
#include "format/tarhead.h"
#include "sys/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW (64u << 10)

/* A member's places: of its headers and what follows them in the archive, and of both in the disk. */
struct place {
    uint64_t tar, metadata, data;
    uint32_t length; /* of the headers */
};

struct device {
    struct vmscm_blockdev dev; /* first */
    char *path;
    int fd;
    struct stat st;
    struct vmscm_container_head head;
    VMSCM_VEC(struct place) places; /* the last one's is what follows the members */
    bool cut; /* the next headers begin a block */
};

/* The archive, from its start to its end, some at a time. */
struct walk {
    int fd;
    const char *path;
    uint64_t at, end;
    bool links_told, links_hold; /* whether hard links have bytes, and that it is known */
    uint64_t window_at;
    size_t window_len;
    uint8_t window[WINDOW];
};

static int pull(void *data, void *out, size_t len, bool *end, struct vmscm_error *err)
{
    struct walk *w = data;
    uint8_t *to = out;

    if ((*end = w->end - w->at < len))
        return 0;
    while (len) {
        size_t n, skip;
        int rc;
        if (w->at < w->window_at || w->at - w->window_at >= w->window_len) {
            w->window_at = w->at;
            if ((rc = vmscm_file_pread_some(
                     w->fd, w->window, WINDOW, w->at, &w->window_len, w->path, err)))
                return rc;
            if (!w->window_len)
                return vmscm_error_set(err, VMSCM_EBUSY, "%s: changed while it was read", w->path);
        }
        skip = (size_t)(w->at - w->window_at);
        n = w->window_len - skip < len ? w->window_len - skip : len;
        memcpy(to, w->window + skip, n);
        to += n;
        w->at += n;
        len -= n;
    }
    return 0;
}

static int check_member(const struct vmscm_container_group *group, struct vmscm_error *err)
{
    const char *name = group->name ? group->name : ".";
    const char *link = group->link;

    if (group->name && !vmscm_path_is_confined(group->name))
        return vmscm_error_set(
            err, VMSCM_EREFUSED, "%.300s: a name that leaves the archive", name);
    if (!group->type || !strchr("01234567SV", group->type))
        return group->type ? vmscm_error_set(err, VMSCM_EREFUSED,
                                 "%.300s: is a member of an unknown kind", name)
                           : 0;
    if (group->type != '1')
        return 0;
    while (link[0] == '.' && link[1] == '/')
        link++, link += strspn(link, "/");
    if (!vmscm_path_is_confined(link))
        return vmscm_error_set(err, VMSCM_EREFUSED,
            "%.300s: is a hard link to %.300s, a name that leaves the archive", name, link);
    return 0;
}

/* A hard link whose header says a length may have so many bytes after it, as POSIX.1-2001 allows, or none, as
 * before. The first one of them tells, by whether a header or the end follows it. */
static int look_at_link(struct walk *w, struct vmscm_container_group *group, struct vmscm_error *err)
{
    uint64_t at = w->at;
    uint8_t block[VMSCM_TARHEAD_BLOCK];
    bool end;
    int rc;

    if (!group->link_size)
        return 0;
    if (!w->links_told) {
        if ((rc = pull(w, block, sizeof block, &end, err)))
            return rc;
        w->at = at;
        w->links_told = true;
        w->links_hold = !end && !vmscm_tarhead_is_zero(block) && !vmscm_tarhead_sum_fits(block);
    }
    if (w->links_hold)
        group->size = group->link_size;
    return 0;
}

/* Each member, with the place of its headers; w->at is behind them meanwhile. At the end, *tail is where the
 * members end. */
static int walk(struct walk *w, uint64_t *tail,
    int (*each)(void *data, const struct vmscm_container_group *group, uint64_t at,
        struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    struct vmscm_container_group group = {0};
    uint64_t members = 0;
    int rc = 0;

    while (!rc) {
        uint64_t at = w->at, padded;
        if ((rc = vmscm_container_next(&group, pull, w, err)) ||
            (!group.end && ((rc = check_member(&group, err)) || (rc = look_at_link(w, &group, err))))) {
            vmscm_error_prefix(err, "%s", w->path);
            break;
        }
        *tail = at;
        if (group.end)
            break;
        if (members++ == VMSCM_CONTAINER_MEMBERS_MAX)
            rc = vmscm_error_set(err, VMSCM_EREFUSED, "%s: more than %u members", w->path,
                VMSCM_CONTAINER_MEMBERS_MAX);
        else if (group.size > w->end - w->at)
            rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: %.300s: truncated: the archive ends before its end",
                w->path, group.name ? group.name : ".");
        else
            rc = each(data, &group, at, err);
        /* The last member's padding may be missing. */
        padded = vmscm_container_padded(group.size);
        w->at += padded < w->end - w->at ? padded : w->end - w->at;
    }
    vmscm_container_release(&group);
    return rc;
}

static int begin(struct walk **out, int fd, const char *path, struct vmscm_error *err)
{
    struct stat st;

    *out = NULL;
    if (fstat(fd, &st) < 0 || st.st_size < 0)
        return vmscm_error_set(err, VMSCM_EIO, "%s: its size is not known", path);
    if (!(*out = calloc(1, sizeof **out)))
        return vmscm_error_nomem(err);
    (*out)->fd = fd;
    (*out)->path = path;
    (*out)->end = (uint64_t)st.st_size;
    return 0;
}

struct looking {
    int (*each)(void *data, const struct vmscm_container_group *group, struct vmscm_error *err);
    void *data;
};

static int look(void *data, const struct vmscm_container_group *group, uint64_t at,
    struct vmscm_error *err)
{
    const struct looking *l = data;

    (void)at;
    return l->each(l->data, group, err);
}

int vmscm_containerdev_walk(int fd, const char *path,
    int (*each)(void *data, const struct vmscm_container_group *group, struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    struct looking l = {each, data};
    struct walk *w = NULL;
    uint64_t tail;
    int rc = begin(&w, fd, path, err);

    if (!rc)
        rc = walk(w, &tail, look, &l, err);
    free(w);
    return rc;
}

static int add_place(struct device *d, uint64_t tar, uint64_t length, struct vmscm_error *err)
{
    struct place *place;
    int rc = vmscm_vec_add(&d->places, &place, err);

    if (rc)
        return rc;
    d->head.metadata = vmscm_container_place(d->head.metadata, length, d->cut);
    *place = (struct place){tar, d->head.metadata, 0, (uint32_t)length};
    d->head.metadata += length;
    return 0;
}

static int each_member(void *data, const struct vmscm_container_group *group, uint64_t at,
    struct vmscm_error *err)
{
    struct device *d = data;
    int rc = add_place(d, at, group->bytes.len, err);

    d->cut = vmscm_container_cuts(group);
    d->head.members++;
    return rc;
}

/* Bytes that follow a member's headers in the archive. */
static uint64_t data_length(const struct device *d, size_t i)
{
    const struct place *place = &d->places.items[i];
    uint64_t next = i + 1 < d->places.len ? place[1].tar : d->head.tar;

    return next - place->tar - place->length;
}

/* What was found, to where it is in the disk. */
static void settle(struct device *d)
{
    uint64_t at;

    d->head.metadata = vmscm_container_blocks(d->head.metadata);
    at = VMSCM_CONTAINER_HEAD + d->head.metadata;
    for (size_t i = 0; i < d->places.len; i++) {
        d->places.items[i].metadata += VMSCM_CONTAINER_HEAD;
        d->places.items[i].data = at;
        at += vmscm_container_blocks(data_length(d, i));
    }
    d->dev.size = at;
}

/* The last place whose headers, or whose data, begin at or before `at`. */
static size_t find(const struct device *d, uint64_t at, bool data)
{
    size_t low = 0, high = d->places.len;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        const struct place *place = &d->places.items[middle];
        if ((data ? place->data : place->metadata) <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Of the archive's bytes from tar on, which are `from` in the disk, those that are in a read. */
static int read_run(const struct device *d, uint8_t *out, uint64_t offset, uint64_t end,
    uint64_t from, uint64_t tar, uint64_t length, struct vmscm_error *err)
{
    uint64_t low = from > offset ? from : offset;
    uint64_t high = from + length < end ? from + length : end;

    if (low >= high)
        return 0;
    return vmscm_file_pread(
        d->fd, out + (low - offset), (size_t)(high - low), tar + (low - from), d->path, err);
}

static int pread_disk(struct vmscm_blockdev *dev, void *out, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    const struct device *d = (const struct device *)dev;
    uint64_t end = offset + len, data = VMSCM_CONTAINER_HEAD + d->head.metadata;
    int rc = 0;

    memset(out, 0, len);
    if (offset < VMSCM_CONTAINER_BLOCK) {
        uint8_t block[VMSCM_CONTAINER_BLOCK];
        size_t left = VMSCM_CONTAINER_BLOCK - (size_t)offset;
        vmscm_container_encode(block, &d->head);
        memcpy(out, block + offset, left < len ? left : len);
    }
    for (size_t i = find(d, offset, false); offset < data && i < d->places.len && !rc; i++) {
        const struct place *place = &d->places.items[i];
        if (place->metadata >= end)
            break;
        rc = read_run(d, out, offset, end, place->metadata, place->tar, place->length, err);
    }
    for (size_t i = find(d, offset, true); end > data && i < d->places.len && !rc; i++) {
        const struct place *place = &d->places.items[i];
        if (place->data >= end)
            break;
        rc = read_run(d, out, offset, end, place->data, place->tar + place->length,
            data_length(d, i), err);
    }
    return rc;
}

static int unchanged(struct vmscm_blockdev *dev, struct vmscm_error *err)
{
    const struct device *d = (const struct device *)dev;
    struct stat st;

    if (fstat(d->fd, &st) < 0)
        return vmscm_error_set(err, VMSCM_EIO, "%s: cannot be looked at", d->path);
    if (st.st_size != d->st.st_size || st.st_mtim.tv_sec != d->st.st_mtim.tv_sec ||
        st.st_mtim.tv_nsec != d->st.st_mtim.tv_nsec)
        return vmscm_error_set(err, VMSCM_EBUSY, "%s: changed while it was read", d->path);
    return 0;
}

static void close_disk(struct vmscm_blockdev *dev)
{
    struct device *d = (struct device *)dev;

    if (d->fd >= 0)
        close(d->fd);
    vmscm_vec_release(&d->places);
    free(d->path);
    free(d);
}

static const struct vmscm_blockdev_ops ops = {
    .pread = pread_disk, .unchanged = unchanged, .close = close_disk};

int vmscm_containerdev_open(struct vmscm_blockdev **out, const char *path, struct vmscm_error *err)
{
    struct device *d = calloc(1, sizeof *d);
    struct walk *w = NULL;
    uint64_t tail = 0;
    int rc;

    *out = NULL;
    if (!d)
        return vmscm_error_nomem(err);
    d->fd = -1;
    d->dev.ops = &ops;
    if ((rc = vmscm_str_dup(&d->path, path, err)) ||
        (rc = vmscm_file_open(&d->fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err)) ||
        (rc = begin(&w, d->fd, path, err)))
        goto out;
    d->dev.name = d->path;
    d->head.tar = w->end;
    if (fstat(d->fd, &d->st) < 0 || (uint64_t)d->st.st_size != w->end)
        rc = vmscm_error_set(err, VMSCM_EBUSY, "%s: changed while it was read", path);
    if (rc || (rc = walk(w, &tail, each_member, d, err)) || (rc = add_place(d, tail, 0, err)))
        goto out;
    d->head.links_hold = w->links_hold;
    settle(d);
    *out = &d->dev;
    d = NULL;
out:
    free(w);
    if (d)
        close_disk(&d->dev);
    return rc;
}
