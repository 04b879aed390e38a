/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target of lib/history/when and ident: dates and authors as users write them. */
#include "base/str.h"
#include "history/ident.h"
#include "history/when.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_signature sig = {NULL, NULL, 0, 0}, again = {NULL, NULL, 0, 0};
    char *text = malloc(size + 1), *date = NULL;
    int64_t when;

    if (!text)
        abort();
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (vmscm_when_parse(&when, text, &err) && (err.code != VMSCM_EUSAGE || !err.message[0]))
        abort();
    /* A date that was read can be written and read again. */
    if (!vmscm_ident_parse_date(&sig, text, &err)) {
        if (vmscm_ident_format_date(&date, &sig, &err) ||
            vmscm_ident_parse_date(&again, date, &err) || again.time != sig.time ||
            again.offset != sig.offset)
            abort();
        free(date);
    }
    if (!vmscm_ident_parse_author(&sig, text, &err)) {
        if (!vmscm_str_printable(sig.name) || !vmscm_str_printable(sig.email))
            abort();
        vmscm_ident_release(&sig);
    }
    free(text);
    return 0;
}
