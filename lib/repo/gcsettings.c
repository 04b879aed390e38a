/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/gcsettings.h"
#include "base/path.h"
#include "base/str.h"
#include "codec/compress.h"
#include "history/expire.h"
#include "history/gitgc.h"
#include "history/packloose.h"
#include "sys/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THRESHOLD 25
#define GRACE 3600
#define LEVEL_AGGRESSIVE 12

/* An empty file: an automatic gc would find something to do. */
#define NOTE_SMALL "gc-small"

static int note_path(char **out, const struct vmscm_repo *repo)
{
    return vmscm_path_join(out, repo->path, NOTE_SMALL, NULL);
}

void vmscm_gcsettings_note_small(const struct vmscm_repo *repo)
{
    char *path = NULL;
    int fd = -1;

    if (!note_path(&path, repo) &&
        !vmscm_file_open(&fd, path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0666, NULL))
        close(fd);
    free(path);
}

void vmscm_gcsettings_begin(const struct vmscm_repo *repo)
{
    char *path = NULL;

    if (!note_path(&path, repo))
        unlink(path);
    free(path);
}

/* "90", "2h", "14d" */
static int parse_grace(int64_t *out, const char *text, struct vmscm_error *err)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'\0', 1}, {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
    char digits[16];
    size_t len = strspn(text, "0123456789");
    uint64_t n;

    if (len && len < sizeof digits && strlen(text) <= len + 1) {
        memcpy(digits, text, len);
        digits[len] = '\0';
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
            if (units[i].letter == text[len] && vmscm_str_uint(&n, digits, 0, 1000000000)) {
                *out = (int64_t)n * units[i].seconds;
                return 0;
            }
    }
    vmscm_error_set(err, VMSCM_EUSAGE, "gc.grace: %.100s: not a time", text);
    return vmscm_error_hint(err, "like 0, 90, 30m, 2h, 14d or 4w; a number alone is seconds");
}

static int read_grace(int64_t *out, struct vmscm_repo *repo, const char *asked,
    struct vmscm_error *err)
{
    char *text = NULL;
    int rc = asked ? 0 : vmscm_gitconfig_get(&text, repo->config, "gc.grace", err);

    *out = GRACE;
    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        return 0;
    }
    if (!rc)
        rc = parse_grace(out, asked ? asked : text, err);
    free(text);
    return rc;
}

static int read_expire(int64_t *before, struct vmscm_repo *repo, struct vmscm_error *err)
{
    char *text = NULL;
    int rc = vmscm_gitconfig_get(&text, repo->config, "gc.reflogExpire", err);

    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        rc = 0;
    }
    if (!rc && (rc = vmscm_expire_parse(before, text ? text : VMSCM_EXPIRE_DEFAULT, err)))
        vmscm_error_prefix(err, "gc.reflogExpire");
    free(text);
    return rc;
}

int vmscm_gcsettings_read(struct vmscm_gcsettings *set, struct vmscm_repo *repo,
    const struct vmscm_gc_options *options, struct vmscm_error *err)
{
    static const struct vmscm_gc_options defaults = {.threshold = VMSCM_GC_DEFAULT};
    const struct vmscm_gc_options *o = options ? options : &defaults;
    int64_t threshold = o->threshold, level;
    int rc;

    *set = (struct vmscm_gcsettings){
        .dry_run = o->dry_run, .aggressive = o->aggressive, .merge_only = o->automatic};
    if ((rc = vmscm_handle_jobs(&set->jobs, repo, o->jobs, err)) ||
        (threshold == VMSCM_GC_DEFAULT && (rc = vmscm_gitconfig_get_int(&threshold,
             repo->config, "gc.threshold", THRESHOLD, err))) ||
        (rc = read_grace(&set->grace, repo, o->grace, err)) ||
        (rc = read_expire(&set->expire, repo, err)) ||
        (rc = vmscm_gitconfig_get_int(&level, repo->config,
             o->aggressive ? "gc.aggressiveLevel" : "core.compression",
             o->aggressive ? LEVEL_AGGRESSIVE : VMSCM_COMPRESS_LEVEL_DEFAULT, err)))
        return rc;
    if (threshold < 0 || threshold > 100)
        return vmscm_error_set(err, VMSCM_EUSAGE, "gc.threshold: %lld: 0 to 100 percent are possible",
            (long long)threshold);
    if (level < 1 || level > VMSCM_COMPRESS_LEVEL_MAX)
        return vmscm_error_set(err, VMSCM_EUSAGE, "compression level %lld: 1 to %d are possible",
            (long long)level, VMSCM_COMPRESS_LEVEL_MAX);
    set->threshold = (unsigned)threshold;
    set->level = (int)level;
    return 0;
}

/* gc.auto: a truth, or, as git has it, how many loose objects are too many. */
static int read_auto(int64_t *automatic, struct vmscm_repo *repo, struct vmscm_error *err)
{
    return vmscm_gitconfig_get_int(automatic, repo->config, "gc.auto", 1, err);
}

int vmscm_gcsettings_is_loose(bool *many, struct vmscm_repo *repo, struct vmscm_error *err)
{
    int64_t automatic;
    int rc = read_auto(&automatic, repo, err);

    *many = !rc && vmscm_packloose_is_due(
        repo->git, automatic > 1 ? (size_t)automatic : VMSCM_GITGC_LOOSE_MAX);
    return rc;
}

int vmscm_gcsettings_is_due(int *due, struct vmscm_repo *repo, struct vmscm_error *err)
{
    char *path = NULL;
    int64_t automatic;
    bool many;
    int rc = read_auto(&automatic, repo, err);

    *due = 0;
    if (!rc && automatic && !(rc = vmscm_path_join(&path, repo->path, NOTE_SMALL, err)) &&
        !(rc = vmscm_gcsettings_is_loose(&many, repo, err)))
        *due = many || vmscm_file_exists(path);
    free(path);
    return rc;
}
