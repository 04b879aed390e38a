/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/history/gitgc: garbage goes, all else stays, for every reader and at every moment. */
#include "gitrepo.h"

#include "history/gitgc.h"
#include "history/refs.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#define HEADS "refs/heads/"

static const struct vmscm_gitgc_options usual = VMSCM_GITGC_OPTIONS_INIT;

/* A line of `count` revisions; id becomes the last one's. */
static void grow(struct gitrepo *r, const char *ref, int count, char *id)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char text[4000], parent[VMSCM_GITDB_ID] = "";

    for (int i = 0; i < count; i++) {
        size_t len = 0;
        for (int n = 0; len < sizeof text - 100; n++)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s line %d of %d\n", ref, n,
                n == i ? i : 0);
        gitrepo_commit(id, r, text, *parent ? parent : NULL, "message");
        memcpy(parent, id, sizeof parent);
    }
    assert_done(vmscm_refs_update(r->db, ref, NULL, id, &gitrepo_who, "x", &err), &err);
}

static void forget(struct gitrepo *r, const char *ref)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char path[1024];

    assert_done(vmscm_refs_delete(r->db, ref, NULL, &err), &err);
    /* HEAD may have been on it. */
    snprintf(path, sizeof path, "%s/logs/HEAD", r->git);
    unlink(path);
}

static int collect(struct vmscm_gitdb *db, const struct vmscm_gitgc_options *options,
    struct vmscm_gitgc_counts *counts, struct vmscm_error *err)
{
    struct vmscm_roots roots = {0}, now = {0};
    struct vmscm_gitgc *gc = NULL;
    int rc;

    *counts = (struct vmscm_gitgc_counts){0};
    if (!(rc = vmscm_roots_read(&roots, db, err)) &&
        !(rc = vmscm_gitgc_prepare(&gc, db, &roots, options, err)) &&
        !(rc = vmscm_roots_read(&now, db, err)) &&
        !(rc = vmscm_gitgc_sweep(gc, &now, counts, err)))
        rc = vmscm_gitgc_finish(gc, counts, err);
    vmscm_gitgc_free(gc);
    vmscm_roots_release(&roots);
    vmscm_roots_release(&now);
    return rc;
}

struct found {
    size_t files, loose, packs;
    uint64_t bytes;
};

static void look(struct found *found, const char *path)
{
    char name[1024];
    DIR *d = opendir(path);
    struct stat st;

    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        assert_int_equal(lstat(name, &st), 0);
        if (S_ISDIR(st.st_mode)) {
            look(found, name);
            continue;
        }
        found->files++;
        found->loose += strlen(e->d_name) == 38;
        found->packs += strlen(e->d_name) > 5 && strcmp(e->d_name + strlen(e->d_name) - 5, ".pack") == 0;
        found->bytes += (uint64_t)st.st_size;
    }
    closedir(d);
}

static struct found objects(struct gitrepo *r)
{
    struct found found = {0};
    char path[600];

    snprintf(path, sizeof path, "%s/objects", r->git);
    look(&found, path);
    return found;
}

/* Every commit that leads to id, and what is in it, read by way of db. */
static void read_all(struct vmscm_gitdb *db, const char *id, int count)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitdb_info info;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    char at[VMSCM_GITDB_ID];

    memcpy(at, id, sizeof at);
    for (;; count--) {
        assert_done(vmscm_gitdb_read_commit(&info, db, at, &err), &err);
        assert_done(vmscm_gitdb_read_file(&buf, db, at, "machine.json", 8000, &err), &err);
        vmscm_buf_release(&buf);
        if (info.parent_count)
            memcpy(at, info.parents[0], sizeof at);
        size_t more = info.parent_count;
        vmscm_gitdb_info_release(&info);
        if (!more)
            break;
    }
    assert_int_equal(count, 1);
}

