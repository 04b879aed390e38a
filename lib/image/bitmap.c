/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/bitmap.h"
#include "base/buf.h"
#include "base/endian.h"
#include "base/str.h"
#include "image/qemu.h"
#include "image/reader_raw.h"
#include "sys/file.h"
#include "sys/spawn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define PREFIX "vmscm-"
#define NAME_LEN (sizeof PREFIX - 1 + 16)

#define DIRECTORY_MAX (1u << 20) /* bytes; QEMU allows 64 MiB, for 65535 bitmaps */
#define ENTRY_SIZE 24
#define TYPE_DIRTY 1
#define FLAG_IN_USE 1u
#define FLAG_AUTO 2u
#define GRANULARITY_BITS_MIN 9
#define GRANULARITY_BITS_MAX 31
#define DATA_MAX (UINT64_C(512) << 20) /* bytes of a bitmap, as in QEMU */
#define TABLE_OFFSET UINT64_C(0x00fffffffffffe00)
#define TABLE_ONES UINT64_C(1)

/* A finer bitmap spares more reading; at 1 TiB it takes 8 MiB of the machine's memory. */
#define GRANULARITY "16384"
#define GRANULARITY_LARGE "65536"
#define LARGE (UINT64_C(1) << 40)

#define CPU_SECONDS 120

struct entry {
    char name[NAME_LEN + 1];
    uint64_t table;
    uint32_t table_size;
    uint32_t flags;
    unsigned type, granularity_bits;
    bool extra;
};

struct list {
    VMSCM_VEC(struct entry) items;
};

static bool is_name(const char *name)
{
    uint8_t raw[8];

    return strlen(name) == NAME_LEN && strncmp(name, PREFIX, sizeof PREFIX - 1) == 0 &&
        vmscm_str_unhex(raw, sizeof raw, name + sizeof PREFIX - 1);
}

static int unusable(struct vmscm_error *err, const char *why)
{
    return vmscm_error_set(err, VMSCM_ENOTFOUND, "%s", why);
}

/* Our bitmaps, of all that the directory lists. */
static int decode_directory(struct list *out, const uint8_t *p, size_t len, uint32_t count,
    struct vmscm_error *err)
{
    char name[NAME_LEN + 1];

    for (uint32_t i = 0; i < count; i++) {
        struct entry *entry;
        if (len < ENTRY_SIZE)
            return unusable(err, "its list of bitmaps is malformed");
        uint32_t name_len = vmscm_get_be16(p + 18), extra = vmscm_get_be32(p + 20);
        uint64_t size = ENTRY_SIZE + (uint64_t)extra + name_len;
        size += (8 - size % 8) % 8;
        if (size > len)
            return unusable(err, "its list of bitmaps is malformed");
        if (name_len == NAME_LEN) {
            memcpy(name, p + ENTRY_SIZE + extra, NAME_LEN);
            name[NAME_LEN] = '\0';
        }
        if (name_len == NAME_LEN && is_name(name)) {
            if (vmscm_vec_add(&out->items, &entry, err))
                return VMSCM_ENOMEM;
            *entry = (struct entry){.table = vmscm_get_be64(p),
                .table_size = vmscm_get_be32(p + 8),
                .flags = vmscm_get_be32(p + 12),
                .type = p[16],
                .granularity_bits = p[17],
                .extra = extra != 0};
            memcpy(entry->name, name, sizeof name);
        }
        p += size;
        len -= (size_t)size;
    }
    return 0;
}

/* ENOTFOUND: what is there cannot be used. */
static int list(struct list *out, const struct vmscm_probe *probe, int fd,
    struct vmscm_error *err)
{
    const struct vmscm_probe_bitmaps *b = &probe->bitmaps;
    uint8_t *bytes;
    int rc;

    if (!b->possible || !b->count)
        return 0;
    if (b->stale)
        return unusable(err, "a program that does not keep bitmaps wrote to it");
    if (b->bytes > DIRECTORY_MAX)
        return unusable(err, "it has too many bitmaps");
    if (!(bytes = malloc(b->bytes ? (size_t)b->bytes : 1)))
        return vmscm_error_nomem(err);
    rc = vmscm_file_pread(fd, bytes, (size_t)b->bytes, b->offset, probe->path, err);
    if (!rc)
        rc = decode_directory(out, bytes, (size_t)b->bytes, b->count, err);
    free(bytes);
    return rc;
}

/* The changes that a run of the bitmap's bytes tells; the first one's first bit is bit number
 * `bit`. Bits are numbered from the least significant one of each byte. */
static int decode_bits(struct vmscm_changes *out, const uint8_t *p, size_t len, uint64_t bit,
    unsigned granularity_bits, uint64_t size, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < len && !rc; i++, bit += 8) {
        if (!p[i])
            continue;
        for (unsigned b = 0; b < 8 && !rc; b++) {
            uint64_t start = (bit + b) << granularity_bits;
            uint64_t most = UINT64_C(1) << granularity_bits;
            if ((p[i] >> b & 1) && start < size)
                rc = vmscm_changes_add(out, start, size - start < most ? size - start : most, err);
        }
    }
    return rc;
}

