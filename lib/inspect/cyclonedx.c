/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A bill of materials as CycloneDX 1.5. */
#include "inspect/bill.h"
#include "inspect/licenseid.h"

#include <stdio.h>
#include <string.h>
#include <vmscm/version.h>

static void put(bool *good, json_t *object, const char *key, const char *value)
{
    vmscm_bill_put(good, object, key, json_string(value));
}

/* The URL of a package names it within the document; what has none, or another has, a number. */
static json_t *reference(const struct vmscm_bill_item *item, size_t index)
{
    if (!item->purl)
        return json_sprintf("system-%zu", index + 1);
    return item->number ? json_sprintf("%s#%zu", item->purl, item->number + 1) : json_string(item->purl);
}

static void add_item(bool *good, json_t *list, const struct vmscm_bill_item *item, size_t index)
{
    json_t *object = vmscm_bill_add(good, list, json_object());

    put(good, object, "type", item->system ? "operating-system" : "library");
    vmscm_bill_put(good, object, "bom-ref", reference(item, index));
    if (*item->publisher)
        put(good, object, "publisher", item->publisher);
    put(good, object, "name", item->name);
    if (*item->version)
        put(good, object, "version", item->version);
    if (*item->note)
        put(good, object, "description", item->note);
    if (*item->license) {
        json_t *licenses = vmscm_bill_put(good, object, "licenses", json_array());
        json_t *choice = vmscm_bill_add(good, licenses, json_object());
        if (vmscm_licenseid_is_expression(item->license))
            put(good, choice, "expression", item->license);
        else
            put(good, vmscm_bill_put(good, choice, "license", json_object()), "name", item->license);
    }
    if (item->cpe)
        put(good, object, "cpe", item->cpe);
    if (item->purl)
        put(good, object, "purl", item->purl);
}

static void put_metadata(bool *good, json_t *root, const struct vmscm_bill *bill)
{
    json_t *metadata = vmscm_bill_put(good, root, "metadata", json_object());
    json_t *tools, *tool, *component;

    put(good, metadata, "timestamp", bill->time);
    tools = vmscm_bill_put(good, metadata, "tools", json_object());
    tools = vmscm_bill_put(good, tools, "components", json_array());
    tool = vmscm_bill_add(good, tools, json_object());
    put(good, tool, "type", "application");
    put(good, tool, "name", "vmscm");
    put(good, tool, "version", vmscm_version());
    component = vmscm_bill_put(good, metadata, "component", json_object());
    put(good, component, "type", "platform");
    put(good, component, "bom-ref", "machine");
    put(good, component, "name", bill->machine);
    put(good, component, "version", bill->revision);
}

json_t *vmscm_cyclonedx_make(const struct vmscm_bill *bill)
{
    json_t *root = json_object(), *list;
    bool good = root != NULL;

    put(&good, root, "$schema", "http://cyclonedx.org/schema/bom-1.5.schema.json");
    put(&good, root, "bomFormat", "CycloneDX");
    put(&good, root, "specVersion", "1.5");
    vmscm_bill_put(&good, root, "serialNumber", json_sprintf("urn:uuid:%s", bill->uuid));
    vmscm_bill_put(&good, root, "version", json_integer(1));
    put_metadata(&good, root, bill);
    list = vmscm_bill_put(&good, root, "components", json_array());
    for (size_t i = 0; i < bill->items.len && good; i++)
        add_item(&good, list, &bill->items.items[i], i);
    if (good)
        return root;
    json_decref(root);
    return NULL;
}
