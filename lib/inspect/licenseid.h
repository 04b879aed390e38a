/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Identifiers of licences, https://spdx.org/licenses/, and the expressions that are made of them, annex D of
 * the SPDX Specification 2.3. Pure, and without anything else of the library.
 */
#ifndef INSPECT_LICENSEID_H
#define INSPECT_LICENSEID_H

#include <stdbool.h>
#include <stddef.h>

/* The identifier that is written so, in whatever case, as the list writes it; NULL: there is none. Static. */
const char *vmscm_licenseid_find(const char *name, size_t len);

/* Whether text is an expression of known identifiers and exceptions, and of LicenseRef-... of anybody's own,
 * whose names are no numbers; AND, OR and WITH in capitals. */
bool vmscm_licenseid_is_expression(const char *text);

/* The next LicenseRef-... in an expression from *at on, and its length; *at goes behind it. NULL: none. */
const char *vmscm_licenseid_next_ref(const char **at, size_t *len);

#endif
