/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When packages came, and what is installed for all users beside the system's own packages. */
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATABASE_MAX ((size_t)16 << 20)
#define SINGLE_MAX 500 /* files that are read one by one */
#define JSON_FILE_MAX ((size_t)256 << 10)

static json_t *add(
    json_t *apps, const char *name, const char *version, const char *path, const char *origin)
{
    json_t *app = facts_object();

    facts_text(app, "name", name);
    facts_text(app, "version", version);
    facts_text(app, "path", path);
    facts_text(app, "origin", origin);
    return facts_add(apps, app) ? app : NULL;
}

/* "1.2.4-r2": what is behind the dash is the package's own release. */
static void put_apk(json_t *app, const char *key, char *value)
{
    char *dash = strcmp(key, "version") == 0 ? strrchr(value, '-') : NULL;

    if (dash && dash[1] == 'r') {
        *dash = '\0';
        facts_text(app, "release", dash + 1);
    }
    facts_text(app, key, value);
}

/* apk-tools' database of what is installed: "K:VALUE", and an empty line behind each package. */
void packages_read_apk(guestfs_h *g, json_t *apps)
{
    static const struct {
        char letter;
        const char *key;
    } members[] = {
        {'V', "version"}, {'A', "arch"}, {'L', "license"}, {'o', "source"}, {'m', "publisher"}};
    size_t size;
    char *text = guest_bytes(g, "/lib/apk/db/installed", DATABASE_MAX, &size), *rest = text, *line;
    json_t *app = NULL;

    while ((line = strsep(&rest, "\n"))) {
        if (line[0] == 'P' && line[1] == ':')
            app = add(apps, line + 2, NULL, NULL, NULL);
        else if (!*line)
            app = NULL;
        for (size_t i = 0; app && *line && line[1] == ':' && i < sizeof members / sizeof members[0];
             i++)
            if (line[0] == members[i].letter)
                put_apk(app, members[i].key, line + 2);
    }
    free(text);
}

static struct guestfs_statns_list *stat_all(guestfs_h *g, const char *dir, char **names)
{
    return names && names[0] ? guestfs_lstatnslist(g, dir, names) : NULL;
}

/* Of dpkg, which writes a package's list of files when it unpacks it: NAME.list or NAME:ARCH.list.
 */
static void put_deb_dates(guestfs_h *g, json_t *apps)
{
    static const char dir[] = "/var/lib/dpkg/info", end[] = ".list";
    char **names = guestfs_is_dir(g, dir) == 1 ? guestfs_ls(g, dir) : NULL;
    json_t *times = facts_object();
    size_t kept = 0;

    for (size_t i = 0; names && names[i]; i++) {
        size_t len = strlen(names[i]);
        if (len > strlen(end) && strcmp(names[i] + len - strlen(end), end) == 0) {
            char *name = names[i];
            names[i] = names[kept];
            names[kept++] = name;
        }
    }
    for (size_t i = kept; names && names[i]; i++) {
        free(names[i]);
        names[i] = NULL;
    }
    struct guestfs_statns_list *stats = stat_all(g, dir, names);
    for (uint32_t i = 0; stats && i < stats->len && i < kept; i++) {
        names[i][strlen(names[i]) - strlen(end)] = '\0';
        /* A name that is no UTF-8 is no package's. */
        json_object_set_new(times, names[i], json_integer(stats->val[i].st_mtime_sec));
    }
    for (size_t i = 0; i < json_array_size(apps); i++) {
        json_t *app = json_array_get(apps, i), *time;
        char name[512];
        snprintf(name, sizeof name, "%s:%s", facts_get(app, "name"), facts_get(app, "arch"));
        time = json_object_get(times, name);
        if (!time)
            time = json_object_get(times, facts_get(app, "name"));
        facts_date(app, "date", json_integer_value(time));
    }
    guestfs_free_statns_list(stats);
    guest_free_strings(names);
    json_decref(times);
}

/* Nothing else writes to the database of packages than who installs or removes one. */
static void put_last_patch(guestfs_h *g, json_t *system)
{
    static const char *const databases[] = {"/var/lib/dpkg/status", "/var/lib/rpm/rpmdb.sqlite",
        "/var/lib/rpm/Packages.db", "/var/lib/rpm/Packages", "/usr/lib/sysimage/rpm/rpmdb.sqlite",
        "/usr/lib/sysimage/rpm/Packages.db", "/lib/apk/db/installed", "/var/lib/pacman/local"};
    int64_t newest = 0;

    for (size_t i = 0; i < sizeof databases / sizeof databases[0]; i++) {
        int64_t time = guest_time(g, databases[i]);
        newest = time > newest ? time : newest;
    }
    facts_date(system, "last_patch", newest);
}

/* Installers leave these. */
static void put_installed(guestfs_h *g, json_t *system)
{
    static const char *const signs[] = {"/var/log/installer/status", "/var/log/installer/syslog",
        "/root/anaconda-ks.cfg", "/var/log/anaconda/anaconda.log", "/var/adm/autoinstall/logs",
        "/var/log/YaST2/y2start.log"};
    int64_t time = 0;

    for (size_t i = 0; i < sizeof signs / sizeof signs[0] && !time; i++)
        time = guest_time(g, signs[i]);
    facts_date(system, "installed", time);
}

