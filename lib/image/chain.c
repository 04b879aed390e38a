/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/chain.h"
#include "image/reader.h"

#include <stdlib.h>
#include <string.h>

static const struct vmscm_probe *last_of(const struct vmscm_probe *top)
{
    while (top->backing)
        top = top->backing;
    return top;
}

const struct vmscm_probe *vmscm_chain_missing(const struct vmscm_probe *top)
{
    const struct vmscm_probe *last = last_of(top);

    return last->link.child ? last : NULL;
}

static bool is_same_file(const struct vmscm_probe *a, const struct vmscm_probe *b)
{
    const struct vmscm_probe_file *x = a->files.items, *y = b->files.items;

    return x->st.st_dev == y->st.st_dev && x->st.st_ino == y->st.st_ino && x->offset == y->offset;
}

/* QEMU reads a vmdk's chain, we all others'. */
static bool can_be_below(enum vmscm_probe_format top, enum vmscm_probe_format below)
{
    return below != VMSCM_PROBE_QCOW2 &&
        (top == VMSCM_PROBE_VMDK) == (below == VMSCM_PROBE_VMDK);
}

static int check(const struct vmscm_probe *top, const struct vmscm_probe *below,
    struct vmscm_error *err)
{
    const struct vmscm_probe *last = last_of(top);
    unsigned depth = 1;

    if (!last->link.child)
        return vmscm_error_set(err, VMSCM_EINPUT,
            "%s: is said to be the difference to %s, but is a whole disk", last->path, below->path);
    for (const struct vmscm_probe *p = top; p; p = p->backing, depth++)
        if (is_same_file(p, below))
            return vmscm_error_set(
                err, VMSCM_EREFUSED, "%s: is its own parent", below->path);
    if (depth > VMSCM_PROBE_DEPTH_MAX)
        return vmscm_error_set(err, VMSCM_EREFUSED, "%s: a backing chain of more than %d images",
            top->path, VMSCM_PROBE_DEPTH_MAX);
    if (!can_be_below(last->format, below->format))
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%s: a %s image on top of a %s image is not supported", last->path,
            vmscm_probe_format_name(last->format), vmscm_probe_format_name(below->format));
    if (last->link.has_id && below->link.has_id && last->format == below->format &&
        memcmp(last->link.parent, below->link.id, sizeof below->link.id) != 0) {
        vmscm_error_set(err, VMSCM_EINPUT,
            "%s: is not what %s is the difference to, or was changed since", below->path, last->path);
        return VMSCM_EINPUT;
    }
    return 0;
}

int vmscm_chain_put(struct vmscm_probe *top, struct vmscm_probe *below, struct vmscm_error *err)
{
    int rc = check(top, below, err);

    if (rc) {
        vmscm_probe_close(below);
        return rc;
    }
    while (top->backing)
        top = top->backing;
    top->backing = below;
    return 0;
}

struct chain {
    struct vmscm_blockdev dev;
    struct vmscm_blockdev *inner;
    struct vmscm_probe *probe;
};

static int chain_pread(struct vmscm_blockdev *dev, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    return vmscm_blockdev_pread(((struct chain *)dev)->inner, data, len, offset, err);
}

static int chain_extent(struct vmscm_blockdev *dev, uint64_t offset, uint64_t *len, bool *zero,
    struct vmscm_error *err)
{
    return vmscm_blockdev_extent(((struct chain *)dev)->inner, offset, len, zero, err);
}

static int chain_unchanged(struct vmscm_blockdev *dev, struct vmscm_error *err)
{
    return vmscm_blockdev_unchanged(((struct chain *)dev)->inner, err);
}

static void chain_close(struct vmscm_blockdev *dev)
{
    struct chain *c = (struct chain *)dev;

    vmscm_blockdev_close(c->inner);
    vmscm_probe_close(c->probe);
    free(c);
}

static const struct vmscm_blockdev_ops chain_ops = {.pread = chain_pread,
    .extent = chain_extent,
    .unchanged = chain_unchanged,
    .close = chain_close};

int vmscm_chain_open(struct vmscm_blockdev **out, struct vmscm_probe *top, unsigned jobs,
    const struct vmscm_events *events, struct vmscm_error *err)
{
    const struct vmscm_probe *missing = vmscm_chain_missing(top);
    struct chain *c;
    int rc;

    if (missing)
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: its parent is missing", missing->path);
    if (!(c = calloc(1, sizeof *c)))
        return vmscm_error_nomem(err);
    if ((rc = vmscm_reader_open(&c->inner, top, jobs, false, events, err))) {
        free(c);
        return rc;
    }
    c->probe = top;
    c->dev = (struct vmscm_blockdev){
        &chain_ops, c->inner->size, top->path, c->inner->threads, c->inner->data};
    *out = &c->dev;
    return 0;
}
