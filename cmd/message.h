/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The message of a check-in, a tag or a comment: from options, a file, or an editor. */
#ifndef MESSAGE_H
#define MESSAGE_H

#include "cmd.h"

/* *out (the caller's) from -m, each a paragraph, or from the file of -F ("-": standard input); NULL
 * if neither was given. Empty lines around it go. VMSCM_EUSAGE, VMSCM_EIO, VMSCM_EINPUT. */
int message_read(char **out, const struct opt_list *paragraphs, const char *file,
    struct vmscm_error *err);
/* Let the user write one; about is put below in lines that begin with '#', which are left out. */
int message_edit(char **out, const char *about, struct vmscm_error *err);

#endif
