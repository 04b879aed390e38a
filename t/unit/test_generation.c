/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/format/generation: what a generation makes of what there was, vmscm-format-s3(5) G7 to G9. */
#include "formats.h"
#include "format/generation.h"

#include <stdio.h>
#include <string.h>

#define COUNT 300u

static void name_of(uint8_t name[VMSCM_GENERATION_NAME], unsigned n)
{
    memset(name, 0, VMSCM_GENERATION_NAME);
    name[0] = (uint8_t)(n >> 8);
    name[1] = (uint8_t)n;
}

static void step(struct vmscm_generation *g, unsigned op, unsigned kind, unsigned n)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t name[VMSCM_GENERATION_NAME];

    name_of(name, n);
    assert_done(vmscm_generation_step(g, op, kind, name, 1000 + n, &err), &err);
}

static void change(struct vmscm_generation *g, unsigned n, unsigned before, unsigned after)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t from[VMSCM_GENERATION_OID] = {(uint8_t)before};
    uint8_t to[VMSCM_GENERATION_OID] = {(uint8_t)after};
    char ref[64];

    snprintf(ref, sizeof ref, "refs/heads/m%u", n);
    assert_done(vmscm_generation_change(g, ref, from, to, &err), &err);
}

static void apply(struct vmscm_generation_state *state, struct vmscm_generation *g)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;

    assert_done(vmscm_generation_apply(state, g, &err), &err);
    for (size_t i = 1; i < state->refs.len; i++)
        assert_true(strcmp(state->refs.items[i - 1].name, state->refs.items[i].name) < 0);
    for (size_t i = 1; i < state->objects.len; i++) {
        const struct vmscm_generation_object *a = &state->objects.items[i - 1], *b = a + 1;
        int order = memcmp(a->name, b->name, sizeof a->name);
        assert_true(a->kind < b->kind || (a->kind == b->kind && order < 0));
    }
    vmscm_generation_release(g);
}

static const struct vmscm_generation_object *find(const struct vmscm_generation_state *state, unsigned n)
{
    uint8_t name[VMSCM_GENERATION_NAME];

    name_of(name, n);
    return vmscm_generation_find(state, VMSCM_GENERATION_PACK, name);
}

static void objects(void **state)
{
    struct vmscm_generation g = {.number = 1};
    struct vmscm_generation_state now = {0};

    (void)state;
    /* In no order. */
    for (unsigned i = 0; i < COUNT; i++)
        step(&g, VMSCM_GENERATION_ADD, 1 + i % 2, i * 7 % COUNT);
    apply(&now, &g);
    assert_int_equal(now.objects.len, COUNT);
    g = (struct vmscm_generation){.number = 2, .when = 77};
    for (unsigned i = 0; i < COUNT; i++)
        if (i % 2 == 0 && i * 7 % COUNT < 100)
            step(&g, VMSCM_GENERATION_REMOVE, 1, i * 7 % COUNT);
    step(&g, VMSCM_GENERATION_CONDEMN, 1, 200);
    /* One after the other, as they stand. */
    step(&g, VMSCM_GENERATION_ADD, 1, 1000);
    step(&g, VMSCM_GENERATION_CONDEMN, 1, 1000);
    step(&g, VMSCM_GENERATION_ADD, 1, 1000);
    step(&g, VMSCM_GENERATION_ADD, 1, 1001);
    step(&g, VMSCM_GENERATION_REMOVE, 1, 1001);
    step(&g, VMSCM_GENERATION_CONDEMN, 1, 1002);
    step(&g, VMSCM_GENERATION_REMOVE, 1, 5000);
    apply(&now, &g);
    assert_int_equal(now.objects.len, COUNT - 50 + 2);
    assert_null(find(&now, 98));
    assert_int_equal(find(&now, 200)->condemned, 2);
    assert_int_equal(find(&now, 200)->when, 77);
    assert_int_equal(find(&now, 1000)->condemned, 0);
    assert_true(find(&now, 1000)->listed);
    assert_int_equal(find(&now, 1000)->size, 2000);
    assert_null(find(&now, 1001));
    assert_false(find(&now, 1002)->listed);
    assert_int_equal(find(&now, 1002)->condemned, 2);
    vmscm_generation_release_state(&now);
}

static void refs(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_generation g = {.number = 1};
    struct vmscm_generation_state now = {0};

    (void)state;
    for (unsigned i = 0; i < COUNT; i++)
        change(&g, i * 7 % COUNT, 0, 1);
    apply(&now, &g);
    assert_int_equal(now.refs.len, COUNT);
    g = (struct vmscm_generation){.number = 2};
    change(&g, 299, 1, 2);
    change(&g, 299, 2, 3);
    change(&g, 5, 1, 0);
    change(&g, 999, 0, 1);
    change(&g, 999, 1, 0);
    change(&g, 998, 0, 9);
    change(&g, 997, 0, 0);
    apply(&now, &g);
    assert_int_equal(now.refs.len, COUNT);
    assert_null(vmscm_generation_find_ref(&now, "refs/heads/m5"));
    assert_null(vmscm_generation_find_ref(&now, "refs/heads/m999"));
    assert_int_equal(vmscm_generation_find_ref(&now, "refs/heads/m299")->id[0], 3);
    assert_int_equal(vmscm_generation_find_ref(&now, "refs/heads/m998")->id[0], 9);
    /* From what it was not: nothing is leaked, wherever that is among others. */
    g = (struct vmscm_generation){.number = 3};
    change(&g, 1, 1, 2);
    change(&g, 299, 2, 4);
    change(&g, 3, 1, 0);
    assert_int_equal(vmscm_generation_apply(&now, &g, &err), VMSCM_EDAMAGED);
    vmscm_generation_release(&g);
    vmscm_generation_release_state(&now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(objects), cmocka_unit_test(refs)};

    return unit_run(tests);
}
