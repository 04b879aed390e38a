/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/repo/retain and lineage: which revisions the rules keep, and the order they are asked in. */
#include "gitrepo.h"

#include "history/ident.h"
#include "repo/lineage.h"
#include "repo/retain.h"

#include <time.h>

#define MANY 64

struct dated {
    const char *date;
    const char *kept; /* letters: l h d w m y, i for within; "" for none */
};

static int64_t seconds(const char *date, int *offset)
{
    struct vmscm_signature sig = {NULL, NULL, 0, 0};
    struct vmscm_error err = VMSCM_ERROR_INIT;

    assert_done(vmscm_ident_parse_date(&sig, date, &err), &err);
    if (offset)
        *offset = sig.offset;
    return sig.time;
}

static void letters(char *out, unsigned kept)
{
    for (unsigned i = 0; i < 7; i++)
        if (kept & (1u << i))
            *out++ = "lhdwmyi"[i];
    *out = '\0';
}

/* Newest first, as they stand in the table. */
static void expect_at(const struct dated *table, size_t count,
    const struct vmscm_prune_options *options, const char *now)
{
    struct vmscm_retain_item items[MANY];
    char said[8];

    for (size_t i = 0; i < count; i++)
        items[i].time = seconds(table[i].date, &items[i].offset);
    vmscm_retain_apply(items, count, options, seconds(now, NULL));
    for (size_t i = 0; i < count; i++) {
        letters(said, items[i].kept);
        if (strcmp(said, table[i].kept) != 0)
            fail_msg("%s: kept \"%s\", not \"%s\"", table[i].date, said, table[i].kept);
    }
}

#define expect(table, ...)                                                                         \
    expect_at(table, sizeof table / sizeof table[0],                                               \
        &(struct vmscm_prune_options){__VA_ARGS__}, "2030-01-01 00:00 +0000")

static void counts(void **state)
{
    const struct dated table[] = {
        {"2026-11-22 18:30 +0000", "lhdwmy"},
        {"2026-11-22 18:10 +0000", "l"},
        {"2026-11-22 17:59 +0000", "h"},
        {"2026-11-22 03:00 +0000", ""},
        {"2026-11-21 23:59 +0000", "d"},
        {"2026-11-16 00:00 +0000", "d"},
        {"2026-11-15 23:59 +0000", "w"},
        {"2026-10-31 12:00 +0000", "m"},
        {"2026-10-01 12:00 +0000", ""},
        {"2025-12-31 23:59 +0000", "y"},
        {"2025-01-01 00:00 +0000", ""},
    };

    (void)state;
    expect(table, .last = 2, .hourly = 2, .daily = 3, .weekly = 2, .monthly = 2, .yearly = 2);
}

/* What a count has left goes to the oldest, whatever it is of. */
static void oldest(void **state)
{
    const struct dated days[] = {
        {"2026-11-22 18:30 +0000", "d"},
        {"2026-11-22 12:00 +0000", ""},
        {"2026-11-21 18:30 +0000", "d"},
        {"2026-11-21 12:00 +0000", ""},
        {"2026-11-21 06:00 +0000", "d"},
    };
    const struct dated used_up[] = {
        {"2026-11-22 18:30 +0000", "d"},
        {"2026-11-21 18:30 +0000", "d"},
        {"2026-11-21 06:00 +0000", ""},
    };
    const struct dated all[] = {
        {"2026-11-22 18:30 +0000", "lm"},
        {"2026-11-21 18:30 +0000", "l"},
        {"2026-11-21 06:00 +0000", "lm"},
    };

    (void)state;
    expect(days, .daily = 7);
    expect(used_up, .daily = 2);
    expect(all, .last = VMSCM_PRUNE_UNLIMITED, .monthly = VMSCM_PRUNE_UNLIMITED);
}

/* The author's clock counts. In Berlin the hour from two to three came twice on 2026-10-25. */
static void zones(void **state)
{
    const struct dated fold[] = {
        {"2026-10-25 03:10 +0100", "h"},
        {"2026-10-25 02:50 +0100", "h"},
        {"2026-10-25 02:10 +0100", ""},
        {"2026-10-25 02:50 +0200", ""},
        {"2026-10-25 02:10 +0200", ""},
        {"2026-10-25 01:50 +0200", "h"},
    };
    const struct dated gap[] = {
        {"2026-03-29 03:10 +0200", "h"},
        {"2026-03-29 01:50 +0100", "h"},
        {"2026-03-29 01:40 +0100", ""},
        {"2026-03-29 00:40 +0100", ""},
    };
    const struct dated midnight[] = {
        /* 23:30 on the 21st where it was made, though it is the 22nd in UTC. */
        {"2026-11-22 00:10 +0100", "d"},
        {"2026-11-21 23:50 +0100", "d"},
        {"2026-11-21 16:30 -0600", ""},
        {"2026-11-21 01:30 +1400", ""},
        {"2026-11-20 23:30 -1200", "d"},
        {"2026-11-20 01:30 +0000", ""},
    };

    (void)state;
    expect(fold, .hourly = 3);
    expect(gap, .hourly = 2);
    setenv("TZ", "Pacific/Auckland", 1);
    tzset();
    expect(midnight, .daily = 3);
    setenv("TZ", "UTC", 1);
    tzset();
}

