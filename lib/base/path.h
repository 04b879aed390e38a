/* SPDX-License-Identifier: GPL-3.0-or-later */
/* File names as text: nothing here touches the file system. */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include "base/error.h"
#include <stdbool.h>

/* DIR "/" NAME, without doubling the slash; NAME alone if it is absolute or DIR is "". *out is the
 * caller's. */
int vmscm_path_join(char **out, const char *dir, const char *name, struct vmscm_error *err);

/* The directory part: "." if there is no slash, "/" for the root. *out is the caller's. */
int vmscm_path_dirname(char **out, const char *path, struct vmscm_error *err);

/* The part after the last slash, borrowed from path. */
const char *vmscm_path_basename(const char *path);

/* True for a relative path of plain components: not empty, no leading slash, no empty, "." or ".."
 * component, no control character, nothing longer than 255 bytes, at most 4,095 in all. */
bool vmscm_path_is_confined(const char *path);

#endif
