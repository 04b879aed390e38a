/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/pin.h"
#include "base/path.h"
#include "base/str.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "pin-"
#define COMMIT "commit "
#define HOLDER "holder "
#define COMMIT_HEX 40
#define PIN_MAX (PATH_MAX + 128) /* bytes of one file */

bool vmscm_pin_is_name(const char *name)
{
    uint8_t raw[(VMSCM_PIN_NAME - 1) / 2];

    return strlen(name) == VMSCM_PIN_NAME - 1 && vmscm_str_unhex(raw, sizeof raw, name);
}

static int path_of(char **path, const char *repo_dir, const char *name, struct vmscm_error *err)
{
    return vmscm_str_printf(path, err, "%s/leases/" PREFIX "%s", repo_dir, name);
}

static int write_pin(const char *repo_dir, const char *name, const char *commit,
    const char *holder, struct vmscm_error *err)
{
    char *path = NULL, *text = NULL;
    int rc;

    if (strchr(holder, '\n') || strlen(holder) >= PATH_MAX)
        return vmscm_error_set(
            err, VMSCM_EUSAGE, "%s: a newline in its path, or too long a one", holder);
    if (!(rc = path_of(&path, repo_dir, name, err)) &&
        !(rc = vmscm_str_printf(&text, err, COMMIT "%s\n" HOLDER "%s\n", commit, holder)))
        rc = vmscm_file_replace(path, text, strlen(text), 0666, err);
    free(path);
    free(text);
    return rc;
}

int vmscm_pin_add(char name[VMSCM_PIN_NAME], const char *repo_dir, const char *commit,
    const char *holder, struct vmscm_error *err)
{
    uint8_t random[(VMSCM_PIN_NAME - 1) / 2];
    char *dir = NULL;
    int rc = vmscm_path_join(&dir, repo_dir, "leases", err);

    if (!rc && mkdir(dir, 0777) < 0 && errno != EEXIST)
        rc = vmscm_error_errno(err, errno, "%s", dir);
    free(dir);
    if (rc)
        return rc;
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return vmscm_error_errno(err, errno, "random numbers");
    vmscm_str_hex(name, random, sizeof random);
    return write_pin(repo_dir, name, commit, holder, err);
}

/* The file's text, with pin pointing into it. */
static int read_pin(struct vmscm_pin *pin, struct vmscm_buf *text, const char *path,
    struct vmscm_error *err)
{
    uint8_t raw[COMMIT_HEX / 2];
    int rc = vmscm_file_read(text, path, PIN_MAX, err);

    if (rc || (rc = vmscm_buf_append(text, "", 1, err)))
        return rc;
    char *first = (char *)text->data, *second = strchr(first, '\n');
    char *end = second ? strchr(second + 1, '\n') : NULL;
    if (!end || end[1] || strlen(first) + 1 != text->len || !vmscm_str_starts(first, COMMIT) ||
        !vmscm_str_starts(second + 1, HOLDER "/"))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "%s: not what a thin checkout wrote", path);
    *second = *end = '\0';
    pin->commit = first + strlen(COMMIT);
    pin->holder = second + 1 + strlen(HOLDER);
    if (strlen(pin->commit) != COMMIT_HEX || !vmscm_str_unhex(raw, sizeof raw, pin->commit))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "%s: not what a thin checkout wrote", path);
    return 0;
}

int vmscm_pin_move(const char *repo_dir, const char *name, const char *holder,
    struct vmscm_error *err)
{
    struct vmscm_buf text = VMSCM_BUF_INIT;
    struct vmscm_pin pin = {.name = name};
    char *path = NULL;
    int rc = path_of(&path, repo_dir, name, err);

    if (!rc && !(rc = read_pin(&pin, &text, path, err)) && strcmp(pin.holder, holder) != 0)
        rc = write_pin(repo_dir, name, pin.commit, holder, err);
    vmscm_buf_release(&text);
    free(path);
    return rc;
}

int vmscm_pin_remove(const char *repo_dir, const char *name, struct vmscm_error *err)
{
    char *path = NULL;
    int rc = path_of(&path, repo_dir, name, err);

    if (!rc && unlink(path) < 0 && errno != ENOENT)
        rc = vmscm_error_errno(err, errno, "%s", path);
    free(path);
    return rc;
}

int vmscm_pin_walk(const char *repo_dir, int (*each)(void *data, const struct vmscm_pin *pin),
    void *data, struct vmscm_error *err)
{
    char *dir = NULL;
    DIR *d = NULL;
    int rc = vmscm_path_join(&dir, repo_dir, "leases", err);

    if (rc)
        return rc;
    if (!(d = opendir(dir))) {
        rc = errno == ENOENT ? 0 : vmscm_error_errno(err, errno, "%s", dir);
        goto out;
    }
    for (struct dirent *e; !rc && (errno = 0, e = readdir(d));) {
        struct vmscm_buf text = VMSCM_BUF_INIT;
        struct vmscm_pin pin;
        char *path = NULL;
        if (!vmscm_str_starts(e->d_name, PREFIX) ||
            !vmscm_pin_is_name(e->d_name + strlen(PREFIX)))
            continue;
        pin.name = e->d_name + strlen(PREFIX);
        if (!(rc = vmscm_path_join(&path, dir, e->d_name, err)) &&
            (rc = read_pin(&pin, &text, path, err)) == VMSCM_ENOTFOUND) {
            vmscm_error_clear(err); /* given up just now */
            rc = 0;
        } else if (!rc) {
            rc = each(data, &pin);
        }
        vmscm_buf_release(&text);
        free(path);
    }
    if (!rc && errno)
        rc = vmscm_error_errno(err, errno, "%s", dir);
out:
    if (d)
        closedir(d);
    free(dir);
    return rc;
}
