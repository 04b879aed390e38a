/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/packed.h"
#include "bundle/unwrap.h"
#include "repo/handle.h"

#include <stdlib.h>
#include <string.h>

#define PIECE (256u << 10)

struct vmscm_packed {
    const char *path;
    const struct vmscm_events *events;
    struct vmscm_unwrap_stream *stream;
    struct vmscm_tar_input *input; /* who is told where the end is */
    struct stat st;
    uint64_t at; /* of the piece, in the plain bytes */
    size_t len;  /* of it; 0: none yet */
    bool ended;  /* after it */
    uint8_t piece[PIECE];
};

/* From the first byte. */
static int begin(struct vmscm_packed *p, struct vmscm_error *err)
{
    const struct stat *st;
    bool again = p->stream != NULL;
    int rc;

    vmscm_unwrap_stream_close(p->stream);
    p->at = p->len = 0;
    p->ended = false;
    if ((rc = vmscm_unwrap_stream_open(&p->stream, p->path, err)))
        return rc;
    st = vmscm_unwrap_stream_stat(p->stream);
    if (again &&
        (st->st_dev != p->st.st_dev || st->st_ino != p->st.st_ino || st->st_size != p->st.st_size ||
            st->st_mtim.tv_sec != p->st.st_mtim.tv_sec || st->st_mtim.tv_nsec != p->st.st_mtim.tv_nsec))
        return vmscm_error_set(err, VMSCM_EBUSY, "%s: changed while it was read", p->path);
    p->st = *st;
    return 0;
}

int vmscm_packed_open(struct vmscm_packed **out, const char *path, const struct vmscm_events *events,
    struct vmscm_error *err)
{
    struct vmscm_packed *p = calloc(1, sizeof *p);
    int rc;

    *out = NULL;
    if (!p)
        return vmscm_error_nomem(err);
    p->path = path;
    p->events = events;
    if ((rc = begin(p, err))) {
        vmscm_packed_close(p);
        return rc;
    }
    *out = p;
    return 0;
}

void vmscm_packed_close(struct vmscm_packed *p)
{
    if (!p)
        return;
    vmscm_unwrap_stream_close(p->stream);
    free(p);
}

const struct stat *vmscm_packed_stat(const struct vmscm_packed *p)
{
    return &p->st;
}

static int pread_some(void *data, void *out, size_t len, uint64_t offset, size_t *got,
    struct vmscm_error *err)
{
    struct vmscm_packed *p = data;
    uint8_t *to = out;
    int rc;

    *got = 0;
    if (offset < p->at && (rc = begin(p, err)))
        return rc;
    while (*got < len) {
        uint64_t skip = offset + *got - p->at;
        if (skip < p->len) {
            size_t n = p->len - (size_t)skip < len - *got ? p->len - (size_t)skip : len - *got;
            memcpy(to + *got, p->piece + skip, n);
            *got += n;
            continue;
        }
        if (p->ended)
            break;
        p->at += p->len;
        if ((rc = vmscm_handle_canceled(p->events, err)) ||
            (rc = vmscm_unwrap_stream_read(p->stream, p->piece, PIECE, &p->len, err))) {
            p->len = 0;
            return rc;
        }
        p->ended = p->len < PIECE;
        if (p->ended && p->input)
            p->input->end = p->at + p->len;
    }
    return 0;
}

int vmscm_packed_pread(struct vmscm_packed *p, void *out, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    size_t got;
    int rc = pread_some(p, out, len, offset, &got, err);

    return rc || got == len ? rc : vmscm_error_set(err, VMSCM_EINPUT, "%s: ends early", p->path);
}

int vmscm_packed_walk(struct vmscm_packed *p,
    int (*each)(void *data, const struct vmscm_tar_member *member, struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    struct vmscm_tar_input in = {pread_some, p, p->path, UINT64_MAX};
    int rc;

    p->input = &in;
    rc = vmscm_tar_walk_input(&in, each, data, err);
    p->input = NULL;
    p->events = NULL;
    return rc;
}
