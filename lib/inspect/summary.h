/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Facts in a few words, as vmscm_inspect_summary() gives them, of a document that was read. Pure. */
#ifndef INSPECT_SUMMARY_H
#define INSPECT_SUMMARY_H

#include "inspect/facts.h"

/* *out is the caller's. */
int vmscm_summary_make(char **out, const struct vmscm_facts *facts, struct vmscm_error *err);

#endif
