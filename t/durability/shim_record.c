/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The record of what was done to files, for power.py to do again, in part and in another order. A
 * record is five little-endian numbers and what they tell the lengths of: u32 length of op, of path,
 * of to; u64 number (an offset or size); u64 length of data; then op, path, to, data.
 */
#include "shim.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t size);

static void record(const char *op, const char *path, const char *to, uint64_t n, const void *data,
    uint64_t len)
{
    uint32_t lens[3] = {(uint32_t)strlen(op), (uint32_t)strlen(path), (uint32_t)strlen(to)};
    size_t names = lens[0] + lens[1] + lens[2];
    size_t total = sizeof lens + sizeof n + sizeof len + names + len;
    char *all = __libc_malloc(total), *p = all;

    if (!all)
        _exit(97);
    /* In one write: processes share the log. */
    p = (char *)memcpy(p, lens, sizeof lens) + sizeof lens;
    p = (char *)memcpy(p, &n, sizeof n) + sizeof n;
    p = (char *)memcpy(p, &len, sizeof len) + sizeof len;
    p = (char *)memcpy(p, op, lens[0]) + lens[0];
    p = (char *)memcpy(p, path, lens[1]) + lens[1];
    p = (char *)memcpy(p, to, lens[2]) + lens[2];
    if (len)
        memcpy(p, data, len);
    shim_log(all, total);
    free(all);
}

void shim_record_name(const char *op, const char *path, const char *to)
{
    if (shim_config.mode == SHIM_RECORD)
        record(op, path, to ? to : "", 0, NULL, 0);
}

void shim_record_write(const char *path, uint64_t offset, const void *data, size_t len)
{
    if (shim_config.mode == SHIM_RECORD)
        record("write", path, "", offset, data, len);
}

void shim_record_size(const char *op, const char *path, uint64_t size)
{
    if (shim_config.mode == SHIM_RECORD)
        record(op, path, "", size, NULL, 0);
}

void shim_record_range(const char *path, uint64_t offset, uint64_t len)
{
    uint64_t done = 0;
    char *data;
    int in;

    if (shim_config.mode != SHIM_RECORD)
        return;
    /* The descriptor at hand may be for writing only. */
    in = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (in < 0 || !(data = __libc_malloc(len + 1)))
        _exit(97);
    while (done < len) {
        long n = syscall(SYS_pread64, in, data + done, len - done, offset + done);
        if (n <= 0)
            break;
        done += (uint64_t)n;
    }
    record("write", path, "", offset, data, done);
    free(data);
    syscall(SYS_close, in);
}