static void calendar(void **state)
{
    /* Weeks of ISO 8601: 2026-12-28 to 2027-01-03 is week 53 of 2026. */
    const struct dated weeks[] = {
        {"2027-01-04 12:00 +0000", "w"},
        {"2027-01-03 12:00 +0000", "w"},
        {"2026-12-28 00:00 +0000", ""},
        {"2026-12-27 23:59 +0000", "w"},
        {"2026-12-21 00:00 +0000", ""},
        {"2024-12-30 00:00 +0000", "w"},
        {"2020-01-01 00:00 +0000", ""},
        {"2019-01-01 00:00 +0000", ""},
    };
    const struct dated leap[] = {
        {"2028-03-01 00:00 +0000", "dm"},
        {"2028-02-29 12:00 +0000", "dm"},
        {"2028-02-28 12:00 +0000", "d"},
        {"2027-02-28 12:00 +0000", ""},
    };

    (void)state;
    expect(weeks, .weekly = 4);
    expect(leap, .daily = 3, .monthly = 2);
}

static void same_second(void **state)
{
    const struct dated table[] = {
        {"2026-11-22 18:30 +0000", "ld"},
        {"2026-11-22 18:30 +0000", "l"},
        {"2026-11-22 18:30 +0000", ""},
        {"2026-11-22 18:30 +0000", ""},
    };

    (void)state;
    expect(table, .last = 2, .daily = 1);
}

static void within(void **state)
{
    const struct dated month[] = {
        {"2026-03-31 12:00:00 +0000", "i"},
        /* 31 February is 3 March. */
        {"2026-03-03 12:00:01 +0000", "i"},
        {"2026-03-03 12:00:00 +0000", ""},
        {"2026-02-28 12:00 +0000", ""},
    };
    const struct dated leap[] = {
        {"2028-02-29 12:00:00 +0000", "i"},
        {"2027-03-01 12:00:01 +0000", "i"},
        {"2027-03-01 12:00:00 +0000", ""},
    };
    /* Hours are real ones; days go by the clock of the newest, at its offset. */
    const struct dated hours[] = {
        {"2026-03-29 03:30 +0200", "i"},
        {"2026-03-29 01:30:01 +0100", "i"},
        {"2026-03-29 01:30 +0100", "i"},
        {"2026-03-28 23:30:00 +0000", ""},
    };
    const struct dated mixed[] = {
        {"2026-11-22 12:00 +0000", "li"},
        {"2025-06-15 07:00:01 +0000", "i"},
        {"2025-06-15 07:00:00 +0000", ""},
    };

    (void)state;
    expect(month, .within = {.months = 1});
    expect(leap, .within = {.years = 1});
    expect(hours, .within = {.hours = 2});
    expect(mixed, .last = 1, .within = {.years = 1, .months = 5, .days = 7, .hours = 5});
}

/* A clock that was wrong once. */
static void future(void **state)
{
    const struct dated table[] = {
        {"2037-01-01 12:00 +0000", "i"},
        {"2026-11-22 12:00 +0000", "i"},
        {"2026-11-21 13:00 +0000", "i"},
        {"2026-11-21 12:00 +0000", ""},
    };
    const struct dated all[] = {
        {"2037-01-01 12:00 +0000", "i"},
        {"2031-01-01 12:00 +0000", "i"},
    };
    struct vmscm_retain_item wild[] = {{INT64_MAX, 100000, 0}, {0, 0, 0}, {INT64_MIN, -100000, 0}};

    (void)state;
    expect(table, .within = {.days = 1});
    expect(all, .within = {.days = 1});
    vmscm_retain_apply(wild, 3,
        &(struct vmscm_prune_options){.yearly = 2, .within = {.years = 100000, .months = 100000}},
        1800000000);
    assert_int_equal(wild[0].kept, VMSCM_PRUNE_YEARLY | VMSCM_PRUNE_WITHIN);
    assert_int_equal(wild[1].kept, VMSCM_PRUNE_YEARLY | VMSCM_PRUNE_WITHIN);
    assert_int_equal(wild[2].kept, 0);
    vmscm_retain_apply(wild, 0, &(struct vmscm_prune_options){.last = 1}, 0);
}

