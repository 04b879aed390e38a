/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm_fsck beside a gc that moves packs while it looks: what was moved is not missing. */
#include "sys/file.h"
#include "sys/lockfile.h"
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>
#include <vmscm/checkin.h>
#include <vmscm/fsck.h>
#include <vmscm/revision.h>

#define MACHINES 10 /* enough that a multi-pack index lists their packs, which are opened when needed */
#define SEGMENT (16 << 20)
#define SHARED (512 << 10)

static char dir[] = "/tmp/vmscm-test-fsck-XXXXXX";

static void put_noise(int fd, off_t at, size_t len, uint64_t seed)
{
    static uint8_t noise[SHARED];

    for (size_t i = 0; i < len; i += 8) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        memcpy(noise + i, &seed, sizeof seed);
    }
    assert_int_equal(pwrite(fd, noise, len, at), len);
}

static int open_image(char path[64], const char *name)
{
    snprintf(path, 64, "%s/%s.img", dir, name);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

static void check_in(struct vmscm_repo *repo, const char *name, const char *path)
{
    const struct vmscm_checkin_disk disk = {.path = path, .format = "raw"};
    const struct vmscm_checkin_options options = {.jobs = 1};
    struct vmscm_error err = VMSCM_ERROR_INIT;

    assert_done(vmscm_checkin(repo, name, &disk, 1, &options, NULL, NULL, &err), &err);
}

/* Machines with something of their own each, and one whose segments begin with that and have more: its
 * leaves are in its own pack, most of its chunks in the others'. */
static int setup(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_repo *repo = NULL;
    char *path = NULL, all_path[64], one_path[64], name[16];

    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    if (!mkdtemp(dir))
        return -1;
    setenv("HOME", dir, 1);
    assert_done(vmscm_repo_init(&path, dir, 0, &err), &err);
    assert_done(vmscm_repo_open(&repo, path, &err), &err);
    assert_done(vmscm_revision_set_author(repo, "Test <test@example.com>", NULL, &err), &err);
    int all = open_image(all_path, "all");
    for (int i = 0; i < MACHINES; i++) {
        snprintf(name, sizeof name, "m%d", i);
        int one = open_image(one_path, name);
        put_noise(one, 0, SHARED, 1000 + (uint64_t)i);
        put_noise(all, (off_t)i * SEGMENT, SHARED, 1000 + (uint64_t)i);
        put_noise(all, (off_t)i * SEGMENT + SHARED, 65536, 2000 + (uint64_t)i);
        close(one);
        check_in(repo, name, one_path);
    }
    close(all);
    check_in(repo, "all", all_path);
    vmscm_repo_close(repo);
    repo = NULL;
    assert_done(vmscm_repo_open(&repo, path, &err), &err);
    vmscm_free(path);
    *state = repo;
    return 0;
}

static int teardown(void **state)
{
    vmscm_repo_close(*state);
    return vmscm_file_remove_tree(dir, NULL);
}

struct mover {
    const char *to; /* NULL: under other names, as if gc had copied them */
    int polls, missing, other;
};

/* All packs, once the check is under way. */
static int move_packs(void *data)
{
    struct mover *m = data;
    char packs[64], from[400], to[400];

    if (++m->polls != 3)
        return 0;
    snprintf(packs, sizeof packs, "%s/.vmscm/packs", dir);
    DIR *d = opendir(packs);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (strncmp(e->d_name, "pack-", 5) != 0)
            continue;
        snprintf(from, sizeof from, "%s/%s", packs, e->d_name);
        if (m->to)
            snprintf(to, sizeof to, "%s/.vmscm/%s/%s", dir, m->to, e->d_name);
        else /* a place in the list that may be before or after its own */
            snprintf(to, sizeof to, "%s/pack-%.16s%.16s.vpk", packs, e->d_name + 21, e->d_name + 5);
        assert_int_equal(rename(from, to), 0);
    }
    closedir(d);
    return 0;
}

static void hear(void *data, const struct vmscm_fsck_finding *finding)
{
    struct mover *m = data;
    bool missing = strstr(finding->text, "missing") != NULL;

    m->missing += missing && !finding->note;
    m->other += !missing && !finding->note;
}

static int run(struct vmscm_repo *repo, struct mover *m, struct vmscm_error *err)
{
    const struct vmscm_fsck_options options = {.jobs = 1, .spec = "all"};
    const struct vmscm_events events = {.data = m, .canceled = move_packs};
    struct vmscm_fsck_result result;

    return vmscm_fsck(repo, &options, &events, hear, m, &result, err);
}

static void moved_is_not_missing(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct mover m = {.to = NULL};

    assert_done(run(*state, &m, &err), &err);
    assert_true(m.polls >= MACHINES);
}

static void gone_is_missing(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct mover m = {.to = "quarantine"};
    char path[100];
    int lock = -1;

    assert_fails(run(*state, &m, &err), &err, VMSCM_EDAMAGED, "finding");
    assert_true(m.missing > 0);
    assert_int_equal(m.other, 0);
    /* Nobody waits for a check that is over. */
    snprintf(path, sizeof path, "%s/.vmscm/locks/commit", dir);
    assert_done(vmscm_lockfile_try(&lock, path, VMSCM_LOCK_EXCLUSIVE, &err), &err);
    vmscm_lockfile_release(&lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(moved_is_not_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(gone_is_missing, setup, teardown),
    };

    return unit_run(tests);
}
