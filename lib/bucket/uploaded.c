/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bucket/uploaded.h"
#include "base/endian.h"
#include "base/path.h"
#include "base/str.h"
#include "sys/file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIR_NAME "uploaded"
#define FILE_SIZE (VMSCM_GENERATION_NAME + 8)
#define HEX (2 * VMSCM_GENERATION_NAME + 1)

static int path_of(char **out, const struct vmscm_mirror *m, const uint8_t *pack,
    struct vmscm_error *err)
{
    char hex[HEX];

    vmscm_str_hex(hex, pack, VMSCM_GENERATION_NAME);
    return vmscm_str_printf(out, err, "%s/" DIR_NAME "/%s", m->dir, hex);
}

static bool load(struct vmscm_uploaded *out, const char *path)
{
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    bool good = !vmscm_file_read(&buf, path, FILE_SIZE, NULL) && buf.len == FILE_SIZE;

    if (good) {
        memcpy(out->name, buf.data, sizeof out->name);
        out->seen = vmscm_get_le64(buf.data + sizeof out->name);
    }
    vmscm_buf_release(&buf);
    return good;
}

struct look {
    char key[VMSCM_BLOCKS_KEY];
    uint64_t size;
    bool there;
};

static int look(void *data, const char *key, uint64_t size, int64_t modified, struct vmscm_error *err)
{
    struct look *l = data;

    (void)modified;
    (void)err;
    l->there = l->there || (size == l->size && strcmp(key, l->key) == 0);
    return 0;
}

int vmscm_uploaded_find(struct vmscm_uploaded *out, bool *there, struct vmscm_mirror *m,
    const uint8_t pack[VMSCM_GENERATION_NAME], uint64_t size, struct vmscm_error *err)
{
    struct look l = {.size = size};
    char *path = NULL;
    int rc = path_of(&path, m, pack, err);

    *there = false;
    /* Generations since then are read; those before the base may be many. One of the future is of a bucket
     * that was made anew. */
    if (!rc && load(out, path) && out->seen >= m->base && out->seen <= m->number) {
        vmscm_blocks_key(l.key, out->name);
        rc = vmscm_s3_list(m->s3, l.key, 1, look, &l, err);
        *there = !rc && l.there;
    }
    free(path);
    return rc;
}

int vmscm_uploaded_note(struct vmscm_mirror *m, const uint8_t pack[VMSCM_GENERATION_NAME],
    const struct vmscm_uploaded *what, struct vmscm_error *err)
{
    uint8_t bytes[FILE_SIZE];
    char *dir = NULL, *path = NULL;
    int rc;

    memcpy(bytes, what->name, sizeof what->name);
    vmscm_put_le64(bytes + sizeof what->name, what->seen);
    if (!(rc = vmscm_mirror_path(&dir, m, DIR_NAME, err)) && !(rc = vmscm_file_mkdirs(dir, err)) &&
        !(rc = path_of(&path, m, pack, err)))
        rc = vmscm_file_replace(path, bytes, sizeof bytes, 0600, err);
    free(dir);
    free(path);
    return rc;
}

void vmscm_uploaded_forget(struct vmscm_mirror *m, const uint8_t pack[VMSCM_GENERATION_NAME])
{
    char *path = NULL;

    if (!path_of(&path, m, pack, NULL))
        unlink(path);
    free(path);
}

void vmscm_uploaded_sweep(struct vmscm_mirror *m)
{
    uint8_t pack[VMSCM_GENERATION_NAME];
    struct vmscm_uploaded what;
    char *dir = NULL, *path = NULL;
    DIR *d = vmscm_mirror_path(&dir, m, DIR_NAME, NULL) ? NULL : opendir(dir);

    for (struct dirent *e; d && (e = readdir(d));) {
        if (vmscm_str_unhex(pack, sizeof pack, e->d_name) && !path_of(&path, m, pack, NULL) &&
            (!load(&what, path) || what.seen < m->base))
            unlink(path);
        free(path);
        path = NULL;
    }
    if (d)
        closedir(d);
    free(dir);
}
