/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replacing a file: what processes leave that die over it, and what those do that live. */
#include "base/str.h"
#include "sys/file.h"
#include "sys/tempdir.h"
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEAD ".tmp-0123456789abcdef"
#define ALIVE ".tmp-fedcba9876543210"

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
    static const char *const others[] = {"file.tmp-0123456789abcdeg", "file.tmp-0123456789abcde",
        "other" DEAD, "xfile" DEAD, "file.tmp"};
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

/* Four processes replace one file: each finds it whole, and none loses its own to another's sweep. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leftovers),
        cmocka_unit_test(together),
    };
    return unit_run(tests);
}
