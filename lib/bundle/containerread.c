/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/containerread.h"
#include "format/tarhead.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW (1u << 20)

/* Some of the disk that was read at once. */
struct window {
    uint64_t at;
    size_t len;
    uint8_t *bytes;
};

struct vmscm_containerread {
    struct vmscm_blockdev *dev;
    struct vmscm_container_head head;
    struct vmscm_container_group group;
    struct window metadata, data;
    uint64_t at, end;      /* of the headers */
    uint64_t data_at;      /* of the next member's data */
    uint64_t run, run_end; /* of this one's data, what is yet to be read */
    uint64_t done;         /* bytes of the archive up to the next member */
    uint64_t members;
};

static int damaged(struct vmscm_containerread *r, const char *why, struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EDAMAGED, "%s: container: %s", r->dev->name, why);
}

/* What is there at `at`: *data, and *len, at least 1 and at most max. */
static int look(struct vmscm_containerread *r, struct window *w, const uint8_t **data, size_t *len,
    uint64_t at, uint64_t max, struct vmscm_error *err)
{
    if (at < w->at || at - w->at >= w->len) {
        uint64_t left = r->dev->size - at;
        size_t n = left < WINDOW ? (size_t)left : WINDOW;
        int rc = vmscm_blockdev_pread(r->dev, w->bytes, n, at, err);
        w->at = at;
        w->len = rc ? 0 : n;
        if (rc)
            return rc;
    }
    *data = w->bytes + (at - w->at);
    *len = w->len - (size_t)(at - w->at);
    if (*len > max)
        *len = (size_t)max;
    return 0;
}

static int pull(void *data, void *out, size_t len, bool *end, struct vmscm_error *err)
{
    struct vmscm_containerread *r = data;
    uint8_t *to = out;
    int rc = 0;

    if ((*end = r->end - r->at < len))
        return 0;
    while (len && !rc) {
        const uint8_t *piece;
        size_t n;
        if ((rc = look(r, &r->metadata, &piece, &n, r->at, len, err)))
            break;
        memcpy(to, piece, n);
        to += n;
        len -= n;
        r->at += n;
    }
    return rc;
}

int vmscm_containerread_open(struct vmscm_containerread **out, struct vmscm_blockdev *dev,
    struct vmscm_error *err)
{
    struct vmscm_containerread *r = calloc(1, sizeof *r);
    size_t window = dev->size < WINDOW ? (size_t)dev->size : WINDOW;
    uint8_t block[VMSCM_CONTAINER_BLOCK];
    int rc;

    *out = NULL;
    if (!r)
        return vmscm_error_nomem(err);
    r->dev = dev;
    if (dev->size < VMSCM_CONTAINER_HEAD)
        rc = damaged(r, "is too short", err);
    else if (!(r->metadata.bytes = malloc(window)) || !(r->data.bytes = malloc(window)))
        rc = vmscm_error_nomem(err);
    else if (!(rc = vmscm_blockdev_pread(dev, block, sizeof block, 0, err)) &&
        (rc = vmscm_container_decode(&r->head, block, err)))
        vmscm_error_prefix(err, "%s", dev->name);
    if (!rc && r->head.metadata > dev->size - VMSCM_CONTAINER_HEAD)
        rc = damaged(r, "is too short", err);
    if (rc)
        goto out;
    r->at = VMSCM_CONTAINER_HEAD;
    r->end = r->data_at = r->at + r->head.metadata;
    *out = r;
    r = NULL;
out:
    vmscm_containerread_close(r);
    return rc;
}

void vmscm_containerread_close(struct vmscm_containerread *r)
{
    if (!r)
        return;
    vmscm_container_release(&r->group);
    free(r->metadata.bytes);
    free(r->data.bytes);
    free(r);
}

/* Zeros where headers would be: the next ones begin a block. */
static int skip_gap(struct vmscm_containerread *r, struct vmscm_error *err)
{
    static const uint8_t zeros[VMSCM_TARHEAD_BLOCK];
    const uint8_t *piece;
    size_t n;
    int rc;

    if (r->at % VMSCM_CONTAINER_BLOCK == 0)
        return 0;
    /* Windows begin and end with blocks, as the metadata does. */
    if ((rc = look(r, &r->metadata, &piece, &n, r->at, VMSCM_TARHEAD_BLOCK, err)))
        return rc;
    if (n == VMSCM_TARHEAD_BLOCK && memcmp(piece, zeros, n) == 0)
        r->at = vmscm_container_blocks(r->at);
    return 0;
}

int vmscm_containerread_next(struct vmscm_containerread *r, const struct vmscm_container_group **group,
    uint64_t *length, struct vmscm_error *err)
{
    uint64_t left = r->head.tar - r->done;
    int rc = 0;

    *group = NULL;
    *length = left;
    if (r->members < r->head.members) {
        r->members++;
        if ((rc = skip_gap(r, err)) || (rc = vmscm_container_next(&r->group, pull, r, err)))
            return rc == VMSCM_EINPUT || rc == VMSCM_EUNSUPPORTED
                ? damaged(r, "a member's headers are malformed", err)
                : rc;
        if (r->group.end)
            return damaged(r, "its headers end early", err);
        if (r->head.links_hold && r->group.type == '1')
            r->group.size = r->group.link_size;
        if (r->group.bytes.len > left || r->group.size > left - r->group.bytes.len)
            return damaged(r, "a member is longer than the archive", err);
        left -= r->group.bytes.len;
        *length = vmscm_container_padded(r->group.size);
        if (*length > left)
            *length = left;
        *group = &r->group;
        r->done += r->group.bytes.len;
    } else if (vmscm_container_blocks(r->at) != r->end) {
        return damaged(r, "there are more headers than members", err);
    }
    if (*length > r->dev->size - r->data_at)
        return damaged(r, "a member's data is beyond its end", err);
    r->run = r->data_at;
    r->run_end = r->data_at + *length;
    r->done += *length;
    r->data_at = vmscm_container_blocks(r->run_end);
    /* The last block may be short. */
    if (r->data_at > r->dev->size)
        r->data_at = r->dev->size;
    return 0;
}

int vmscm_containerread_data(struct vmscm_containerread *r, const uint8_t **data, size_t *len,
    struct vmscm_error *err)
{
    int rc;

    *len = 0;
    if (r->run == r->run_end)
        return 0;
    if (!(rc = look(r, &r->data, data, len, r->run, r->run_end - r->run, err)))
        r->run += *len;
    return rc;
}
