/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A private temporary directory (mode 0700) for sockets and scratch files. */
#ifndef SYS_TEMPDIR_H
#define SYS_TEMPDIR_H

#include "base/error.h"

/* Below parent, or $XDG_RUNTIME_DIR, $TMPDIR, /tmp if it is NULL. *path is the caller's. */
int vmscm_tempdir_make(char **path, const char *parent, struct vmscm_error *err);

/* Removes it with all in it and frees the path; NULL is fine. */
void vmscm_tempdir_remove(char *path);

#endif
