/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The service as units of the user's systemd: listening from login on, and run when it is needed. */
#ifndef USERUNIT_H
#define USERUNIT_H

#include <vmscm/error.h>

/* Write them, and have systemd listen at the socket. VMSCM_ETOOL: no systemd of the user's. */
int userunit_enable(const char *repo, const char *socket, struct vmscm_error *err);
/* The inverse. VMSCM_ENOTFOUND: there are none. */
int userunit_disable(const char *socket, struct vmscm_error *err);

#endif
