/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * JSON values as text. jansson 2.14 goes on when it has no memory for a key of an object, and returns text
 * that lacks it (do_dump in its dump.c); this returns all of the text or none.
 */
#ifndef MACHINE_JSONTEXT_H
#define MACHINE_JSONTEXT_H

#include <jansson.h>

/* flags: jansson's. free() it. NULL: no memory, or json is NULL or no array or object. */
char *vmscm_jsontext_dump(const json_t *json, size_t flags);

#endif
