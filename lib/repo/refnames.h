/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which refs travel, and what they are called on either side. Pure. */
#ifndef REPO_REFNAMES_H
#define REPO_REFNAMES_H

#include "repo/handle.h"
#include <stdbool.h>

#define VMSCM_REFNAMES_NOTES "refs/notes/"
#define VMSCM_REFNAMES_INSPECTION VMSCM_REFNAMES_NOTES "inspection"
#define VMSCM_REFNAMES_TRACES VMSCM_REFNAMES_NOTES "traces"
#define VMSCM_REFNAMES_TRACKED VMSCM_HANDLE_TRACKED
#define VMSCM_REFNAMES_TAGS VMSCM_HANDLE_TRACKED_TAGS

enum vmscm_refnames_kind {
    VMSCM_REFNAMES_NONE, /* stays where it is */
    VMSCM_REFNAMES_MACHINE,
    VMSCM_REFNAMES_TAG,
    VMSCM_REFNAMES_NOTE, /* merged, not replaced */
};

/* What a ref is; VMSCM_REFNAMES_NONE for one whose name a peer must not give. *machine, the caller's, and
 * *tag, within it, say which; tag is NULL if it is none. Either pointer may be NULL. */
enum vmscm_refnames_kind vmscm_refnames_kind(const char *ref, char **machine, const char **tag);

/* Notes that travel: comments, what inspections found, and boot traces. */
#define VMSCM_REFNAMES_NOTE_COUNT 3
extern const char *const vmscm_refnames_notes[VMSCM_REFNAMES_NOTE_COUNT];

/* What a remote's ref is called here; of notes, NULL. *out is the caller's. */
int vmscm_refnames_track(char **out, const char *remote, const char *ref, struct vmscm_error *err);

#endif
