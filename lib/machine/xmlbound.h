/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether libxml2 gets through a document in a time that goes with its length. Up to 2.11 it compares each
 * attribute of an element with all before it, so that one element of a few MiB keeps it busy for minutes.
 * Pure; any number of threads.
 */
#ifndef MACHINE_XMLBOUND_H
#define MACHINE_XMLBOUND_H

#include <stdbool.h>
#include <stddef.h>

#define VMSCM_XMLBOUND_ATTRIBUTES 1024u /* of one element */
/* Bytes of a document that is not UTF-8, or not worth a look. */
#define VMSCM_XMLBOUND_OTHER (128u << 10)

bool vmscm_xmlbound_fits(const void *xml, size_t len);

#endif
