/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/gitpacks.h"
#include "base/endian.h"
#include "base/str.h"
#include "codec/hash.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of version 2, as gitformat-pack(5) has it. */
#define IDX_MAGIC "\377tOc\0\0\0\2"
#define IDX_FANOUT 8
#define IDX_TABLES (IDX_FANOUT + 256 * 4)
#define IDX_TRAILER (2 * VMSCM_HASH_SHA1_SIZE) /* of the pack, and of all that is before it */

#define PACK_HEADER 12
#define PACK_TRAILER VMSCM_HASH_SHA1_SIZE

/* Every object lies between the pack's header and its trailer. */
static bool leads_into_pack(const uint8_t *idx, size_t len, uint64_t pack_size)
{
    if (len < IDX_TABLES + IDX_TRAILER || memcmp(idx, IDX_MAGIC, 8) != 0 ||
        pack_size < PACK_HEADER + PACK_TRAILER)
        return false;
    size_t count = vmscm_get_be32(idx + IDX_TABLES - 4);
    size_t rest = len - IDX_TABLES - IDX_TRAILER; /* an id, a CRC, an offset each; 8 bytes for some */
    if (count > rest / 28 || (rest - count * 28) % 8 != 0)
        return false;
    const uint8_t *offsets = idx + IDX_TABLES + count * 24, *large = offsets + count * 4;
    size_t large_count = (rest - count * 28) / 8;
    for (size_t i = 0; i < count; i++) {
        uint64_t offset = vmscm_get_be32(offsets + 4 * i);
        if (offset >> 31) {
            offset &= 0x7fffffff;
            if (offset >= large_count)
                return false;
            offset = vmscm_get_be64(large + 8 * offset);
        }
        if (offset < PACK_HEADER || offset >= pack_size - PACK_TRAILER)
            return false;
    }
    return true;
}

/* name ends with ".idx". One whose pack is not there, or that is gone meanwhile, is nobody's. */
static int check_index(int dir, const char *objects, const char *name, struct vmscm_error *err)
{
    size_t stem = strlen(name) - strlen(".idx");
    struct stat idx, pack;
    void *map = MAP_FAILED;
    char *pack_name = NULL;
    bool good = false;
    int fd = -1, rc = vmscm_str_printf(&pack_name, err, "%.*s.pack", (int)stem, name);

    if (rc)
        return rc;
    if (fstatat(dir, pack_name, &pack, 0) < 0 ||
        (fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0 || fstat(fd, &idx) < 0) {
        if (errno != ENOENT)
            rc = vmscm_error_errno(err, errno, "%s/pack/%s", objects, name);
        goto out;
    }
    if (S_ISREG(idx.st_mode) && S_ISREG(pack.st_mode) && idx.st_size > 0) {
        map = mmap(NULL, (size_t)idx.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED) {
            rc = vmscm_error_errno(err, errno, "%s/pack/%s", objects, name);
            goto out;
        }
        uint8_t sum[VMSCM_HASH_SHA1_SIZE];
        good = leads_into_pack(map, (size_t)idx.st_size, (uint64_t)pack.st_size);
        if (good && !(rc = vmscm_hash_sha1(sum, map, (size_t)idx.st_size - sizeof sum, err)))
            good = memcmp((uint8_t *)map + idx.st_size - sizeof sum, sum, sizeof sum) == 0;
        munmap(map, (size_t)idx.st_size);
    }
    if (!rc && !good) {
        rc = vmscm_error_set(
            err, VMSCM_EDAMAGED, "%s/pack/%s: index or pack is damaged", objects, name);
        vmscm_error_hint(err, "if the pack is whole, git index-pack %.100s makes the index anew",
            pack_name);
    }
out:
    if (fd >= 0)
        close(fd);
    free(pack_name);
    return rc;
}

int vmscm_gitpacks_check_index(const char *objects, const char *name, struct vmscm_error *err)
{
    char *path = NULL;
    int dir = -1, rc;

    if (!(rc = vmscm_str_printf(&path, err, "%s/pack", objects)) &&
        !(rc = vmscm_file_open(&dir, path, O_RDONLY | O_DIRECTORY, 0, err)))
        rc = check_index(dir, objects, name, err);
    if (dir >= 0)
        close(dir);
    free(path);
    return rc;
}

int vmscm_gitpacks_check(const char *objects, struct vmscm_error *err)
{
    struct dirent *entry;
    char *path = NULL;
    DIR *dir = NULL;
    int rc = vmscm_str_printf(&path, err, "%s/pack", objects);

    if (rc)
        return rc;
    if (!(dir = opendir(path))) {
        if (errno != ENOENT)
            rc = vmscm_error_errno(err, errno, "%s", path);
        goto out;
    }
    while (!rc && (errno = 0, entry = readdir(dir)))
        if (vmscm_str_ends(entry->d_name, ".idx"))
            rc = check_index(dirfd(dir), objects, entry->d_name, err);
    if (!rc && errno)
        rc = vmscm_error_errno(err, errno, "%s", path);
out:
    if (dir)
        closedir(dir);
    free(path);
    return rc;
}
