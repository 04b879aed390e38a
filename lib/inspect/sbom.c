/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bills of materials of revisions. */
#include <vmscm/sbom.h>

#include "history/ident.h"
#include "inspect/bill.h"
#include "inspect/facts.h"
#include "machine/jsontext.h"
#include <string.h>
#include <vmscm/inspect.h>

int vmscm_sbom_write(char **out, struct vmscm_revision *rev, enum vmscm_sbom_format format,
    struct vmscm_error *err)
{
    const char *machine = vmscm_revision_machine_name(rev), *id = vmscm_revision_id(rev);
    struct vmscm_facts facts = {NULL, 0, false};
    struct vmscm_bill bill = {0};
    json_t *document = NULL;
    char *text = NULL;
    int rc = vmscm_inspect_read(&text, rev, err);

    if (rc == VMSCM_ENOTFOUND)
        vmscm_error_hint(err, "'vmscm inspect %.12s' looks into it", id);
    if (rc || (rc = vmscm_facts_parse(&facts, text, strlen(text), err)))
        goto out;
    if (facts.failed) {
        rc = vmscm_error_set(err, VMSCM_ENOTFOUND, "revision %.12s: its inspection failed: %.300s", id,
            vmscm_facts_text(facts.root, "error"));
        goto out;
    }
    if ((rc = vmscm_bill_init(&bill, facts.root, machine ? machine : "machine", id,
             vmscm_revision_author(rev).time, err)))
        goto out;
    document = format == VMSCM_SBOM_SPDX ? vmscm_spdx_make(&bill) : vmscm_cyclonedx_make(&bill);
    *out = document ? vmscm_jsontext_dump(document, JSON_INDENT(2)) : NULL;
    rc = *out ? 0 : vmscm_error_nomem(err);
out:
    json_decref(document);
    vmscm_bill_release(&bill);
    vmscm_facts_release(&facts);
    vmscm_free(text);
    return rc;
}
