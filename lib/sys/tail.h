/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The end of what a program says, for the message that tells of its failure. One thread at a time. */
#ifndef SYS_TAIL_H
#define SYS_TAIL_H

#include <stddef.h>

#define VMSCM_TAIL_MAX 4096 /* bytes that are kept */

/* Zero-initialised is empty. */
struct vmscm_tail {
    char text[VMSCM_TAIL_MAX + 1]; /* room for a NUL, which is not written here */
    size_t len;
};

void vmscm_tail_add(struct vmscm_tail *tail, const char *piece, size_t len);

#endif
