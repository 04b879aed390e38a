/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/inspect/vercmp: versions compared as dpkg and rpm themselves do. */
#include "inspect/vercmp.h"
#include "unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const versions[] = {"0", "1", "1.0", "1.00", "1.0-1", "1.0-2", "1.0-10", "1.0~rc1",
    "1.0~rc1-1", "1.0~~", "1.0~~a", "1.0a", "1.0+b", "1.0.1", "1.10", "1.9", "2:0.1", "1:9", "10", "9",
    "1.0-1~bpo11+1", "1.0-1+deb12u2", "1.0-1+deb12u10", "3.0.11-1~deb12u2", "1.1.1w-0+deb11u1",
    "5.2.3790", "5.2", "1.0-a", "1-1-1", "007"};

static int dpkg(const char *a, const char *op, const char *b)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        execlp("dpkg", "dpkg", "--force-bad-version", "--compare-versions", a, op, b, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static void as_dpkg(void **state)
{
    const size_t count = sizeof versions / sizeof versions[0];

    (void)state;
    if (dpkg("1", "eq", "1") != 0) {
        skip();
        return;
    }
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++) {
            int got = vmscm_vercmp(versions[i], versions[k]);
            const char *op = got < 0 ? "lt" : got > 0 ? "gt" : "eq";
            if (dpkg(versions[i], op, versions[k]) != 0)
                fail_msg("dpkg does not say %s %s %s", versions[i], op, versions[k]);
            assert_int_equal(got < 0, vmscm_vercmp(versions[k], versions[i]) > 0);
        }
}

static void dotted(void **state)
{
    static const char *const ascending[] = {"", "0.9", "1.0~rc1", "1.0", "1.0.2u", "1.1.1", "1.1.1w",
        "3.0_alpha1", "3.0_rc1", "3.0", "3.0_p1", "3.0.11", "10.0",
        "99999999999999999999999999999", "999999999999999999999999999990"};

    (void)state;
    for (size_t i = 0; i + 1 < sizeof ascending / sizeof ascending[0]; i++)
        if (vmscm_vercmp(ascending[i], ascending[i + 1]) >= 0)
            fail_msg("%s is not below %s", ascending[i], ascending[i + 1]);
    assert_true(vmscm_vercmp_within("12.5", "12"));
    assert_true(vmscm_vercmp_within("12", "12"));
    assert_true(vmscm_vercmp_within("1.0.2u", "1.0.2"));
    assert_false(vmscm_vercmp_within("120", "12"));
    assert_false(vmscm_vercmp_within("1", "12"));
}

/* What rpm prints for a script; false if it cannot be run. */
static bool rpm(char *out, size_t size, const char *script)
{
    size_t len = 0;
    int ends[2], status;
    ssize_t n;

    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execlp("rpm", "rpm", "--eval", script, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    while ((n = read(ends[0], out + len, size - len - 1)) > 0)
        len += (size_t)n;
    out[len] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status == 0 && len > 0;
}

/* As rpm itself does, asked for all pairs at once. */
static void as_rpm(void **state)
{
    static const char *const these[] = {"0", "1", "1.0", "1.00", "1.0.1", "1.0.a", "1.0a", "1.0b",
        "1.0~rc1", "1.0~rc1~x", "1.0^git1", "1.0^git1.1", "1.0^", "1.0~^x", "1.0_1", "1..0", "a", "b1",
        "1a", "1.a.2", "10", "9", "007", "xyz.4", "2.0.1a", "20101121"};
    const size_t count = sizeof these / sizeof these[0];
    static char script[65536] = "%{lua:", said[65536];
    size_t len = strlen(script);
    char *at = said;

    (void)state;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++)
            len += (size_t)snprintf(script + len, sizeof script - len,
                "print(rpm.vercmp('%s','%s')..' ') ", these[i], these[k]);
    snprintf(script + len, sizeof script - len, "}");
    if (!rpm(said, sizeof said, script)) {
        skip();
        return;
    }
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++) {
            int got = vmscm_vercmp_rpm(these[i], these[k]), want = (int)strtol(at, &at, 10);
            if ((got > 0) - (got < 0) != want)
                fail_msg("rpm says %d of %s and %s, not %d", want, these[i], these[k], got);
        }
    assert_true(vmscm_vercmp_rpm("1:1.0-1", "2.0-1") > 0);
    assert_true(vmscm_vercmp_rpm("1.0-2", "1.0-10") < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_dpkg), cmocka_unit_test(as_rpm), cmocka_unit_test(dotted)};

    return unit_run(tests);
}
