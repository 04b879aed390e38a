/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Image files of bundles, the same bytes each time. Internal to lib/bundle. */
#ifndef BUNDLE_IMAGEOUT_H
#define BUNDLE_IMAGEOUT_H

#include "bundle/export.h"
#include "image/probe.h"

/* The n-th disk as the file NAME in x->dir, of a single file: with the options that are recorded of the
 * disk if it is of this format. A disk that must be longer for it is a warning. */
int vmscm_imageout_write(struct vmscm_export *x, size_t n, const char *name,
    enum vmscm_probe_format format, struct vmscm_error *err);

/* The same as the file path below x->dir, which is moved together with what it is in. */
int vmscm_imageout_write_at(struct vmscm_export *x, size_t n, const char *path,
    enum vmscm_probe_format format, struct vmscm_error *err);

#endif
