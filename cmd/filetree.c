/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "filetree.h"

#include "child.h"
#include "inspection.h"
#include "memory.h"
#include "report.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 1000000
#define PENDING_MAX ((size_t)1 << 20) /* of what is no whole record yet */

struct side {
    struct inspection *inspection;
    struct filetree *tree;
    char *text; /* that came, and was not read yet */
    size_t len, room;
    bool has_tree, has_sums;
    size_t *asked; /* indexes of files */
    size_t asked_count, answered;
};

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct filetree_file *)a)->path, ((const struct filetree_file *)b)->path);
}

/* "100644 0 0 12 1700000000.5 1700000000.5 77 /etc/motd" */
static bool parse_record(struct filetree_file *out, const char *record, const char *target)
{
    char *at = (char *)record;
    const char *stamp;

    out->mode = (uint32_t)strtoul(at, &at, 8);
    out->uid = strtoull(at, &at, 10);
    out->gid = strtoull(at, &at, 10);
    out->size = strtoull(at, &at, 10);
    stamp = at;
    out->mtime = strtoll(at, &at, 10);
    at = strchr(record, '/');
    if (!at || at < stamp + 2 || at[-1] != ' ')
        return false;
    out->stamp = memory_printf("%.*s", (int)(at - 1 - stamp), stamp);
    out->path = memory_dup(at);
    out->target = memory_dup(target);
    return true;
}

/* Takes what is whole off the front. */
static int read_records(struct side *side, struct vmscm_error *err)
{
    const char *p = side->text, *end = p + side->len, *zero, *last;
    struct filetree *tree = side->tree;

    while (!side->has_tree && p < end) {
        if (*p == '\n') {
            side->has_tree = true;
            p++;
            break;
        }
        if (!(zero = memchr(p, 0, (size_t)(end - p))) ||
            !(last = memchr(zero + 1, 0, (size_t)(end - zero - 1))))
            break;
        /* By its halves, so that a tree of many costs no copy for each. */
        if (tree->count == FILES_MAX)
            return report_set(err, VMSCM_ETOOL, "vmscm-inspect: over %d files", FILES_MAX);
        if ((tree->count & (tree->count - 1)) == 0)
            tree->files =
                memory_grow(tree->files, tree->count ? tree->count * 2 : 1, sizeof *tree->files);
        tree->files[tree->count] = (struct filetree_file){0};
        if (!parse_record(&tree->files[tree->count], p, zero + 1))
            return report_set(err, VMSCM_ETOOL, "vmscm-inspect: what it says is no list of files");
        tree->count++;
        p = last + 1;
    }
    while (side->asked && side->answered < side->asked_count && p < end &&
           (zero = memchr(p, 0, (size_t)(end - p)))) {
        tree->files[side->asked[side->answered++]].sum = memory_dup(p);
        p = zero + 1;
    }
    side->has_sums = side->asked && side->answered == side->asked_count;
    side->len = (size_t)(end - p);
    memmove(side->text, p, side->len);
    return side->len > PENDING_MAX ? report_set(err, VMSCM_ETOOL, "vmscm-inspect: it says too much")
                                   : 0;
}

