/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "installed.h"

#include "memory.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *installed_find(const char *name, const char *dir)
{
    const char *const places[] = {".", dir};
    char exe[4096];
    ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);

    if (len <= 0)
        return NULL;
    exe[len] = '\0';
    *strrchr(exe, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char *path = memory_printf("%s/%s/%s", exe, places[i], name);
        if (access(path, R_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}
