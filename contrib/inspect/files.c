/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Single files of a guest. Paths are followed within the appliance, where no link leads out of the guest. */
#include "guest.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(char **why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int fail(char **why, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(why, fmt, ap) < 0)
        *why = NULL;
    va_end(ap);
    return 1;
}

static int mount_system(const struct guest *guest, char **why)
{
    char **roots = guestfs_inspect_os(guest->g);
    json_t *unused = facts_object();
    int rc = 0;

    if (!roots || !roots[0]) {
        rc = fail(why, "no operating system was found: --device says in which file system to look");
    } else {
        char *root = guest_mountable(guest, roots[0]);
        system_mount(guest, root, unused);
        free(root);
    }
    json_decref(unused);
    guest_free_strings(roots);
    return rc;
}

/* The guest's name of a disk or a partition; the caller's, NULL: there is none. What is on no disk itself,
 * such as a logical volume, has its own. */
static char *find_device(const struct guest *guest, const char *device)
{
    size_t len = strcspn(device, ":"), index = 0;
    char **devices, *found = NULL, *rest = NULL;
    long number = device[len] ? strtol(device + len + 1, &rest, 10) : 0;

    if (strncmp(device, "/dev/", 5) == 0)
        return strdup(device);
    while (guest->disks[index] &&
        (strlen(guest->disks[index]) != len || strncmp(guest->disks[index], device, len) != 0))
        index++;
    if (!guest->disks[index] || (rest && (*rest || number < 1 || number > 9999)))
        return NULL;
    devices = guestfs_list_devices(guest->g);
    for (size_t i = 0; devices && devices[i] && !found; i++)
        if (i == index && asprintf(&found, number ? "%s%ld" : "%s", devices[i], number) < 0)
            found = NULL;
    guest_free_strings(devices);
    return found;
}

static int mount_device(const struct guest *guest, const char *device, char **why)
{
    char *found = find_device(guest, device);
    int rc = 0;

    if (!found)
        rc = fail(why, "%s: no such device", device);
    else if (guestfs_mount_ro(guest->g, found, "/"))
        rc = fail(why, "%s: %s", device, guestfs_last_error(guest->g));
    free(found);
    return rc;
}

int files_mount(const struct guest *guest, const char *device, char **why)
{
    return device ? mount_device(guest, device, why) : mount_system(guest, why);
}

static json_t *describe(guestfs_h *g, const char *dir, const char *name,
    const struct guestfs_statns *st)
{
    json_t *entry = facts_object();
    char *path = NULL;

    facts_text(entry, "name", name);
    facts_number(entry, "mode", st->st_mode);
    facts_number(entry, "uid", st->st_uid);
    facts_number(entry, "gid", st->st_gid);
    facts_number(entry, "size", st->st_size);
    facts_number(entry, "mtime", st->st_mtime_sec);
    if ((st->st_mode & 0170000) == 0120000 && asprintf(&path, "%s/%s", dir, name) >= 0) {
        facts_own(entry, "target", guestfs_readlink(g, path));
        free(path);
    }
    return entry;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Of what is in a directory; NULL: it cannot be read. */
static json_t *list_directory(guestfs_h *g, const char *path)
{
    char **names = guestfs_ls(g, path);
    struct guestfs_statns_list *stats;
    json_t *list = facts_list();
    size_t count = 0;

    while (names && names[count])
        count++;
    if (count)
        qsort(names, count, sizeof *names, by_name);
    stats = names ? guestfs_lstatnslist(g, path, names) : NULL;
    for (uint32_t i = 0; stats && i < stats->len && i < count; i++)
        if (!facts_add(list, describe(g, path, names[i], &stats->val[i])))
            break;
    if (!stats) {
        json_decref(list);
        list = NULL;
    }
    guestfs_free_statns_list(stats);
    guest_free_strings(names);
    return list;
}

int files_list(const struct guest *guest, const char *path, const char *device, char **why)
{
    guestfs_h *g = guest->g;
    struct guestfs_statns *st;
    json_t *list;
    int rc = files_mount(guest, device, why);

    if (rc)
        return rc;
    if (guestfs_is_dir_opts(g, path, GUESTFS_IS_DIR_OPTS_FOLLOWSYMLINKS, 1, -1) == 1) {
        list = list_directory(g, path);
    } else {
        char *dir = strdup(path), *slash = dir ? strrchr(dir, '/') : NULL;
        if (slash)
            *slash = '\0';
        list = NULL;
        if (slash && (st = guestfs_lstatns(g, path))) {
            list = facts_list();
            facts_add(list, describe(g, dir, strrchr(path, '/') + 1, st));
            guestfs_free_statns(st);
        }
        free(dir);
    }
    if (!list)
        return fail(why, "%s", guestfs_last_error(g));
    rc = json_dumpf(list, stdout, JSON_COMPACT) || putchar('\n') == EOF || fflush(stdout) ||
        ferror(stdout);
    json_decref(list);
    return rc ? fail(why, "cannot write") : 0;
}

int files_read(const struct guest *guest, const char *path, const char *device, char **why)
{
    guestfs_h *g = guest->g;
    int rc = files_mount(guest, device, why);

    if (rc)
        return rc;
    /* A device or a pipe has no bytes of its own. */
    rc = guestfs_is_file_opts(g, path, GUESTFS_IS_FILE_OPTS_FOLLOWSYMLINKS, 1, -1);
    if (rc == 0)
        return fail(why, "%s: no regular file", path);
    if (rc < 0 || guestfs_download(g, path, "/dev/stdout"))
        return fail(why, "%s", guestfs_last_error(g));
    return 0;
}
