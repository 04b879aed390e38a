/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "s3/answer.h"
#include "base/str.h"
#include "machine/xmlbound.h"

#include <curl/curl.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* Entities grow without end and name files; S3 writes no document type. */
static void refuse_doctype(void *context, const xmlChar *name, const xmlChar *external,
    const xmlChar *system)
{
    (void)name, (void)external, (void)system;
    xmlStopParser(context);
}

static xmlDocPtr read_document(const void *xml, size_t len)
{
    bool fits = len && len <= VMSCM_ANSWER_MAX && vmscm_xmlbound_fits(xml, len);
    xmlParserCtxtPtr parser = fits ? xmlNewParserCtxt() : NULL;
    xmlDocPtr doc;

    if (!parser)
        return NULL;
    parser->sax->internalSubset = refuse_doctype;
    doc = xmlCtxtReadMemory(parser, xml, (int)len, NULL, NULL,
        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA);
    xmlFreeParserCtxt(parser);
    return doc;
}

static bool is(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

/* The text of the child of that name: *out is the caller's, NULL if there is none. VMSCM_ENOMEM. */
static int text_of(char **out, const xmlNode *parent, const char *name, struct vmscm_error *err)
{
    const xmlNode *node = parent->children;
    xmlChar *text;

    *out = NULL;
    while (node && !is(node, name))
        node = node->next;
    if (!node)
        return 0;
    text = xmlNodeGetContent(node);
    *out = text ? strdup((const char *)text) : NULL;
    xmlFree(text);
    return *out ? 0 : vmscm_error_nomem(err);
}

/* "2026-11-30T09:47:36.000Z" */
static int64_t read_time(const char *text)
{
    struct tm tm = {0};
    const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

    return end ? (int64_t)timegm(&tm) : 0;
}

static int take_key(const xmlNode *node,
    int (*each)(void *data, const char *key, uint64_t size, int64_t modified, struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    char *key = NULL, *size = NULL, *modified = NULL;
    uint64_t bytes;
    int rc;

    if ((rc = text_of(&key, node, "Key", err)) || (rc = text_of(&size, node, "Size", err)) ||
        (rc = text_of(&modified, node, "LastModified", err)))
        goto out;
    if (!key || strlen(key) > VMSCM_ANSWER_KEY_MAX || !size ||
        !vmscm_str_uint(&bytes, size, 0, UINT64_MAX))
        rc = vmscm_error_set(err, VMSCM_EINPUT, "a list that cannot be read");
    else
        rc = each(data, key, bytes, read_time(modified), err);
out:
    free(key);
    free(size);
    free(modified);
    return rc;
}

int vmscm_answer_list(char **next, const void *xml, size_t len,
    int (*each)(void *data, const char *key, uint64_t size, int64_t modified, struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    xmlDocPtr doc = read_document(xml, len);
    xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;
    char *truncated = NULL;
    int rc = 0;

    *next = NULL;
    if (!root || !is(root, "ListBucketResult")) {
        rc = vmscm_error_set(err, VMSCM_EINPUT, "a list that cannot be read");
        goto out;
    }
    for (xmlNode *node = root->children; node && !rc; node = node->next)
        if (is(node, "Contents"))
            rc = take_key(node, each, data, err);
    if (!rc)
        rc = text_of(&truncated, root, "IsTruncated", err);
    if (!rc && truncated && strcmp(truncated, "true") == 0 &&
        !(rc = text_of(next, root, "NextContinuationToken", err)) && !*next)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "a list that does not say how it goes on");
out:
    free(truncated);
    if (doc)
        xmlFreeDoc(doc);
    return rc;
}

static void copy(char *out, size_t size, const char *text)
{
    size_t n = 0;

    for (; text && *text && n + 1 < size; text++)
        if (*text >= ' ' && *text < 127)
            out[n++] = *text;
    out[n] = '\0';
}

void vmscm_answer_error(char code[64], char message[256], const void *xml, size_t len)
{
    xmlDocPtr doc = read_document(xml, len);
    xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;
    char *text;

    code[0] = message[0] = '\0';
    if (root && is(root, "Error")) {
        /* Without memory it says less. */
        text_of(&text, root, "Code", NULL);
        copy(code, 64, text);
        free(text);
        text_of(&text, root, "Message", NULL);
        copy(message, 256, text);
        free(text);
    }
    if (doc)
        xmlFreeDoc(doc);
}

/* The value of a header line if it has that name; it is not terminated. */
static const char *header(const char *line, size_t len, const char *name, size_t *value_len)
{
    size_t n = strlen(name);

    if (len <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
        return NULL;
    for (n++; n < len && (line[n] == ' ' || line[n] == '\t');)
        n++;
    while (len > n && strchr(" \t\r\n", line[len - 1]))
        len--;
    *value_len = len - n;
    return line + n;
}

void vmscm_answer_header(struct vmscm_answer_head *head, const char *line, size_t len)
{
    const char *value;
    char text[64];
    uint64_t seconds;
    size_t n;

    if ((value = header(line, len, "retry-after", &n)) && n < sizeof text) {
        snprintf(text, sizeof text, "%.*s", (int)n, value);
        if (vmscm_str_uint(&seconds, text, 0, 3600))
            head->retry_after = (unsigned)seconds;
    } else if ((value = header(line, len, "date", &n)) && n < sizeof text) {
        snprintf(text, sizeof text, "%.*s", (int)n, value);
        time_t there = curl_getdate(text, NULL);
        head->date = there > 0 ? (int64_t)there : 0;
    } else if ((value = header(line, len, "x-amz-bucket-region", &n)) && n < sizeof head->region) {
        snprintf(text, sizeof text, "%.*s", (int)n, value);
        copy(head->region, sizeof head->region, text);
    }
}