/* KIND/ID/ARCH/BRANCH; a runtime's branch is its version, an application's mostly "stable". */
static void read_flatpak(guestfs_h *g, json_t *apps)
{
    static const char *const patterns[] = {
        "/var/lib/flatpak/app/*/*/*/active", "/var/lib/flatpak/runtime/*/*/*/active"};

    for (size_t k = 0; k < 2; k++) {
        char **paths = guest_glob(g, patterns[k]);
        for (size_t i = 0; paths && paths[i]; i++) {
            char *parts[3], *path = paths[i];
            *strrchr(path, '/') = '\0';
            char *whole = strdup(path);
            for (size_t n = 3; n-- > 0;) {
                char *slash = strrchr(path, '/');
                *slash = '\0';
                parts[n] = slash + 1;
            }
            int number = parts[2][0] >= '0' && parts[2][0] <= '9';
            json_t *app = add(apps, parts[0], number ? parts[2] : NULL, whole, "flatpak");
            if (app)
                facts_text(app, "arch", parts[1]);
            free(whole);
        }
        guest_free_strings(paths);
    }
}

/* NAME_REVISION.snap, maybe of several revisions. What programs themselves call their version is
 * within. */
static void read_snaps(guestfs_h *g, json_t *apps)
{
    char **paths = guest_glob(g, "/var/lib/snapd/snaps/*.snap");

    for (size_t i = 0; paths && paths[i]; i++) {
        char *name = strdup(guest_base_name(paths[i])), *mark = name ? strrchr(name, '_') : NULL;
        if (mark) {
            *mark++ = '\0';
            mark[strcspn(mark, ".")] = '\0';
            json_t *app = add(apps, name, NULL, paths[i], "snap");
            if (app)
                facts_text(app, "release", mark);
        }
        free(name);
    }
    guest_free_strings(paths);
}

/* "NAME-VERSION.dist-info", "NAME-VERSION-py3.11.egg-info": no name or version of Python's has a
 * dash. */
static void add_python(json_t *apps, const char *path)
{
    char *name = strdup(guest_base_name(path)), *version = name ? strchr(name, '-') : NULL, *end;

    if (version) {
        *version++ = '\0';
        if ((end = strstr(version, ".dist-info")) || (end = strstr(version, ".egg-info")))
            *end = '\0';
        version[strcspn(version, "-")] = '\0';
        add(apps, name, version, path, "pip");
    }
    free(name);
}

/* What pip installed for all: Debian's has a directory of its own, elsewhere its files say so. */
static void read_pip(guestfs_h *g, json_t *apps)
{
    static const char *const own[] = {"/usr/local/lib/python3*/*-packages/*.dist-info",
        "/usr/local/lib/python3*/*-packages/*.egg-info",
        "/usr/local/lib64/python3*/site-packages/*.dist-info",
        "/usr/local/lib/python2*/*-packages/*-info"};
    static const char *const shared[] = {"/usr/lib/python3*/site-packages/*.dist-info/INSTALLER",
        "/usr/lib64/python3*/site-packages/*.dist-info/INSTALLER"};

    for (size_t k = 0; k < sizeof own / sizeof own[0]; k++) {
        char **paths = guest_glob(g, own[k]);
        for (size_t i = 0; paths && paths[i]; i++)
            add_python(apps, paths[i]);
        guest_free_strings(paths);
    }
    for (size_t k = 0; k < sizeof shared / sizeof shared[0]; k++) {
        char **paths = guest_glob(g, shared[k]);
        for (size_t i = 0; paths && paths[i] && i < SINGLE_MAX; i++) {
            char **lines = guest_lines(g, paths[i]);
            if (lines && lines[0] && strcmp(lines[0], "pip") == 0) {
                *strrchr(paths[i], '/') = '\0';
                add_python(apps, paths[i]);
            }
            guest_free_strings(lines);
        }
        guest_free_strings(paths);
    }
}

static void read_npm(guestfs_h *g, json_t *apps)
{
    static const char *const patterns[] = {"/usr/local/lib/node_modules/*/package.json",
        "/usr/local/lib/node_modules/@*/*/package.json", "/usr/lib/node_modules/*/package.json",
        "/usr/lib/node_modules/@*/*/package.json"};

    for (size_t k = 0; k < sizeof patterns / sizeof patterns[0]; k++) {
        char **paths = guest_glob(g, patterns[k]);
        for (size_t i = 0; paths && paths[i] && i < SINGLE_MAX; i++) {
            size_t size;
            char *text = guest_bytes(g, paths[i], JSON_FILE_MAX, &size);
            json_t *package = text ? json_loadb(text, size, 0, NULL) : NULL;
            if (*facts_get(package, "name")) {
                *strrchr(paths[i], '/') = '\0';
                json_t *app = add(apps, facts_get(package, "name"), facts_get(package, "version"),
                    paths[i], "npm");
                if (app)
                    facts_text(app, "license", facts_get(package, "license"));
            }
            json_decref(package);
            free(text);
        }
        guest_free_strings(paths);
    }
}

void packages_read(guestfs_h *g, json_t *system)
{
    json_t *apps = facts_list_of(system, "applications");

    if (strcmp(facts_get(system, "package_format"), "deb") == 0) {
        put_deb_dates(g, apps);
        licenses_read_deb(g, apps);
    }
    read_flatpak(g, apps);
    read_snaps(g, apps);
    read_pip(g, apps);
    read_npm(g, apps);
    put_last_patch(g, system);
    put_installed(g, system);
}