static int read_bits(struct vmscm_changes *out, const struct vmscm_probe *probe, int fd,
    const struct entry *e, struct vmscm_error *err)
{
    const uint32_t cluster = probe->bitmaps.cluster;
    uint64_t bits = (probe->size + (UINT64_C(1) << e->granularity_bits) - 1) >> e->granularity_bits;
    uint64_t bytes = (bits + 7) / 8, file = (uint64_t)probe->files.items[0].st.st_size;
    uint8_t *data = malloc(cluster), raw[8];
    int rc = data ? 0 : vmscm_error_nomem(err);

    if (!rc && (bytes > DATA_MAX || e->table_size != (bytes + cluster - 1) / cluster))
        rc = unusable(err, "its bitmap is of another size");
    for (uint32_t i = 0; i < e->table_size && !rc; i++) {
        uint64_t at = (uint64_t)i * cluster;
        size_t n = bytes - at < cluster ? (size_t)(bytes - at) : cluster;
        if (e->table > file || file - e->table < (uint64_t)(i + 1) * 8) {
            rc = unusable(err, "its bitmap is truncated");
            break;
        }
        if ((rc = vmscm_file_pread(fd, raw, 8, e->table + (uint64_t)i * 8, probe->path, err)))
            break;
        uint64_t word = vmscm_get_be64(raw), offset = word & TABLE_OFFSET;
        if (!offset && !(word & ~TABLE_ONES))
            memset(data, word & TABLE_ONES ? 0xff : 0, n);
        else if (offset % cluster || word & ~TABLE_OFFSET || offset > file || file - offset < n)
            rc = unusable(err, "its bitmap is malformed");
        else
            rc = vmscm_file_pread(fd, data, n, offset, probe->path, err);
        if (!rc && (offset || word))
            rc = decode_bits(out, data, n, at * 8, e->granularity_bits, probe->size, err);
    }
    free(data);
    return rc;
}

static int read_entry(struct vmscm_changes *out, const struct vmscm_probe *probe, int fd,
    const struct entry *e, struct vmscm_error *err)
{
    if (e->flags & FLAG_IN_USE)
        return unusable(err, "QEMU was killed or is still running, and its bitmap is lost");
    if (!(e->flags & FLAG_AUTO) || e->flags & ~(FLAG_IN_USE | FLAG_AUTO) ||
        e->type != TYPE_DIRTY || e->extra || e->granularity_bits < GRANULARITY_BITS_MIN ||
        e->granularity_bits > GRANULARITY_BITS_MAX)
        return unusable(err, "its bitmap was switched off or is of an unknown kind");
    int rc = read_bits(out, probe, fd, e, err);
    return rc == VMSCM_EUNSUPPORTED ? unusable(err, "its bitmap has too many changes") : rc;
}

int vmscm_bitmap_read(struct vmscm_changes *out, const struct vmscm_probe *probe,
    const char *name, struct vmscm_error *err)
{
    struct list all = {0};
    const struct entry *found = NULL;
    int fd = -1, rc;

    if ((rc = vmscm_reader_raw_open_file(&fd, &probe->files.items[0], err)) ||
        (rc = list(&all, probe, fd, err)))
        goto out;
    for (size_t i = 0; i < all.items.len; i++)
        if (strcmp(all.items.items[i].name, name) == 0)
            found = &all.items.items[i];
    rc = found ? read_entry(out, probe, fd, found, err)
               : unusable(err, "the bitmap that was made for it is gone");
out:
    if (rc)
        vmscm_changes_release(out);
    vmscm_vec_release(&all.items);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* qemu-img bitmap --add or --remove. */
static int change(const struct vmscm_probe *probe, const char *what, const char *name,
    struct vmscm_error *err)
{
    struct vmscm_qemu_files files = {0};
    const char *const writable[] = {probe->files.items[0].path, NULL};
    char *image = NULL;
    int rc;

    if ((rc = vmscm_qemu_describe(&image, probe, err)) ||
        (rc = vmscm_qemu_list_files(&files, probe, err)))
        goto out;
    const char *granularity = probe->size > LARGE ? GRANULARITY_LARGE : GRANULARITY;
    const char *const add[] = {
        "qemu-img", "bitmap", what, "-g", granularity, image, name, NULL};
    const char *const remove[] = {"qemu-img", "bitmap", what, image, name, NULL};
    struct vmscm_spawn_options options = {
        .argv = strcmp(what, "--add") == 0 ? add : remove,
        .read_only = files.paths.items,
        .read_write = writable,
        .max_memory = vmscm_qemu_memory(probe),
        .max_cpu_seconds = CPU_SECONDS,
        .outlives = true,
        .confined = true,
    };
    rc = vmscm_spawn_run(NULL, 0, &options, NULL, NULL, err);
    if (rc == VMSCM_ETOOL)
        rc = vmscm_qemu_explain(err, probe->path);
out:
    vmscm_vec_release(&files.paths);
    free(image);
    return rc;
}

int vmscm_bitmap_lay(char **name, const struct vmscm_probe *probe, const char *keep,
    struct vmscm_error *err)
{
    struct list all = {0};
    uint8_t random[8];
    char hex[17], *made = NULL;
    int fd = -1, rc;

    if (!probe->bitmaps.possible || probe->dirty)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "%s: cannot hold bitmaps", probe->path);
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return vmscm_error_errno(err, errno, "random numbers");
    vmscm_str_hex(hex, random, sizeof random);
    if ((rc = vmscm_reader_raw_open_file(&fd, &probe->files.items[0], err)))
        return rc;
    /* What cannot be listed QEMU has thrown away, or will with the next write. */
    rc = list(&all, probe, fd, NULL);
    close(fd);
    if (rc == VMSCM_ENOTFOUND)
        rc = 0;
    for (size_t i = 0; i < all.items.len && !rc; i++)
        if (!keep || strcmp(all.items.items[i].name, keep) != 0)
            rc = change(probe, "--remove", all.items.items[i].name, err);
    if (!rc && !(rc = vmscm_str_printf(&made, err, PREFIX "%s", hex)))
        rc = change(probe, "--add", made, err);
    vmscm_vec_release(&all.items);
    if (rc) {
        free(made);
        return rc;
    }
    *name = made;
    return 0;
}
