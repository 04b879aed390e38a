/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/buf.h"
#include "base/endian.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void vmscm_buf_release(struct vmscm_buf *buf)
{
    if (!buf)
        return;
    free(buf->data);
    *buf = (struct vmscm_buf)VMSCM_BUF_INIT;
}

int vmscm_buf_reserve(struct vmscm_buf *buf, size_t more, struct vmscm_error *err)
{
    if (more > SIZE_MAX / 2 - buf->len - 1)
        return vmscm_error_nomem(err);
    size_t need = buf->len + more + 1;
    if (need <= buf->cap)
        return 0;
    size_t cap = buf->cap ? buf->cap : 64;
    while (cap < need)
        cap += cap / 2;
    uint8_t *data = realloc(buf->data, cap);
    if (!data)
        return vmscm_error_nomem(err);
    buf->data = data;
    buf->cap = cap;
    return 0;
}

int vmscm_buf_append(struct vmscm_buf *buf, const void *data, size_t len, struct vmscm_error *err)
{
    int rc = vmscm_buf_reserve(buf, len, err);
    if (rc)
        return rc;
    if (len)
        memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
    return 0;
}

int vmscm_buf_puts(struct vmscm_buf *buf, const char *s, struct vmscm_error *err)
{
    return vmscm_buf_append(buf, s, strlen(s), err);
}

int vmscm_buf_printf(struct vmscm_buf *buf, struct vmscm_error *err, const char *fmt, ...)
{
    va_list ap;
    int rc, n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return vmscm_error_nomem(err);
    if ((rc = vmscm_buf_reserve(buf, (size_t)n, err)))
        return rc;
    va_start(ap, fmt);
    vsnprintf((char *)buf->data + buf->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    buf->len += (size_t)n;
    return 0;
}

int vmscm_buf_put16(struct vmscm_buf *buf, uint16_t v, struct vmscm_error *err)
{
    uint8_t b[2];
    vmscm_put_le16(b, v);
    return vmscm_buf_append(buf, b, sizeof b, err);
}

int vmscm_buf_put32(struct vmscm_buf *buf, uint32_t v, struct vmscm_error *err)
{
    uint8_t b[4];
    vmscm_put_le32(b, v);
    return vmscm_buf_append(buf, b, sizeof b, err);
}

int vmscm_buf_put64(struct vmscm_buf *buf, uint64_t v, struct vmscm_error *err)
{
    uint8_t b[8];
    vmscm_put_le64(b, v);
    return vmscm_buf_append(buf, b, sizeof b, err);
}

const char *vmscm_buf_str(const struct vmscm_buf *buf)
{
    return buf->data ? (const char *)buf->data : "";
}

char *vmscm_buf_steal(struct vmscm_buf *buf)
{
    char *s = buf->data ? (char *)buf->data : calloc(1, 1);
    *buf = (struct vmscm_buf)VMSCM_BUF_INIT;
    return s;
}
