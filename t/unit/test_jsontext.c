/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/machine/jsontext: all of the text or none, whatever allocation fails. */
#include "machine/jsontext.h"
#include "unit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int left = -1; /* allocations until one fails; below 0: none does */

static void *allocate(size_t size)
{
    return left >= 0 && left-- == 0 ? NULL : malloc(size);
}

static void all_or_none(void **state)
{
    static const size_t flags[] = {JSON_COMPACT, JSON_SORT_KEYS | JSON_INDENT(2)};
    json_t *json = json_object();

    (void)state;
    for (int i = 0; i < 200; i++) {
        char key[32];
        snprintf(key, sizeof key, "a key of some length %d", i);
        json_object_set_new(json, key, json_pack("{s:s, s:i}", "bus", "virtio", "n", i));
    }
    for (size_t f = 0; f < 2; f++) {
        char *want = json_dumps(json, flags[f]);
        assert_non_null(want);
        for (int n = 0;; n++) {
            left = n;
            char *text = vmscm_jsontext_dump(json, flags[f]);
            bool last = left >= 0;
            left = -1;
            if (text)
                assert_string_equal(text, want);
            else
                assert_false(last);
            free(text);
            if (last)
                break;
        }
        free(want);
    }
    assert_null(vmscm_jsontext_dump(NULL, 0));
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_or_none),
    };

    json_set_alloc_funcs(allocate, free);
    return unit_run(tests);
}