static void spans(void **state)
{
    static const char *const bad[] = {"", "1", "y", "1w", "-1d", "1d2", "1d 2h", "1d1d", "100001h",
        "99999999999999999999d", "1.5d", "1D"};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_prune_span s;

    (void)state;
    assert_done(vmscm_prune_span_parse(&s, "1y5m7d2h", &err), &err);
    assert_int_equal(s.years, 1);
    assert_int_equal(s.months, 5);
    assert_int_equal(s.days, 7);
    assert_int_equal(s.hours, 2);
    assert_done(vmscm_prune_span_parse(&s, "36h100000d", &err), &err);
    assert_int_equal(s.years + s.months, 0);
    assert_int_equal(s.days, 100000);
    assert_int_equal(s.hours, 36);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(
            vmscm_prune_span_parse(&s, bad[i], &err), &err, VMSCM_EUSAGE, "not a duration");
    assert_false(vmscm_retain_has_rule(&(struct vmscm_prune_options){.tagged = -1, .all = 1}));
    assert_true(vmscm_retain_has_rule(&(struct vmscm_prune_options){.tagged = 1}));
    assert_true(vmscm_retain_has_rule(&(struct vmscm_prune_options){.within = {.hours = 1}}));
}

static void commit_at(char *id, struct gitrepo *r, const char *content, int64_t time,
    const char *one, const char *two)
{
    const struct vmscm_gitdb_file file = {"machine.json", content, strlen(content)};
    const struct vmscm_signature who = {"A", "a@example.org", time, 0};
    const char *parents[] = {one, two};
    struct vmscm_error err = VMSCM_ERROR_INIT;

    assert_done(vmscm_gitdb_commit(id, r->db, &file, 1, parents, (one != NULL) + (two != NULL),
                    &who, &who, "x", &err),
        &err);
}

static void expect_history(struct vmscm_lineage *l, uint32_t node, const char *const *ids,
    size_t count)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint32_t *list;
    size_t len;

    assert_done(vmscm_lineage_history(l, &list, &len, node, &err), &err);
    assert_int_equal(len, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(l->nodes.items[list[i]].id, ids[i]);
    free(list);
}

/* root - a - b - merge, and merge's second parent is c, whose child b is: by date, and of one second
 * children first, whichever way one comes to them. */
static void order(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_lineage l = {0};
    char root[VMSCM_GITDB_ID], a[VMSCM_GITDB_ID], b[VMSCM_GITDB_ID], c[VMSCM_GITDB_ID],
        merge[VMSCM_GITDB_ID], other[VMSCM_GITDB_ID], early[VMSCM_GITDB_ID];
    uint32_t tip, again, side;

    commit_at(root, r, "r", 1000, NULL, NULL);
    commit_at(a, r, "a", 1000, root, NULL);
    commit_at(c, r, "c", 1000, a, NULL);
    commit_at(b, r, "b", 1000, c, NULL);
    commit_at(merge, r, "m", 1000, a, b);
    commit_at(early, r, "e", 500, merge, NULL);
    commit_at(other, r, "o", 2000, b, NULL);
    assert_done(vmscm_lineage_read(&l, &tip, r->db, early, &err), &err);
    assert_done(vmscm_lineage_read(&l, &again, r->db, early, &err), &err);
    assert_int_equal(tip, again);
    assert_int_equal(l.nodes.len, 6);
    assert_done(vmscm_lineage_read(&l, &side, r->db, other, &err), &err);
    assert_int_equal(l.nodes.len, 7);
    expect_history(&l, tip, (const char *[]){merge, b, c, a, root, early}, 6);
    expect_history(&l, side, (const char *[]){other, b, c, a, root}, 5);
    expect_history(&l, vmscm_lineage_find(&l, root), (const char *[]){root}, 1);
    assert_int_equal(vmscm_lineage_find(&l, "0123456789012345678901234567890123456789"),
        VMSCM_LINEAGE_NONE);
    assert_int_equal(vmscm_lineage_find(&l, "web"), VMSCM_LINEAGE_NONE);
    assert_done(vmscm_lineage_spread(&l, vmscm_lineage_find(&l, c), 4, &err), &err);
    assert_done(vmscm_lineage_spread(&l, side, 4, &err), &err);
    assert_int_equal(l.nodes.items[vmscm_lineage_find(&l, root)].flags, 4);
    assert_int_equal(l.nodes.items[vmscm_lineage_find(&l, b)].flags, 4);
    assert_int_equal(l.nodes.items[vmscm_lineage_find(&l, merge)].flags, 0);
    assert_fails(
        vmscm_lineage_read(&l, &side, r->db, "0123456789012345678901234567890123456789", &err),
        &err, VMSCM_EDAMAGED, "missing");
    vmscm_lineage_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(oldest),
        cmocka_unit_test(zones),
        cmocka_unit_test(calendar),
        cmocka_unit_test(same_second),
        cmocka_unit_test(within),
        cmocka_unit_test(future),
        cmocka_unit_test(spans),
        cmocka_unit_test_setup_teardown(order, gitrepo_setup, gitrepo_teardown),
    };
    return unit_run(tests);
}
