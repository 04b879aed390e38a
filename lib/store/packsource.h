/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where the bytes of packs are that are not in their files: these then have a header, an index and a trailer,
 * so that all is known of what is in them, and nothing between. Who reads a record checks it by its id.
 *
 * Threading: read may be called from several threads at once.
 */
#ifndef STORE_PACKSOURCE_H
#define STORE_PACKSOURCE_H

#include "format/midx.h"
#include <vmscm/error.h>

struct vmscm_packsource {
    /* Exactly len bytes at offset of a pack of `size` bytes. VMSCM_ENOTFOUND: it is gone. */
    int (*read)(void *data, const uint8_t name[VMSCM_MIDX_NAME_SIZE], uint64_t size, void *out,
        size_t len, uint64_t offset, struct vmscm_error *err);
    void *data;
};

#endif
