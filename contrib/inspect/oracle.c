/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Oracle's products, which no database of packages knows: they are in inventories of Oracle's
 * installer. */
#include "guest.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define HOMES_MAX 64
#define XML_MAX ((size_t)8 << 20)

/* "10.2.0" of "C:\oracle\product\10.2.0\db_1", or "10" of a name like "OraDb10g_home1". */
static void put_version(json_t *app, const char *home, const char *name)
{
    char found[32];
    const char *digit;

    for (const char *p = home; p; p = strpbrk(p, "\\/")) {
        p += strspn(p, "\\/");
        size_t len = strspn(p, "0123456789.");
        if (len > 2 && len < sizeof found && memchr(p, '.', len) &&
            (!p[len] || strchr("\\/", p[len]))) {
            memcpy(found, p, len);
            found[len] = '\0';
            facts_text(app, "version", found);
            return;
        }
        if (!*p)
            break;
    }
    digit = name ? strpbrk(name, "123456789") : NULL;
    size_t len = digit ? strspn(digit, "0123456789") : 0;
    if (len && len < 3 && digit[len] && strchr("icgIGC", digit[len])) {
        memcpy(found, digit, len);
        found[len] = '\0';
        facts_text(app, "version", found);
    }
}

void oracle_add_home(
    json_t *apps, const char *label, const char *name, const char *home, const char *origin)
{
    char *whole = NULL;

    for (size_t i = 0; i < json_array_size(apps); i++) {
        const json_t *app = json_array_get(apps, i);
        if (strncmp(facts_get(app, "name"), "Oracle ", strlen("Oracle ")) == 0 &&
            strcasecmp(facts_get(app, "path"), home) == 0)
            return;
    }
    if (asprintf(&whole, "Oracle %s%s%s", label, name ? " " : "", name ? name : "") < 0)
        return;
    json_t *app = facts_object();
    facts_own(app, "name", whole);
    put_version(app, home, name);
    facts_text(app, "publisher", "Oracle Corporation");
    facts_text(app, "path", home);
    facts_text(app, "origin", origin);
    facts_add(apps, app);
}

static char *attribute(xmlNode *node, const char *name)
{
    return (char *)xmlGetNoNsProp(node, (const xmlChar *)name);
}

static int is_element(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

static xmlNode *child(xmlNode *node, const char *name)
{
    for (xmlNode *n = node ? node->children : NULL; n; n = n->next)
        if (is_element(n, name))
            return n;
    return NULL;
}

static xmlDoc *read_xml(
    guestfs_h *g, const char *dir, const char *name, char *(*find)(guestfs_h *g, const char *path))
{
    char *path = NULL, *found = NULL, *text = NULL;
    xmlDoc *doc = NULL;
    size_t size;

    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return NULL;
    found = find ? find(g, path) : strdup(path);
    text = found ? guest_bytes(g, found, XML_MAX, &size) : NULL;
    /* No entity is put in its place, and nothing is loaded: libxml2's defaults, and no network. */
    if (text)
        doc = xmlReadMemory(
            text, (int)size, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    free(text);
    free(found);
    free(path);
    return doc;
}

/* "2011.Jun.09 13:12:07 CEST" */
static void put_date(json_t *app, const char *text)
{
    struct tm tm = {0};

    if (text && strptime(text, "%Y.%b.%d %H:%M:%S", &tm))
        facts_date(app, "date", timegm(&tm));
}

/* The products that were installed by themselves; their hundreds of parts are not told. */
static void read_products(
    guestfs_h *g, const char *home, char *(*find)(guestfs_h *g, const char *path), json_t *apps)
{
    xmlDoc *doc = read_xml(g, home, "inventory/ContentsXML/comps.xml", find);
    xmlNode *list = doc ? child(xmlDocGetRootElement(doc), "TL_LIST") : NULL;

    for (xmlNode *n = list ? list->children : NULL; n; n = n->next) {
        xmlNode *title = is_element(n, "COMP") ? child(n, "EXT_NAME") : NULL;
        if (!title)
            continue;
        char *name = (char *)xmlNodeGetContent(title), *version = attribute(n, "VER");
        char *time = attribute(n, "INSTALL_TIME");
        json_t *app = facts_object();
        facts_text(app, "name", name);
        facts_text(app, "version", version);
        facts_text(app, "publisher", "Oracle Corporation");
        facts_text(app, "path", home);
        put_date(app, time);
        facts_text(app, "origin", "oracle inventory");
        facts_add(apps, app);
        xmlFree(name);
        xmlFree(version);
        xmlFree(time);
    }
    xmlFreeDoc(doc);
}

void oracle_read_inventory(
    guestfs_h *g, const char *dir, char *(*find)(guestfs_h *g, const char *path), json_t *apps)
{
    xmlDoc *doc = read_xml(g, dir, "ContentsXML/inventory.xml", find);
    xmlNode *list = doc ? child(xmlDocGetRootElement(doc), "HOME_LIST") : NULL;
    size_t count = 0;

    for (xmlNode *n = list ? list->children : NULL; n && count < HOMES_MAX; n = n->next) {
        if (!is_element(n, "HOME"))
            continue;
        char *name = attribute(n, "NAME"), *home = attribute(n, "LOC"),
             *removed = attribute(n, "REMOVED");
        if (home && (!removed || strcmp(removed, "T") != 0)) {
            count++;
            oracle_add_home(apps, "home", name, home, "oracle inventory");
            read_products(g, home, find, apps);
        }
        xmlFree(name);
        xmlFree(home);
        xmlFree(removed);
    }
    xmlFreeDoc(doc);
}

/* "SID:HOME:Y" of every database: also of homes whose inventory is lost. */
static void read_oratab(guestfs_h *g, json_t *apps)
{
    char **lines = guest_lines(g, "/etc/oratab");
    size_t count = 0;

    for (size_t i = 0; lines && lines[i] && count < HOMES_MAX; i++) {
        char *home = *lines[i] != '#' ? strchr(lines[i], ':') : NULL;
        if (!home || *++home != '/')
            continue;
        home[strcspn(home, ":")] = '\0';
        count++;
        oracle_add_home(apps, "home", NULL, home, "oratab");
    }
    guest_free_strings(lines);
}

void oracle_read(guestfs_h *g, json_t *system)
{
    static const char key[] = "inventory_loc=";
    static const char *const pointers[] = {"/etc/oraInst.loc", "/var/opt/oracle/oraInst.loc"};
    json_t *apps = facts_list_of(system, "applications");

    for (size_t k = 0; k < 2; k++) {
        char **lines = guest_lines(g, pointers[k]);
        for (size_t i = 0; lines && lines[i]; i++)
            if (strncmp(lines[i], key, strlen(key)) == 0 && lines[i][strlen(key)] == '/')
                oracle_read_inventory(g, lines[i] + strlen(key), NULL, apps);
        guest_free_strings(lines);
    }
    read_oratab(g, apps);
}
