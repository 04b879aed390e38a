/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/manifest.h"
#include "base/str.h"
#include "sys/file.h"
#include "sys/parallel.h"

#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define PIECE (1u << 20)

void vmscm_manifest_release(struct vmscm_manifest *manifest)
{
    for (size_t i = 0; i < manifest->lines.len; i++)
        free(manifest->lines.items[i].name);
    vmscm_vec_release(&manifest->lines);
}

bool vmscm_manifest_has(const struct vmscm_manifest *manifest, const char *name)
{
    for (size_t i = 0; i < manifest->lines.len; i++)
        if (strcmp(manifest->lines.items[i].name, name) == 0)
            return true;
    return false;
}

/* ALGORITHM, blanks, "(" NAME ")", blanks, "=", blanks, HEX. False: it is not that. */
static bool split(char *line, enum vmscm_digest_algorithm *algorithm, char **name, char **hex)
{
    static const enum vmscm_digest_algorithm all[] = {
        VMSCM_DIGEST_SHA512, VMSCM_DIGEST_SHA256, VMSCM_DIGEST_SHA1};
    char *open = strchr(line, '('), *close = strrchr(line, ')'), *end;
    size_t len;

    if (!open || !close || close <= open + 1)
        return false;
    for (end = open; end > line && (end[-1] == ' ' || end[-1] == '\t'); end--)
        ;
    *end = '\0';
    *close = '\0';
    *name = open + 1;
    for (close++; *close == ' ' || *close == '\t'; close++)
        ;
    if (*close++ != '=')
        return false;
    *hex = close + strspn(close, " \t");
    len = strlen(*hex);
    while (len && strchr(" \t\r", (*hex)[len - 1]))
        (*hex)[--len] = '\0';
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcasecmp(line, vmscm_digest_name(all[i])) == 0) {
            *algorithm = all[i];
            return true;
        }
    /* As OpenSSL 3 calls it. */
    *algorithm = VMSCM_DIGEST_SHA256;
    return strcasecmp(line, "SHA2-256") == 0;
}

int vmscm_manifest_parse(struct vmscm_manifest *out, const void *text, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_manifest_line *line;
    char *copy, *next;
    size_t number = 0;
    int rc = 0;

    if (len > VMSCM_MANIFEST_MAX)
        return vmscm_error_set(err, VMSCM_EINPUT, "manifest: over %u bytes", VMSCM_MANIFEST_MAX);
    if (!(copy = strndup(text, len)))
        return vmscm_error_nomem(err);
    for (char *p = copy; p && !rc; p = next) {
        char *name, *hex;
        number++;
        if ((next = strchr(p, '\n')))
            *next++ = '\0';
        p += strspn(p, " \t\r\xef\xbb\xbf");
        if (!*p)
            continue;
        if (out->lines.len == VMSCM_MEMBERS_MAX || (rc = vmscm_vec_add(&out->lines, &line, err)))
            break;
        if (!split(p, &line->algorithm, &name, &hex) ||
            !vmscm_str_unhex(line->digest, vmscm_digest_size(line->algorithm), hex))
            rc = vmscm_error_set(err, VMSCM_EINPUT, "manifest: line %zu is no digest", number);
        else
            rc = vmscm_str_dup(&line->name, name, err);
    }
    free(copy);
    return rc;
}

struct check {
    const struct vmscm_manifest *manifest;
    const struct vmscm_member **members; /* parallel to its lines */
    const struct vmscm_events *events;
    _Atomic size_t next;
};

static int check_one(const struct vmscm_manifest_line *line, const struct vmscm_member *member,
    struct check *c, uint8_t *piece, struct vmscm_error *err)
{
    struct vmscm_digest *digest = NULL;
    uint8_t found[VMSCM_DIGEST_MAX];
    int fd = -1, rc;

    if ((rc = vmscm_members_open(&fd, member, err)) ||
        (rc = vmscm_digest_new(&digest, line->algorithm, err)))
        goto out;
    for (uint64_t at = 0; at < member->length; at += PIECE) {
        size_t n = member->length - at < PIECE ? (size_t)(member->length - at) : PIECE;
        if (c->events && c->events->canceled && c->events->canceled(c->events->data)) {
            rc = vmscm_error_set(err, VMSCM_ECANCELED, "%s: canceled", member->path);
            goto out;
        }
        if ((rc = vmscm_file_pread(fd, piece, n, member->offset + at, member->path, err)) ||
            (rc = vmscm_digest_add(digest, piece, n, err)))
            goto out;
    }
    if ((rc = vmscm_digest_finish(digest, found, err)))
        goto out;
    if (memcmp(found, line->digest, vmscm_digest_size(line->algorithm)) != 0) {
        vmscm_error_set(err, VMSCM_EREFUSED,
            "%s: is not what the manifest says: its %s differs", member->name,
            vmscm_digest_name(line->algorithm));
        rc = vmscm_error_hint(err,
            "get it again; if it was changed on purpose, --no-manifest passes over this");
    }
out:
    vmscm_digest_free(digest);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int work(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct check *c = p->data;
    uint8_t *piece = malloc(PIECE);
    int rc = 0;

    (void)index;
    if (!piece)
        return vmscm_error_nomem(err);
    while (!rc && !p->stop) {
        size_t n = atomic_fetch_add(&c->next, 1);
        if (n >= c->manifest->lines.len)
            break;
        rc = check_one(&c->manifest->lines.items[n], c->members[n], c, piece, err);
    }
    free(piece);
    return rc;
}

int vmscm_manifest_check(const struct vmscm_manifest *manifest, struct vmscm_members *members,
    const char *folder, unsigned jobs, const struct vmscm_events *events, struct vmscm_error *err)
{
    size_t count = manifest->lines.len;
    struct check c = {.manifest = manifest, .events = events};
    int rc = 0;

    if (!count)
        return 0;
    if (!(c.members = calloc(count, sizeof *c.members)))
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < count && !rc; i++) {
        char *name = NULL;
        if (!(rc = vmscm_str_printf(&name, err, "%s%s", folder, manifest->lines.items[i].name)))
            rc = vmscm_members_find(&c.members[i], members, name, err);
        if (rc == VMSCM_ENOTFOUND)
            rc = vmscm_error_set(err, VMSCM_EREFUSED,
                "%.300s: the manifest names it, but it is not there", manifest->lines.items[i].name);
        free(name);
    }
    /* A file that is listed often is hashed often: a manifest has each file once. */
    for (size_t i = 0; i < count && !rc; i++)
        for (size_t k = 0; k < i && !rc; k++)
            if (c.members[k] == c.members[i])
                rc = vmscm_error_set(err, VMSCM_EREFUSED, "%.300s: the manifest names it twice",
                    manifest->lines.items[i].name);
    if (!rc)
        rc = vmscm_parallel_run(jobs < count ? jobs : (unsigned)count, work, &c, err);
    free(c.members);
    return rc;
}
