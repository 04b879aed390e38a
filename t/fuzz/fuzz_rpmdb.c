/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target of contrib/inspect's readers of rpm's databases, and of the headers in them. */
#include "rpmbdb.h"
#include "rpmheader.h"
#include "rpmndb.h"

#include <stdint.h>
#include <stdlib.h>

struct sum {
    json_t *apps;
    size_t calls;
};

static int read_one(void *data, const unsigned char *item, size_t len)
{
    struct sum *sum = data;
    json_t *app = rpmheader_read(item, len);

    if (app)
        facts_add(sum->apps, app);
    return ++sum->calls < 100;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sum sum = {facts_list(), 0};
    char *out;

    rpmbdb_each(data, size, read_one, &sum);
    sum.calls = 0;
    rpmndb_each(data, size, read_one, &sum);
    /* Whatever it was, it can be written. */
    if (!(out = json_dumps(sum.apps, JSON_COMPACT)))
        abort();
    free(out);
    json_decref(sum.apps);
    return 0;
}
