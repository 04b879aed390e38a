/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What others call software: package URLs, https://github.com/package-url/purl-spec, and names of the Common
 * Platform Enumeration 2.3, NIST IR 7695, where these are known. Pure.
 */
#ifndef INSPECT_PURL_H
#define INSPECT_PURL_H

#include "base/error.h"
#include <jansson.h>

/* A version of an application of facts as its packages write it, "1:2.3-4"; the caller's. */
int vmscm_purl_version(char **out, const json_t *application, struct vmscm_error *err);

/* The package URL of an application in a system of facts; the caller's. */
int vmscm_purl_make(char **out, const json_t *system, const json_t *application,
    struct vmscm_error *err);

/* The CPE of an application, or of a system if application is NULL; the caller's; NULL: it is not known. */
int vmscm_purl_cpe(char **out, const json_t *system, const json_t *application,
    struct vmscm_error *err);

#endif