static void write_file(struct gitrepo *r, const char *name, const char *text)
{
    char path[1024];

    snprintf(path, sizeof path, "%s/%s", r->git, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void loose_garbage(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitgc_options dry = usual;
    struct vmscm_gitgc_counts counts, real;
    char a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID];

    grow(r, HEADS "web", 3, a);
    struct found before = objects(r);
    grow(r, HEADS "gone", 5, b);
    forget(r, HEADS "gone");
    write_file(r, "objects/tmp_object_git2_abcdef", "torn");
    write_file(r, "objects/pack/pack_git2_abcdef", "torn");
    write_file(r, "objects/pack/readme", "not ours");
    struct found with = objects(r);

    dry.dry_run = true;
    assert_done(collect(r->db, &dry, &counts, &err), &err);
    assert_int_equal(counts.objects, 9);
    assert_int_equal(counts.removed, 15);
    assert_int_equal(counts.freed, with.bytes - before.bytes - strlen("not ours"));
    assert_int_equal(objects(r).bytes, with.bytes);
    assert_int_equal(objects(r).files, with.files);

    assert_done(collect(r->db, NULL, &real, &err), &err);
    assert_int_equal(real.freed, counts.freed);
    assert_int_equal(real.removed, counts.removed);
    assert_int_equal(real.packed, 0);
    assert_int_equal(objects(r).files, before.files + 1);
    assert_int_equal(objects(r).loose, 9);
    read_all(r->db, a, 3);
    gitrepo_fsck(r);
    assert_done(collect(r->db, NULL, &real, &err), &err);
    assert_int_equal(real.removed, 0);
    assert_int_equal(real.freed, 0);
}

/* Three readers from before: one that has seen nothing, one that has read loose objects, one that
 * has read the pack that goes. */
static void packs_and_readers(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitgc_options options = usual;
    struct vmscm_gitgc_counts counts;
    struct vmscm_gitdb *blank, *loose, *packed;
    char a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID];

    grow(r, HEADS "web", 40, a);
    grow(r, HEADS "gone", 20, b);
    assert_done(vmscm_gitdb_open(&blank, r->git, r->locks, &err), &err);
    assert_done(vmscm_gitdb_open(&loose, r->git, r->locks, &err), &err);
    read_all(loose, b, 20);
    struct found before = objects(r);
    options.loose_max = 100;
    assert_done(collect(r->db, &options, &counts, &err), &err);
    assert_int_equal(counts.packed, 180);
    assert_int_equal(counts.packing.code, 0);
    assert_int_equal(before.bytes - objects(r).bytes, counts.freed - counts.written);
    assert_int_equal(objects(r).files, 2);
    assert_int_equal(objects(r).packs, 1);
    assert_true(objects(r).bytes < before.bytes);
    gitrepo_fsck(r);
    read_all(blank, a, 40);
    read_all(loose, a, 40);
    assert_done(vmscm_gitdb_open(&packed, r->git, r->locks, &err), &err);
    read_all(packed, a, 40);

    /* A third of the pack becomes garbage. */
    forget(r, HEADS "gone");
    options.dead_percent = 50;
    assert_done(collect(r->db, &options, &counts, &err), &err);
    assert_int_equal(counts.removed, 0);
    assert_int_equal(counts.garbage, 60);
    options.dead_percent = 20;
    uint64_t bytes = objects(r).bytes;
    assert_done(collect(r->db, &options, &counts, &err), &err);
    assert_int_equal(counts.removed, 60);
    assert_int_equal(counts.packs, 1);
    assert_int_equal(counts.packed, 120);
    assert_int_equal(bytes - objects(r).bytes, counts.freed - counts.written);
    assert_int_equal(objects(r).files, 2);
    gitrepo_fsck(r);
    read_all(blank, a, 40);
    read_all(packed, a, 40);

    /* What a reader still has open is not there to build on. */
    assert_done(vmscm_gitdb_reload(packed, &err), &err);
    assert_fails(vmscm_refs_update(packed, HEADS "back", "", b, &gitrepo_who, "x", &err), &err,
        VMSCM_ENOTFOUND, "does not exist");
    assert_done(vmscm_gitdb_reload(loose, &err), &err);
    assert_fails(vmscm_refs_update(loose, HEADS "back", "", b, &gitrepo_who, "x", &err), &err,
        VMSCM_ENOTFOUND, "does not exist");
    vmscm_gitdb_close(blank);
    vmscm_gitdb_close(loose);
    vmscm_gitdb_close(packed);
}

