/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A read-only NBD server (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md) for
 * one block device on a Unix socket: fixed newstyle, structured replies, base:allocation, several
 * connections. For the local user only: the socket is in a private directory.
 */
#ifndef IMAGE_NBDSERVER_H
#define IMAGE_NBDSERVER_H

#include "image/blockdev.h"

struct vmscm_nbdserver;

/* Serve dev at a socket of this path until stopped, with threads of its own: one that accepts, and
 * for each connection `jobs` (at least 1) that answer requests, so one client may have as many reads
 * under way. read_done (may be NULL) is called after each answered read with its offset and length,
 * by one thread at a time. Memory: 1 MiB a thread, whatever is asked for. */
int vmscm_nbdserver_start(struct vmscm_nbdserver **out, struct vmscm_blockdev *dev,
    const char *socket_path, unsigned jobs,
    void (*read_done)(void *data, uint64_t offset, uint64_t len), void *data,
    struct vmscm_error *err);

/* Close the socket, end all connections, join the threads. *failure (may be NULL) gets the first
 * error a read of dev met, if any: the client saw only EIO. */
void vmscm_nbdserver_stop(struct vmscm_nbdserver *server, struct vmscm_error *failure);

#endif
