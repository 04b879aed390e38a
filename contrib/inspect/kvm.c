/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kvm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID_MAX 64

/* The kernel's, another one each time it is booted; "" if it tells none. */
static void read_line(char line[ID_MAX], const char *path)
{
    FILE *file = fopen(path, "re");

    if (!file || !fgets(line, ID_MAX, file))
        line[0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (file)
        fclose(file);
}

/* The user's own: nobody else has to be trusted. NULL: there is no place. The caller's. */
static char *note_path(int make)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *dir = NULL, *path = NULL, *slash;
    int rc = -1;

    if (cache && *cache == '/')
        rc = asprintf(&dir, "%s/vmscm", cache);
    else if (home && *home == '/')
        rc = asprintf(&dir, "%s/.cache/vmscm", home);
    if (rc < 0)
        return NULL;
    if (make) {
        slash = strrchr(dir, '/');
        *slash = '\0';
        mkdir(dir, 0700);
        *slash = '/';
        mkdir(dir, 0700);
    }
    if (asprintf(&path, "%s/kvm-does-not-work", dir) < 0)
        path = NULL;
    free(dir);
    return path;
}

int kvm_is_worth_it(void)
{
    const char *settings = getenv("LIBGUESTFS_BACKEND_SETTINGS");
    char *path, boot[ID_MAX], noted[ID_MAX] = "";

    if ((settings && strstr(settings, "force_tcg")) || access("/dev/kvm", R_OK | W_OK) != 0)
        return 0;
    read_line(boot, "/proc/sys/kernel/random/boot_id");
    if ((path = note_path(0)))
        read_line(noted, path);
    free(path);
    return !*boot || strcmp(boot, noted) != 0;
}

void kvm_note(void)
{
    char *path = note_path(1), boot[ID_MAX];
    FILE *file;

    read_line(boot, "/proc/sys/kernel/random/boot_id");
    if (path && *boot && (file = fopen(path, "we"))) {
        fprintf(file, "%s\n", boot);
        fclose(file);
    }
    free(path);
}
