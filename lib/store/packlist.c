/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/packlist.h"
#include "base/str.h"
#include "store/midxfile.h"

#include <dirent.h>
#include <errno.h>

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, VMSCM_MIDX_NAME_SIZE);
}

int vmscm_packlist_read(struct vmscm_packlist *list, const char *dir, struct vmscm_error *err)
{
    DIR *d = opendir(dir);
    int rc = 0;

    if (!d)
        return vmscm_error_errno(err, errno, "%s", dir);
    for (struct dirent *e; !rc && (errno = 0, e = readdir(d));) {
        struct vmscm_packlist_name name, *slot;
        char **index;
        if (vmscm_packfile_parse_name(name.bytes, e->d_name)) {
            if (!(rc = vmscm_vec_add(&list->packs, &slot, err)))
                *slot = name;
        } else if (vmscm_midxfile_is_name(e->d_name) ||
            vmscm_midxfile_is_unfinished(e->d_name)) {
            if (!(rc = vmscm_vec_add(&list->indexes, &index, err)))
                rc = vmscm_str_dup(index, e->d_name, err);
        }
    }
    if (!rc && errno)
        rc = vmscm_error_errno(err, errno, "%s", dir);
    closedir(d);
    if (!rc && list->packs.len)
        qsort(list->packs.items, list->packs.len, sizeof *list->packs.items, compare);
    return rc;
}

void vmscm_packlist_release(struct vmscm_packlist *list)
{
    for (size_t i = 0; i < list->indexes.len; i++)
        free(list->indexes.items[i]);
    vmscm_vec_release(&list->packs);
    vmscm_vec_release(&list->indexes);
}
