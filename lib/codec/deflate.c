/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codec/deflate.h"

#include <stdlib.h>
#include <zlib.h>

struct vmscm_deflate {
    z_stream z;
};

int vmscm_deflate_new(struct vmscm_deflate **out, int level, struct vmscm_error *err)
{
    struct vmscm_deflate *deflate = calloc(1, sizeof *deflate);
    int e;

    *out = NULL;
    if (!deflate)
        return vmscm_error_nomem(err);
    if ((e = deflateInit(&deflate->z, level)) != Z_OK) {
        free(deflate);
        return e == Z_MEM_ERROR ? vmscm_error_nomem(err)
                                : vmscm_error_set(err, VMSCM_EIO, "zlib: cannot begin");
    }
    *out = deflate;
    return 0;
}

void vmscm_deflate_free(struct vmscm_deflate *deflate)
{
    if (!deflate)
        return;
    deflateEnd(&deflate->z);
    free(deflate);
}

size_t vmscm_deflate_bound(size_t len)
{
    return compressBound((uLong)len);
}

int vmscm_deflate_run(struct vmscm_deflate *state, void *out, size_t *out_len, const void *data,
    size_t len, struct vmscm_error *err)
{
    z_stream *z = &state->z;
    size_t room = vmscm_deflate_bound(len);

    if (deflateReset(z) != Z_OK)
        return vmscm_error_set(err, VMSCM_EIO, "zlib: cannot begin");
    z->next_in = (Bytef *)data;
    z->avail_in = (uInt)len;
    z->next_out = out;
    z->avail_out = (uInt)room;
    if (deflate(z, Z_FINISH) != Z_STREAM_END)
        return vmscm_error_set(err, VMSCM_EIO, "zlib: cannot compress");
    *out_len = room - z->avail_out;
    return 0;
}
