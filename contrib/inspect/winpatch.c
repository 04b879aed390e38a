/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Updates of a Windows guest and when the last one came, as the hive SOFTWARE has them: servicing's
 * packages since Vista; before, installers of hotfixes and service packs kept two lists.
 */
#include "registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define PACKAGES_MAX 2000 /* that are looked at: each takes some calls */
#define NUMBER_MAX 16     /* bytes of "KB4012212" */
#define LEVELS 3          /* of keys: product, service pack it comes with, update */
enum { INSTALLED = 0x70, SUPERSEDED = 0x50 }; /* states of a package */

struct patches {
    json_t *system, *list;
    unsigned looked, level;
};

/* What Microsoft's updates are called by, "KB4012212" or formerly "Q147222", if text begins so; else "". */
static const char *number_at(char out[NUMBER_MAX], const char *text)
{
    size_t kind = strncasecmp(text, "KB", 2) == 0 ? 2 : strncasecmp(text, "Q", 1) == 0 ? 1 : 0;
    size_t digits = kind ? strspn(text + kind, "0123456789") : 0;

    if (digits < 5 || digits > 10)
        digits = kind = 0;
    snprintf(out, NUMBER_MAX, "%s%.*s", kind == 2 ? "KB" : kind ? "Q" : "", (int)digits, text + kind);
    return out;
}

static void add(struct patches *p, const char *number, int64_t seconds)
{
    json_t *patch = facts_find(p->list, "name", number);

    if (!patch) {
        patch = facts_object();
        facts_text(patch, "name", number);
        if (!facts_add(p->list, patch))
            return;
    }
    facts_later(patch, "date", seconds);
}

/* What came by a rollup is not in its name, but mostly in that of the file it came with. */
static void number_of_package(guestfs_h *g, int64_t node, const char *name, char number[NUMBER_MAX])
{
    char *from;

    if (!*number_at(number, name + strlen("Package_for_")) &&
        (from = registry_text(g, node, "InstallLocation"))) {
        for (const char *at = from; !*number && (at = strcasestr(at, "KB")); at++)
            number_at(number, at);
        free(from);
    }
}

static void look_at_package(guestfs_h *g, int64_t node, const char *name, void *data)
{
    struct patches *p = data;
    char number[NUMBER_MAX];
    int64_t state, high, low, when = 0;

    /* Parts are called Package_1_for_KB4012212. */
    if (strncmp(name, "Package_for_", strlen("Package_for_")) != 0 || p->looked++ >= PACKAGES_MAX)
        return;
    state = registry_number(g, node, "CurrentState");
    if (state != INSTALLED && state != SUPERSEDED)
        return;
    high = registry_number(g, node, "InstallTimeHigh");
    low = registry_number(g, node, "InstallTimeLow");
    if (high >= 0 && low >= 0)
        when = registry_ticks((uint64_t)high << 32 | (uint64_t)low);
    facts_later(p->system, "last_patch", when);
    number_of_package(g, node, name, number);
    if (state == INSTALLED && *number)
        add(p, number, when);
}

static void look_at_hotfix(guestfs_h *g, int64_t node, const char *name, void *data)
{
    struct patches *p = data;
    char number[NUMBER_MAX];

    if (*number_at(number, name) && p->looked++ < PACKAGES_MAX && registry_number(g, node, "Installed") == 1)
        add(p, number, 0);
}

/* "4/12/2007", month first; 0: it is none. Of the day, which is all that is said, the beginning. */
static int64_t day_of(const char *text)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%m/%d/%Y", &tm);

    return end && !*end ? timegm(&tm) : 0;
}

static void look_at_update(guestfs_h *g, int64_t node, const char *name, void *data)
{
    struct patches *p = data;
    char number[NUMBER_MAX], *said;

    if (p->looked++ >= PACKAGES_MAX)
        return;
    if (*number_at(number, name)) {
        said = registry_text(g, node, "InstalledDate");
        int64_t when = said ? day_of(said) : 0;
        free(said);
        add(p, number, when);
        facts_later(p->system, "last_patch", when);
    } else if (p->level < LEVELS) {
        p->level++;
        registry_each(g, node, look_at_update, p);
        p->level--;
    }
}

static int by_name(const void *a, const void *b)
{
    return strverscmp(facts_get(*(json_t *const *)a, "name"), facts_get(*(json_t *const *)b, "name"));
}

/* In the order of their numbers: the registry's is another one each time. */
static void put_sorted(json_t *system, json_t *list)
{
    size_t count = json_array_size(list);
    json_t **items = calloc(count + 1, sizeof *items), *sorted = facts_list();

    for (size_t i = 0; items && i < count; i++)
        items[i] = json_array_get(list, i);
    if (items)
        qsort(items, count, sizeof *items, by_name);
    for (size_t i = 0; items && i < count; i++)
        facts_add(sorted, json_incref(items[i]));
    free(items);
    json_decref(list);
    facts_put(system, "patches", sorted);
}

void winpatch_read(guestfs_h *g, int64_t software, json_t *system)
{
    static const char results[] =
        "Microsoft\\Windows\\CurrentVersion\\WindowsUpdate\\Auto Update\\Results\\Install";
    static const struct {
        const char *path;
        void (*each)(guestfs_h *g, int64_t child, const char *name, void *data);
    } lists[] = {{"Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\Packages", look_at_package},
        {"Microsoft\\Windows NT\\CurrentVersion\\HotFix", look_at_hotfix},
        {"Microsoft\\Updates", look_at_update}};
    struct patches patches = {system, facts_list(), 0, 1};
    struct tm tm = {0};
    /* Till Windows 8.1 Windows Update says so itself, "2019-05-01 12:00:00" in UTC. */
    char *said = registry_text(g, registry_path(g, software, results), "LastSuccessTime");

    if (said && strptime(said, "%Y-%m-%d %H:%M:%S", &tm))
        facts_later(system, "last_patch", timegm(&tm));
    free(said);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        patches.looked = 0;
        registry_each(g, registry_path(g, software, lists[i].path), lists[i].each, &patches);
    }
    put_sorted(system, patches.list);
}
