/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/incoming.h"
#include "base/path.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/gitpack.h"
#include "history/looseodb.h"
#include "history/oidset.h"
#include "sys/file.h"

#include <git2/odb_backend.h>
#include <git2/sys/mempack.h>
#include <git2/sys/odb_backend.h>
#include <git2/sys/repository.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_MAX ((size_t)16 << 20) /* bytes of objects before they are written out */
#define OBJECT_COST 256               /* bytes that one takes besides its own */
#define OBJECTS_MAX (2u << 20)        /* at a time: the ids of all of them are kept in memory */
#define FIRST 1000                    /* before all of libgit2's */

struct vmscm_incoming {
    struct vmscm_gitdb db;
    char *main_path;
    git_odb_backend *memory; /* odb's */
    VMSCM_VEC(struct vmscm_gitpack_item) items;
    struct vmscm_oidset written;
    size_t bytes;
    uint64_t stored; /* bytes of packs */
    VMSCM_VEC(char *) stems;
    bool started;
};

/* The objects of main, with those that come before them. */
static int open_objects(struct vmscm_incoming *in, struct vmscm_error *err)
{
    char *objects = NULL;
    int rc = vmscm_path_join(&objects, in->main_path, "objects", err), e;

    if (rc)
        return rc;
    if ((e = git_repository_open_bare(&in->db.repo, in->main_path)) < 0 ||
        (e = git_odb_new(&in->db.odb)) < 0 ||
        (e = git_odb_add_disk_alternate(in->db.odb, objects)) < 0 ||
        (e = git_mempack_new(&in->memory)) < 0 ||
        (e = git_odb_add_backend(in->db.odb, in->memory, FIRST)) < 0 ||
        (e = git_repository_set_odb(in->db.repo, in->db.odb)) < 0)
        rc = vmscm_git_error(err, e, VMSCM_EIO, "%s", in->main_path);
    else
        rc = vmscm_looseodb_guard(in->db.odb, objects, err);
    free(objects);
    return rc;
}

int vmscm_incoming_open(struct vmscm_incoming **out, struct vmscm_gitdb *main, const char *dir,
    struct vmscm_error *err)
{
    struct vmscm_incoming *in = calloc(1, sizeof *in);
    char *packs = NULL;
    int rc;

    if (!in)
        return vmscm_error_nomem(err);
    if ((rc = vmscm_git_start(err)))
        goto out;
    in->started = true;
    if ((rc = vmscm_str_dup(&in->main_path, main->path, err)) ||
        (rc = vmscm_str_dup(&in->db.path, dir, err)) ||
        (rc = vmscm_path_join(&packs, dir, "objects/pack", err)) ||
        (rc = vmscm_file_mkdirs(packs, err)))
        goto out;
    rc = open_objects(in, err);
out:
    free(packs);
    if (rc)
        vmscm_incoming_close(in);
    else
        *out = in;
    return rc;
}

void vmscm_incoming_close(struct vmscm_incoming *in)
{
    if (!in)
        return;
    git_odb_free(in->db.odb);
    git_repository_free(in->db.repo);
    free(in->db.path);
    free(in->main_path);
    vmscm_vec_release(&in->items);
    vmscm_oidset_release(&in->written);
    for (size_t i = 0; i < in->stems.len; i++)
        free(in->stems.items[i]);
    vmscm_vec_release(&in->stems);
    if (in->started)
        vmscm_git_stop();
    free(in);
}

/* What is in memory into a pack, which is then read from there. */
static int write_out(struct vmscm_incoming *in, struct vmscm_error *err)
{
    git_odb_backend *pack = NULL;
    char *stem = NULL, *index = NULL, **slot;
    uint64_t bytes;
    int rc, e;

    if (!in->items.len)
        return 0;
    if ((rc = vmscm_gitpack_write(
             &stem, &bytes, &in->db, in->items.items, in->items.len, 1, NULL, NULL, err)) ||
        (rc = vmscm_str_printf(&index, err, "%s/objects/pack/%s.idx", in->db.path, stem)))
        goto out;
    if ((e = git_odb_backend_one_pack(&pack, index)) < 0 ||
        (e = git_odb_add_backend(in->db.odb, pack, 1)) < 0) {
        rc = vmscm_git_error(err, e, VMSCM_EIO, "%s", index);
        goto out;
    }
    if ((rc = vmscm_vec_add(&in->stems, &slot, err)))
        goto out;
    *slot = stem;
    stem = NULL;
    in->stored += bytes;
    git_mempack_reset(in->memory);
    in->items.len = 0;
    in->bytes = 0;
out:
    free(index);
    free(stem);
    return rc;
}

int vmscm_incoming_add(struct vmscm_incoming *in, enum vmscm_novel_type type, const void *bytes,
    size_t len, struct vmscm_error *err)
{
    struct vmscm_gitpack_item *item;
    git_oid oid;
    bool added;
    int rc, e;

    if ((e = git_odb_hash(&oid, bytes, len, (git_object_t)type)) < 0)
        return vmscm_git_error(err, e, VMSCM_EIO, "an object that came");
    if ((rc = vmscm_oidset_add(&in->written, &added, &oid, err)) || !added)
        return rc;
    if (in->written.count > OBJECTS_MAX) {
        vmscm_error_set(err, VMSCM_EREFUSED, "more than %u objects of history come at once", OBJECTS_MAX);
        return vmscm_error_hint(err, "send less at a time: some machines, or older revisions first");
    }
    /* Not through the database, which would find it enough that main has one: that may be garbage. */
    if ((e = in->memory->write(in->memory, &oid, bytes, len, (git_object_t)type)) < 0)
        return vmscm_git_error(err, e, VMSCM_EIO, "an object that came");
    if (vmscm_vec_add(&in->items, &item, err))
        return VMSCM_ENOMEM;
    item->oid = oid;
    in->bytes += len + OBJECT_COST;
    return in->bytes >= MEMORY_MAX ? write_out(in, err) : 0;
}

uint64_t vmscm_incoming_stored(const struct vmscm_incoming *in)
{
    return in->stored;
}

struct vmscm_gitdb *vmscm_incoming_db(struct vmscm_incoming *in)
{
    return &in->db;
}

/* The pack before its index: without one nobody sees it. One that is there has the same name for the
 * same bytes. */
static int move(const struct vmscm_incoming *in, const char *stem, const char *suffix,
    struct vmscm_error *err)
{
    char *from = NULL, *to = NULL;
    int rc;

    if (!(rc = vmscm_str_printf(&from, err, "%s/objects/pack/%s%s", in->db.path, stem, suffix)) &&
        !(rc = vmscm_str_printf(&to, err, "%s/objects/pack/%s%s", in->main_path, stem, suffix)) &&
        (rc = vmscm_file_rename_new(from, to, err)) == VMSCM_EEXIST) {
        vmscm_error_clear(err);
        rc = 0;
    }
    free(from);
    free(to);
    return rc;
}

int vmscm_incoming_install(struct vmscm_incoming *in, struct vmscm_error *err)
{
    char *packs = NULL;
    int rc = write_out(in, err);

    if (rc || !in->stems.len || (rc = vmscm_path_join(&packs, in->main_path, "objects/pack", err)))
        return rc;
    if (!(rc = vmscm_file_mkdirs(packs, err)))
        for (size_t i = 0; i < in->stems.len && !rc; i++)
            if (!(rc = move(in, in->stems.items[i], ".pack", err)))
                rc = move(in, in->stems.items[i], ".idx", err);
    if (!rc)
        rc = vmscm_file_sync_dir(packs, err);
    free(packs);
    return rc;
}
