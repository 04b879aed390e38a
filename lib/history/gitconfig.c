/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/gitconfig.h"
#include "base/path.h"
#include "base/str.h"
#include "history/git.h"
#include "history/stalelock.h"
#include "sys/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CONFIG_MAX ((size_t)4 << 20)
#define VALUE_MAX 65536

struct vmscm_gitconfig {
    char *files[2];     /* by enum vmscm_config_level; NULL: there is none */
    git_config *configs[2];
};

static const enum vmscm_config_level by_precedence[] = {
    VMSCM_CONFIG_REPOSITORY, VMSCM_CONFIG_USER};

/* *out is NULL where there is no home directory. */
static int user_file(char **out, struct vmscm_error *err)
{
    const char *dir = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    *out = NULL;
    /* The XDG rules: a relative path there is to be ignored. */
    if (dir && dir[0] == '/')
        return vmscm_path_join(out, dir, "vmscm/config", err);
    if (home && home[0] == '/')
        return vmscm_path_join(out, home, ".config/vmscm/config", err);
    return 0;
}

static int load(struct vmscm_gitconfig *config, enum vmscm_config_level level,
    struct vmscm_error *err)
{
    git_config *fresh = NULL;
    int e;

    if (!config->files[level])
        return 0;
    if ((e = git_config_open_ondisk(&fresh, config->files[level])) < 0) {
        git_config_free(fresh);
        return vmscm_git_error(err, e, VMSCM_EINPUT, "%s", config->files[level]);
    }
    git_config_free(config->configs[level]);
    config->configs[level] = fresh;
    return 0;
}

int vmscm_gitconfig_open(struct vmscm_gitconfig **out, const char *repo_file,
    struct vmscm_error *err)
{
    struct vmscm_gitconfig *config = NULL;
    int rc = vmscm_git_start(err);

    *out = NULL;
    if (rc)
        return rc;
    if (!(config = calloc(1, sizeof *config))) {
        vmscm_git_stop();
        return vmscm_error_nomem(err);
    }
    if ((repo_file &&
            (rc = vmscm_str_dup(&config->files[VMSCM_CONFIG_REPOSITORY], repo_file, err))) ||
        (rc = user_file(&config->files[VMSCM_CONFIG_USER], err)) ||
        (rc = load(config, VMSCM_CONFIG_REPOSITORY, err)) ||
        (rc = load(config, VMSCM_CONFIG_USER, err))) {
        vmscm_gitconfig_close(config);
        return rc;
    }
    *out = config;
    return 0;
}

void vmscm_gitconfig_close(struct vmscm_gitconfig *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < 2; i++) {
        git_config_free(config->configs[i]);
        free(config->files[i]);
    }
    free(config);
    vmscm_git_stop();
}

/* SECTION.NAME or SECTION.SUBSECTION.NAME; SECTION and NAME of letters, digits and '-', NAME
 * starting with a letter. A subsection may hold anything printable. */
static int check_key(const char *key, struct vmscm_error *err)
{
    const char *first = strchr(key, '.'), *last = strrchr(key, '.');
    bool good = first && first != key && last[1] && isalpha((unsigned char)last[1]) &&
        strlen(key) <= 1024 && vmscm_str_printable(key);

    for (const char *p = key; good && p < first; p++)
        good = isalnum((unsigned char)*p) || *p == '-';
    for (const char *p = last ? last + 1 : ""; good && *p; p++)
        good = isalnum((unsigned char)*p) || *p == '-';
    if (good)
        return 0;
    vmscm_error_set(err, VMSCM_EUSAGE, "%.200s: not a configuration key", key);
    return vmscm_error_hint(err, "a key is SECTION.NAME, such as user.name or core.compression");
}

/* Keys that vmscm itself reads, and what they may be; others are free. */
static int check_value(const char *key, const char *value, struct vmscm_error *err)
{
    static const struct {
        const char *key;
        int64_t min, max;
    } numbers[] = {{"core.compression", 1, 19}, {"core.jobs", 0, 1024}};
    int64_t n;
    int truth;

    if (strlen(value) > VALUE_MAX)
        return vmscm_error_set(
            err, VMSCM_EUSAGE, "%s: longer than %d bytes", key, VALUE_MAX);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcasecmp(key, numbers[i].key) != 0)
            continue;
        if (git_config_parse_int64(&n, value) < 0 || n < numbers[i].min || n > numbers[i].max)
            return vmscm_error_set(err, VMSCM_EUSAGE, "%s: %.100s: not a number from %d to %d", key,
                *value ? value : "\"\"", (int)numbers[i].min, (int)numbers[i].max);
    }
    if ((strcasecmp(key, "core.bitmaps") == 0 || strcasecmp(key, "inspect.auto") == 0) &&
        git_config_parse_bool(&truth, value) < 0)
        return vmscm_error_set(err, VMSCM_EUSAGE, "%s: %.100s: not true or false", key,
            *value ? value : "\"\"");
    if ((strcasecmp(key, "user.name") == 0 || strcasecmp(key, "user.email") == 0) &&
        (!value[strspn(value, " ")] || strpbrk(value, "<>") || !vmscm_str_printable(value)))
        return vmscm_error_set(err, VMSCM_EUSAGE,
            "%s: must be one line of text, not empty, without '<' and '>'", key);
    return 0;
}

