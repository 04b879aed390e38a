/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/quarantine.h"
#include "base/path.h"
#include "base/str.h"
#include "store/packfile.h"
#include "store/packscan.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#define PREFIX "from-"
#define NAME_SIZE 16

struct vmscm_quarantine {
    char *repo_dir;
    char *dir;
    int lock;
};

static int parent_of(char **out, const char *repo_dir, struct vmscm_error *err)
{
    return vmscm_path_join(out, repo_dir, "quarantine", err);
}

/* *lost: someone took it for a dead one's before it was locked. */
static int make(struct vmscm_quarantine *q, const char *parent, bool *lost, struct vmscm_error *err)
{
    static const char *const subs[] = {"packs", "tmp", "locks"};
    uint8_t name[NAME_SIZE];
    char hex[2 * NAME_SIZE + 1], *path = NULL;
    struct stat st;
    int rc;

    *lost = false;
    if (getrandom(name, sizeof name, 0) != sizeof name)
        return vmscm_error_errno(err, errno, "random numbers");
    vmscm_str_hex(hex, name, sizeof name);
    free(q->dir);
    q->dir = NULL;
    if ((rc = vmscm_str_printf(&q->dir, err, "%s/" PREFIX "%s", parent, hex)) ||
        (rc = vmscm_path_join(&path, q->dir, "lock", err)))
        goto out;
    if (mkdir(q->dir, 0777) < 0) {
        rc = vmscm_error_errno(err, errno, "%s", q->dir);
        goto out;
    }
    q->lock = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    *lost = q->lock < 0 && errno == ENOENT;
    if (*lost)
        goto out;
    if (q->lock < 0 || flock(q->lock, LOCK_EX | LOCK_NB) < 0 || fstat(q->lock, &st) < 0) {
        *lost = q->lock >= 0 && errno == EWOULDBLOCK;
        if (!*lost)
            rc = vmscm_error_errno(err, errno, "%s: locking", path);
    } else {
        *lost = st.st_nlink == 0;
    }
    for (size_t i = 0; i < sizeof subs / sizeof subs[0] && !rc && !*lost; i++) {
        free(path);
        if (!(rc = vmscm_path_join(&path, q->dir, subs[i], err)) && mkdir(path, 0777) < 0)
            rc = vmscm_error_errno(err, errno, "%s", path);
    }
out:
    if (*lost && q->lock >= 0) {
        close(q->lock);
        q->lock = -1;
    }
    free(path);
    return rc;
}

int vmscm_quarantine_open(struct vmscm_quarantine **out, const char *repo_dir,
    struct vmscm_error *err)
{
    struct vmscm_quarantine *q = calloc(1, sizeof *q);
    char *parent = NULL;
    bool lost = true;
    int rc;

    if (!q)
        return vmscm_error_nomem(err);
    q->lock = -1;
    if ((rc = vmscm_str_dup(&q->repo_dir, repo_dir, err)) || (rc = parent_of(&parent, repo_dir, err)))
        goto out;
    if (mkdir(parent, 0777) < 0 && errno != EEXIST) {
        rc = vmscm_error_errno(err, errno, "%s", parent);
        goto out;
    }
    while (lost && !rc)
        rc = make(q, parent, &lost, err);
out:
    free(parent);
    if (rc)
        vmscm_quarantine_close(q, false);
    else
        *out = q;
    return rc;
}

const char *vmscm_quarantine_dir(const struct vmscm_quarantine *q)
{
    return q->dir;
}

/* One without a lock file is about to get it, as its first file, or was removed in part. */
static void remove_torn(const char *dir, const char *lock)
{
    if (rmdir(dir) < 0 && (errno == ENOTEMPTY || errno == EEXIST) && !vmscm_file_exists(lock))
        vmscm_file_remove_tree(dir, NULL);
}

/* each(data, dir, st, err) for every quarantine whose process is dead, which stays locked meanwhile; st
 * is its lock's. clean: what cannot even be locked goes. */
