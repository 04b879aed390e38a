/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "factsdiff.h"

#include "memory.h"
#include "table.h"
#include "text.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vmscm/inspect.h>

struct side {
    struct vmscm_revision *rev;
    char *facts;   /* NULL: there are none */
    char *summary; /* with facts */
    bool failed;
};

static const char *const kinds[] = {"added", "removed", "changed", "upgraded", "downgraded"};

static int read_side(struct side *side, struct vmscm_error *err)
{
    json_t *parsed;
    const char *status;
    int rc = vmscm_inspect_read(&side->facts, side->rev, err);

    if (rc == VMSCM_ENOTFOUND) {
        *err = (struct vmscm_error)VMSCM_ERROR_INIT;
        return 0;
    }
    if (rc || (rc = vmscm_inspect_summary(&side->summary, side->facts, err)))
        return rc;
    parsed = json_loads(side->facts, 0, NULL);
    status = json_string_value(json_object_get(parsed, "status"));
    side->failed = status && strcmp(status, "failed") == 0;
    json_decref(parsed);
    return 0;
}

static void release(struct side *sides)
{
    for (size_t i = 0; i < 2; i++) {
        vmscm_free(sides[i].facts);
        vmscm_free(sides[i].summary);
    }
}

/* *same: they have the same disks, or one has none: then there is nothing to tell. */
static int read_both(bool *same, struct side *sides, struct vmscm_error *err)
{
    char keys[2][VMSCM_ID_HEX + 1];
    int rc = 0;

    *same = false;
    for (size_t i = 0; i < 2 && !rc; i++)
        rc = vmscm_inspect_key(keys[i], sides[i].rev, err);
    if (rc == VMSCM_ENOTFOUND) {
        *err = (struct vmscm_error)VMSCM_ERROR_INIT;
        *same = true;
        return 0;
    }
    *same = !rc && strcmp(keys[0], keys[1]) == 0;
    for (size_t i = 0; i < 2 && !rc && !*same; i++)
        rc = read_side(&sides[i], err);
    return rc;
}

static bool is_known(const struct side *side)
{
    return side->facts && !side->failed;
}

static int add_json(void *data, const struct vmscm_inspect_change *change)
{
    json_t *object = json_add(data, json_object());

    json_put(object, "system", *change->system ? json_text(change->system) : json_null());
    json_put(object, "what", json_text(change->what));
    json_put(object, "change", json_text(kinds[change->kind]));
    json_put(object, "name", json_text(change->name));
    json_put(object, "before", json_text(change->before));
    json_put(object, "after", json_text(change->after));
    return 0;
}

int factsdiff_json(json_t **out, struct vmscm_revision *before, struct vmscm_revision *after,
    struct vmscm_error *err)
{
    struct side sides[2] = {{before, NULL, NULL, false}, {after, NULL, NULL, false}};
    json_t *changes = NULL;
    bool same;
    int rc = read_both(&same, sides, err);

    *out = NULL;
    if (rc)
        goto out;
    if (same) {
        *out = json_null();
        goto out;
    }
    if (is_known(&sides[0]) && is_known(&sides[1])) {
        changes = json_array();
        if ((rc = vmscm_inspect_compare(sides[0].facts, sides[1].facts, add_json, changes, err)))
            goto out;
    }
    *out = json_object();
    json_put(*out, "before", json_text(sides[0].summary));
    json_put(*out, "after", json_text(sides[1].summary));
    json_put(*out, "changes", changes ? json_incref(changes) : json_null());
out:
    json_decref(changes);
    release(sides);
    return rc;
}

struct listing {
    struct table *table;
    size_t counts[5], total; /* of packages, by kind; of all */
};

static int add_row(void *data, const struct vmscm_inspect_change *change)
{
    struct listing *listing = data;

    listing->total++;
    if (strcmp(change->what, "package") == 0)
        listing->counts[change->kind]++;
    table_cell(listing->table, "%s", change->what);
    table_cell(listing->table, "%s", kinds[change->kind]);
    table_cell(listing->table, "%s", change->name);
    table_cell(listing->table, "%s", change->before ? change->before : "");
    table_cell(listing->table, "%s", change->after ? change->after : "");
    return 0;
}

static void print_packages(const struct listing *listing)
{
    const char *before = "packages: ";

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (listing->counts[i]) {
            printf("%s%zu %s", before, listing->counts[i], kinds[i]);
            before = ", ";
        }
    if (*before == ',')
        putchar('\n');
}

static void print_unknown(const struct side *side)
{
    char id[TEXT_MAX];

    text_id(id, vmscm_revision_id(side->rev));
    if (side->failed) {
        printf("inside %s: not known, inspection ", id);
        text_put(stdout, side->summary);
        putchar('\n');
    } else {
        printf("inside %s: not known; 'vmscm inspect %s' finds out\n", id, id);
    }
}

int factsdiff_print(struct vmscm_revision *before, struct vmscm_revision *after,
    struct vmscm_error *err)
{
    static const char *const columns[] = {"INSIDE", "CHANGE", "NAME", "BEFORE", "AFTER", NULL};
    struct side sides[2] = {{before, NULL, NULL, false}, {after, NULL, NULL, false}};
    struct listing listing = {table_new(columns), {0}, 0};
    bool same;
    int rc = read_both(&same, sides, err);

    if (rc || same)
        goto out;
    for (size_t i = 0; i < 2; i++)
        if (!is_known(&sides[i]))
            print_unknown(&sides[i]);
    if (!is_known(&sides[0]) || !is_known(&sides[1]))
        goto out;
    rc = vmscm_inspect_compare(sides[0].facts, sides[1].facts, add_row, &listing, err);
    if (!rc && listing.total) {
        table_print(listing.table, "");
        print_packages(&listing);
    } else if (!rc) {
        puts("inside: nothing that was looked at differs");
    }
out:
    table_free(listing.table);
    release(sides);
    return rc;
}