/* A key without "=" is true, as git has it. */
static const char *value_of(const git_config_entry *entry)
{
    return entry->value ? entry->value : "true";
}

/* VMSCM_ENOTFOUND says nothing in err. */
static int find(char **value, git_config *config, const char *key, const char *file,
    struct vmscm_error *err)
{
    git_config_entry *entry = NULL;
    int e = config ? git_config_get_entry(&entry, config, key) : GIT_ENOTFOUND, rc;

    if (e == GIT_ENOTFOUND)
        return VMSCM_ENOTFOUND;
    if (e < 0)
        return vmscm_git_error(err, e, VMSCM_EINPUT, "%s: %s", file, key);
    rc = vmscm_str_dup(value, value_of(entry), err);
    git_config_entry_free(entry);
    return rc;
}

int vmscm_gitconfig_get(char **value, struct vmscm_gitconfig *config, const char *key,
    struct vmscm_error *err)
{
    int rc = check_key(key, err);

    *value = NULL;
    if (rc)
        return rc;
    for (size_t i = 0; i < 2; i++) {
        enum vmscm_config_level level = by_precedence[i];
        rc = find(value, config->configs[level], key, config->files[level], err);
        if (rc != VMSCM_ENOTFOUND)
            return rc;
    }
    return vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: not set", key);
}

int vmscm_gitconfig_get_int(int64_t *value, struct vmscm_gitconfig *config, const char *key,
    int64_t unset, struct vmscm_error *err)
{
    char *text = NULL;
    int truth, rc = vmscm_gitconfig_get(&text, config, key, err);

    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        *value = unset;
        return 0;
    }
    if (rc)
        return rc;
    if (git_config_parse_int64(value, text) < 0) {
        if (git_config_parse_bool(&truth, text) < 0)
            rc = vmscm_error_set(
                err, VMSCM_EUSAGE, "%s: %.100s: not a number", key, *text ? text : "\"\"");
        else
            *value = truth;
    }
    free(text);
    return rc;
}

/* Take the lock that plain git takes on a configuration file: FILE.lock, made exclusively. Ours
 * wait for each other on the directory, so one met here is plain git's or a dead process's. */
static int lock_file(int *fd, const char *lock, struct vmscm_error *err)
{
    struct stat first = {0}, now;
    int rc = VMSCM_EEXIST;

    for (unsigned waited = 0; rc == VMSCM_EEXIST; waited += 10) {
        rc = vmscm_file_open(fd, lock, O_WRONLY | O_CREAT | O_EXCL, 0666, err);
        if (rc != VMSCM_EEXIST || lstat(lock, &now) < 0)
            continue;
        if (first.st_ino != now.st_ino || first.st_ctim.tv_sec != now.st_ctim.tv_sec ||
            first.st_ctim.tv_nsec != now.st_ctim.tv_nsec) {
            first = now;
            waited = 0;
        } else if (waited >= 1000) {
            unlink(lock);
        }
        nanosleep(&(struct timespec){0, 10 * 1000 * 1000}, NULL);
    }
    return rc;
}

/* Change one key in a file. */
static int edit(const char *file, const char *key, const char *value, struct vmscm_error *err)
{
    git_config *config = NULL;
    git_config_entry *entry = NULL;
    int rc = 0, e = git_config_open_ondisk(&config, file);

    if (e >= 0) {
        e = git_config_get_entry(&entry, config, key);
        if (e == GIT_ENOTFOUND)
            e = 0;
    }
    if (e >= 0 && !value && !entry) {
        rc = vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: not set", key);
        goto out;
    }
    /* A key may be there several times: then all of them go. */
    if (e >= 0 && entry)
        e = git_config_delete_multivar(config, key, ".*");
    if (e >= 0 && value)
        e = git_config_set_string(config, key, value);
    if (e < 0)
        rc = vmscm_git_error(err, e, VMSCM_EINPUT, "%s", key);
out:
    git_config_entry_free(entry);
    git_config_free(config);
    return rc;
}

/* libgit2 writes a configuration file without fsync, so it is let loose on a copy: FILE.lock. */
static int rewrite(const char *file, const char *key, const char *value, struct vmscm_error *err)
{
    struct vmscm_buf text = VMSCM_BUF_INIT;
    char *lock = NULL, *second = NULL;
    int fd = -1, rc;
    bool locked = false;

    if ((rc = vmscm_str_printf(&lock, err, "%s.lock", file)) ||
        (rc = vmscm_str_printf(&second, err, "%s.lock", lock)) ||
        (rc = lock_file(&fd, lock, err)))
        goto out;
    locked = true;
    /* libgit2's lock on the copy, if a process died over it: nobody else has one there. */
    unlink(second);
    rc = vmscm_file_read(&text, file, CONFIG_MAX, err);
    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        rc = 0;
    }
    if (rc || (rc = vmscm_file_write(fd, text.data, text.len, lock, err)) ||
        (rc = vmscm_file_close(&fd, lock, err)) || (rc = edit(lock, key, value, err)))
        goto out;
    text.len = 0;
    if ((rc = vmscm_file_read(&text, lock, CONFIG_MAX, err)))
        goto out;
    rc = vmscm_file_replace(file, text.data, text.len, 0666, err);
