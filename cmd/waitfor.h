/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a guest that starts is waited for: text on its console, or a port that it answers at. */
#ifndef WAITFOR_H
#define WAITFOR_H

#include <stdbool.h>
#include <stddef.h>
#include <vmscm/error.h>

struct waitfor {
    const char *text;    /* NULL: a port */
    unsigned port;       /* of the guest; 0: text, or nothing */
    unsigned host;       /* that it is forwarded from */
    const char *monitor; /* path of qemu's monitor, a socket */
    int fd;              /* connection to the monitor; -1: none yet */
    int probe;           /* connection to the port; -1: none */
    char tail[1024];     /* of what the console said */
    size_t len;
    char answer[4096];   /* of the monitor, so far */
    size_t answer_len;
    bool met;
};

/* "text:...", "port:N". VMSCM_EUSAGE. */
int waitfor_parse(struct waitfor *w, const char *spec, struct vmscm_error *err);
void waitfor_console(struct waitfor *w, const char *bytes, size_t len);
/* To be called a few times a second. */
void waitfor_poll(struct waitfor *w);
void waitfor_release(struct waitfor *w);

#endif
