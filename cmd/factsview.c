/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "factsview.h"

#include "text.h"
#include <stdlib.h>
#include <string.h>
#include <vmscm/inspect.h>

#define NAMES_SHOWN 8

int factsview_json(json_t **out, struct vmscm_revision *rev, struct vmscm_error *err)
{
    char *facts = NULL;
    int rc = vmscm_inspect_read(&facts, rev, err);

    *out = facts ? json_loads(facts, 0, NULL) : NULL;
    vmscm_free(facts);
    if (rc == VMSCM_ENOTFOUND) {
        *err = (struct vmscm_error)VMSCM_ERROR_INIT;
        rc = 0;
    }
    if (!rc && !*out)
        *out = json_null();
    return rc;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static void print_list(const char *title, const json_t *list, const char *key)
{
    size_t len = json_array_size(list);

    if (len == 0)
        return;
    printf("  %s: ", title);
    for (size_t i = 0; i < len && i < NAMES_SHOWN; i++) {
        const json_t *item = json_array_get(list, i);
        if (i)
            fputs(", ", stdout);
        text_put(stdout, key ? text_of(item, key) : json_string_value(item));
    }
    if (len > NAMES_SHOWN)
        printf(" and %zu more", len - NAMES_SHOWN);
    putchar('\n');
}

static void print_network(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list) && i < NAMES_SHOWN; i++) {
        const json_t *entry = json_array_get(list, i), *all = json_object_get(entry, "addresses");
        fputs("  network: ", stdout);
        text_put(stdout, text_of(entry, "interface"));
        fputs(", ", stdout);
        text_put(stdout, text_of(entry, "method"));
        for (size_t k = 0; k < json_array_size(all) && k < NAMES_SHOWN; k++) {
            fputs(", ", stdout);
            text_put(stdout, json_string_value(json_array_get(all, k)));
        }
        putchar('\n');
    }
    if (json_array_size(list) > NAMES_SHOWN)
        printf("  network: %zu more\n", json_array_size(list) - NAMES_SHOWN);
}

static void print_system(const json_t *system)
{
    static const struct {
        const char *title, *key;
    } texts[] = {{"build", "build"}, {"edition", "edition"}, {"domain", "domain"}, {"time zone", "timezone"},
        {"boots", "default_boot"}, {"installed", "installed"}, {"last patch", "last_patch"},
        {"last boot", "last_boot"}, {"last shutdown", "last_shutdown"}};
    size_t applications = json_array_size(json_object_get(system, "applications"));

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (*text_of(system, texts[i].key)) {
            printf("  %s: ", texts[i].title);
            text_put(stdout, text_of(system, texts[i].key));
            putchar('\n');
        }
    if (applications)
        printf("  applications: %zu\n", applications);
    print_list("users", json_object_get(system, "users"), "name");
    print_list("kernels", json_object_get(system, "kernels"), NULL);
    print_list("services", json_object_get(system, "services"), NULL);
    print_network(json_object_get(system, "network"));
    print_list("swap", json_object_get(system, "swap"), NULL);
    print_list("guest agents", json_object_get(system, "agents"), NULL);
    print_list("patches", json_object_get(system, "patches"), "name");
    print_list("licenses", json_object_get(system, "licenses"), "name");
}

static void print_filesystems(const json_t *list)
{
    char size[TEXT_MAX];

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *fs = json_array_get(list, i);
        fputs("  ", stdout);
        text_put(stdout, text_of(fs, "device"));
        fputs(": ", stdout);
        text_put(stdout, text_of(fs, "type"));
        if (json_object_get(fs, "size"))
            printf(", %s",
                text_size(size, (uint64_t)json_integer_value(json_object_get(fs, "size"))));
        if (json_is_true(json_object_get(fs, "opaque")))
            fputs(", opaque", stdout);
        putchar('\n');
    }
}

int factsview_print(struct vmscm_revision *rev, struct vmscm_error *err)
{
    char *facts = NULL, *summary = NULL;
    json_t *root = NULL;
    int rc = vmscm_inspect_read(&facts, rev, err);

    if (rc == VMSCM_ENOTFOUND) {
        *err = (struct vmscm_error)VMSCM_ERROR_INIT;
        return 0;
    }
    if (rc || (rc = vmscm_inspect_summary(&summary, facts, err)))
        goto out;
    root = json_loads(facts, 0, NULL);
    fputs("\nInside: ", stdout);
    text_put(stdout, summary);
    putchar('\n');
    const json_t *systems = json_object_get(root, "systems");
    for (size_t i = 0; i < json_array_size(systems); i++)
        print_system(json_array_get(systems, i));
    print_filesystems(json_object_get(root, "filesystems"));
out:
    json_decref(root);
    vmscm_free(summary);
    vmscm_free(facts);
    return rc;
}