out:
    if (fd >= 0)
        close(fd);
    if (locked)
        unlink(lock);
    free(lock);
    free(second);
    vmscm_buf_release(&text);
    return rc;
}

static int lock_dir(int fd, const char *dir, struct vmscm_error *err)
{
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return vmscm_error_errno(err, errno, "%s: locking", dir);
    return 0;
}

int vmscm_gitconfig_sweep(struct vmscm_gitconfig *config, struct vmscm_error *err)
{
    const char *file = config->files[VMSCM_CONFIG_REPOSITORY];
    char *dir = NULL, *path = NULL;
    int fd = -1, rc;

    if (!file)
        return 0;
    if ((rc = vmscm_path_dirname(&dir, file, err)) ||
        (rc = vmscm_file_open(&fd, dir, O_RDONLY | O_DIRECTORY, 0, err)) ||
        (rc = lock_dir(fd, dir, err)))
        goto out;
    vmscm_file_sweep(file);
    for (int n = 1; n <= 2 && !rc; n++) {
        free(path);
        if (!(rc = vmscm_str_printf(&path, err, "%s%s", file, n == 1 ? ".lock" : ".lock.lock")))
            vmscm_stalelock_clear(path, 1000);
    }
out:
    if (fd >= 0)
        close(fd);
    free(path);
    free(dir);
    return rc;
}

int vmscm_gitconfig_set(struct vmscm_gitconfig *config, enum vmscm_config_level level,
    const char *key, const char *value, struct vmscm_error *err)
{
    const char *file = config->files[level];
    char *dir = NULL, *real = NULL;
    int fd = -1, rc;

    if ((rc = check_key(key, err)) || (value && (rc = check_value(key, value, err))))
        return rc;
    if (!file)
        return vmscm_error_set(err, VMSCM_EUSAGE, "%s: there is no %s configuration file", key,
            level == VMSCM_CONFIG_USER ? "user's" : "repository's");
    if ((rc = vmscm_path_dirname(&dir, file, err)) || (rc = vmscm_file_mkdirs(dir, err)))
        goto out;
    /* A symbolic link, as from a dotfiles directory, stays one. */
    rc = vmscm_file_realpath(&real, file, err);
    if (rc == VMSCM_ENOTFOUND)
        rc = vmscm_str_dup(&real, file, err);
    if (rc)
        goto out;
    free(dir);
    dir = NULL;
    if ((rc = vmscm_path_dirname(&dir, real, err)) ||
        (rc = vmscm_file_open(&fd, dir, O_RDONLY | O_DIRECTORY, 0, err)))
        goto out;
    if ((rc = lock_dir(fd, dir, err)))
        goto out;
    vmscm_error_clear(err);
    if (!(rc = rewrite(real, key, value, err)))
        rc = load(config, level, err);
out:
    if (fd >= 0)
        close(fd);
    free(dir);
    free(real);
    return rc;
}

int vmscm_gitconfig_list(struct vmscm_gitconfig *config,
    int (*each)(void *data, enum vmscm_config_level level, const char *key, const char *value),
    void *data, struct vmscm_error *err)
{
    git_config_iterator *it = NULL;
    git_config_entry *entry;
    int rc = 0, e;

    for (size_t i = 2; i-- && !rc;) {
        enum vmscm_config_level level = by_precedence[i];
        if (!config->configs[level])
            continue;
        if ((e = git_config_iterator_new(&it, config->configs[level])) < 0)
            return vmscm_git_error(err, e, VMSCM_EINPUT, "%s", config->files[level]);
        while (!rc && (e = git_config_next(&entry, it)) == 0)
            rc = each(data, level, entry->name, value_of(entry));
        if (!rc && e != GIT_ITEROVER)
            rc = vmscm_git_error(err, e, VMSCM_EINPUT, "%s", config->files[level]);
        git_config_iterator_free(it);
    }
    return rc;
}

int vmscm_gitconfig_get_git(char **value, const char *key, struct vmscm_error *err)
{
    git_config *config = NULL;
    int rc, e;

    *value = NULL;
    if ((rc = check_key(key, err)) || (rc = vmscm_git_start(err)))
        return rc;
    if ((e = git_config_open_default(&config)) < 0) {
        rc = vmscm_git_error(err, e, VMSCM_EINPUT, "git's configuration");
        goto out;
    }
    rc = find(value, config, key, "git's configuration", err);
    if (rc == VMSCM_ENOTFOUND)
        rc = vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: not set", key);
out:
    git_config_free(config);
    vmscm_git_stop();
    return rc;
}