static void many_packs(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitgc_options options = usual;
    struct vmscm_gitgc_counts counts;
    char id[VMSCM_GITDB_ID], ref[40];

    options.loose_max = 0;
    options.packs_max = 5;
    for (int i = 0; i < 6; i++) {
        snprintf(ref, sizeof ref, HEADS "m%d", i);
        grow(r, ref, 3, id);
        assert_done(collect(r->db, &options, &counts, &err), &err);
        assert_int_equal(counts.packed, 9);
        assert_int_equal(objects(r).files, 2 * (i + 1));
    }
    assert_done(collect(r->db, &options, &counts, &err), &err);
    assert_int_equal(counts.packs, 6);
    assert_int_equal(counts.packed, 54);
    assert_int_equal(objects(r).files, 2);
    gitrepo_fsck(r);

    /* Asked to, it makes one pack of whatever there is; what is in one already is left. */
    grow(r, HEADS "loose", 2, id);
    options = usual;
    options.aggressive = true;
    assert_done(collect(r->db, &options, &counts, &err), &err);
    assert_int_equal(counts.packed, 60);
    assert_int_equal(objects(r).files, 2);
    assert_done(collect(r->db, &options, &counts, &err), &err);
    assert_int_equal(counts.packed, 0);
    assert_int_equal(counts.freed, 0);
    gitrepo_fsck(r);
}

/* Plain git's packs, marks and indexes. */
static void plain_git(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitgc_options options = usual;
    struct vmscm_gitgc_counts counts;
    char id[VMSCM_GITDB_ID], gone[VMSCM_GITDB_ID], keep[200], *pack;

    grow(r, HEADS "web", 5, id);
    grow(r, HEADS "gone", 5, gone);
    assert_git(r, "", "-c", "repack.writeBitmaps=true", "-c", "pack.writeReverseIndex=true",
        "repack", "-adbq");
    assert_git(r, "", "commit-graph", "write", "--reachable");
    pack = gitrepo_git(r, "rev-parse", "--git-path", "objects/pack", NULL);
    forget(r, HEADS "gone");
    options.aggressive = true;

    assert_git(r, "", "multi-pack-index", "write");
    assert_done(collect(r->db, &options, &counts, &err), &err);
    assert_int_equal(counts.packs, 0);
    assert_int_equal(counts.garbage, 15);
    snprintf(keep, sizeof keep, "%s/multi-pack-index", pack);
    assert_int_equal(unlink(keep), 0);

    assert_done(collect(r->db, &options, &counts, &err), &err);
    assert_int_equal(counts.packs, 1);
    assert_int_equal(counts.removed, 15);
    /* The pack, its index, and nothing of the old one's; the graph names what is gone. */
    assert_int_equal(objects(r).files, 2);
    gitrepo_fsck(r);

    forget(r, HEADS "web");
    struct dirent *e;
    DIR *d = opendir(pack);
    assert_non_null(d);
    while ((e = readdir(d)) && e->d_name[0] != 'p')
        ;
    assert_non_null(e);
    snprintf(keep, sizeof keep, "objects/pack/%.45s.keep", e->d_name);
    closedir(d);
    write_file(r, keep, "");
    assert_done(collect(r->db, &options, &counts, &err), &err);
    assert_int_equal(counts.packs, 0);
    assert_int_equal(counts.garbage, 15);
    free(pack);
}

