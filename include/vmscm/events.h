/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a long operation talks to its caller. The library never prints: it calls these, if set.
 *
 * Threading: callbacks come from the thread that called the operation or from one worker at a
 * time, never from two at once. They must not call back into the library, and should be quick.
 */
#ifndef VMSCM_EVENTS_H
#define VMSCM_EVENTS_H

#include <stdint.h>
#include <vmscm/visibility.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmscm_progress {
    const char *phase; /* "checking in", "checking out", "checking"; static */
    const char *item;  /* the disk or file at hand; valid during the call only; may be NULL */
    uint64_t done;     /* bytes of guest address space done so far, over all items */
    uint64_t total;    /* of how many; 0: unknown */
    uint64_t read;     /* bytes that were data, not holes */
    uint64_t fresh;    /* bytes that were new to the repository (check-in) */
    uint64_t stored;   /* bytes those took in packs */
};

struct vmscm_events {
    void *data; /* handed to each callback */
    /* About ten times a second at most, and once at the end of a phase. */
    void (*progress)(void *data, const struct vmscm_progress *progress);
    /* Something the user should know though the operation goes on. One line. */
    void (*warning)(void *data, const char *text);
    /* What was decided and why, for -v. One line. */
    void (*note)(void *data, const char *text);
    /* Polled; non-zero asks the operation to stop with VMSCM_ECANCELED, leaving no visible change.
     * May be called from several threads at once. */
    int (*canceled)(void *data);
};

#ifdef __cplusplus
}
#endif
#endif
