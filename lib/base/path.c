/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/path.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

int vmscm_path_join(char **out, const char *dir, const char *name, struct vmscm_error *err)
{
    size_t len = strlen(dir);

    if (name[0] == '/' || len == 0)
        return vmscm_str_dup(out, name, err);
    return vmscm_str_printf(out, err, "%s%s%s", dir, dir[len - 1] == '/' ? "" : "/", name);
}

int vmscm_path_dirname(char **out, const char *path, struct vmscm_error *err)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return vmscm_str_dup(out, ".", err);
    while (slash > path && slash[-1] == '/')
        slash--;
    if (slash == path)
        return vmscm_str_dup(out, "/", err);
    return vmscm_str_printf(out, err, "%.*s", (int)(slash - path), path);
}

const char *vmscm_path_basename(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool vmscm_path_is_confined(const char *path)
{
    if (!*path || strlen(path) > 4095)
        return false;
    for (const char *p = path;; p++) {
        size_t len = strcspn(p, "/");
        if (len == 0 || len > 255 || (len == 1 && p[0] == '.') ||
            (len == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        for (size_t i = 0; i < len; i++)
            if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
                return false;
        p += len;
        if (!*p)
            return true;
    }
}
