/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Disk images for tests: a private directory, files written by hand, and images that qemu-img
 * makes. Needs unit.h first.
 */
#ifndef IMAGES_H
#define IMAGES_H

#include "sys/file.h"
#include "sys/tempdir.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static char *images_dir;

static inline int images_setup(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;

    (void)state;
    assert_done(vmscm_tempdir_make(&images_dir, NULL, &err), &err);
    return 0;
}

static inline int images_teardown(void **state)
{
    (void)state;
    vmscm_tempdir_remove(images_dir);
    return 0;
}

/* DIR/NAME in one of a few static buffers. */
static inline const char *in_dir(const char *name)
{
    static char buffers[8][600];
    static unsigned next;
    char *b = buffers[next++ % 8];

    snprintf(b, sizeof buffers[0], "%s/%s", images_dir, name);
    return b;
}

/* Run a program in the directory with its output in DIR/output; its exit status, -1 if there is no
 * such program. */
static inline int run(const char *const *argv)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = -1;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, images_dir);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(
        &actions, 1, in_dir("output"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ) == 0) {
        assert_int_equal(waitpid(pid, &status, 0), pid);
        status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
        if (status == 127)
            status = -1;
    }
    posix_spawn_file_actions_destroy(&actions);
    return status;
}

static inline void run_done(const char *const *argv)
{
    if (run(argv) == 0)
        return;
    int fd = open(in_dir("output"), O_RDONLY);
    char text[2000] = "";
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n < 0 ? 0 : n] = '\0';
    fail_msg("%s %s: %s", argv[0], argv[1], text);
}

#define RUN(...) run_done((const char *const[]){__VA_ARGS__, NULL})

/* Skips the test where QEMU's tools are missing. */
#define NEED_QEMU()                                                                                \
    do {                                                                                           \
        if (run((const char *const[]){"qemu-img", "--version", NULL}) != 0) {                      \
            print_message("# qemu-img is not installed\n");                                        \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

/* A new file of these bytes, with zeros up to size if that is more. */
static inline void put_file(const char *name, const void *data, size_t len, uint64_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    int fd = -1;

    assert_done(
        vmscm_file_open(&fd, in_dir(name), O_RDWR | O_CREAT | O_TRUNC, 0600, &err), &err);
    assert_done(vmscm_file_pwrite(fd, data, len, 0, name, &err), &err);
    if (size > len)
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

/* Bytes into a file that is there. */
static inline void poke(const char *name, uint64_t offset, const void *data, size_t len)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    int fd = -1;

    assert_done(vmscm_file_open(&fd, in_dir(name), O_RDWR, 0, &err), &err);
    assert_done(vmscm_file_pwrite(fd, data, len, offset, name, &err), &err);
    close(fd);
}

#endif
