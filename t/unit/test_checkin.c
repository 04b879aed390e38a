/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm_checkin as callers see it: callbacks one at a time, and nothing changed when canceled. */
#include "sys/file.h"
#include "unit.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>
#include <vmscm/checkin.h>
#include <vmscm/revision.h>

#define DISK (48u << 20)
#define JOBS 8

static char dir[] = "/tmp/vmscm-test-checkin-XXXXXX";
static char image[64];

/* A disk of noise in every segment. */
static int make_image(void)
{
    static uint8_t noise[1 << 20];
    uint64_t x = 88172645463325252u;
    int fd = open(image, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    for (size_t at = 0; fd >= 0 && at < DISK; at += sizeof noise) {
        for (size_t i = 0; i < sizeof noise; i += 8) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            memcpy(noise + i, &x, sizeof x);
        }
        if (write(fd, noise, sizeof noise) != (ssize_t)sizeof noise)
            return -1;
    }
    return fd < 0 ? -1 : close(fd);
}

static int setup(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_repo *repo = NULL;
    char *path = NULL;

    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    if (!mkdtemp(dir))
        return -1;
    setenv("HOME", dir, 1);
    snprintf(image, sizeof image, "%s/disk.img", dir);
    if (make_image() || vmscm_repo_init(&path, dir, 0, &err) ||
        vmscm_repo_open(&repo, path, &err) ||
        vmscm_revision_set_author(repo, "Test <test@example.com>", NULL, &err))
        return -1;
    vmscm_free(path);
    *state = repo;
    return 0;
}

static int teardown(void **state)
{
    vmscm_repo_close(*state);
    return vmscm_file_remove_tree(dir, NULL);
}

struct watch {
    atomic_int inside, most, calls;
    int cancel_after; /* calls; 0: never */
};

static void enter(struct watch *w)
{
    int inside = atomic_fetch_add(&w->inside, 1) + 1;

    if (inside > atomic_load(&w->most))
        atomic_store(&w->most, inside);
    /* Long enough for the others to come in too, if they may. */
    usleep(200);
    atomic_fetch_sub(&w->inside, 1);
}

static int on_canceled(void *data)
{
    struct watch *w = data;

    enter(w);
    return atomic_fetch_add(&w->calls, 1) + 1 >= w->cancel_after && w->cancel_after;
}

static void on_progress(void *data, const struct vmscm_progress *progress)
{
    (void)progress;
    enter(data);
}

static int check_in(struct vmscm_repo *repo, struct watch *w, struct vmscm_checkin_result *result,
    struct vmscm_error *err)
{
    const struct vmscm_checkin_disk disk = {.path = image, .format = "raw"};
    const struct vmscm_checkin_options options = {.jobs = JOBS};
    const struct vmscm_events events = {
        .data = w, .progress = on_progress, .canceled = on_canceled};

    return vmscm_checkin(repo, "web", &disk, 1, &options, &events, result, err);
}

static void test_callbacks_come_one_at_a_time(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_checkin_result result;
    struct watch w = {.cancel_after = 0};

    assert_done(check_in(*state, &w, &result, &err), &err);
    assert_true(atomic_load(&w.calls) > JOBS);
    assert_int_equal(atomic_load(&w.most), 1);
    assert_true(result.read == DISK);
}

static void test_canceled_changes_nothing(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_revision *rev = NULL;
    struct watch w = {.cancel_after = 20};

    assert_fails(check_in(*state, &w, NULL, &err), &err, VMSCM_ECANCELED, "interrupted");
    assert_fails(vmscm_revision_resolve(&rev, *state, "web", &err), &err, VMSCM_ENOTFOUND, "web");
    w = (struct watch){.cancel_after = 0};
    assert_done(check_in(*state, &w, NULL, &err), &err);
    assert_done(vmscm_revision_resolve(&rev, *state, "web", &err), &err);
    vmscm_revision_free(rev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_callbacks_come_one_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_canceled_changes_nothing, setup, teardown),
    };

    return unit_run(tests);
}
