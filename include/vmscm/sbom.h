/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A revision's bill of materials: the facts about it in the forms that others read. The same revision and the
 * same facts give the same bytes.
 *
 * Thread safety: as the repository's.
 */
#ifndef VMSCM_SBOM_H
#define VMSCM_SBOM_H

#include <vmscm/error.h>
#include <vmscm/revision.h>

#ifdef __cplusplus
extern "C" {
#endif

enum vmscm_sbom_format {
    VMSCM_SBOM_CYCLONEDX, /* CycloneDX 1.5, https://cyclonedx.org/docs/1.5/json/ */
    VMSCM_SBOM_SPDX,      /* SPDX 2.3, https://spdx.github.io/spdx-spec/v2.3/ */
};

/*
 * The bill as JSON into *out, the caller's (vmscm_free).
 * Errors: VMSCM_ENOTFOUND: it was not inspected, or that failed; VMSCM_EDAMAGED.
 */
VMSCM_API int vmscm_sbom_write(char **out, struct vmscm_revision *rev, enum vmscm_sbom_format format,
    struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