/* What comes back to life between the two looks stays. */
static void back_to_life(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitgc_options options = usual;
    struct vmscm_gitgc_counts counts;
    struct vmscm_roots roots = {0}, now = {0};
    struct vmscm_gitgc *gc;
    char id[VMSCM_GITDB_ID], gone[VMSCM_GITDB_ID], late[VMSCM_GITDB_ID];

    for (int packed = 0; packed < 2; packed++) {
        grow(r, HEADS "web", 5, id);
        grow(r, HEADS "gone", 5, gone);
        if (packed) {
            options.loose_max = 0;
            assert_done(collect(r->db, &options, &counts, &err), &err);
        }
        forget(r, HEADS "gone");
        assert_done(vmscm_roots_read(&roots, r->db, &err), &err);
        assert_done(vmscm_gitgc_prepare(&gc, r->db, &roots, &options, &err), &err);
        assert_done(
            vmscm_refs_update(r->db, HEADS "back", "", gone, &gitrepo_who, "x", &err), &err);
        grow(r, HEADS "late", 3, late);
        assert_done(vmscm_roots_read(&now, r->db, &err), &err);
        counts = (struct vmscm_gitgc_counts){0};
        assert_done(vmscm_gitgc_sweep(gc, &now, &counts, &err), &err);
        assert_int_equal(counts.removed, 0);
        assert_done(vmscm_gitgc_finish(gc, &counts, &err), &err);
        vmscm_gitgc_free(gc);
        vmscm_roots_release(&roots);
        vmscm_roots_release(&now);
        gitrepo_fsck(r);
        assert_done(vmscm_gitdb_reload(r->db, &err), &err);
        read_all(r->db, gone, 5);
        read_all(r->db, late, 3);
        forget(r, HEADS "back");
        forget(r, HEADS "late");
        /* The pack that was made in vain is found out. */
        assert_done(collect(r->db, &options, &counts, &err), &err);
        assert_done(collect(r->db, &options, &counts, &err), &err);
        assert_int_equal(objects(r).files, packed ? 2 : 15);
        gitrepo_fsck(r);
    }
}

static void damage_stops(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitgc_options options = usual;
    struct vmscm_gitgc_counts counts;
    static const char *const what[] = {"web^{tree}", "web:machine.json", "web~1", "web"};
    char id[VMSCM_GITDB_ID], path[700], hidden[700];

    grow(r, HEADS "web", 3, id);
    grow(r, HEADS "gone", 2, id);
    forget(r, HEADS "gone");
    options.loose_max = 0;
    snprintf(hidden, sizeof hidden, "%s/hidden", r->git);
    size_t files = objects(r).files;
    for (size_t i = 0; i < sizeof what / sizeof *what; i++) {
        char *name = gitrepo_git(r, "rev-parse", what[i], NULL);
        snprintf(path, sizeof path, "%s/objects/%.2s/%s", r->git, name, name + 2);
        assert_int_equal(rename(path, hidden), 0);
        assert_fails(collect(r->db, &options, &counts, &err), &err, VMSCM_EDAMAGED, name);
        assert_non_null(strstr(err.message, "missing"));
        assert_non_null(strstr(err.message, "refs/heads/web"));
        assert_int_equal(objects(r).files, files - 1);
        /* It says it is an object, and is none. */
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fclose(f);
        assert_int_equal(collect(r->db, &options, &counts, &err), VMSCM_EDAMAGED);
        assert_int_equal(objects(r).loose, files);
        assert_int_equal(rename(hidden, path), 0);
        free(name);
    }
    assert_done(collect(r->db, &options, &counts, &err), &err);
    assert_int_equal(counts.removed, 6);
    assert_int_equal(objects(r).files, 2);
}

/* A pack of which a copy lies about: the copy goes only if the pack is whole. */
static void copies(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitgc_options options = usual;
    struct vmscm_gitgc_counts counts;
    char id[VMSCM_GITDB_ID], script[2000];

    grow(r, HEADS "web", 5, id);
    snprintf(script, sizeof script, "cp -r %s/objects %s/copy", r->git, r->git);
    run_shell(script);
    options.loose_max = 0;
    assert_done(collect(r->db, &options, &counts, &err), &err);
    assert_int_equal(objects(r).files, 2);
    snprintf(script, sizeof script, "cp -r %s/copy/?? %s/objects", r->git, r->git);
    run_shell(script);
    assert_done(collect(r->db, &usual, &counts, &err), &err);
    assert_int_equal(objects(r).files, 2);
    assert_int_equal(counts.packed, 0);
    assert_true(counts.freed > 0);

    run_shell(script);
    snprintf(script, sizeof script,
        "cd %s/objects/pack && chmod u+w *.pack && printf xxxxxxxx | "
        "dd of=\"$(echo *.pack)\" bs=1 seek=40 conv=notrunc status=none",
        r->git);
    run_shell(script);
    /* Whether or not it is met while marking, the good copy stays. */
    collect(r->db, &usual, &counts, &err);
    snprintf(script, sizeof script, "cd %s/objects/pack && rm -f *", r->git);
    run_shell(script);
    assert_done(vmscm_gitdb_reload(r->db, &err), &err);
    char *all = gitrepo_git(r, "rev-list", "--objects", "--all", "--missing=print", NULL);
    assert_non_null(all);
    free(all);
    assert_true(objects(r).loose > 0);
}

