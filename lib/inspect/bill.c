/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "inspect/bill.h"
#include "base/buf.h"
#include "base/str.h"
#include "codec/hash.h"
#include "inspect/facts.h"
#include "inspect/purl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int add_system(struct vmscm_bill *bill, const json_t *system, struct vmscm_error *err)
{
    const char *distro = vmscm_facts_text(system, "distro"), *type = vmscm_facts_text(system, "type");
    struct vmscm_bill_item *item;
    int rc = vmscm_vec_add(&bill->items, &item, err);

    if (rc)
        return rc;
    item->system = true;
    item->note = vmscm_facts_text(system, "product");
    item->publisher = item->license = "";
    if ((rc = vmscm_str_dup(&item->name, *distro ? distro : *type ? type : "unknown", err)) ||
        (rc = vmscm_str_dup(&item->version, vmscm_facts_text(system, "version"), err)))
        return rc;
    return vmscm_purl_cpe(&item->cpe, system, NULL, err);
}

static int add_application(struct vmscm_bill *bill, const json_t *system, const json_t *application,
    struct vmscm_error *err)
{
    const char *name = vmscm_facts_text(application, "name");
    struct vmscm_bill_item *item;
    int rc;

    /* Neither form has a thing without a name. */
    if (!*name)
        return 0;
    if ((rc = vmscm_vec_add(&bill->items, &item, err)))
        return rc;
    item->note = "";
    item->publisher = vmscm_facts_text(application, "publisher");
    item->license = vmscm_facts_text(application, "license");
    if ((rc = vmscm_str_dup(&item->name, name, err)) ||
        (rc = vmscm_purl_version(&item->version, application, err)) ||
        (rc = vmscm_purl_make(&item->purl, system, application, err)))
        return rc;
    return vmscm_purl_cpe(&item->cpe, system, application, err);
}

/* Systems first; what facts say twice stays together. */
static int compare(const void *a, const void *b)
{
    const struct vmscm_bill_item *x = a, *y = b;
    const char *left[] = {x->purl ? x->purl : "", x->name, x->version, x->note, x->publisher, x->license};
    const char *right[] = {y->purl ? y->purl : "", y->name, y->version, y->note, y->publisher, y->license};
    int order = (int)y->system - (int)x->system;

    for (size_t i = 0; i < sizeof left / sizeof left[0] && !order; i++)
        order = strcmp(left[i], right[i]);
    return order;
}

static bool is_same_name(const struct vmscm_bill_item *a, const struct vmscm_bill_item *b)
{
    return a->purl && b->purl && strcmp(a->purl, b->purl) == 0;
}

/* A UUID of version 8, RFC 9562: by a hash of the content. */
static int name_it(struct vmscm_bill *bill, struct vmscm_error *err)
{
    struct vmscm_buf text = VMSCM_BUF_INIT;
    struct vmscm_hash *hash = NULL;
    struct vmscm_id id;
    char hex[VMSCM_HASH_HEX];
    int rc = vmscm_buf_printf(&text, err, "%s\n", bill->revision);

    for (size_t i = 0; i < bill->items.len && !rc; i++) {
        const struct vmscm_bill_item *item = &bill->items.items[i];
        rc = vmscm_buf_printf(&text, err, "%s\t%s\t%s\t%s\t%s\n", item->name, item->version,
            item->purl ? item->purl : "", item->publisher, item->license);
    }
    if (!rc && !(rc = vmscm_hash_new(&hash, err)) &&
        !(rc = vmscm_hash_compute(hash, &id, vmscm_buf_str(&text), text.len, err))) {
        id.bytes[6] = (uint8_t)(0x80 | (id.bytes[6] & 0x0f));
        id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
        vmscm_str_hex(hex, id.bytes, sizeof id.bytes);
        snprintf(bill->uuid, sizeof bill->uuid, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
            hex + 16, hex + 20);
    }
    vmscm_hash_free(hash);
    vmscm_buf_release(&text);
    return rc;
}

int vmscm_bill_init(struct vmscm_bill *bill, const json_t *facts, const char *machine,
    const char *revision, int64_t time, struct vmscm_error *err)
{
    const json_t *systems = json_object_get(facts, "systems");
    time_t seconds = (time_t)time;
    struct tm tm;
    int rc = 0;

    *bill = (struct vmscm_bill){.machine = machine, .revision = revision};
    if (!gmtime_r(&seconds, &tm) || !strftime(bill->time, sizeof bill->time, "%Y-%m-%dT%H:%M:%SZ", &tm))
        return vmscm_error_set(err, VMSCM_EINPUT, "revision %.12s: its date is no date", revision);
    for (size_t i = 0; i < json_array_size(systems) && !rc; i++) {
        const json_t *system = json_array_get(systems, i);
        const json_t *list = json_object_get(system, "applications");
        rc = add_system(bill, system, err);
        for (size_t k = 0; k < json_array_size(list) && !rc; k++)
            rc = add_application(bill, system, json_array_get(list, k), err);
    }
    if (rc)
        return rc;
    if (bill->items.len)
        qsort(bill->items.items, bill->items.len, sizeof *bill->items.items, compare);
    for (size_t i = 1; i < bill->items.len; i++)
        if (is_same_name(&bill->items.items[i], &bill->items.items[i - 1]))
            bill->items.items[i].number = bill->items.items[i - 1].number + 1;
    return name_it(bill, err);
}

void vmscm_bill_release(struct vmscm_bill *bill)
{
    for (size_t i = 0; i < bill->items.len; i++) {
        free(bill->items.items[i].name);
        free(bill->items.items[i].version);
        free(bill->items.items[i].purl);
        free(bill->items.items[i].cpe);
    }
    vmscm_vec_release(&bill->items);
}

json_t *vmscm_bill_put(bool *good, json_t *object, const char *key, json_t *value)
{
    if (!value || json_object_set_new(object, key, value)) {
        *good = false;
        return NULL;
    }
    return value;
}

json_t *vmscm_bill_add(bool *good, json_t *list, json_t *value)
{
    if (!value || json_array_append_new(list, value)) {
        *good = false;
        return NULL;
    }
    return value;
}
