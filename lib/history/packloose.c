/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/packloose.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/gitfiles.h"
#include "history/gitpack.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE "objects/17" /* ids are evenly spread */
#define DIRECTORIES 256

struct loose {
    VMSCM_VEC(struct vmscm_gitpack_item) items;
};

bool vmscm_packloose_is_due(const struct vmscm_gitdb *db, size_t max)
{
    char *path = NULL;
    size_t count = 0;
    DIR *d = NULL;

    if (!vmscm_str_printf(&path, NULL, "%s/" SAMPLE, db->path))
        d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        count += strlen(e->d_name) == 2 * (GIT_OID_RAWSZ - 1);
    if (d)
        closedir(d);
    free(path);
    return count > (max + DIRECTORIES - 1) / DIRECTORIES;
}

static int add(void *data, const git_oid *oid, struct vmscm_error *err)
{
    struct loose *loose = data;
    struct vmscm_gitpack_item *item;

    if (vmscm_vec_add(&loose->items, &item, err))
        return VMSCM_ENOMEM;
    *item = (struct vmscm_gitpack_item){.oid = *oid};
    return 0;
}

int vmscm_packloose_run(struct vmscm_gitdb *db, unsigned jobs,
    int (*progress)(void *data, uint64_t done, uint64_t total), void *data,
    struct vmscm_error *err)
{
    struct vmscm_git_objects gone = {{false}};
    struct loose loose = {0};
    uint64_t bytes;
    char *stem = NULL;
    int rc;

    if ((rc = vmscm_gitfiles_recover(db, err)) || (rc = vmscm_gitfiles_begin(db, err)) ||
        (rc = vmscm_gitfiles_loose(db, add, &loose, err)))
        goto out;
    if (loose.items.len &&
        (rc = vmscm_gitpack_write(
             &stem, &bytes, db, loose.items.items, loose.items.len, jobs, progress, data, err)))
        goto out;
    for (size_t i = 0; i < loose.items.len && !rc; i++) {
        vmscm_git_objects_add(&gone, &loose.items.items[i].oid);
        rc = vmscm_gitfiles_remove_loose(
            db, &loose.items.items[i].oid, VMSCM_GITFILES_UNLINK, &bytes, err);
    }
    if (!rc && !(rc = vmscm_git_objects_sync(&gone, db, err)))
        rc = vmscm_gitfiles_recover(db, err);
out:
    vmscm_vec_release(&loose.items);
    free(stem);
    return rc;
}