/* No file may grow: as on a full disk, garbage goes, and nothing else is done. */
static void no_space(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitgc_options options = usual;
    struct vmscm_gitgc_counts counts;
    struct rlimit was, none;
    char id[VMSCM_GITDB_ID];

    grow(r, HEADS "web", 5, id);
    grow(r, HEADS "gone", 5, id);
    forget(r, HEADS "gone");
    options.loose_max = 0;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    none = was;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    int rc = collect(r->db, &options, &counts, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(rc, 0);
    assert_int_equal(counts.packing.code, VMSCM_EIO);
    assert_int_equal(counts.packed, 0);
    assert_int_equal(counts.removed, 15);
    assert_int_equal(objects(r).files, 15);
    gitrepo_fsck(r);
}

static int stop(void *data, uint64_t done, uint64_t total)
{
    (void)done;
    *(uint64_t *)data = total;
    return VMSCM_ECANCELED;
}

static void canceled(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint64_t total = 0;
    struct vmscm_gitgc_options options = usual;
    struct vmscm_gitgc_counts counts;
    char id[VMSCM_GITDB_ID];

    grow(r, HEADS "web", 20, id);
    options.progress = stop;
    options.data = &total;
    options.loose_max = 0;
    assert_int_equal(collect(r->db, &options, &counts, &err), VMSCM_ECANCELED);
    assert_int_equal(total, 60);
    assert_int_equal(objects(r).loose, 60);
    assert_done(collect(r->db, NULL, &counts, &err), &err);
    assert_int_equal(objects(r).files, 60);
}

/* Killed at some point or other, it has lost nothing, and the next one leaves no trace of it. */
static void killed(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitgc_options options = usual;
    struct vmscm_gitgc_counts counts;
    char id[VMSCM_GITDB_ID], gone[VMSCM_GITDB_ID];
    unsigned interrupted = 0;

    options.loose_max = 10;
    options.dead_percent = 5;
    grow(r, HEADS "web", 40, id);
    for (int i = 0; i < 24; i++) {
        int status;
        grow(r, HEADS "gone", 3, gone);
        if (i % 2)
            assert_done(collect(r->db, &options, &counts, &err), &err);
        forget(r, HEADS "gone");
        pid_t pid = fork();
        if (pid == 0) {
            struct vmscm_gitdb *db;
            if (vmscm_gitdb_open(&db, r->git, r->locks, NULL))
                _exit(1);
            _exit(collect(db, &options, &counts, NULL) ? 1 : 0);
        }
        nanosleep(&(struct timespec){0, (3 * i + 1) * 1000 * 1000L}, NULL);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        interrupted += WIFSIGNALED(status);
        assert_done(vmscm_gitdb_reload(r->db, &err), &err);
        read_all(r->db, id, 40);
        assert_done(collect(r->db, &options, &counts, &err), &err);
        assert_int_equal(objects(r).files, 2);
        assert_int_equal(counts.garbage, 0);
    }
    printf("# killed %u times\n", interrupted);
    gitrepo_fsck(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(loose_garbage, gitrepo_setup, gitrepo_teardown),
        cmocka_unit_test_setup_teardown(packs_and_readers, gitrepo_setup, gitrepo_teardown),
        cmocka_unit_test_setup_teardown(many_packs, gitrepo_setup, gitrepo_teardown),
        cmocka_unit_test_setup_teardown(plain_git, gitrepo_setup, gitrepo_teardown),
        cmocka_unit_test_setup_teardown(back_to_life, gitrepo_setup, gitrepo_teardown),
        cmocka_unit_test_setup_teardown(damage_stops, gitrepo_setup, gitrepo_teardown),
        cmocka_unit_test_setup_teardown(copies, gitrepo_setup, gitrepo_teardown),
        cmocka_unit_test_setup_teardown(no_space, gitrepo_setup, gitrepo_teardown),
        cmocka_unit_test_setup_teardown(canceled, gitrepo_setup, gitrepo_teardown),
        cmocka_unit_test_setup_teardown(killed, gitrepo_setup, gitrepo_teardown),
    };

    return unit_run(tests);
}
