/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The service that thin checkouts read through: at a Unix socket, every revision of a repository over
 * NBD. It is a vmscm that listens, and an nbdkit that it starts when somebody comes, starts again when
 * that dies, and follows when nobody is connected any more.
 *
 * Whoever serves a socket holds a lock on SOCKET.lock, in which its process id and its repository
 * are, by the path that it had and by device and inode, which it keeps when it is moved; what it has
 * to say is in SOCKET.log.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include "cmd.h"
#include <stdbool.h>
#include <sys/types.h>

#define SERVICE_IDLE 600 /* seconds without a connection, after which it ends */

/* The socket of a repository whose directory is `repo`, for this user; the caller's. NULL: err. */
char *service_socket(const char *repo, struct vmscm_error *err);

/* Whether somebody serves the socket. *pid (may be NULL): who, 0 if it cannot be told. */
bool service_runs(const char *socket, pid_t *pid);

/* Another socket beside this one at which the same repository is served, since it was moved; the caller's.
 * NULL: there is none. */
char *service_find(const char *repo, const char *socket);

/* See that the repository is served there: nothing to do if it is. */
int service_ensure(struct ctx *ctx, const char *socket, struct vmscm_error *err);

/* End it. *was: it ran. */
int service_stop(const char *socket, bool *was, struct vmscm_error *err);

/* Be the service, at a socket that systemd passes or that is made, until nobody was connected for
 * `idle` seconds (0: never) or it is told to end. Says where on standard output once it listens. */
int service_serve(struct ctx *ctx, const char *socket, unsigned idle, struct vmscm_error *err);

/* path, which is as before afterwards, and what is above it. */
int service_make_dirs(char *path, mode_t mode, struct vmscm_error *err);

#endif
