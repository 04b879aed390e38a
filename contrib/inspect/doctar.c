/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Of the archive, POSIX.1-1988's ustar with GNU's additions, only short names are of interest: "./PACKAGE"
 * and "./PACKAGE/copyright". What says that a longer name follows is passed over, as is what it is for. */
#include "doctar.h"
#include "copyright.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 512
#define LINKS_MAX 8 /* from one to the next */

struct archive {
    int fd;
    size_t left; /* that may be read */
};

static int read_all(struct archive *a, char *to, size_t size)
{
    if (size > a->left)
        return -1;
    a->left -= size;
    while (size) {
        ssize_t n = read(a->fd, to, size);
        if (n == 0 || (n < 0 && errno != EINTR))
            return -1;
        to += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int skip(struct archive *a, size_t size)
{
    char block[16 * BLOCK];

    while (size) {
        size_t part = size < sizeof block ? size : sizeof block;
        if (read_all(a, block, part))
            return -1;
        size -= part;
    }
    return 0;
}

/* Octal digits; -1: it is none, or larger than any that matters. */
static int64_t number(const char *at, size_t size)
{
    int64_t value = 0;
    size_t i = 0;

    while (i < size && at[i] == ' ')
        i++;
    for (; i < size && at[i] >= '0' && at[i] <= '7'; i++) {
        value = value * 8 + (at[i] - '0');
        if (value > (int64_t)1 << 40)
            return -1;
    }
    return i < size && at[i] != '\0' && at[i] != ' ' ? -1 : value;
}

static int is_right(const char *block)
{
    int64_t sum = 0;

    for (size_t i = 0; i < BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : (unsigned char)block[i];
    return number(block + 148, 8) == sum;
}

/* Into package: what "./PACKAGE" or "./PACKAGE/copyright" is of, or, of a link, "../PACKAGE/copyright". */
static int package_of(char *package, size_t size, const char *name)
{
    size_t len;

    if (strncmp(name, "./", 2) == 0)
        name += 2;
    if (strncmp(name, "../", 3) == 0)
        name += 3;
    len = strcspn(name, "/");
    if (!len || len >= size || name[0] == '.' ||
        (name[len] && name[len + 1] && strcmp(name + len, "/copyright") != 0))
        return -1;
    memcpy(package, name, len);
    package[len] = '\0';
    return 0;
}

static int read_file(struct archive *a, size_t size, const char *package, json_t *licenses)
{
    char *text = malloc(size + 1), *license;

    if (!text || read_all(a, text, size)) {
        free(text);
        return -1;
    }
    text[size] = '\0';
    if (json_object_size(licenses) < DOCTAR_PACKAGES_MAX && (license = copyright_license(text)))
        facts_own(licenses, package, license);
    free(text);
    return skip(a, (BLOCK - size % BLOCK) % BLOCK);
}

static int read_entry(struct archive *a, const char *block, json_t *licenses, json_t *links)
{
    char name[101] = "", to[101] = "", package[101], other[101];
    int64_t size = number(block + 124, 12);
    char kind = block[156];
    const char *end = "/copyright";

    memcpy(name, block, 100);
    memcpy(to, block + 157, 100);
    if (size < 0)
        return -1;
    /* A link has a size for those who make it a file. */
    if (kind == '1' || kind == '2')
        size = 0;
    if (package_of(package, sizeof package, name))
        return skip(a, ((size_t)size + BLOCK - 1) / BLOCK * BLOCK);
    size_t len = strlen(name);
    int is_file = len > strlen(end) && strcmp(name + len - strlen(end), end) == 0;
    if ((kind == '0' || kind == '\0') && is_file && (size_t)size <= DOCTAR_FILE_MAX)
        return read_file(a, (size_t)size, package, licenses);
    if ((kind == '1' || kind == '2') && json_object_size(links) < DOCTAR_PACKAGES_MAX &&
        package_of(other, sizeof other, to) == 0 && strcmp(other, package) != 0)
        facts_text(links, package, other);
    return skip(a, ((size_t)size + BLOCK - 1) / BLOCK * BLOCK);
}

void doctar_read(int fd, json_t *licenses, json_t *links)
{
    struct archive archive = {fd, DOCTAR_MAX};
    char block[BLOCK];

    while (read_all(&archive, block, BLOCK) == 0 && is_right(block) &&
        read_entry(&archive, block, licenses, links) == 0)
        ;
}

const char *doctar_find(const json_t *licenses, const json_t *links, const char *package)
{
    for (int i = 0; i <= LINKS_MAX && *package; i++) {
        if (*facts_get(licenses, package))
            return facts_get(licenses, package);
        package = facts_get(links, package);
    }
    return NULL;
}
