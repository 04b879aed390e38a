/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A bill of materials as SPDX 2.3. */
#include "inspect/bill.h"
#include "inspect/licenseid.h"

#include <stdio.h>
#include <string.h>
#include <vmscm/version.h>

#define UNSAID "NOASSERTION"

static void put(bool *good, json_t *object, const char *key, const char *value)
{
    vmscm_bill_put(good, object, key, json_string(value));
}

/* What a package is called within the document. */
static json_t *reference(size_t index)
{
    return json_sprintf("SPDXRef-Package-%zu", index + 1);
}

static json_t *add_package(bool *good, json_t *list, json_t *id, const char *name,
    const char *version)
{
    json_t *object = vmscm_bill_add(good, list, json_object());

    vmscm_bill_put(good, object, "SPDXID", id);
    put(good, object, "name", name);
    if (*version)
        put(good, object, "versionInfo", version);
    put(good, object, "downloadLocation", UNSAID);
    vmscm_bill_put(good, object, "filesAnalyzed", json_false());
    put(good, object, "licenseConcluded", UNSAID);
    put(good, object, "copyrightText", UNSAID);
    return object;
}

static void add_external(bool *good, json_t *list, const char *category, const char *type,
    const char *locator)
{
    json_t *object = vmscm_bill_add(good, list, json_object());

    put(good, object, "referenceCategory", category);
    put(good, object, "referenceType", type);
    put(good, object, "referenceLocator", locator);
}

static void add_license(bool *good, json_t *licenses, json_t *id, const char *text)
{
    json_t *object = vmscm_bill_add(good, licenses, json_object());

    vmscm_bill_put(good, object, "licenseId", id);
    put(good, object, "extractedText", text);
    put(good, object, "name", text);
}

/* What is of nobody's list within an expression is told once, with its name for a text. */
static void add_refs(bool *good, json_t *licenses, json_t *known, const char *text)
{
    const char *ref;
    size_t len;

    while ((ref = vmscm_licenseid_next_ref(&text, &len))) {
        json_t *id = json_stringn(ref, len);
        const char *name = json_string_value(id);
        if (!id || !json_object_get(known, name)) {
            vmscm_bill_put(good, known, name ? name : "", json_true());
            add_license(good, licenses, json_incref(id), name ? name : "");
        }
        json_decref(id);
    }
}

/* What is no expression is a licence of this document's own, once for each text. Numbers are for these. */
static json_t *declare(bool *good, json_t *licenses, json_t *known, const char *text)
{
    json_t *number = json_object_get(known, text);

    if (vmscm_licenseid_is_expression(text)) {
        add_refs(good, licenses, known, text);
        return json_string(text);
    }
    if (!number) {
        number = vmscm_bill_put(
            good, known, text, json_integer((json_int_t)json_object_size(known) + 1));
        add_license(good, licenses,
            json_sprintf("LicenseRef-%lld", (long long)json_integer_value(number)), text);
    }
    return json_sprintf("LicenseRef-%lld", (long long)json_integer_value(number));
}

static void relate(bool *good, json_t *list, const char *from, const char *how, json_t *to)
{
    json_t *object = vmscm_bill_add(good, list, json_object());

    put(good, object, "spdxElementId", from);
    put(good, object, "relationshipType", how);
    vmscm_bill_put(good, object, "relatedSpdxElement", to);
}

static void put_header(bool *good, json_t *root, const struct vmscm_bill *bill)
{
    json_t *creation, *creators;

    put(good, root, "spdxVersion", "SPDX-2.3");
    put(good, root, "dataLicense", "CC0-1.0");
    put(good, root, "SPDXID", "SPDXRef-DOCUMENT");
    vmscm_bill_put(good, root, "name", json_sprintf("%s %.12s", bill->machine, bill->revision));
    vmscm_bill_put(good, root, "documentNamespace",
        json_sprintf("https://spdx.org/spdxdocs/vmscm-%s", bill->uuid));
    creation = vmscm_bill_put(good, root, "creationInfo", json_object());
    put(good, creation, "created", bill->time);
    creators = vmscm_bill_put(good, creation, "creators", json_array());
    vmscm_bill_add(good, creators, json_sprintf("Tool: vmscm-%s", vmscm_version()));
}

json_t *vmscm_spdx_make(const struct vmscm_bill *bill)
{
    json_t *root = json_object(), *known = json_object(), *licenses = json_array();
    json_t *packages, *relationships, *object, *external;
    bool good = root && known && licenses;

    put_header(&good, root, bill);
    packages = vmscm_bill_put(&good, root, "packages", json_array());
    relationships = vmscm_bill_put(&good, root, "relationships", json_array());
    object = add_package(
        &good, packages, json_string("SPDXRef-Machine"), bill->machine, bill->revision);
    put(&good, object, "licenseDeclared", UNSAID);
    relate(&good, relationships, "SPDXRef-DOCUMENT", "DESCRIBES", json_string("SPDXRef-Machine"));
    for (size_t i = 0; i < bill->items.len && good; i++) {
        const struct vmscm_bill_item *item = &bill->items.items[i];
        object = add_package(&good, packages, reference(i), item->name, item->version);
        if (*item->note)
            put(&good, object, "summary", item->note);
        if (*item->publisher)
            vmscm_bill_put(
                &good, object, "supplier", json_sprintf("Organization: %s", item->publisher));
        put(&good, object, "primaryPackagePurpose", item->system ? "OPERATING_SYSTEM" : "APPLICATION");
        vmscm_bill_put(&good, object, "licenseDeclared",
            *item->license ? declare(&good, licenses, known, item->license) : json_string(UNSAID));
        external = item->purl || item->cpe
            ? vmscm_bill_put(&good, object, "externalRefs", json_array())
            : NULL;
        if (item->purl)
            add_external(&good, external, "PACKAGE-MANAGER", "purl", item->purl);
        if (item->cpe)
            add_external(&good, external, "SECURITY", "cpe23Type", item->cpe);
        relate(&good, relationships, "SPDXRef-Machine", "CONTAINS", reference(i));
    }
    if (json_array_size(licenses))
        vmscm_bill_put(&good, root, "hasExtractedLicensingInfos", json_incref(licenses));
    json_decref(licenses);
    json_decref(known);
    if (good)
        return root;
    json_decref(root);
    return NULL;
}
