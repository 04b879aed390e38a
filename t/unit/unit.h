/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every unit test needs: cmocka in TAP form, and a check of a struct vmscm_error. */
#ifndef UNIT_H
#define UNIT_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <vmscm/error.h>

/* The call succeeds; its message is shown if it does not. */
#define assert_done(call, err)                                                                     \
    do {                                                                                           \
        int rc_ = (call);                                                                          \
        if (rc_)                                                                                   \
            fail_msg("%s: %s (%s)", #call, (err)->message, vmscm_error_name(rc_));                 \
    } while (0)

/* The call fails with this code and a message that holds this text. */
#define assert_fails(call, err, expected, text)                                                    \
    do {                                                                                           \
        int rc_ = (call);                                                                          \
        if (rc_ != (expected) || (err)->code != (expected))                                        \
            fail_msg("%s: %s instead of %s: %s", #call, vmscm_error_name(rc_),                     \
                vmscm_error_name(expected), (err)->message);                                       \
        if (!strstr((err)->message, text))                                                         \
            fail_msg("%s: \"%s\" does not say \"%s\"", #call, (err)->message, text);               \
    } while (0)

/* The body of main: TAP, as prove reads it. */
#define unit_run(tests)                                                                            \
    (cmocka_set_message_output(CM_OUTPUT_TAP), cmocka_run_group_tests(tests, NULL, NULL))

/* Threads that each get one of the arguments, `stride` bytes apart. All of them have ended when it returns:
 * an assertion that fails leaves the test, and takes along what they work with. Whether all were started. */
static inline bool unit_threads(unsigned count, void *(*run)(void *), void *arguments, size_t stride)
{
    pthread_t threads[32];
    unsigned started = 0;

    assert_true(count <= sizeof threads / sizeof threads[0]);
    while (started < count &&
        pthread_create(&threads[started], NULL, run, (char *)arguments + started * stride) == 0)
        started++;
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return started == count;
}

#endif
