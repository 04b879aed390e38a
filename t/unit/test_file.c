/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replacing a file: what processes leave that die over it, and what those do that live. */
#include "base/str.h"
#include "sys/direct.h"
#include "sys/file.h"
#include "sys/tempdir.h"
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEAD ".tmp-0123456789abcdef.lock"
#define ALIVE ".tmp-fedcba9876543210.lock"

static char *in(const char *dir, const char *name)
{
    char *path = NULL;

    assert_int_equal(vmscm_str_printf(&path, NULL, "%s/%s", dir, name), 0);
    return path;
}

static int make(const char *dir, const char *name)
{
    char *path = in(dir, name);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    free(path);
    return fd;
}

static bool has(const char *dir, const char *name)
{
    char *path = in(dir, name);
    bool there = vmscm_file_exists(path);

    free(path);
    return there;
}

static void leftovers(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    static const char *const others[] = {"file.tmp-0123456789abcdeg.lock",
        "file.tmp-0123456789abcde.lock", "file.tmp-0123456789abcdef", "other" DEAD, "xfile" DEAD,
        "file.tmp"};
    char *dir, *path;
    int fd;

    (void)state;
    assert_done(vmscm_tempdir_make(&dir, NULL, &err), &err);
    path = in(dir, "file");
    close(make(dir, "file" DEAD));
    fd = make(dir, "file" ALIVE);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        close(make(dir, others[i]));
    assert_done(vmscm_file_replace(path, "abc", 3, 0600, &err), &err);
    assert_false(has(dir, "file" DEAD));
    assert_true(has(dir, "file" ALIVE));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_true(has(dir, others[i]));
    close(fd);
    vmscm_file_sweep(path);
    assert_false(has(dir, "file" ALIVE));
    assert_true(has(dir, "file"));
    free(path);
    vmscm_tempdir_remove(dir);
}

/* Four processes replace one file: each finds it whole, and none loses its own to another's sweep.
 */
static void together(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char *dir, *path;
    pid_t pids[4];
    int entries = 0;

    (void)state;
    assert_done(vmscm_tempdir_make(&dir, NULL, &err), &err);
    path = in(dir, "file");
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            char text[1000];
            memset(text, 'a' + i, sizeof text);
            for (int n = 0; n < 100; n++) {
                struct vmscm_buf buf = VMSCM_BUF_INIT;
                if (vmscm_file_replace(path, text, sizeof text, 0600, &err) ||
                    vmscm_file_read(&buf, path, 2000, &err) || buf.len != sizeof text ||
                    memcmp(buf.data, buf.data + 1, buf.len - 1) != 0)
                    _exit(1);
                vmscm_buf_release(&buf);
            }
            free(path);
            free(dir);
            _exit(0);
        }
    }
    for (int i = 0; i < 4; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    DIR *d = opendir(dir);
    assert_non_null(d);
    while (readdir(d))
        entries++;
    closedir(d);
    assert_int_equal(entries, 3);
    free(path);
    vmscm_tempdir_remove(dir);
}

static void past_the_cache(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    const size_t block = VMSCM_DIRECT_BLOCK, len = 3 * block;
    char path[] = "/var/tmp/vmscm-unit-XXXXXX";
    uint8_t *bytes = vmscm_direct_alloc(len), *back = vmscm_direct_alloc(len);
    int fd = mkstemp(path), direct;
    size_t done;

    (void)state;
    assert_true(fd >= 0);
    assert_true(bytes && back);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 7 + i / block);
    assert_int_equal(ftruncate(fd, (off_t)(8 * block + 100)), 0);
    direct = vmscm_direct_reopen(fd);
    if (direct < 0) {
        print_message("%s: not on this file system\n", path);
        goto out;
    }
    /* Whole blocks are written, what begins or ends inside one is left. */
    assert_done(vmscm_direct_put(direct, &done, bytes, len, block, path, &err), &err);
    assert_int_equal(done, len);
    assert_done(vmscm_direct_put(direct, &done, bytes, len - 1, 5 * block, path, &err), &err);
    assert_int_equal(done, 2 * block);
    assert_done(vmscm_direct_put(direct, &done, bytes, len, block + 512, path, &err), &err);
    assert_int_equal(done, 0);
    assert_done(vmscm_direct_put(direct, &done, bytes + 1, block, block, path, &err), &err);
    assert_int_equal(done, 0);
    assert_int_equal(pread(fd, back, len, (off_t)block), len);
    assert_memory_equal(back, bytes, len);
    assert_int_equal(pread(fd, back, 2 * block, (off_t)(5 * block)), 2 * block);
    assert_memory_equal(back, bytes, 2 * block);

    memset(back, 0, len);
    assert_done(vmscm_direct_get(direct, &done, back, len, block, path, &err), &err);
    assert_int_equal(done, len);
    assert_memory_equal(back, bytes, len);
    /* Behind the end there is nothing; up to it, what there is. */
    assert_done(vmscm_direct_get(direct, &done, back, block, 16 * block, path, &err), &err);
    assert_int_equal(done, 0);
    close(direct);
    direct = open(path, O_RDONLY | O_CLOEXEC);
    assert_fails(
        vmscm_direct_put(direct, &done, bytes, block, 0, path, &err), &err, VMSCM_EIO, "writing");
    close(direct);
out:
    close(fd);
    unlink(path);
    free(bytes);
    free(back);
}

static void read_once(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    const size_t size = (3u << 20) + 777;
    char path[] = "/var/tmp/vmscm-unit-XXXXXX";
    uint8_t *bytes = malloc(size), *memory = vmscm_direct_alloc(VMSCM_DIRECT_ROOM(2u << 20));
    int fd = mkstemp(path);
    const uint8_t *data;
    const struct {
        size_t at, len;
    } part[] = {
        {0, 4096}, {5, 1}, {4095, 2}, {100000, 2u << 20}, {size - 777, 777}, {size - 5000, 5000}};

    (void)state;
    assert_true(fd >= 0);
    assert_true(bytes && memory);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 4096);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    assert_int_equal(fsync(fd), 0);
    /* In the page cache, out of it, and in part. */
    for (int turn = 0; turn < 3; turn++)
        for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
            if (turn)
                assert_int_equal(
                    posix_fadvise(fd, 0, turn == 1 ? 0 : 1 << 20, POSIX_FADV_DONTNEED), 0);
            assert_done(
                vmscm_direct_pread_once(fd, &data, memory, part[i].len, part[i].at, path, &err),
                &err);
            assert_memory_equal(data, bytes + part[i].at, part[i].len);
        }
    assert_fails(vmscm_direct_pread_once(fd, &data, memory, 5000, size - 4999, path, &err), &err,
        VMSCM_EDAMAGED, "ends early");
    assert_fails(vmscm_direct_pread_once(fd, &data, memory, 1, size, path, &err), &err,
        VMSCM_EDAMAGED, "ends early");
    close(fd);
    unlink(path);
    free(bytes);
    free(memory);
    assert_false(vmscm_direct_pays(0));
    assert_true(vmscm_direct_pays(UINT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leftovers),
        cmocka_unit_test(together),
        cmocka_unit_test(past_the_cache),
        cmocka_unit_test(read_once),
    };
    return unit_run(tests);
}
