/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/jsontext.h"
#include "base/buf.h"

#include <stdbool.h>

struct text {
    struct vmscm_buf buf;
    bool failed;
};

static int append(const char *bytes, size_t len, void *data)
{
    struct text *text = data;

    if (vmscm_buf_append(&text->buf, bytes, len, NULL))
        text->failed = true;
    return text->failed ? -1 : 0;
}

char *vmscm_jsontext_dump(const json_t *json, size_t flags)
{
    struct text text = {VMSCM_BUF_INIT, false};

    if (!json || json_dump_callback(json, append, &text, flags) || text.failed) {
        vmscm_buf_release(&text.buf);
        return NULL;
    }
    return vmscm_buf_steal(&text.buf);
}
