/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz target of packs, as files in a store: everything that a reader does with one. The input is a
 * pack; the checksums of its trailer and index are made right where it has them, or nothing
 * behind them would ever be reached.
 */
#include "base/buf.h"
#include "base/endian.h"
#include "codec/checksum.h"
#include "store/check.h"
#include "store/fetch.h"
#include "scratch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char *dir;

static void make_store(void)
{
    char path[512];

    dir = scratch_dir();
    snprintf(path, sizeof path, "%s/packs", dir);
    if (mkdir(path, 0700) < 0)
        abort();
}

static void fix_checksums(uint8_t *pack, size_t size)
{
    if (size < VMSCM_PACK_HEADER_SIZE + VMSCM_PACK_TRAILER_SIZE)
        return;
    uint8_t *trailer = pack + size - VMSCM_PACK_TRAILER_SIZE;
    uint64_t offset = vmscm_get_le64(trailer);
    if (offset <= size - VMSCM_PACK_TRAILER_SIZE)
        vmscm_put_le64(trailer + 16,
            vmscm_checksum_64(pack + offset, size - VMSCM_PACK_TRAILER_SIZE - offset, 0));
    vmscm_put_le64(trailer + 48, vmscm_checksum_64(trailer, 48, 0));
}

/* Headers anywhere in the input, as a tool that rebuilds an index meets them. */
static void decode_records(const uint8_t *data, size_t size)
{
    struct vmscm_pack_record r;

    for (size_t at = 0; at < size; at += 8) {
        if (vmscm_pack_decode_record(&r, data + at, size - at, NULL))
            continue;
        if (!r.plain_len || r.plain_len > VMSCM_PACK_PLAIN_MAX || r.stored_len > r.plain_len ||
            !r.part_count || r.part_count > VMSCM_PACK_PARTS_MAX)
            abort();
        if (vmscm_pack_record_head(&r) + r.stored_len <= size - at)
            vmscm_pack_check_record(&r, data + at);
    }
}

static void found(void *data, const struct vmscm_packfile *pack, const struct vmscm_id *id,
    const struct vmscm_error *why)
{
    (void)data, (void)pack, (void)id;
    if (!why->message[0])
        abort();
}

static int progress(void *data, uint64_t bytes)
{
    (void)data, (void)bytes;
    return 0;
}

/* Every record by its id: its bytes have that hash, or there are none. What cannot be read is looked for in
 * all places twice over, so that is done for the first two only; the check comes to the others. */
static void read_all(struct vmscm_store *store)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_packfile *pack = vmscm_store_pack(store, 0);
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_fetch *fetch = NULL;
    struct vmscm_hash *hash = NULL;
    unsigned failed = 0;

    if (vmscm_fetch_new(&fetch, store, &err) || vmscm_hash_new(&hash, &err))
        abort();
    for (uint32_t i = 0; i < pack->trailer.entry_count && failed < 2; i++) {
        struct vmscm_pack_entry entry;
        struct vmscm_id id;
        vmscm_packfile_entry(pack, &entry, i);
        if (vmscm_fetch_read_buf(fetch, entry.type, &entry.id, &buf, 1u << 20, &err)) {
            failed++;
            continue;
        }
        if (buf.len > 1u << 20 || vmscm_hash_compute(hash, &id, buf.data, buf.len, &err) ||
            vmscm_hash_cmp(&id, &entry.id) != 0)
            abort();
    }
    vmscm_hash_free(hash);
    vmscm_fetch_free(fetch);
    vmscm_buf_release(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_store *store = NULL;
    struct vmscm_check check = {.jobs = 1, .found = found, .progress = progress};
    char path[512];
    uint8_t *copy = malloc(size + 1);
    int fd;

    if (!dir)
        make_store();
    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    fix_checksums(copy, size);
    decode_records(data, size);
    snprintf(path, sizeof path, "%s/packs/pack-00000000000000000000000000000000.vpk", dir);
    if ((fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600)) < 0 ||
        write(fd, copy, size) != (ssize_t)size)
        abort();
    close(fd);
    free(copy);
    if (vmscm_store_open(&store, dir, &err))
        abort();
    if (vmscm_store_pack_count(store)) {
        read_all(store);
        check.store = store;
        if (vmscm_check_packs(&check, &err) && err.code != VMSCM_ENOMEM)
            abort();
    }
    vmscm_store_close(store);
    return 0;
}
