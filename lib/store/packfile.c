/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/packfile.h"
#include "base/path.h"
#include "base/str.h"
#include "codec/checksum.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void vmscm_packfile_format_name(char out[VMSCM_PACKFILE_NAME],
    const uint8_t name[VMSCM_MIDX_NAME_SIZE])
{
    char hex[2 * VMSCM_MIDX_NAME_SIZE + 1];

    vmscm_str_hex(hex, name, VMSCM_MIDX_NAME_SIZE);
    snprintf(out, VMSCM_PACKFILE_NAME, VMSCM_PACKFILE_PREFIX "%s" VMSCM_PACKFILE_SUFFIX, hex);
}

bool vmscm_packfile_parse_name(uint8_t name[VMSCM_MIDX_NAME_SIZE], const char *file)
{
    char hex[2 * VMSCM_MIDX_NAME_SIZE + 1];

    if (strlen(file) != VMSCM_PACKFILE_NAME - 1 ||
        !vmscm_str_starts(file, VMSCM_PACKFILE_PREFIX) ||
        !vmscm_str_ends(file, VMSCM_PACKFILE_SUFFIX))
        return false;
    memcpy(hex, file + strlen(VMSCM_PACKFILE_PREFIX), sizeof hex - 1);
    hex[sizeof hex - 1] = '\0';
    return vmscm_str_unhex(name, VMSCM_MIDX_NAME_SIZE, hex);
}

int vmscm_packfile_new(struct vmscm_packfile **out, const uint8_t name[VMSCM_MIDX_NAME_SIZE],
    struct vmscm_error *err)
{
    struct vmscm_packfile *pack = calloc(1, sizeof *pack);

    if (!pack)
        return vmscm_error_nomem(err);
    memcpy(pack->name, name, sizeof pack->name);
    pack->fd = -1;
    *out = pack;
    return 0;
}

void vmscm_packfile_free(struct vmscm_packfile *pack)
{
    if (!pack)
        return;
    if (pack->fd >= 0)
        close(pack->fd);
    vmscm_packfile_unmap(pack);
    free(pack->path);
    free(pack);
}

/* Map the index only: the records are read with pread, so that a damaged disk is an error and not a
 * signal, and what is read is never counted as memory. */
static int map_index(struct vmscm_packfile *pack, int fd, struct vmscm_error *err)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t start = pack->trailer.index_offset / page * page;
    size_t bytes = (size_t)pack->trailer.entry_count * VMSCM_PACK_ENTRY_SIZE;

    pack->map_len = (size_t)(pack->file_size - start);
    pack->map = mmap(NULL, pack->map_len, PROT_READ, MAP_SHARED, fd, (off_t)start);
    if (pack->map == MAP_FAILED) {
        pack->map = NULL;
        return vmscm_error_errno(err, errno, "%s", pack->path);
    }
    pack->index = (const uint8_t *)pack->map + (pack->trailer.index_offset - start);
    if (vmscm_checksum_64(pack->index, bytes, 0) != pack->trailer.index_checksum)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "%s: index: wrong checksum", pack->path);
    vmscm_packfile_forget(pack);
    return 0;
}

int vmscm_packfile_map(struct vmscm_packfile *pack, const char *dir, struct vmscm_error *err)
{
    uint8_t header[VMSCM_PACK_HEADER_SIZE], trailer[VMSCM_PACK_TRAILER_SIZE];
    struct vmscm_pack_trailer now;
    char file[VMSCM_PACKFILE_NAME];
    uint64_t size;
    struct stat st;
    int fd = -1, rc;

    if (pack->index)
        return 0;
    vmscm_packfile_format_name(file, pack->name);
    if ((!pack->path && (rc = vmscm_path_join(&pack->path, dir, file, err))) ||
        (rc = vmscm_file_open(&fd, pack->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err)))
        goto out;
    if (fstat(fd, &st) < 0) {
        rc = vmscm_error_errno(err, errno, "%s", pack->path);
        goto out;
    }
    size = (uint64_t)st.st_size;
    if (!S_ISREG(st.st_mode) || size < sizeof header + sizeof trailer ||
        size > VMSCM_PACK_FILE_MAX) {
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "%s: not a pack", pack->path);
        goto out;
    }
    if ((rc = vmscm_file_pread(fd, header, sizeof header, 0, pack->path, err)) ||
        (rc = vmscm_file_pread(
             fd, trailer, sizeof trailer, size - sizeof trailer, pack->path, err)))
        goto out;
    if ((rc = vmscm_pack_decode_header(header, err)) ||
        (rc = vmscm_pack_decode_trailer(&now, trailer, size, err))) {
        vmscm_error_prefix(err, "%s", pack->path);
        goto out;
    }
    /* Others may be reading these by now. */
    if (!pack->file_size) {
        pack->file_size = size;
        pack->trailer = now;
    } else if (pack->file_size != size || pack->trailer.index_offset != now.index_offset ||
        pack->trailer.entry_count != now.entry_count ||
        pack->trailer.index_checksum != now.index_checksum) {
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "%s: changed while it was in use", pack->path);
        goto out;
    }
    rc = map_index(pack, fd, err);
out:
    if (fd >= 0)
        close(fd);
    if (rc)
        vmscm_packfile_unmap(pack);
    return rc;
}

void vmscm_packfile_unmap(struct vmscm_packfile *pack)
{
    if (pack->map)
        munmap(pack->map, pack->map_len);
    pack->map = NULL;
    pack->index = NULL;
    pack->map_len = 0;
}

void vmscm_packfile_forget(const struct vmscm_packfile *pack)
{
    madvise(pack->map, pack->map_len, MADV_DONTNEED);
}

bool vmscm_packfile_find(const struct vmscm_packfile *pack, struct vmscm_pack_entry *entry,
    const struct vmscm_id *id)
{
    return vmscm_pack_search(entry, pack->index, pack->trailer.entry_count, id);
}

void vmscm_packfile_entry(const struct vmscm_packfile *pack, struct vmscm_pack_entry *entry,
    uint32_t n)
{
    vmscm_pack_decode_entry(entry, pack->index + (size_t)n * VMSCM_PACK_ENTRY_SIZE);
    entry->number = n;
}
