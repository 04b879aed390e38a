/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "unit.h"

#include "base/buf.h"
#include "base/path.h"
#include "sys/file.h"
#include "sys/spawn.h"
#include "sys/tempdir.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Runs a shell script; the shell is the only program a confined one may execute. */
static int sh(struct vmscm_buf *out, const char *script, bool confined,
    const char *const *read_only, const char *const *read_write, struct vmscm_error *err)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct vmscm_spawn_options o = {
        .argv = argv, .read_only = read_only, .read_write = read_write, .confined = confined};
    return vmscm_spawn_run(out, 1 << 20, &o, NULL, NULL, err);
}

static void test_output_and_status(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf out = VMSCM_BUF_INIT;

    (void)state;
    assert_done(sh(&out, "echo hello; echo noise >&2", false, NULL, NULL, &err), &err);
    assert_string_equal(vmscm_buf_str(&out), "hello\n");
    assert_fails(sh(NULL, "exit 3", false, NULL, NULL, &err), &err, VMSCM_ETOOL,
        "sh: exited with status 3");
    assert_fails(sh(NULL, "echo first >&2; echo sh: the reason >&2; echo >&2; exit 1", false, NULL,
                     NULL, &err),
        &err, VMSCM_ETOOL, "sh: the reason");
    assert_string_equal(err.message, "sh: the reason");
    assert_fails(sh(NULL, "echo sh: early >&2; echo sh: the reason >&2; echo a hint >&2; exit 1",
                     false, NULL, NULL, &err),
        &err, VMSCM_ETOOL, "sh: the reason");
    assert_string_equal(err.message, "sh: the reason");
    assert_fails(sh(NULL, "echo one >&2; echo two >&2; exit 1", false, NULL, NULL, &err), &err,
        VMSCM_ETOOL, "sh: two");
    assert_fails(sh(NULL, "kill -9 $$", false, NULL, NULL, &err), &err, VMSCM_ETOOL,
        "sh: killed by signal 9");
    vmscm_buf_release(&out);
}

static void test_missing_program(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_spawn child = VMSCM_SPAWN_INIT;
    const char *const argv[] = {"qemu-of-nobody", NULL};
    const char *const directory[] = {"/etc", NULL};
    struct vmscm_spawn_options o = {.argv = argv};

    (void)state;
    assert_fails(vmscm_spawn_start(&child, &o, false, &err), &err, VMSCM_ETOOL,
        "qemu-of-nobody: not installed");
    assert_non_null(strstr(err.hint, "qemu-utils"));
    o.argv = directory;
    assert_fails(vmscm_spawn_start(&child, &o, false, &err), &err, VMSCM_ETOOL, "etc: running it");
    assert_int_equal(child.pid, 0);
    vmscm_spawn_kill(&child);
}

static void test_clean_start(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf out = VMSCM_BUF_INIT;
    int leak = open("/dev/null", O_RDONLY); /* not close-on-exec, as other libraries may do */

    (void)state;
    setenv("VMSCM_TEST_SECRET", "x", 1);
    assert_done(sh(&out, "echo \"${VMSCM_TEST_SECRET-none} $LANG\"; cat; "
                         "test -e /proc/self/fd/3 || echo closed; "
                         "grep -q 'SigIgn:.*0$' /proc/self/status && echo signals",
                    false, NULL, NULL, &err),
        &err);
    assert_string_equal(vmscm_buf_str(&out), "none C\nclosed\nsignals\n");
    unsetenv("VMSCM_TEST_SECRET");
    close(leak);
    vmscm_buf_release(&out);
}

static void test_noise_does_not_block(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    const char script[] = "i=0; while [ $i -lt 20000 ]; do echo 'a line of noise' >&2; "
                          "i=$((i+1)); done; echo last words >&2; exit 1";

    (void)state;
    assert_fails(sh(NULL, script, false, NULL, NULL, &err), &err, VMSCM_ETOOL, "sh: last words");
}

static void test_output_bounded(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    const char *const argv[] = {"sh", "-c", "while :; do echo xxxxxxxxxxxxxxxxxxxx; done", NULL};
    struct vmscm_spawn_options o = {.argv = argv};

    (void)state;
    assert_fails(vmscm_spawn_run(NULL, 100000, &o, NULL, NULL, &err), &err, VMSCM_ETOOL,
        "printed more than 100000 bytes");
}

static int cancel_third(void *data)
{
    return ++*(int *)data >= 3;
}

