/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * XML that nobody vouches for: no network, no document type (so no entities), libxml2's own bounds on
 * depth and size. Internal to lib/machine.
 *
 * libxml2 returns the same for what is not there and for what there is no memory for, and prints what
 * it has to say about that unless somebody listens: so all use is between begin and end.
 */
#ifndef MACHINE_XML_H
#define MACHINE_XML_H

#include "base/error.h"
#include <libxml/tree.h>
#include <libxml/xmlerror.h>
#include <stdbool.h>

struct vmscm_xml_watch {
    xmlStructuredErrorFunc before;
    void *context;
    bool starved;
};

/* One thread at a time per watch; it must stay where it is until the end. */
void vmscm_xml_begin(struct vmscm_xml_watch *watch);
/* True: memory ran out, and what was read must not be believed. */
bool vmscm_xml_end(struct vmscm_xml_watch *watch);

/* what names the document in messages, "domain XML"; max: bytes. VMSCM_EINPUT: not well-formed, empty,
 * too long; VMSCM_EREFUSED: a document type. xmlFreeDoc(*out). */
int vmscm_xml_read(xmlDocPtr *out, const char *what, const void *xml, size_t len, size_t max,
    struct vmscm_error *err);

/* Names are local ones: which prefix or namespace they have does not matter. */
bool vmscm_xml_is(const xmlNode *node, const char *name);
/* The first child of that name; NULL for a NULL parent. */
xmlNodePtr vmscm_xml_child(const xmlNode *parent, const char *name);

/* Text or an attribute (attribute NULL: the text), trimmed; *out stays NULL where there is none or it
 * is empty, or node is NULL. */
int vmscm_xml_get(char **out, const xmlNode *node, const char *attribute, struct vmscm_error *err);

bool vmscm_xml_attribute_is(const xmlNode *node, const char *attribute, const char *expected);

#endif