static int each_dead(const char *repo_dir, bool clean,
    int (*each)(void *data, const char *dir, const struct stat *st, struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    char *parent = NULL, *dir = NULL, *path = NULL;
    struct stat st;
    DIR *d = NULL;
    int rc = parent_of(&parent, repo_dir, err);

    if (rc)
        return rc;
    if (!(d = opendir(parent)) && errno != ENOENT)
        rc = vmscm_error_errno(err, errno, "%s", parent);
    for (struct dirent *e; d && !rc && (e = readdir(d));) {
        if (!vmscm_str_starts(e->d_name, PREFIX))
            continue;
        free(dir);
        free(path);
        path = dir = NULL;
        if ((rc = vmscm_path_join(&dir, parent, e->d_name, err)) ||
            (rc = vmscm_path_join(&path, dir, "lock", err)))
            break;
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0 && errno == ENOENT && clean)
            remove_torn(dir, path);
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0)
            rc = each(data, dir, &st, err);
        close(fd);
    }
    if (d)
        closedir(d);
    free(parent);
    free(dir);
    free(path);
    return rc;
}

/* each(data, directory, file) for every pack of a quarantine's. */
static int each_pack(const char *dir, int (*each)(void *data, const char *packs, const char *file),
    void *data, struct vmscm_error *err)
{
    uint8_t name[VMSCM_MIDX_NAME_SIZE];
    char *packs = NULL;
    DIR *d = NULL;
    int rc = vmscm_path_join(&packs, dir, "packs", err);

    if (!rc && !(d = opendir(packs)) && errno != ENOENT)
        rc = vmscm_error_errno(err, errno, "%s", packs);
    for (struct dirent *e; d && !rc && (e = readdir(d));)
        if (vmscm_packfile_parse_name(name, e->d_name))
            rc = each(data, packs, e->d_name);
    if (d)
        closedir(d);
    free(packs);
    return rc;
}

/* Whether a pack is as it was written, record by record; hashes were looked at before that. One that is not
 * may have been hit by what ended its process, and is not worth a repair: what is missing is sent again. */
static bool is_sound(const char *packs, const char *file)
{
    uint8_t name[VMSCM_MIDX_NAME_SIZE];
    struct vmscm_packfile *pack = NULL;
    struct vmscm_packscan *scan = NULL;
    struct vmscm_packscan_record record;
    uint64_t end = VMSCM_PACK_HEADER_SIZE;
    size_t claims = 0;
    bool right = false, sound;

    sound = vmscm_packfile_parse_name(name, file) && !vmscm_packfile_new(&pack, name, NULL) &&
        !vmscm_packfile_map(pack, packs, NULL) && !vmscm_packscan_open(&scan, pack->path, NULL);
    while (sound && vmscm_packscan_next(scan, &record)) {
        sound = record.sound && !record.unsupported && record.claim_count == record.head.part_count;
        end += record.len;
        claims += record.claim_count;
    }
    sound = sound && end == pack->trailer.index_offset &&
        claims == vmscm_packscan_claims(scan, &right) && right;
    vmscm_packscan_close(scan);
    vmscm_packfile_free(pack);
    return sound;
}

struct adoption {
    struct vmscm_quarantine *q;
    size_t packs;
    struct vmscm_error *err;
};

static int adopt_pack(void *data, const char *packs, const char *file)
{
    struct adoption *a = data;
    char *from = NULL, *to = NULL;
    int rc;

    /* It goes with the directory it is in. */
    if (!is_sound(packs, file))
        return 0;
    if (!(rc = vmscm_path_join(&from, packs, file, a->err)) &&
        !(rc = vmscm_str_printf(&to, a->err, "%s/packs/%s", a->q->dir, file)) &&
        !(rc = vmscm_file_rename_new(from, to, a->err)))
        a->packs++;
    free(from);
    free(to);
    return rc;
}

static int adopt_dir(void *data, const char *dir, const struct stat *st, struct vmscm_error *err)
{
    struct adoption *a = data;
    int rc;

    if (st->st_uid != geteuid())
        return 0;
    a->err = err;
    if ((rc = each_pack(dir, adopt_pack, a, err)))
        return rc;
    return vmscm_file_remove_tree(dir, err);
}

