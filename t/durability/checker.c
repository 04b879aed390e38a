/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Says whether a repository is whole and holds what it must, many times a second: it stays, and
 * reads a line "REPOSITORY<tab>FILE" for each question. FILE has a line for each thing that must be:
 *   rev ID DISK HASH    the disk's bytes have this SHA-256
 *   at SPEC ID[,ID...]  SPEC names one of these revisions; "-": it may name none
 *   comment ID TEXT     the revision has this comment (TEXT to the end of the line)
 *   damaged             alone, first: fsck is not asked, and the repository need not open
 *   may ...             rev, at or comment: it is so, or cannot be read for damage
 * Fields are separated by tabs. The answer is a line: "ok", or "bad: " and what is wrong. Every
 * question is answered from the disk alone.
 */
#include <git2/global.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vmscm/disk.h>
#include <vmscm/fsck.h>
#include <vmscm/remote.h>
#include <vmscm/revision.h>

/* Of the last line that was wrong: it could not be read, for damage. */
static bool damaged_line;

static void found(void *data, const struct vmscm_fsck_finding *finding)
{
    char *first = data;

    /* What dead writers left is no damage. */
    if (!finding->note && !*first)
        snprintf(first, 1000, "fsck: %.300s: %.600s", finding->object, finding->text);
}

static int hash_disk(char hex[65], struct vmscm_disk *disk, struct vmscm_error *err)
{
    static char buffer[1 << 20];
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    uint64_t size = vmscm_disk_size(disk);
    int rc = !hash || !EVP_DigestInit_ex(hash, EVP_sha256(), NULL) ? VMSCM_ENOMEM : 0;

    for (uint64_t at = 0; at < size && !rc;) {
        size_t n = size - at < sizeof buffer ? (size_t)(size - at) : sizeof buffer;
        if (!(rc = vmscm_disk_pread(disk, buffer, n, at, err)))
            EVP_DigestUpdate(hash, buffer, n);
        at += n;
    }
    if (!rc) {
        EVP_DigestFinal_ex(hash, digest, NULL);
        for (int i = 0; i < 32; i++)
            snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
    EVP_MD_CTX_free(hash);
    return rc;
}

static int check_revision(char *why, struct vmscm_repo *repo, const char *id, const char *name,
    const char *want)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_revision *rev = NULL;
    struct vmscm_disk *disk = NULL;
    char hex[65] = "";
    int rc;

    if (!(rc = vmscm_revision_resolve(&rev, repo, id, &err)) &&
        !(rc = vmscm_disk_open(&disk, rev, name, &err)))
        rc = hash_disk(hex, disk, &err);
    damaged_line = rc == VMSCM_EDAMAGED;
    if (rc)
        snprintf(why, 1000, "revision %.12s, disk %s: %.800s", id, name, err.message);
    else if (strcmp(hex, want) != 0)
        snprintf(why, 1000, "revision %.12s, disk %s: WRONG BYTES: %s", id, name, hex);
    vmscm_disk_close(disk);
    vmscm_revision_free(rev);
    return *why != '\0';
}

static int check_name(char *why, struct vmscm_repo *repo, const char *spec, const char *ids)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_revision *rev = NULL;
    int rc = vmscm_revision_resolve(&rev, repo, spec, &err);
    const char *id = rc == VMSCM_ENOTFOUND ? "-" : rc ? "" : vmscm_revision_id(rev);
    size_t len = strlen(id);
    int right = 0;

    damaged_line = rc == VMSCM_EDAMAGED;

    for (const char *p = ids; len && *p; p += strcspn(p, ","), p += *p == ',')
        right |= strcspn(p, ",") == len && strncmp(p, id, len) == 0;
    if (!right)
        snprintf(why, 1000, "%s is %s, not %s: %.500s", spec, id, ids, err.message);
    vmscm_revision_free(rev);
    return !right;
}

struct comment {
    const char *text;
    int seen;
};

static int see_comment(void *data, const struct vmscm_signature *author, const char *text)
{
    struct comment *c = data;

    (void)author;
    c->seen |= strcmp(text, c->text) == 0;
    return 0;
}

static int check_comment(char *why, struct vmscm_repo *repo, const char *id, const char *text)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_revision *rev = NULL;
    struct comment c = {text, 0};
    int rc = vmscm_revision_resolve(&rev, repo, id, &err);

    if (!rc)
        rc = vmscm_revision_comments(rev, see_comment, &c, &err);
    damaged_line = rc == VMSCM_EDAMAGED;
    if (rc || !c.seen)
        snprintf(why, 1000, "revision %.12s: comment \"%s\": %.800s", id, text,
            rc ? err.message : "is not there");
    vmscm_revision_free(rev);
    return *why != '\0';
}

/* One line of expectations. */
static int check_line(char *why, struct vmscm_repo *repo, char *line)
{
    char *field[4] = {line};
    int n = 1;

    while (n < 4 && (field[n] = strchr(field[n - 1], '\t')))
        *field[n++]++ = '\0';
    if (n == 4 && field[3] && strcmp(field[0], "rev") == 0)
        return check_revision(why, repo, field[1], field[2], field[3]);
    if (field[1] && field[2] && strcmp(field[0], "at") == 0)
        return check_name(why, repo, field[1], field[2]);
    if (field[1] && field[2] && strcmp(field[0], "comment") == 0)
        return check_comment(why, repo, field[1], field[2]);
    snprintf(why, 1000, "the checker does not know \"%.100s\"", field[0]);
    return 1;
}

/* A line of which it is enough that it is not contradicted. */
static int check_perhaps(char *why, struct vmscm_repo *repo, char *line)
{
    int bad = check_line(why, repo, line);

    if (bad && !damaged_line)
        return 1;
    *why = '\0';
    return 0;
}

static void check(char *why, const char *path, const char *list)
{
    char line[4096];
    struct vmscm_fsck_options options = {.full = 1, .jobs = 1};
    struct vmscm_fsck_result result = {0};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_repo *repo = NULL;
    FILE *file = fopen(list, "r");
    int rc = file ? vmscm_repo_open(&repo, path, &err) : VMSCM_EIO;

    if (!rc)
        rc = vmscm_remote_attach(repo, NULL, &err);
    bool damaged = file && fgets(line, sizeof line, file) && strcmp(line, "damaged\n") == 0;
    if (damaged && rc == VMSCM_EDAMAGED)
        goto out;
    if (!rc && !damaged) {
        rewind(file);
        rc = vmscm_fsck(repo, &options, NULL, found, why, &result, &err);
        if (*why)
            goto out;
    }
    if (rc) {
        snprintf(why, 1000, "%.100s: %.800s", path, file ? err.message : "no list");
        goto out;
    }
    while (fgets(line, sizeof line, file) && !*why) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "may ", 4) == 0)
            check_perhaps(why, repo, line + 4);
        else
            check_line(why, repo, line);
    }
out:
    vmscm_repo_close(repo);
    if (file)
        fclose(file);
}

int main(void)
{
    char line[8192], why[1000];

    /* Else each question would begin with libgit2 reading all of the system's certificates. */
    if (git_libgit2_init() < 0)
        return 2;
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        char *list = strchr(line, '\t');
        if (!list)
            return 2;
        *list++ = '\0';
        why[0] = '\0';
        check(why, line, list);
        printf(*why ? "bad: %s\n" : "ok\n", why);
        fflush(stdout);
    }
    return 0;
}
