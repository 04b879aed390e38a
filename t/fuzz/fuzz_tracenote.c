/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target of lib/format/tracenote: what is accepted lies within bounds, and is the same written again. */
#include "format/tracenote.h"

#include <stdlib.h>
#include <string.h>

static int decode(struct vmscm_tracenote *note, const void *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    int rc = vmscm_tracenote_decode(note, data, size, &err);

    if (rc && (note->places.items || note->disks.items || !err.message[0]))
        abort();
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_tracenote note, again;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf line = VMSCM_BUF_INIT;
    uint64_t units = 0;

    if (decode(&note, data, size))
        return 0;
    for (size_t i = 0; i < note.places.len; i++) {
        const struct vmscm_tracenote_place *p = &note.places.items[i];
        if (p->disk >= note.disks.len || !p->count || p->first + p->count > VMSCM_TRACENOTE_FIRST_MAX)
            abort();
        units += p->count;
    }
    if (units != note.units || units > VMSCM_TRACENOTE_UNITS_MAX)
        abort();
    if (vmscm_tracenote_encode(&line, &note, &err) || decode(&again, line.data, line.len))
        abort();
    if (again.time != note.time || again.places.len != note.places.len || again.units != note.units)
        abort();
    for (size_t i = 0; i < note.places.len; i++) {
        const struct vmscm_tracenote_place *a = &note.places.items[i], *b = &again.places.items[i];
        if (a->first != b->first || a->count != b->count ||
            strcmp(note.disks.items[a->disk], again.disks.items[b->disk]) != 0)
            abort();
    }
    vmscm_buf_release(&line);
    vmscm_tracenote_release(&again);
    vmscm_tracenote_release(&note);
    return 0;
}
