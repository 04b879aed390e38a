/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/history/gitconfig: the user's settings under the repository's. */
#include "gitrepo.h"

#include "history/gitconfig.h"

#include <sys/stat.h>

struct fixture {
    char *dir;
    char user[512], repo[512];
    struct vmscm_gitconfig *config;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct vmscm_error err = VMSCM_ERROR_INIT;

    assert_non_null(f);
    assert_done(vmscm_tempdir_make(&f->dir, "/tmp", &err), &err);
    snprintf(f->user, sizeof f->user, "%s/xdg/vmscm/config", f->dir);
    snprintf(f->repo, sizeof f->repo, "%s/config", f->dir);
    setenv("HOME", f->dir, 1);
    unsetenv("XDG_CONFIG_HOME");
    char *xdg = NULL;
    assert_true(asprintf(&xdg, "%s/xdg", f->dir) > 0);
    setenv("XDG_CONFIG_HOME", xdg, 1);
    free(xdg);
    setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
    assert_done(vmscm_gitconfig_open(&f->config, f->repo, &err), &err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    vmscm_gitconfig_close(f->config);
    vmscm_tempdir_remove(f->dir);
    free(f);
    return 0;
}

static void write_file(const char *path, const char *text)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    assert_done(vmscm_file_replace(path, text, strlen(text), 0666, &err), &err);
}

static void expect(struct vmscm_gitconfig *config, const char *key, const char *expected)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char *value;

    assert_done(vmscm_gitconfig_get(&value, config, key, &err), &err);
    assert_string_equal(value, expected);
    free(value);
}

static int list_one(void *data, enum vmscm_config_level level, const char *key, const char *value)
{
    char *text = data;
    size_t len = strlen(text);
    snprintf(text + len, 1000 - len, "%c %s=%s|", level == VMSCM_CONFIG_USER ? 'u' : 'r', key,
        value);
    return strcmp(value, "stop") == 0 ? 9 : 0;
}

static void levels(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char text[1000] = "", *value;

    assert_fails(vmscm_gitconfig_get(&value, f->config, "user.name", &err), &err, VMSCM_ENOTFOUND,
        "user.name: not set");
    assert_done(vmscm_gitconfig_list(f->config, list_one, text, &err), &err);
    assert_string_equal(text, "");
    assert_done(vmscm_gitconfig_set(f->config, VMSCM_CONFIG_USER, "user.name", "The User", &err),
        &err);
    assert_true(vmscm_file_exists(f->user));
    expect(f->config, "user.name", "The User");
    expect(f->config, "User.NAME", "The User");
    assert_done(vmscm_gitconfig_set(
                    f->config, VMSCM_CONFIG_REPOSITORY, "user.name", "Only # \"here\"; ", &err),
        &err);
    expect(f->config, "user.name", "Only # \"here\"; ");
    assert_done(vmscm_gitconfig_set(
                    f->config, VMSCM_CONFIG_REPOSITORY, "remote.Some.Where.url", "x\\y\tz", &err),
        &err);
    expect(f->config, "remote.Some.Where.url", "x\\y\tz");
    assert_done(vmscm_gitconfig_list(f->config, list_one, text, &err), &err);
    assert_string_equal(text,
        "u user.name=The User|r user.name=Only # \"here\"; |r remote.Some.Where.url=x\\y\tz|");
    assert_done(vmscm_gitconfig_set(
                    f->config, VMSCM_CONFIG_USER, "alias.s", "stop", &err),
        &err);
    text[0] = '\0';
    assert_int_equal(vmscm_gitconfig_list(f->config, list_one, text, &err), 9);
    assert_done(
        vmscm_gitconfig_set(f->config, VMSCM_CONFIG_REPOSITORY, "user.name", NULL, &err), &err);
    expect(f->config, "user.name", "The User");
    assert_fails(vmscm_gitconfig_set(f->config, VMSCM_CONFIG_REPOSITORY, "user.name", NULL, &err),
        &err, VMSCM_ENOTFOUND, "not set");
    /* A second opening sees the same; so does git. */
    vmscm_gitconfig_close(f->config);
    assert_done(vmscm_gitconfig_open(&f->config, NULL, &err), &err);
    expect(f->config, "user.name", "The User");
    assert_fails(vmscm_gitconfig_set(f->config, VMSCM_CONFIG_REPOSITORY, "a.b", "c", &err), &err,
        VMSCM_EUSAGE, "no repository's configuration file");
    char command[1200];
    snprintf(command, sizeof command, "test \"$(git config -f %s user.name)\" = 'The User'",
        f->user);
    run_shell(command);
}

