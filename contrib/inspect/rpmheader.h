/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A package as rpm's database has it: a header of tagged values, rpm's docs/manual/format.md,
 * section "Header". Pure.
 */
#ifndef RPMHEADER_H
#define RPMHEADER_H

#include "facts.h"

/* As an application of facts; NULL: it is no header with a name, or what gpg keys are kept as. */
json_t *rpmheader_read(const unsigned char *bytes, size_t size);

#endif
