/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target of contrib/inspect's readers of Debian's copyright files: the first byte says whether the rest
 * is one, or an archive of them. */
#include "copyright.h"
#include "doctar.h"
#include "inspect/licenseid.h"
#include "memfile.h"

#include <string.h>

static void read_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *license;

    if (!text)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    vmscm_licenseid_is_expression(text);
    license = copyright_license(text);
    /* What it is turned into, others can rely on. */
    if (license && (strlen(license) > COPYRIGHT_LICENSE_MAX || !vmscm_licenseid_is_expression(license)))
        abort();
    free(license);
    free(text);
}

static void read_archive(const uint8_t *data, size_t size)
{
    json_t *licenses = facts_object(), *links = facts_object();
    static int fd = -1;
    const char *name;
    json_t *value;

    memfile_set(&fd, data, size);
    if (lseek(fd, 0, SEEK_SET) != 0)
        abort();
    doctar_read(fd, licenses, links);
    json_object_foreach (links, name, value)
        doctar_find(licenses, links, name);
    json_decref(licenses);
    json_decref(links);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && data[0] & 1)
        read_archive(data + 1, size - 1);
    else if (size)
        read_text(data + 1, size - 1);
    return 0;
}
