/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/store/pin: what lasts without a process, and what is no pin. */
#include "storedir.h"

#include "store/pin.h"

#include <stdio.h>
#include <unistd.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

struct seen {
    unsigned count;
    char commit[64], holder[256];
};

static int see(void *data, const struct vmscm_pin *pin)
{
    struct seen *seen = data;

    assert_true(vmscm_pin_is_name(pin->name));
    seen->count++;
    snprintf(seen->commit, sizeof seen->commit, "%s", pin->commit);
    snprintf(seen->holder, sizeof seen->holder, "%s", pin->holder);
    return 0;
}

static struct seen walk(void)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct seen seen = {0};

    assert_done(vmscm_pin_walk(dir, see, &seen, &err), &err);
    return seen;
}

static void life(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char name[VMSCM_PIN_NAME], other[VMSCM_PIN_NAME];
    struct seen seen = walk();

    (void)state;
    assert_int_equal(seen.count, 0);
    assert_done(vmscm_pin_add(name, dir, COMMIT, "/a b/c", &err), &err);
    seen = walk();
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.commit, COMMIT);
    assert_string_equal(seen.holder, "/a b/c");
    assert_done(vmscm_pin_move(dir, name, "/elsewhere", &err), &err);
    assert_string_equal(walk().holder, "/elsewhere");
    assert_done(vmscm_pin_add(other, dir, COMMIT, "/d", &err), &err);
    assert_int_equal(walk().count, 2);
    assert_string_not_equal(name, other);
    assert_done(vmscm_pin_remove(dir, name, &err), &err);
    assert_done(vmscm_pin_remove(dir, name, &err), &err);
    assert_string_equal(walk().holder, "/d");
    assert_fails(
        vmscm_pin_move(dir, name, "/x", &err), &err, VMSCM_ENOTFOUND, "pin-");
    assert_fails(vmscm_pin_add(name, dir, COMMIT, "/a\nb", &err), &err, VMSCM_EUSAGE, "newline");
    assert_int_equal(walk().count, 1);
}

static void put(const char *name, const char *text)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char path[256];

    snprintf(path, sizeof path, "%s/leases/%s", dir, name);
    assert_done(vmscm_file_replace(path, text, strlen(text), 0600, &err), &err);
}

/* gc must not take what cannot be read for nothing. */
static void damage(void **state)
{
    static const char *const bad[] = {"", "\n", "commit " COMMIT "\n",
        "commit " COMMIT "\nholder relative\n", "commit " COMMIT "\nholder /x",
        "commit 0123\nholder /x\n", "commit " COMMIT "x\nholder /x\n",
        "commit " COMMIT "\nholder /x\nmore\n", "pack " COMMIT "\nholder /x\n"};
    static const char file[] = "pin-0123456789abcdef0123456789abcdef";
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char name[VMSCM_PIN_NAME];
    struct seen seen;

    (void)state;
    assert_done(vmscm_pin_add(name, dir, COMMIT, "/x", &err), &err);
    assert_done(vmscm_pin_remove(dir, name, &err), &err);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put(file, bad[i]);
        assert_fails(vmscm_pin_walk(dir, see, &seen, &err), &err, VMSCM_EDAMAGED, file);
        vmscm_error_clear(&err);
    }
    put(file, "commit " COMMIT "\nholder /x\n");
    /* These are others' files. */
    put("pin-0123", "");
    put("pin-0123456789abcdef0123456789abcdeX", "");
    put("lease-0123456789abcdef0123456789abcdef", "");
    assert_int_equal(walk().count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(life, setup, teardown),
        cmocka_unit_test_setup_teardown(damage, setup, teardown),
    };
    return unit_run(tests);
}