/* What it printed meanwhile; false: it has ended, and closed that. */
static bool take(struct side *side)
{
    ssize_t n;

    if (side->room - side->len < 65536) {
        side->room = side->room ? side->room * 2 : 262144;
        side->text = memory_grow(side->text, side->room, 1);
    }
    n = read(
        inspection_child(side->inspection)->out, side->text + side->len, side->room - side->len);
    side->len += n > 0 ? (size_t)n : 0;
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Till both have it, or one failed. */
static int wait_for(struct side sides[2], bool sums, struct vmscm_error *err)
{
    int rc = 0;

    for (;;) {
        struct pollfd fds[2];
        nfds_t count = 0;
        for (size_t i = 0; i < 2 && !rc; i++) {
            struct side *side = &sides[i];
            bool alive, more;
            if (sums ? side->has_sums : side->has_tree)
                continue;
            if ((rc = inspection_check(&alive, side->inspection, err)))
                break;
            fds[count++] =
                (struct pollfd){.fd = inspection_child(side->inspection)->out, .events = POLLIN};
            more = take(side);
            rc = read_records(side, err);
            if (!rc && !alive && !more && !(sums ? side->has_sums : side->has_tree))
                rc = report_set(err, VMSCM_ETOOL, "vmscm-inspect: it ended before all was said");
        }
        if (rc || count == 0)
            return rc;
        poll(fds, count, 100);
    }
}

static int write_all(int fd, const char *bytes, size_t size, struct vmscm_error *err)
{
    while (size) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno != EINTR)
            return report_set(err, VMSCM_ETOOL, "vmscm-inspect: %s", strerror(errno));
        bytes += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static bool is_unknown(const struct filetree_file *before, const struct filetree_file *after)
{
    return S_ISREG(before->mode) && S_ISREG(after->mode) && before->size == after->size &&
           before->size > 0 && strcmp(before->stamp, after->stamp) != 0;
}

struct asking {
    struct side *sides;
    const struct filetree *trees;
};

static int note_unknown(
    void *data, const struct filetree_file *before, const struct filetree_file *after)
{
    const struct asking *asking = data;
    const struct filetree_file *files[2] = {before, after};

    if (!before || !after || !is_unknown(before, after))
        return 0;
    for (size_t i = 0; i < 2; i++) {
        struct side *side = &asking->sides[i];
        side->asked[side->asked_count++] = (size_t)(files[i] - asking->trees[i].files);
    }
    return 0;
}

/* Each is told all before it answers. */
static int ask(struct side sides[2], const struct filetree trees[2], struct vmscm_error *err)
{
    struct asking asking = {sides, trees};
    int rc = 0;

    for (size_t i = 0; i < 2; i++)
        sides[i].asked = memory_grow(NULL, trees[i].count + 1, sizeof *sides[i].asked);
    filetree_each(trees, note_unknown, &asking);
    for (size_t i = 0; i < 2 && !rc; i++) {
        struct child *child = inspection_child(sides[i].inspection);
        for (size_t k = 0; k < sides[i].asked_count && !rc; k++) {
            const char *path = trees[i].files[sides[i].asked[k]].path;
            rc = write_all(child->in, path, strlen(path) + 1, err);
        }
        close(child->in);
        child->in = -1;
    }
    return rc;
}

int filetree_read(struct filetree trees[2], struct ctx *ctx, struct vmscm_revision *const revs[2],
    const char *device, struct vmscm_error *err)
{
    const struct inspection_options how = {.tree = true, .device = device};
    struct side sides[2] = {{.tree = &trees[0]}, {.tree = &trees[1]}};
    int rc = 0;

    trees[0] = trees[1] = (struct filetree){NULL, 0};
    for (size_t i = 0; i < 2 && !rc; i++)
        rc = inspection_open(&sides[i].inspection, ctx, revs[i], &how, err);
    if (!rc && !(rc = wait_for(sides, false, err))) {
        for (size_t i = 0; i < 2; i++)
            if (trees[i].count)
                qsort(trees[i].files, trees[i].count, sizeof *trees[i].files, by_path);
        rc = ask(sides, trees, err);
    }
    if (!rc)
        rc = wait_for(sides, true, err);
    for (size_t i = 0; i < 2; i++) {
        inspection_close(sides[i].inspection);
        free(sides[i].asked);
        free(sides[i].text);
    }
    return rc;
}

void filetree_release(struct filetree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        free(tree->files[i].path);
        free(tree->files[i].target);
        free(tree->files[i].stamp);
        free(tree->files[i].sum);
    }
    free(tree->files);
    *tree = (struct filetree){NULL, 0};
}

int filetree_each(const struct filetree trees[2],
    int (*each)(void *data, const struct filetree_file *before, const struct filetree_file *after),
    void *data)
{
    size_t i = 0, k = 0;
    int rc = 0;

    while (!rc && (i < trees[0].count || k < trees[1].count)) {
        const struct filetree_file *a = i < trees[0].count ? &trees[0].files[i] : NULL;
        const struct filetree_file *b = k < trees[1].count ? &trees[1].files[k] : NULL;
        int order = !a ? 1 : !b ? -1 : by_path(a, b);
        i += order <= 0;
        k += order >= 0;
        rc = each(data, order <= 0 ? a : NULL, order >= 0 ? b : NULL);
    }
    return rc;
}

bool filetree_differs(const struct filetree_file *before, const struct filetree_file *after)
{
    if ((before->mode & S_IFMT) != (after->mode & S_IFMT) ||
        strcmp(before->target, after->target) != 0)
        return true;
    if (!S_ISREG(before->mode))
        return false;
    /* What neither side can read is taken to differ. */
    return before->size != after->size ||
           (before->sum && after->sum && (!*before->sum || strcmp(before->sum, after->sum) != 0));
}
