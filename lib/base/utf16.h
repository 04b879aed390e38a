/* SPDX-License-Identifier: GPL-3.0-or-later */
/* UTF-16, as files of Windows' programs have it. Pure. */
#ifndef BASE_UTF16_H
#define BASE_UTF16_H

#include "base/buf.h"
#include <stdbool.h>

/* Append the text of so many bytes, up to the first NUL in it if there is one, as UTF-8. What is half a
 * character becomes U+FFFD. */
int vmscm_utf16_decode(struct vmscm_buf *out, const uint8_t *text, size_t len, bool big_endian,
    struct vmscm_error *err);

#endif
