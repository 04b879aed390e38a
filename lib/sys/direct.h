/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing and reading past the page cache (O_DIRECT): what is transferred in bulk, and is not soon read
 * again, costs neither a copy nor memory that others use. Memory, offsets and lengths are whole blocks.
 * Where the file system does not have it, or wants larger blocks, it is ordinary writing and reading.
 */
#ifndef SYS_DIRECT_H
#define SYS_DIRECT_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMSCM_DIRECT_BLOCK 4096u

/* Memory to write from, of len bytes rounded up to whole blocks. free() it. NULL: there is none. */
void *vmscm_direct_alloc(size_t len);

/* Switch it on or off for an open file; whether it is on then. */
bool vmscm_direct_set(int fd, bool on);

/* Open the file of fd once more, to read and write past the page cache. -1: that is not possible here. */
int vmscm_direct_reopen(int fd);

/* Write what can be written to such a descriptor: whole blocks from the start, if memory and offset
 * begin at one. *done: the bytes that were; less than len where the file system refuses the rest, or
 * it is no whole block. */
int vmscm_direct_put(int fd, size_t *done, const void *data, size_t len, uint64_t offset,
    const char *path, struct vmscm_error *err);

/* Read from such a descriptor, the same way. *done is less than len at the end of the file, too. */
int vmscm_direct_get(int fd, size_t *done, void *data, size_t len, uint64_t offset,
    const char *path, struct vmscm_error *err);

/* Whether so many bytes, each read or written once, would push out of the page cache what is worth more:
 * they are over a quarter of this machine's memory. */
bool vmscm_direct_pays(uint64_t bytes);

/* What vmscm_direct_pread_once needs for len bytes. */
#define VMSCM_DIRECT_ROOM(len) ((size_t)(len) + 2 * VMSCM_DIRECT_BLOCK)

/* As vmscm_file_pread, without bringing into the page cache what is not there. memory begins at a
 * block and is VMSCM_DIRECT_ROOM(len) large; *data is where in it the bytes are. */
int vmscm_direct_pread_once(int fd, const uint8_t **data, uint8_t *memory, size_t len,
    uint64_t offset, const char *path, struct vmscm_error *err);

/* As vmscm_file_pwrite. *on: as vmscm_direct_set said; set to false if writing this way is refused,
 * and goes on the ordinary way. */
int vmscm_direct_pwrite(int fd, bool *on, const void *data, size_t len, uint64_t offset,
    const char *path, struct vmscm_error *err);

#endif