int vmscm_quarantine_adopt(struct vmscm_quarantine *q, size_t *packs, struct vmscm_error *err)
{
    struct adoption adoption = {.q = q};
    int rc = each_dead(q->repo_dir, true, adopt_dir, &adoption, err);

    *packs = adoption.packs;
    return rc;
}

static int count_pack(void *data, const char *packs, const char *file)
{
    (void)packs;
    (void)file;
    ++*(size_t *)data;
    return 0;
}

static int count_dir(void *data, const char *dir, const struct stat *st, struct vmscm_error *err)
{
    return st->st_uid == geteuid() ? each_pack(dir, count_pack, data, err) : 0;
}

bool vmscm_quarantine_any(const char *repo_dir)
{
    size_t packs = 0;

    return each_dead(repo_dir, false, count_dir, &packs, NULL) == 0 && packs > 0;
}

struct installation {
    struct vmscm_quarantine *q;
    struct vmscm_lease *lease;
    int (*each)(void *data, const char *file, struct vmscm_error *err);
    void *data;
    struct vmscm_error *err;
};

static int install_pack(void *data, const char *packs, const char *file)
{
    struct installation *in = data;
    uint8_t name[VMSCM_MIDX_NAME_SIZE];
    char *from = NULL, *to = NULL;
    int rc;

    if (!vmscm_packfile_parse_name(name, file))
        return 0;
    if (!(rc = vmscm_lease_add_pack(in->lease, name, in->err)) &&
        !(rc = vmscm_path_join(&from, packs, file, in->err)) &&
        !(rc = vmscm_str_printf(&to, in->err, "%s/packs/%s", in->q->repo_dir, file)) &&
        !(rc = vmscm_file_rename_new(from, to, in->err)))
        rc = in->each(in->data, file, in->err);
    free(from);
    free(to);
    return rc;
}

int vmscm_quarantine_install(struct vmscm_quarantine *q, struct vmscm_lease *lease,
    int (*each)(void *data, const char *file, struct vmscm_error *err), void *data,
    struct vmscm_error *err)
{
    struct installation in = {q, lease, each, data, err};
    char *packs = NULL;
    int rc = each_pack(q->dir, install_pack, &in, err);

    if (!rc && !(rc = vmscm_path_join(&packs, q->repo_dir, "packs", err)))
        rc = vmscm_file_sync_dir(packs, err);
    free(packs);
    return rc;
}

void vmscm_quarantine_close(struct vmscm_quarantine *q, bool keep)
{
    size_t packs = 0;

    if (!q)
        return;
    /* What is left of an interrupted transfer is worth keeping only if some of it is whole. */
    if (q->lock >= 0 && (!keep || each_pack(q->dir, count_pack, &packs, NULL) || !packs))
        vmscm_file_remove_tree(q->dir, NULL);
    if (q->lock >= 0)
        close(q->lock);
    free(q->dir);
    free(q->repo_dir);
    free(q);
}

static int remove_dir(void *data, const char *dir, const struct stat *st, struct vmscm_error *err)
{
    (void)data;
    (void)st;
    return vmscm_file_remove_tree(dir, err);
}

int vmscm_quarantine_sweep(const char *repo_dir, struct vmscm_error *err)
{
    return each_dead(repo_dir, true, remove_dir, NULL, err);
}

struct measure {
    uint64_t count, bytes;
};

static int measure_pack(void *data, const char *packs, const char *file)
{
    struct measure *m = data;
    struct stat st;
    char *path = NULL;

    if (!vmscm_path_join(&path, packs, file, NULL) && stat(path, &st) == 0)
        m->bytes += (uint64_t)st.st_size;
    free(path);
    return 0;
}

static int measure_dir(void *data, const char *dir, const struct stat *st, struct vmscm_error *err)
{
    struct measure *m = data;

    (void)st;
    m->count++;
    return each_pack(dir, measure_pack, m, err);
}

int vmscm_quarantine_measure(const char *repo_dir, uint64_t *count, uint64_t *bytes,
    struct vmscm_error *err)
{
    struct measure m = {0, 0};
    int rc = each_dead(repo_dir, false, measure_dir, &m, err);

    *count = m.count;
    *bytes = m.bytes;
    return rc;
}
