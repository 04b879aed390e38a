/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is known to be inside a revision, as show prints it. */
#ifndef FACTSVIEW_H
#define FACTSVIEW_H

#include "json.h"

/* A few lines, after an empty one; nothing if it was not inspected. */
int factsview_print(struct vmscm_revision *rev, struct vmscm_error *err);
/* All of it, or null; *out is the caller's. */
int factsview_json(json_t **out, struct vmscm_revision *rev, struct vmscm_error *err);

#endif
