/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a file of a test's directory is probed as. Needs unit.h and images.h first. */
#ifndef PROBE_CHECKS_H
#define PROBE_CHECKS_H

#include "image/probe.h"

/* Probing fails with this code and a message that holds this text. */
#define assert_refused(name, format, allow, code, text)                                            \
    do {                                                                                           \
        struct vmscm_error err_ = VMSCM_ERROR_INIT;                                                \
        struct vmscm_probe *probe_ = NULL;                                                         \
        assert_fails(vmscm_probe_open(&probe_, in_dir(name), format, allow, &err_), &err_, code,   \
            text);                                                                                 \
        assert_null(probe_);                                                                       \
    } while (0)

static inline struct vmscm_probe *probed(const char *name, const char *format, unsigned allow)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_probe *probe = NULL;

    if (vmscm_probe_open(&probe, in_dir(name), format, allow, &err))
        fail_msg("%s: %s", name, err.message);
    return probe;
}

static inline uint64_t size_of(const char *name, const char *format, unsigned allow)
{
    struct vmscm_probe *probe = probed(name, format, allow);
    uint64_t size = probe->size;

    vmscm_probe_close(probe);
    return size;
}

#endif