static void test_cancel(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    const char *const argv[] = {"sleep", "100", NULL};
    struct vmscm_spawn_options o = {.argv = argv};
    double start = now();
    int calls = 0;

    (void)state;
    assert_fails(vmscm_spawn_run(NULL, 1, &o, cancel_third, &calls, &err), &err, VMSCM_ECANCELED,
        "canceled");
    assert_true(now() - start < 10);
}

/* One that ignores SIGTERM, and one that leaves a child behind. */
static void test_kill(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_spawn child = VMSCM_SPAWN_INIT;
    const char *const argv[] = {
        "sh", "-c", "trap '' TERM; sleep 100 & echo $!; while :; do sleep 1; done", NULL};
    struct vmscm_spawn_options o = {.argv = argv};
    char text[32] = "";
    double start = now();

    (void)state;
    assert_done(vmscm_spawn_start(&child, &o, true, &err), &err);
    assert_true(read(child.out, text, sizeof text - 1) > 0);
    pid_t grandchild = (pid_t)strtol(text, NULL, 10);
    assert_true(grandchild > 1);
    assert_true(vmscm_spawn_alive(&child));
    vmscm_spawn_kill(&child);
    assert_int_equal(child.pid, 0);
    assert_true(now() - start < 10);
    /* It is no child of ours: it is gone once init has reaped it. */
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)grandchild);
    for (int i = 0; i < 500; i++) {
        char line[64] = "";
        int fd = open(path, O_RDONLY);
        ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof line);
        if (fd >= 0)
            close(fd);
        if (n <= 0)
            return;
        usleep(10000);
    }
    fail_msg("the helper's own child lives on");
}

struct start {
    struct vmscm_spawn child;
    struct vmscm_error err;
    int rc;
};

static void *start_sleeper(void *data)
{
    static const char *const argv[] = {"sleep", "100", NULL};
    struct vmscm_spawn_options o = {.argv = argv, .confined = true};
    struct start *s = data;

    s->rc = vmscm_spawn_start(&s->child, &o, false, &s->err);
    return NULL;
}

static void test_outlives_its_thread(void **state)
{
    struct start s = {.err = VMSCM_ERROR_INIT};
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, start_sleeper, &s), 0);
    pthread_join(thread, NULL);
    assert_done(s.rc, &s.err);
    usleep(200000);
    assert_true(vmscm_spawn_alive(&s.child));
    vmscm_spawn_kill(&s.child);
    assert_false(vmscm_spawn_alive(&s.child));
}

static void test_dies_with_us(void **state)
{
    int fds[2];
    pid_t sleeper = 0;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    pid_t middle = fork();
    if (middle == 0) {
        struct start s = {.err = VMSCM_ERROR_INIT};
        start_sleeper(&s);
        if (s.rc || write(fds[1], &s.child.pid, sizeof s.child.pid) < 0)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &sleeper, sizeof sleeper), sizeof sleeper);
    waitpid(middle, NULL, 0);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)sleeper);
    bool gone = false;
    for (int i = 0; i < 500 && !gone; i++) {
        char line[8];
        int fd = open(path, O_RDONLY);
        gone = fd < 0 || read(fd, line, sizeof line) <= 0;
        if (fd >= 0)
            close(fd);
        if (!gone)
            usleep(10000);
    }
    close(fds[0]);
    assert_true(gone);
}

static void test_landlock(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf out = VMSCM_BUF_INIT;
    char *dir = NULL, *seen = NULL, *hidden = NULL;

    (void)state;
    if (!strstr(vmscm_spawn_confinement(), "landlock")) {
        printf("# not tested: no Landlock here\n");
        return;
    }
    assert_done(vmscm_tempdir_make(&dir, NULL, &err), &err);
    assert_done(vmscm_path_join(&seen, dir, "seen", &err), &err);
    assert_done(vmscm_path_join(&hidden, dir, "hidden", &err), &err);
    assert_done(vmscm_file_replace(seen, "visible", 7, 0600, &err), &err);
    assert_done(vmscm_file_replace(hidden, "secret", 6, 0600, &err), &err);
    const char *const paths[] = {seen, NULL};
    const char *const dirs[] = {dir, NULL};
    char script[1024];

    snprintf(script, sizeof script,
        "read -r a < %s; echo \"$a\"; read -r b < %s && echo \"$b\"; read -r c < /etc/passwd && "
        "echo \"$c\"; echo x > %s && echo written; :",
        seen, hidden, seen);
    assert_done(sh(&out, script, true, paths, NULL, &err), &err);
    assert_string_equal(vmscm_buf_str(&out), "visible\n");
    out.len = 0;

    /* A file that may be written, in a directory that may not. */
    snprintf(script, sizeof script, "echo new > %s && echo ok; echo x > %s/other && echo bad; :",
        seen, dir);
    assert_done(sh(&out, script, true, NULL, paths, &err), &err);
    assert_string_equal(vmscm_buf_str(&out), "ok\n");
    out.len = 0;

    snprintf(script, sizeof script, "echo x > %s/other && echo made; read -r a < %s; echo $a", dir,
        hidden);
    assert_done(sh(&out, script, true, NULL, dirs, &err), &err);
    assert_string_equal(vmscm_buf_str(&out), "made\nsecret\n");
    out.len = 0;

    /* No other program. */
    assert_fails(sh(&out, "cat /dev/null", true, NULL, NULL, &err), &err, VMSCM_ETOOL, "cat");

    const char *const missing[] = {"/nonexistent/file", NULL};
    assert_fails(sh(&out, ":", true, missing, NULL, &err), &err, VMSCM_EIO, "/nonexistent/file");
    free(seen);
    free(hidden);
    vmscm_buf_release(&out);
    vmscm_tempdir_remove(dir);
}

