/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/bundlefile.h"
#include "base/str.h"
#include "sys/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADING_MAX (64u << 20) /* bytes of refs */

bool vmscm_bundlefile_is(const char *path)
{
    uint8_t head[VMSCM_HISTBUNDLE_HEAD_SIZE];
    struct vmscm_error why = VMSCM_ERROR_INIT;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool yes = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head &&
        (!vmscm_histbundle_decode_head(head, &why) || why.code == VMSCM_EUNSUPPORTED);

    if (fd >= 0)
        close(fd);
    return yes;
}

static int prefix(struct vmscm_bundlefile *b, int rc, struct vmscm_error *err)
{
    if (rc == VMSCM_EINPUT || rc == VMSCM_EUNSUPPORTED)
        vmscm_error_prefix(err, "%s", vmscm_stream_peer(b->stream));
    return rc;
}

/* The next frame, whatever it is, and whether it may be there. */
static int get(struct vmscm_bundlefile *b, struct vmscm_error *err)
{
    uint64_t before = vmscm_stream_checksum_got(b->stream);
    int rc = vmscm_stream_get(b->stream, &b->frame, err);

    if (rc == VMSCM_EIO)
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: ends early", vmscm_stream_peer(b->stream));
    if (rc == VMSCM_EINPUT)
        return vmscm_error_set(
            err, rc, "%s: cannot be read: it is damaged", vmscm_stream_peer(b->stream));
    if (rc ||
        (rc = vmscm_histbundle_frame(&b->state, b->frame.type, b->frame.data, b->frame.len, err)))
        return prefix(b, rc, err);
    if (b->frame.type == VMSCM_WIRE_CHECKSUM && b->state.checksum != before)
        return vmscm_error_set(
            err, VMSCM_EINPUT, "%s: has a wrong checksum", vmscm_stream_peer(b->stream));
    return 0;
}

static int take_commits(struct vmscm_bundlefile *b, struct vmscm_error *err)
{
    struct vmscm_land_id *slot;
    const uint8_t *ids;
    unsigned role;
    size_t count;
    int rc = vmscm_wire_decode_list(
        &role, &ids, &count, VMSCM_WIRE_OID_SIZE, b->frame.data, b->frame.len, err);

    if (!rc && b->had.len + b->bare.len + count > VMSCM_LAND_BARE_MAX)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "names too many revisions");
    for (size_t i = 0; i < count && !rc; i++) {
        rc = role == VMSCM_WIRE_HAVE ? vmscm_vec_add(&b->had, &slot, err)
                                     : vmscm_vec_add(&b->bare, &slot, err);
        if (!rc)
            vmscm_str_hex(slot->id, ids + i * VMSCM_WIRE_OID_SIZE, VMSCM_WIRE_OID_SIZE);
    }
    return rc;
}

static int read_heading(struct vmscm_bundlefile *b, struct vmscm_error *err)
{
    int rc;

    while (!(rc = get(b, err)) && vmscm_histbundle_is_heading(b->frame.type)) {
        if (b->frame.type == VMSCM_WIRE_INFO)
            rc = vmscm_wire_decode_info(&b->info, b->frame.data, b->frame.len, err);
        else if (b->frame.type == VMSCM_WIRE_COMMITS)
            rc = take_commits(b, err);
        else if (b->refs.len + b->frame.len > HEADING_MAX)
            rc = vmscm_error_set(err, VMSCM_EINPUT, "has too many refs");
        else
            rc = vmscm_buf_append(&b->refs, b->frame.data, b->frame.len, err);
        if (rc)
            return prefix(b, rc, err);
    }
    b->has_frame = !rc;
    return rc;
}

int vmscm_bundlefile_open(struct vmscm_bundlefile **out, const char *path,
    const struct vmscm_events *events, struct vmscm_error *err)
{
    struct vmscm_bundlefile *b = calloc(1, sizeof *b);
    uint8_t head[VMSCM_HISTBUNDLE_HEAD_SIZE];
    size_t got = 0;
    int rc;

    if (!b)
        return vmscm_error_nomem(err);
    b->fd = -1;
    if ((rc = vmscm_file_open(&b->fd, path, O_RDONLY, 0, err)) ||
        (rc = vmscm_file_pread_some(b->fd, head, sizeof head, 0, &got, path, err)))
        goto out;
    if (got < sizeof head)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: is no bundle of history", path);
    else if ((rc = vmscm_histbundle_decode_head(head, err)))
        vmscm_error_prefix(err, "%s", path);
    else if (lseek(b->fd, sizeof head, SEEK_SET) < 0)
        rc = vmscm_error_set(err, VMSCM_EIO, "%s: cannot be read from its middle", path);
    if (rc || (rc = vmscm_stream_open(&b->stream, b->fd, b->fd, path, events, 0, err)))
        goto out;
    rc = read_heading(b, err);
out:
    if (rc)
        vmscm_bundlefile_close(b);
    else
        *out = b;
    return rc;
}

void vmscm_bundlefile_close(struct vmscm_bundlefile *b)
{
    if (!b)
        return;
    vmscm_stream_close(b->stream);
    if (b->fd >= 0)
        close(b->fd);
    vmscm_buf_release(&b->refs);
    vmscm_vec_release(&b->had);
    vmscm_vec_release(&b->bare);
    free(b);
}

int vmscm_bundlefile_next(struct vmscm_bundlefile *b, struct vmscm_stream_frame *frame, bool *over,
    struct vmscm_error *err)
{
    bool more = false;
    int rc = b->has_frame ? 0 : get(b, err);

    b->has_frame = false;
    if (!rc && b->frame.type == VMSCM_WIRE_CHECKSUM)
        rc = get(b, err);
    *over = b->state.over;
    *frame = b->frame;
    if (rc || !*over)
        return rc;
    if (!(rc = vmscm_stream_wait(b->stream, &more, err)) && more)
        rc = vmscm_error_set(
            err, VMSCM_EINPUT, "%s: goes on after its end", vmscm_stream_peer(b->stream));
    return rc;
}