static void keys_and_values(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    static const char *const bad[] = {"", "x", ".x", "x.", "x.1y", "x y.z", "x.y z", "x.y\nz",
        "x_y.z", "a.b.c_d", "a\n.b"};
    static const char *const values[][2] = {{"core.compression", "0"}, {"core.compression", "20"},
        {"core.compression", "fast"}, {"Core.Compression", "-1"}, {"core.jobs", "1025"},
        {"core.bitmaps", "maybe"}, {"core.jobs", ""}, {"user.name", ""}, {"user.name", "  "},
        {"user.name", "a\nb"}, {"user.email", "a<b"}, {"user.email", "\x1b"}};
    int64_t n;
    char *value;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_fails(vmscm_gitconfig_set(f->config, VMSCM_CONFIG_USER, bad[i], "v", &err), &err,
            VMSCM_EUSAGE, "not a configuration key");
        assert_fails(vmscm_gitconfig_get(&value, f->config, bad[i], &err), &err, VMSCM_EUSAGE,
            "not a configuration key");
    }
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        assert_int_equal(vmscm_gitconfig_set(
                             f->config, VMSCM_CONFIG_USER, values[i][0], values[i][1], &err),
            VMSCM_EUSAGE);
    assert_false(vmscm_file_exists(f->user));
    assert_done(vmscm_gitconfig_set(f->config, VMSCM_CONFIG_USER, "core.compression", "19", &err),
        &err);
    assert_done(vmscm_gitconfig_set(f->config, VMSCM_CONFIG_USER, "any.thing", "", &err), &err);
    expect(f->config, "any.thing", "");
    assert_done(vmscm_gitconfig_get_int(&n, f->config, "core.compression", 3, &err), &err);
    assert_int_equal(n, 19);
    assert_done(vmscm_gitconfig_get_int(&n, f->config, "core.jobs", 7, &err), &err);
    assert_int_equal(n, 7);
    write_file(f->repo, "[x]\n\tsize = 64k\n\ton = yes\n\toff = false\n\tword = many\n\tbare\n");
    assert_done(vmscm_gitconfig_get_int(&n, f->config, "x.size", 0, &err), &err);
    assert_int_equal(n, 65536);
    assert_done(vmscm_gitconfig_get_int(&n, f->config, "x.on", 0, &err), &err);
    assert_int_equal(n, 1);
    assert_done(vmscm_gitconfig_get_int(&n, f->config, "x.off", 5, &err), &err);
    assert_int_equal(n, 0);
    assert_done(vmscm_gitconfig_get_int(&n, f->config, "x.bare", 0, &err), &err);
    assert_int_equal(n, 1);
    assert_fails(vmscm_gitconfig_get_int(&n, f->config, "x.word", 0, &err), &err, VMSCM_EUSAGE,
        "x.word: many: not a number");
}

