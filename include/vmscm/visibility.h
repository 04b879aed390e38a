/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Marks what the shared library exports; everything else in it is hidden. */
#ifndef VMSCM_VISIBILITY_H
#define VMSCM_VISIBILITY_H

#if defined(__GNUC__)
#define VMSCM_API __attribute__((visibility("default")))
#define VMSCM_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define VMSCM_API
#define VMSCM_PRINTF(f, a)
#endif

#endif
