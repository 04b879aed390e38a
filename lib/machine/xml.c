/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/xml.h"
#include "base/str.h"
#include "machine/xmlbound.h"

#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void hear(void *data, xmlErrorPtr why)
{
    struct vmscm_xml_watch *watch = data;

    watch->starved |= why->code == XML_ERR_NO_MEMORY;
}

void vmscm_xml_begin(struct vmscm_xml_watch *watch)
{
    watch->before = xmlStructuredError;
    watch->context = xmlStructuredErrorContext;
    watch->starved = false;
    xmlSetStructuredErrorFunc(watch, hear);
}

bool vmscm_xml_end(struct vmscm_xml_watch *watch)
{
    xmlSetStructuredErrorFunc(watch->context, watch->before);
    return watch->starved;
}

/* A document type brings entities, which can name files and grow without end; none of what is read
 * here has one. So parsing ends where one begins. */
static void refuse_doctype(void *context, const xmlChar *name, const xmlChar *external,
    const xmlChar *system)
{
    xmlParserCtxtPtr parser = context;

    (void)name, (void)external, (void)system;
    *(bool *)parser->_private = true;
    xmlStopParser(parser);
}

int vmscm_xml_read(xmlDocPtr *out, const char *what, const void *xml, size_t len, size_t max,
    struct vmscm_error *err)
{
    xmlParserCtxtPtr parser = NULL;
    const xmlError *why;
    bool doctype = false;
    int rc = 0;

    *out = NULL;
    if (len == 0)
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: is empty", what);
    if (len > max)
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: over %zu bytes", what, max);
    if (!vmscm_xmlbound_fits(xml, len))
        return vmscm_error_set(err, VMSCM_EINPUT,
            "%s: has an element with too many attributes, or is too long for what is not UTF-8", what);
    if (!(parser = xmlNewParserCtxt()))
        return vmscm_error_nomem(err);
    parser->_private = &doctype;
    parser->sax->internalSubset = refuse_doctype;
    /* Not among the options: NOENT and DTDLOAD, which read entities, and HUGE, which lifts libxml2's
     * own bounds on depth and size. */
    *out = xmlCtxtReadMemory(parser, xml, (int)len, NULL, NULL,
        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA);
    if (doctype) {
        rc = vmscm_error_set(err, VMSCM_EREFUSED,
            "%s: has a document type declaration, which such a file never has", what);
    } else if (!*out) {
        char text[200] = "not well-formed";
        why = xmlCtxtGetLastError(parser);
        if (why && why->message) {
            snprintf(text, sizeof text, "%s", why->message);
            text[strcspn(text, "\n")] = '\0';
        }
        rc = vmscm_error_set(
            err, VMSCM_EINPUT, "%s: line %d: %s", what, why ? why->line : 0, text);
    }
    if (rc) {
        xmlFreeDoc(*out);
        *out = NULL;
    }
    xmlFreeParserCtxt(parser);
    return rc;
}

bool vmscm_xml_is(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

xmlNodePtr vmscm_xml_child(const xmlNode *parent, const char *name)
{
    for (xmlNodePtr n = parent ? parent->children : NULL; n; n = n->next)
        if (vmscm_xml_is(n, name))
            return n;
    return NULL;
}

static void trim(char *s)
{
    size_t skip = strspn(s, " \t\r\n"), len = strlen(s + skip);

    memmove(s, s + skip, len + 1);
    while (len && strchr(" \t\r\n", s[len - 1]))
        s[--len] = '\0';
}

/* Whatever its namespace. */
static xmlChar *attribute_of(const xmlNode *node, const char *name)
{
    for (const xmlAttr *a = node->type == XML_ELEMENT_NODE ? node->properties : NULL; a; a = a->next)
        if (strcmp((const char *)a->name, name) == 0)
            return xmlNodeGetContent((const xmlNode *)a);
    return NULL;
}

int vmscm_xml_get(char **out, const xmlNode *node, const char *attribute, struct vmscm_error *err)
{
    xmlChar *value;
    int rc;

    *out = NULL;
    if (!node)
        return 0;
    value = attribute ? attribute_of(node, attribute) : xmlNodeGetContent(node);
    if (!value)
        return 0;
    rc = vmscm_str_dup(out, (const char *)value, err);
    xmlFree(value);
    if (rc)
        return rc;
    trim(*out);
    if (!**out) {
        free(*out);
        *out = NULL;
    }
    return 0;
}

bool vmscm_xml_attribute_is(const xmlNode *node, const char *attribute, const char *expected)
{
    xmlChar *value = node ? attribute_of(node, attribute) : NULL;
    bool same = value && strcmp((const char *)value, expected) == 0;

    xmlFree(value);
    return same;
}
