/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One operating system: what libguestfs's inspection says of it. */
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libguestfs writes "unknown" for what it cannot tell. */
static void put_known(json_t *system, const char *key, char *value)
{
    if (value && strcmp(value, "unknown") != 0)
        facts_text(system, key, value);
    free(value);
}

static void put_version(guestfs_h *g, const char *root, json_t *system)
{
    int major = guestfs_inspect_get_major_version(g, root);
    int minor = guestfs_inspect_get_minor_version(g, root);
    char text[32];

    if (major < 0 || minor < 0 || (major == 0 && minor == 0))
        return;
    snprintf(text, sizeof text, "%d.%d", major, minor);
    facts_text(system, "version", text);
}

struct mount {
    const char *path, *device;
};

static int by_depth(const void *a, const void *b)
{
    const char *x = ((const struct mount *)a)->path, *y = ((const struct mount *)b)->path;

    return strlen(x) == strlen(y) ? strcmp(x, y) : strlen(x) < strlen(y) ? -1 : 1;
}

/* Those above others first; what cannot be mounted is told. */
void system_mount(const struct guest *guest, const char *root, json_t *system)
{
    char **pairs = guestfs_inspect_get_mountpoints(guest->g, root);
    size_t count = 0;
    json_t *list = facts_list();
    struct mount *mounts;

    while (pairs && pairs[count * 2] && pairs[count * 2 + 1])
        count++;
    mounts = calloc(count + 1, sizeof *mounts);
    for (size_t i = 0; mounts && i < count; i++)
        mounts[i] = (struct mount){pairs[i * 2], pairs[i * 2 + 1]};
    if (mounts && count)
        qsort(mounts, count, sizeof *mounts, by_depth);
    for (size_t i = 0; mounts && i < count; i++) {
        json_t *mount = facts_object();
        char *device = guest_mountable(guest, mounts[i].device);
        facts_text(mount, "path", mounts[i].path);
        facts_own(mount, "device", guest_device(guest, device));
        if (guestfs_mount_ro(guest->g, device, mounts[i].path))
            facts_text(mount, "error", guestfs_last_error(guest->g));
        free(device);
        facts_add(list, mount);
    }
    facts_put(system, "mounts", list);
    free(mounts);
    guest_free_strings(pairs);
}

static void read_applications(guestfs_h *g, const char *root, json_t *system)
{
    const char *format = facts_get(system, "package_format");
    struct guestfs_application2_list *found = NULL;
    json_t *list = facts_list();

    /* What libguestfs leaves out of these: dates and licenses, if not all. */
    if (strcmp(format, "rpm") == 0) {
        if (rpmdb_read(g, list))
            facts_put(system, "truncated", json_true());
    } else if (strcmp(format, "apk") == 0) {
        packages_read_apk(g, list);
    }
    if (json_array_size(list) == 0)
        found = guestfs_inspect_list_applications2(g, root);

    for (uint32_t i = 0; found && i < found->len; i++) {
        const struct guestfs_application2 *a = &found->val[i];
        json_t *app = facts_object();
        facts_text(app, "name", a->app2_display_name && *a->app2_display_name
                ? a->app2_display_name
                : a->app2_name);
        if (a->app2_epoch)
            facts_number(app, "epoch", a->app2_epoch);
        facts_text(app, "version", a->app2_version);
        facts_text(app, "release", a->app2_release);
        facts_text(app, "arch", a->app2_arch);
        facts_text(app, "publisher", a->app2_publisher);
        facts_text(app, "path", a->app2_install_path);
        facts_text(app, "source", a->app2_source_package);
        if (!facts_add(list, app))
            break;
    }
    guestfs_free_application2_list(found);
    facts_put(system, "applications", list);
}

json_t *system_read(const struct guest *guest, const char *root)
{
    guestfs_h *g = guest->g;
    json_t *system = facts_object();
    char *type = guestfs_inspect_get_type(g, root);
    int windows = type && strcmp(type, "windows") == 0;

    facts_own(system, "root", guest_device(guest, root));
    put_known(system, "type", type);
    put_known(system, "distro", guestfs_inspect_get_distro(g, root));
    put_known(system, "product", guestfs_inspect_get_product_name(g, root));
    put_known(system, "variant", guestfs_inspect_get_product_variant(g, root));
    put_version(g, root, system);
    put_known(system, "osinfo", guestfs_inspect_get_osinfo(g, root));
    put_known(system, "arch", guestfs_inspect_get_arch(g, root));
    put_known(system, "hostname", guestfs_inspect_get_hostname(g, root));
    put_known(system, "package_format", guestfs_inspect_get_package_format(g, root));
    put_known(system, "package_management", guestfs_inspect_get_package_management(g, root));
    system_mount(guest, root, system);
    if (windows) {
        windows_read(guest, root, system);
    } else {
        read_applications(g, root, system);
        unix_read(g, system);
        packages_read(g, system);
        oracle_read(g, system);
        logins_read(g, system);
        network_read(g, system);
        boot_read(g, system);
        marks_read(g, system);
    }
    if (json_array_size(json_object_get(system, "applications")) >= FACTS_LIST_MAX)
        facts_put(system, "truncated", json_true());
    guestfs_umount_all(g);
    return system;
}
