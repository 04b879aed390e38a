/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target of lib/history/notes: the text of a note, of which any line may be anyone's. */
#include "base/str.h"
#include "history/notes.h"

#include <stdlib.h>
#include <string.h>

struct seen {
    int64_t time;
    size_t count;
};

static int see(void *data, const struct vmscm_signature *author, const char *text)
{
    struct seen *seen = data;

    if (!vmscm_str_printable(author->name) || !vmscm_str_printable(author->email) || !*text ||
        (seen->count++ && author->time < seen->time))
        abort();
    seen->time = author->time;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct seen seen = {0, 0};
    char *text = malloc(size + 1);

    if (!text)
        abort();
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (vmscm_notes_each(text, see, &seen, &err))
        abort();
    free(text);
    return 0;
}
