/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/refnames.h"
#include "base/str.h"
#include "history/notes.h"
#include "history/revspec.h"
#include "repo/handle.h"

#include <stdlib.h>
#include <string.h>

const char *const vmscm_refnames_notes[VMSCM_REFNAMES_NOTE_COUNT] = {
    VMSCM_NOTES_COMMENTS, VMSCM_REFNAMES_INSPECTION, VMSCM_REFNAMES_TRACES};

static bool is_note(const char *ref)
{
    for (size_t i = 0; i < VMSCM_REFNAMES_NOTE_COUNT; i++)
        if (strcmp(ref, vmscm_refnames_notes[i]) == 0)
            return true;
    return false;
}

static enum vmscm_refnames_kind kind_of(const char *ref, char **machine, const char **tag)
{
    char *slash;

    if (is_note(ref))
        return VMSCM_REFNAMES_NOTE;
    if (vmscm_str_starts(ref, VMSCM_HANDLE_HEADS)) {
        if (vmscm_str_dup(machine, ref + strlen(VMSCM_HANDLE_HEADS), NULL) ||
            vmscm_revspec_check_machine(*machine, NULL))
            return VMSCM_REFNAMES_NONE;
        return VMSCM_REFNAMES_MACHINE;
    }
    if (!vmscm_str_starts(ref, VMSCM_HANDLE_TAGS) ||
        vmscm_str_dup(machine, ref + strlen(VMSCM_HANDLE_TAGS), NULL) ||
        !(slash = strrchr(*machine, '/')))
        return VMSCM_REFNAMES_NONE;
    *slash = '\0';
    *tag = slash + 1;
    return vmscm_revspec_check_machine(*machine, NULL) || vmscm_revspec_check_tag(*tag, NULL)
        ? VMSCM_REFNAMES_NONE
        : VMSCM_REFNAMES_TAG;
}

enum vmscm_refnames_kind vmscm_refnames_kind(const char *ref, char **machine, const char **tag)
{
    const char *own_tag = NULL;
    char *own = NULL;
    enum vmscm_refnames_kind kind = kind_of(ref, &own, &own_tag);

    if (tag)
        *tag = kind == VMSCM_REFNAMES_TAG ? own_tag : NULL;
    if (machine && (kind == VMSCM_REFNAMES_MACHINE || kind == VMSCM_REFNAMES_TAG)) {
        *machine = own;
        return kind;
    }
    if (machine)
        *machine = NULL;
    free(own);
    return kind;
}

int vmscm_refnames_track(char **out, const char *remote, const char *ref, struct vmscm_error *err)
{
    *out = NULL;
    if (vmscm_str_starts(ref, VMSCM_HANDLE_HEADS))
        return vmscm_str_printf(out, err, VMSCM_REFNAMES_TRACKED "%s/%s", remote,
            ref + strlen(VMSCM_HANDLE_HEADS));
    if (vmscm_str_starts(ref, VMSCM_HANDLE_TAGS))
        return vmscm_str_printf(
            out, err, VMSCM_REFNAMES_TAGS "%s/%s", remote, ref + strlen(VMSCM_HANDLE_TAGS));
    return 0;
}
