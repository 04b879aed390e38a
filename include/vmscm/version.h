/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VMSCM_VERSION_H
#define VMSCM_VERSION_H

#include <vmscm/visibility.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The library's version, e.g. "0.1.0". Static. */
VMSCM_API const char *vmscm_version(void);

/* The libraries it was built with: "libgit2 1.5.1, libzstd 1.5.4, ...". Static. */
VMSCM_API const char *vmscm_version_libraries(void);

#ifdef __cplusplus
}
#endif
#endif
