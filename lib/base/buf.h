/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A growing byte buffer. Storage is the caller's; zero-initialised is empty and valid. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

struct vmscm_buf {
    uint8_t *data; /* NULL when nothing was ever stored; text is kept NUL-terminated past len */
    size_t len;
    size_t cap;
};

#define VMSCM_BUF_INIT                                                                             \
    {                                                                                              \
        NULL, 0, 0                                                                                 \
    }

void vmscm_buf_release(struct vmscm_buf *buf); /* frees and empties; NULL allowed */

/* Make room for `more` bytes past len plus a terminator. */
int vmscm_buf_reserve(struct vmscm_buf *buf, size_t more, struct vmscm_error *err);
int vmscm_buf_append(struct vmscm_buf *buf, const void *data, size_t len, struct vmscm_error *err);
int vmscm_buf_puts(struct vmscm_buf *buf, const char *s, struct vmscm_error *err);
int vmscm_buf_printf(struct vmscm_buf *buf, struct vmscm_error *err, const char *fmt, ...)
    VMSCM_PRINTF(3, 4);

/* Little-endian integers. */
int vmscm_buf_put16(struct vmscm_buf *buf, uint16_t v, struct vmscm_error *err);
int vmscm_buf_put32(struct vmscm_buf *buf, uint32_t v, struct vmscm_error *err);
int vmscm_buf_put64(struct vmscm_buf *buf, uint64_t v, struct vmscm_error *err);

/* Text of the buffer: "" when empty. Borrowed. */
const char *vmscm_buf_str(const struct vmscm_buf *buf);

/* Hand the storage over to the caller, who frees it; the buffer is empty after. Never NULL unless
 * out of memory: an empty buffer gives an allocated "". */
char *vmscm_buf_steal(struct vmscm_buf *buf);

#endif