/* What the filter leaves of sockets and the rest, seen by an interpreter. */
static void test_seccomp(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf out = VMSCM_BUF_INIT;
    static const char script[] =
        "use Socket; use POSIX ();"
        "print socket(my $a, AF_UNIX, SOCK_STREAM, 0) ? 'unix ' : 'no-unix ';"
        "print socket(my $b, AF_INET, SOCK_STREAM, 0) ? 'inet ' : 'no-inet ';"
        "print socket(my $c, AF_INET6, SOCK_DGRAM, 0) ? 'inet6 ' : 'no-inet6 ';"
        "print socket(my $d, 16, SOCK_RAW, 0) ? 'netlink ' : 'no-netlink ';"
        "print syscall($^O eq 'linux' && (POSIX::uname())[4] eq 'x86_64' ? 101 : 117, 0, 0, 0, 0) "
        "== 0 ? 'ptrace' : 'no-ptrace';";
    const char *const argv[] = {"perl", "-e", script, NULL};
    const char *const share[] = {"/etc/perl", NULL};
    struct vmscm_spawn_options o = {.argv = argv, .read_only = share, .confined = true};

    (void)state;
    if (access("/usr/bin/perl", X_OK) < 0 || access("/etc/perl", R_OK) < 0) {
        printf("# not tested: no perl here\n");
        return;
    }
    assert_done(vmscm_spawn_run(&out, 4096, &o, NULL, NULL, &err), &err);
    assert_string_equal(
        vmscm_buf_str(&out), "unix no-inet no-inet6 no-netlink no-ptrace");
    vmscm_buf_release(&out);
}

static void test_limits(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    const char *const spin[] = {"sh", "-c", "while :; do :; done", NULL};
    const char *const eat[] = {"sh", "-c", "a=xxxxxxxxxxxxxxxx; while :; do a=$a$a; done", NULL};
    struct vmscm_spawn_options o = {.argv = spin, .max_cpu_seconds = 1, .confined = true};

    (void)state;
    assert_fails(vmscm_spawn_run(NULL, 1, &o, NULL, NULL, &err), &err, VMSCM_ETOOL,
        "took more CPU time than allowed");
    o = (struct vmscm_spawn_options){.argv = eat, .max_memory = 64 << 20, .confined = true};
    int rc = vmscm_spawn_run(NULL, 1, &o, NULL, NULL, &err);
    assert_int_equal(rc, VMSCM_ETOOL);
}

/* Started with its standard descriptors closed, as a daemon may be. */
static void test_without_stdio(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct vmscm_buf out = VMSCM_BUF_INIT;
        for (int fd = 0; fd < 64; fd++)
            close(fd);
        int rc = sh(&out, "echo hello; echo oops >&2; read -r a || echo end", true, NULL, NULL, NULL);
        bool same = rc == 0 && strcmp(vmscm_buf_str(&out), "hello\nend\n") == 0;
        _exit(same ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_and_status),
        cmocka_unit_test(test_missing_program),
        cmocka_unit_test(test_clean_start),
        cmocka_unit_test(test_noise_does_not_block),
        cmocka_unit_test(test_output_bounded),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_outlives_its_thread),
        cmocka_unit_test(test_dies_with_us),
        cmocka_unit_test(test_landlock),
        cmocka_unit_test(test_seccomp),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_without_stdio),
    };
    return unit_run(tests);
}
