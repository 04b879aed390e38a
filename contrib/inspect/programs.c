/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is installed in a Windows guest: what "Programs and Features" lists, and products that
 * register elsewhere. */
#include "registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct reading {
    json_t *apps;
    const char *user, *arch; /* or NULL */
};

/* "20230115" */
static void put_date(json_t *app, char *text)
{
    int64_t seconds = 0;
    struct tm tm = {0};

    if (text && strlen(text) == 8 && strspn(text, "0123456789") == 8 &&
        strptime(text, "%Y%m%d", &tm))
        seconds = timegm(&tm);
    facts_date(app, "date", seconds);
    free(text);
}

static void add_installed(guestfs_h *g, int64_t node, const char *key, void *data)
{
    const struct reading *r = data;
    char *name = registry_text(g, node, "DisplayName");
    json_t *app;

    (void)key;
    if (!name || !*name) {
        free(name);
        return;
    }
    app = facts_object();
    facts_own(app, "name", name);
    facts_own(app, "version", registry_text(g, node, "DisplayVersion"));
    facts_own(app, "publisher", registry_text(g, node, "Publisher"));
    facts_own(app, "path", registry_text(g, node, "InstallLocation"));
    put_date(app, registry_text(g, node, "InstallDate"));
    facts_text(app, "arch", r->arch);
    facts_text(app, "user", r->user);
    facts_add(r->apps, app);
}

static void add_oracle(guestfs_h *g, int64_t node, const char *key, void *data)
{
    const struct reading *r = data;
    char *home = registry_text(g, node, "ORACLE_HOME"),
         *name = registry_text(g, node, "ORACLE_HOME_NAME");
    char *bundle = registry_text(g, node, "ORACLE_BUNDLE_NAME");

    (void)key;
    if (home)
        oracle_add_home(r->apps, bundle ? bundle : "home", name, home, "registry");
    free(home);
    free(name);
    free(bundle);
}

/* The years that people know them by. */
static const char *sql_server_year(const char *version)
{
    static const char *const years[][2] = {{"8.", "2000"}, {"9.", "2005"}, {"10.50.", "2008 R2"},
        {"10.", "2008"}, {"11.", "2012"}, {"12.", "2014"}, {"13.", "2016"}, {"14.", "2017"},
        {"15.", "2019"}, {"16.", "2022"}};

    for (size_t i = 0; i < sizeof years / sizeof years[0]; i++)
        if (strncmp(version, years[i][0], strlen(years[i][0])) == 0)
            return years[i][1];
    return NULL;
}

static void add_sql_server(
    guestfs_h *g, int64_t top, const char *instance, const char *id, json_t *apps)
{
    const char *const keys[] = {id, "Setup", NULL};
    int64_t setup = registry_find(g, top, keys);
    char *version = registry_text(g, setup, "PatchLevel"),
         *edition = registry_text(g, setup, "Edition");
    char *name = NULL;
    const char *year;

    if (!version)
        version = registry_text(g, setup, "Version");
    year = version ? sql_server_year(version) : NULL;
    if (setup && asprintf(&name, "Microsoft SQL Server%s%s%s%s, instance %s", year ? " " : "",
                     year ? year : "", edition ? " " : "", edition ? edition : "", instance) >= 0) {
        json_t *app = facts_object();
        facts_own(app, "name", name);
        facts_text(app, "version", version);
        facts_text(app, "publisher", "Microsoft Corporation");
        facts_own(app, "path", registry_text(g, setup, "SQLPath"));
        facts_text(app, "origin", "registry");
        facts_add(apps, app);
    }
    free(version);
    free(edition);
}

/* Instances, each a value that says under which key it is. */
static void read_sql_servers(guestfs_h *g, int64_t top, json_t *apps)
{
    int64_t names = registry_path(g, top, "Instance Names\\SQL");
    struct guestfs_hivex_value_list *values = names ? guestfs_hivex_node_values(g, names) : NULL;

    for (uint32_t i = 0; values && i < values->len && i < 256; i++) {
        char *instance = guestfs_hivex_value_key(g, values->val[i].hivex_value_h);
        char *id = instance && *instance ? registry_text(g, names, instance) : NULL;
        if (id)
            add_sql_server(g, top, instance, id, apps);
        free(id);
        free(instance);
    }
    guestfs_free_hivex_value_list(values);
}

void programs_read(guestfs_h *g, int64_t software, json_t *apps, char **inventory)
{
    static const char installed[] = "Microsoft\\Windows\\CurrentVersion\\Uninstall";
    static const char *const views[] = {"", "Wow6432Node"};

    *inventory = NULL;
    for (size_t i = 0; i < 2; i++) {
        struct reading r = {apps, NULL, i ? "i386" : NULL};
        int64_t view = registry_path(g, software, views[i]),
                oracle = registry_path(g, view, "ORACLE");
        registry_each(g, registry_path(g, view, installed), add_installed, &r);
        registry_each(g, oracle, add_oracle, &r);
        if (!*inventory)
            *inventory = registry_text(g, oracle, "inst_loc");
        read_sql_servers(g, registry_path(g, view, "Microsoft\\Microsoft SQL Server"), apps);
    }
}

void programs_read_user(guestfs_h *g, int64_t top, const char *user, json_t *apps)
{
    static const char *const places[] = {"Software\\Microsoft\\Windows\\CurrentVersion\\Uninstall",
        "Software\\Wow6432Node\\Microsoft\\Windows\\CurrentVersion\\Uninstall"};

    for (size_t i = 0; i < 2; i++) {
        struct reading r = {apps, user, i ? "i386" : NULL};
        registry_each(g, registry_path(g, top, places[i]), add_installed, &r);
    }
}
