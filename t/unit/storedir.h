/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A directory with what a store needs, for each test a new one. */
#ifndef STOREDIR_H
#define STOREDIR_H

#include "sys/file.h"
#include "unit.h"

#include <sys/stat.h>

static char dir[] = "/tmp/vmscm-test-XXXXXX";

static int setup(void **state)
{
    static const char *const subs[] = {"packs", "tmp", "locks"};
    char path[64];

    (void)state;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    if (!mkdtemp(dir))
        return -1;
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, subs[i]);
        if (mkdir(path, 0777))
            return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return vmscm_file_remove_tree(dir, NULL);
}

#endif
