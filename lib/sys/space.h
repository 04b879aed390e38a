/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How much a file system still takes. What others send can be without an end, and none of it may be the
 * last byte that others need. Any thread. */
#ifndef SYS_SPACE_H
#define SYS_SPACE_H

#include "base/error.h"
#include <stdint.h>

/* Bytes that can be written where path is; of a file system that does not say, UINT64_MAX. */
uint64_t vmscm_space_free(const char *path);

/* VMSCM_EIO, with a hint, if less than 64 MiB are left there: nothing more is taken in. */
int vmscm_space_check(const char *path, struct vmscm_error *err);

#endif