static void files(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitconfig *other;
    char path[600], target[600];
    struct stat st;

    /* What people wrote stays; a key that is there twice becomes one. */
    write_file(f->repo, "# mine\n[a]\n\tb = 1\n\tb = 2\n\tc = 3\n");
    assert_done(vmscm_gitconfig_set(f->config, VMSCM_CONFIG_REPOSITORY, "a.b", "4", &err), &err);
    expect(f->config, "a.b", "4");
    expect(f->config, "a.c", "3");
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    assert_done(vmscm_file_read(&buf, f->repo, 1000, &err), &err);
    assert_non_null(strstr(vmscm_buf_str(&buf), "# mine\n"));
    assert_null(strstr(vmscm_buf_str(&buf), "b = 2"));
    vmscm_buf_release(&buf);
    /* A lock that a dead process left. */
    snprintf(path, sizeof path, "%s.lock", f->repo);
    write_file(path, "");
    snprintf(target, sizeof target, "%s.lock.lock", f->repo);
    write_file(target, "");
    assert_done(vmscm_gitconfig_set(f->config, VMSCM_CONFIG_REPOSITORY, "a.b", "5", &err), &err);
    assert_false(vmscm_file_exists(path));
    expect(f->config, "a.b", "5");
    /* A symbolic link stays one. */
    snprintf(path, sizeof path, "%s/dotfiles", f->dir);
    snprintf(target, sizeof target, "%s/xdg/vmscm", f->dir);
    assert_done(vmscm_file_mkdirs(path, &err), &err);
    assert_done(vmscm_file_mkdirs(target, &err), &err);
    snprintf(target, sizeof target, "%s/dotfiles/config", f->dir);
    write_file(target, "[x]\n\ty = z\n");
    assert_int_equal(symlink(target, f->user), 0);
    assert_done(vmscm_gitconfig_set(f->config, VMSCM_CONFIG_USER, "x.w", "v", &err), &err);
    assert_int_equal(lstat(f->user, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    expect(f->config, "x.y", "z");
    expect(f->config, "x.w", "v");
    /* One that cannot be read says where. */
    write_file(f->repo, "[a]\n\tb = 1\n[broken\n");
    assert_fails(
        vmscm_gitconfig_open(&other, f->repo, &err), &err, VMSCM_EINPUT, "config:3");
    assert_null(other);
    assert_int_equal(
        vmscm_gitconfig_set(f->config, VMSCM_CONFIG_REPOSITORY, "a.b", "2", &err), VMSCM_EINPUT);
    assert_done(vmscm_file_read(&buf, f->repo, 1000, &err), &err);
    assert_string_equal(vmscm_buf_str(&buf), "[a]\n\tb = 1\n[broken\n");
    vmscm_buf_release(&buf);
}

/* Each sets its own key in one file; none is lost. */
static void many_processes(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    pid_t pids[8];
    char key[32], *value;
    int status;

    for (int n = 0; n < 8; n++) {
        pids[n] = fork();
        if (pids[n] == 0) {
            for (int i = 0; i < 5; i++) {
                snprintf(key, sizeof key, "many.k%d-%d", n, i);
                if (vmscm_gitconfig_set(f->config, VMSCM_CONFIG_REPOSITORY, key, key, &err))
                    _exit(1);
            }
            _exit(0);
        }
    }
    for (int n = 0; n < 8; n++) {
        assert_int_equal(waitpid(pids[n], &status, 0), pids[n]);
        assert_int_equal(status, 0);
    }
    for (int n = 0; n < 8; n++)
        for (int i = 0; i < 5; i++) {
            snprintf(key, sizeof key, "many.k%d-%d", n, i);
            assert_done(vmscm_gitconfig_get(&value, f->config, key, &err), &err);
            assert_string_equal(value, key);
            free(value);
        }
}

static void without_a_home(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitconfig *config;
    char *value;

    unsetenv("XDG_CONFIG_HOME");
    unsetenv("HOME");
    assert_done(vmscm_gitconfig_open(&config, f->repo, &err), &err);
    assert_fails(vmscm_gitconfig_get(&value, config, "a.b", &err), &err, VMSCM_ENOTFOUND, "a.b");
    assert_fails(vmscm_gitconfig_set(config, VMSCM_CONFIG_USER, "a.b", "c", &err), &err,
        VMSCM_EUSAGE, "no user's configuration file");
    vmscm_gitconfig_close(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(levels, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_and_values, setup, teardown),
        cmocka_unit_test_setup_teardown(files, setup, teardown),
        cmocka_unit_test_setup_teardown(many_processes, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_home, setup, teardown),
    };
    return unit_run(tests);
}
