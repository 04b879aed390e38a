/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/history/revspec: what a user writes for a revision. */
#include "gitrepo.h"

#include "history/holder.h"
#include "history/refs.h"
#include "history/revspec.h"
#include "history/when.h"

#include <time.h>

#define COUNT 5

/* A history of five revisions of machine web, a day apart, each a step of its reflog too. */
struct history {
    char ids[COUNT][VMSCM_GITDB_ID];
};

#define DAY 86400
#define START 1700000000

static void make_history(struct history *h, struct gitrepo *r)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;

    for (int i = 0; i < COUNT; i++) {
        struct vmscm_signature who = {"A", "a@example.org", START + (int64_t)i * DAY, 0};
        char text[16];
        snprintf(text, sizeof text, "r%d", i);
        struct vmscm_gitdb_file file = {"machine.json", text, strlen(text)};
        const char *parent = i ? h->ids[i - 1] : NULL;
        assert_done(vmscm_gitdb_commit(
                        h->ids[i], r->db, &file, 1, &parent, i ? 1 : 0, &who, &who, text, &err),
            &err);
        assert_done(vmscm_refs_update(
                        r->db, "refs/heads/web", i ? h->ids[i - 1] : "", h->ids[i], &who, text, &err),
            &err);
    }
    assert_done(vmscm_refs_tag(r->db, "refs/tags/web/golden", "", h->ids[2], "web/golden", "",
                    &gitrepo_who, &err),
        &err);
}

static void resolves(struct gitrepo *r, const char *spec, const char *id)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_revspec out;

    assert_done(vmscm_revspec_resolve(&out, r->db, spec, &err), &err);
    if (strcmp(out.id, id) != 0)
        fail_msg("%s: %s instead of %s", spec, out.id, id);
    vmscm_revspec_release(&out);
}

static void refuses(struct gitrepo *r, const char *spec, int code, const char *why,
    const char *hint)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_revspec out;

    assert_fails(vmscm_revspec_resolve(&out, r->db, spec, &err), &err, code, why);
    if (!strstr(err.hint, hint))
        fail_msg("%s: the hint \"%s\" does not say \"%s\"", spec, err.hint, hint);
    assert_null(out.machine);
    assert_null(out.tag);
}

static void grammar(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_revspec out;
    struct history h;
    char spec[128];

    make_history(&h, r);
    resolves(r, "web", h.ids[4]);
    resolves(r, "web~", h.ids[3]);
    resolves(r, "web~0", h.ids[4]);
    resolves(r, "web~4", h.ids[0]);
    resolves(r, "web^", h.ids[3]);
    resolves(r, "web^^~1^1^0", h.ids[0]);
    resolves(r, "web:golden", h.ids[2]);
    resolves(r, "web:golden~2", h.ids[0]);
    resolves(r, "web@{0}", h.ids[4]);
    resolves(r, "web@{1}", h.ids[3]);
    resolves(r, "web@{4}", h.ids[0]);
    resolves(r, "web@{3}^", h.ids[0]);
    resolves(r, "web:golden@{0}", h.ids[2]);
    resolves(r, h.ids[1], h.ids[1]);
    snprintf(spec, sizeof spec, "%.12s~1", h.ids[1]);
    resolves(r, spec, h.ids[0]);
    for (char *p = spec; *p; p++)
        *p = (char)(*p >= 'a' && *p <= 'f' ? *p - 32 : *p);
    resolves(r, spec, h.ids[0]);
    assert_done(vmscm_revspec_resolve(&out, r->db, "web:golden~1", &err), &err);
    assert_string_equal(out.machine, "web");
    assert_string_equal(out.tag, "golden");
    vmscm_revspec_release(&out);
    assert_done(vmscm_revspec_resolve(&out, r->db, h.ids[3], &err), &err);
    assert_null(out.machine);
    vmscm_revspec_release(&out);

    refuses(r, "", VMSCM_EUSAGE, "names no machine", "");
    refuses(r, "~1", VMSCM_EUSAGE, "names no machine", "");
    refuses(r, "@{1}", VMSCM_EUSAGE, "names no machine", "");
    refuses(r, "web:", VMSCM_EUSAGE, "is empty", "");
    refuses(r, ":golden", VMSCM_EUSAGE, "is empty", "");
    refuses(r, "web:a/b", VMSCM_EUSAGE, "has a '/'", "");
    refuses(r, "web:a:b", VMSCM_EUSAGE, "has a space or one of", "");
    refuses(r, "web~x", VMSCM_EUSAGE, "from \"x\" on", "MACHINE:TAG");
    refuses(r, "web@{", VMSCM_EUSAGE, "from \"@{\" on", "MACHINE:TAG");
    refuses(r, "web~1@{1}", VMSCM_EUSAGE, "from \"@{1}\" on", "");
    refuses(r, "web@{1}@{1}", VMSCM_EUSAGE, "from \"@{1}\" on", "");
    refuses(r, "web@{1}x", VMSCM_EUSAGE, "from \"x\" on", "");
    refuses(r, "web@{}", VMSCM_EUSAGE, "not a date", "yesterday");
    refuses(r, "web@{soon}", VMSCM_EUSAGE, "not a date", "yesterday");
    refuses(r, "web~5", VMSCM_ENOTFOUND, "goes back only 4 revisions", "");
    refuses(r, "web~1000000000", VMSCM_ENOTFOUND, "goes back only 4 revisions", "");
    refuses(r, "web~1000000001", VMSCM_EUSAGE, "a number is over", "");
    refuses(r, "web~99999999999999999999", VMSCM_EUSAGE, "a number is over", "");
    refuses(r, "web@{99999999999999999999}", VMSCM_EUSAGE, "a number is over", "");
    refuses(r, "web@{5}", VMSCM_ENOTFOUND, "only 5 changes", "");
    refuses(r, "web~4~", VMSCM_ENOTFOUND, "is the first", "");
    refuses(r, "web~4^", VMSCM_ENOTFOUND, "has no parent", "");
    refuses(r, "web^2", VMSCM_ENOTFOUND, "has one parent", "");
    snprintf(spec, sizeof spec, "%.12s@{1}", h.ids[1]);
    refuses(r, spec, VMSCM_EUSAGE, "not with an id", "");
    refuses(r, "../../etc/passwd", VMSCM_EUSAGE, "not a machine name", "");
    char *longest = malloc(5000);
    memset(longest, '^', 5000);
    memcpy(longest, "web", 3);
    longest[4999] = '\0';
    refuses(r, longest, VMSCM_EUSAGE, "too long", "");
    free(longest);
}

static void dates(void **state)
{
    struct gitrepo *r = *state;
    struct history h;
    char spec[128];

    setenv("TZ", "UTC", 1);
    tzset();
    make_history(&h, r); /* from 2023-11-14 22:13:20 on */
    resolves(r, "web@{2023-11-14 22:13:20}", h.ids[0]);
    resolves(r, "web@{2023-11-14}", h.ids[0]); /* a day is its end */
    resolves(r, "web@{2023-11-16}", h.ids[2]);
    resolves(r, "web@{2023-11-16 12:00}", h.ids[1]);
    resolves(r, "web@{2023-11-16T23:13:19+01:00}~1", h.ids[0]);
    resolves(r, "web@{now}", h.ids[4]);
    resolves(r, "web@{yesterday}", h.ids[4]);
    resolves(r, "web@{2 days ago}", h.ids[4]);
    resolves(r, "web@{1.hour.30.minutes.ago}", h.ids[4]);
    refuses(r, "web@{2023-11-13}", VMSCM_ENOTFOUND, "web did not exist then", "");
    refuses(r, "web@{100 years ago}", VMSCM_ENOTFOUND, "did not exist then", "");
    refuses(r, "web@{2 fortnights ago}", VMSCM_EUSAGE, "not a date", "");
    refuses(r, "web@{2023-02-30}", VMSCM_EUSAGE, "not a date", "");
    snprintf(spec, sizeof spec, "web@{@%d +0000}", START + 3 * DAY);
    resolves(r, spec, h.ids[3]);
}

static void relative_dates(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    static const struct {
        const char *text;
        int64_t before;
    } known[] = {{"now", 0}, {"0 seconds ago", 0}, {"90 seconds ago", 90}, {"1 min ago", 60},
        {"2 hours 30 minutes ago", 9000}, {"yesterday", DAY}, {"3 days", 3 * DAY},
        {"1.week.ago", 7 * DAY}, {"2_weeks_ago", 14 * DAY}};
    static const char *const bad[] = {"", "ago", "1", "1 day after", "one day ago", "-1 days ago",
        "1 day ago 2 hours", "1 dayss ago", "9999999999 days ago", "1 day agoago", "@", "@1 0"};
    int64_t when;

    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        int64_t now = time(NULL);
        assert_done(vmscm_when_parse(&when, known[i].text, &err), &err);
        assert_in_range(when, now - known[i].before, now - known[i].before + 5);
    }
    assert_done(vmscm_when_parse(&when, "1 month ago", &err), &err);
    assert_in_range(time(NULL) - when, 27 * DAY, 32 * DAY);
    assert_done(vmscm_when_parse(&when, "2 years ago", &err), &err);
    assert_in_range(time(NULL) - when, 729 * DAY, 732 * DAY);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(vmscm_when_parse(&when, bad[i], &err), &err, VMSCM_EUSAGE, "not a date");
}

static void hints(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct history h;
    char ref[64];

    refuses(r, "web", VMSCM_ENOTFOUND, "web: no such machine", "no machines yet");
    make_history(&h, r);
    static const char *const more[] = {"web-server", "Database", "qa/web-test", "mail"};
    for (size_t i = 0; i < 4; i++) {
        snprintf(ref, sizeof ref, "refs/heads/%s", more[i]);
        assert_done(vmscm_refs_update(r->db, ref, "", h.ids[0], &gitrepo_who, "x", &err), &err);
    }
    refuses(r, "web-sevrer", VMSCM_ENOTFOUND, "no such machine", "did you mean web-server");
    refuses(r, "wbe", VMSCM_ENOTFOUND, "no such machine", "did you mean web");
    refuses(r, "DATABASE", VMSCM_ENOTFOUND, "no such machine", "did you mean Database?");
    refuses(r, "test", VMSCM_ENOTFOUND, "no such machine", "qa/web-test");
    refuses(r, "unrelated", VMSCM_ENOTFOUND, "no such machine", "vmscm list");
    refuses(r, "wbe:golden", VMSCM_ENOTFOUND, "wbe: no such machine", "web");
    refuses(r, "web:godlen", VMSCM_ENOTFOUND, "has no such tag", "golden");
    refuses(r, "web:unrelated", VMSCM_ENOTFOUND, "has no such tag", "its tags: golden");
    refuses(r, "mail:x", VMSCM_ENOTFOUND, "has no such tag", "it has no tags");
    refuses(r, "0123456789", VMSCM_ENOTFOUND, "no such machine or revision", "");
    refuses(r, "012", VMSCM_ENOTFOUND, "no such machine or revision", "");
    /* A machine wins over an id. */
    snprintf(ref, sizeof ref, "refs/heads/%.8s", h.ids[3]);
    assert_done(vmscm_refs_update(r->db, ref, "", h.ids[1], &gitrepo_who, "x", &err), &err);
    resolves(r, ref + strlen("refs/heads/"), h.ids[1]);
}

/* Objects until two commits share their first four digits, and a blob and a commit do. */
static void prefixes(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_revspec out;
    char (*ids)[VMSCM_GITDB_ID] = calloc(3000, sizeof *ids), prefix[5], *said;
    size_t found = 0, a = 0, b = 0;
    char script[2048];

    assert_non_null(ids);
    snprintf(script, sizeof script,
        "for i in $(seq 3000); do printf 'commit refs/heads/many\\ncommitter x <x@x> %%d +0000\\n"
        "data 3\\ns%%02d\\n' $((1600000000 + i)) $((i %% 100)); done | "
        "git --git-dir=%s fast-import --quiet", r->git);
    run_shell(script);
    struct vmscm_gitdb_info info;
    char id[VMSCM_GITDB_ID];
    assert_done(vmscm_refs_read(id, r->db, "refs/heads/many", &err), &err);
    for (found = 0; found < 3000; found++) {
        memcpy(ids[found], id, sizeof id);
        assert_done(vmscm_gitdb_read_commit(&info, r->db, id, &err), &err);
        if (info.parent_count)
            memcpy(id, info.parents[0], sizeof id);
        vmscm_gitdb_info_release(&info);
    }
    for (size_t i = 0; i < found && a == b; i++)
        for (size_t k = i + 1; k < found && a == b; k++)
            if (memcmp(ids[i], ids[k], 4) == 0)
                a = i, b = k;
    assert_true(a != b);
    snprintf(prefix, sizeof prefix, "%.4s", ids[a]);
    assert_fails(vmscm_revspec_resolve(&out, r->db, prefix, &err), &err, VMSCM_EUSAGE,
        "revisions begin with it");
    snprintf(id, sizeof id, "%.12s s", ids[a]);
    assert_non_null(strstr(err.hint, id));
    snprintf(id, sizeof id, "%.12s s", ids[b]);
    assert_non_null(strstr(err.hint, id));
    /* The same commit loose as well as packed is one. */
    said = gitrepo_git(r, "rev-parse", "many~1", NULL);
    resolves(r, said, ids[1]);
    free(said);

    /* A blob with a commit's first four digits: only the commit counts. Git tells which of many
     * blobs have some; those with one commit beside them are tried. */
    snprintf(script, sizeof script,
        "cd %s && mkdir blobs && for i in $(seq 500); do echo $i >blobs/$i; done && "
        "ls -d $PWD/blobs/* | git --git-dir=%s hash-object -w --stdin-paths >blobs.list",
        r->home, r->git);
    run_shell(script);
    struct vmscm_buf blobs = VMSCM_BUF_INIT;
    snprintf(script, sizeof script, "%s/blobs.list", r->home);
    assert_done(vmscm_file_read(&blobs, script, 1 << 20, &err), &err);
    size_t hits = 0;
    for (const char *p = vmscm_buf_str(&blobs); *p; p += 41) {
        size_t same = 0, hit = 0;
        for (size_t i = 0; i < found; i++)
            if (memcmp(ids[i], p, 4) == 0)
                same++, hit = i;
        if (same != 1)
            continue;
        snprintf(prefix, sizeof prefix, "%.4s", p);
        resolves(r, prefix, ids[hit]);
        hits++;
    }
    assert_true(hits > 0);
    vmscm_buf_release(&blobs);
    free(ids);
}

static void names(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    static const char *const good[] = {"web", "qa/web-test", "a.b", "a@b", "1", "gr\xc3\xbc\xc3\x9f",
        "UPPER/lower/x", "a{b}", "lock", "a.lockx"};
    static const char *const bad[] = {"", "/", "a/", "/a", "a//b", "-a", "a/-b", ".a", "a/.b", "a.",
        "a./b", "a..b", "a.lock", "a.lock/b", "a b", "a~b", "a^b", "a:b", "a?b", "a*b", "a[b",
        "a\\b", "a@{b", "a\nb", "a\x7f", "\xff", "a\xc2\x80"};
    char longest[202];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_done(vmscm_revspec_check_machine(good[i], &err), &err);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(vmscm_revspec_check_machine(bad[i], &err), &err, VMSCM_EUSAGE,
            "not a machine name");
    memset(longest, 'a', sizeof longest);
    longest[200] = '\0';
    assert_done(vmscm_revspec_check_machine(longest, &err), &err);
    longest[200] = 'a';
    longest[201] = '\0';
    assert_fails(vmscm_revspec_check_machine(longest, &err), &err, VMSCM_EUSAGE, "200 bytes");
    assert_done(vmscm_revspec_check_tag("v1.0", &err), &err);
    assert_fails(vmscm_revspec_check_tag("a/b", &err), &err, VMSCM_EUSAGE, "not a tag name");
    assert_fails(vmscm_revspec_check_tag("-f", &err), &err, VMSCM_EUSAGE, "not a tag name");
}

static void holders(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct history h;
    char lost[VMSCM_GITDB_ID], *name;

    make_history(&h, r);
    assert_done(vmscm_refs_update(
                    r->db, "refs/heads/aaa", "", h.ids[2], &gitrepo_who, "x", &err),
        &err);
    assert_done(vmscm_refs_update(
                    r->db, "refs/heads/zzz", "", h.ids[3], &gitrepo_who, "x", &err),
        &err);
    static const char *const expected[] = {"aaa", "aaa", "aaa", "zzz", "web"};
    for (int i = 0; i < COUNT; i++) {
        assert_done(vmscm_holder_find(&name, r->db, h.ids[i], &err), &err);
        assert_string_equal(name, expected[i]);
        free(name);
    }
    gitrepo_commit(lost, r, "x", h.ids[4], "nobody's");
    assert_fails(vmscm_holder_find(&name, r->db, lost, &err), &err, VMSCM_ENOTFOUND,
        "in no machine's history");
    assert_null(name);
}

/* A long history with merges is gone through once, whatever the number of machines. */
static void many_holders(void **state)
{
    struct gitrepo *r = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char script[2048], id[VMSCM_GITDB_ID], *name, *said;

    snprintf(script, sizeof script,
        "for i in $(seq 5000); do printf 'commit refs/heads/m%%d\\nmark :%%d\\ncommitter x <x@x> "
        "%%d +0000\\ndata 1\\nx\\n' $((i %% 50)) $i $((1600000000 + i)); "
        "[ $i -lt 3 ] || printf 'from :%%d\\nmerge :%%d\\n' $((i - 1)) $((i - 2)); done | "
        "git --git-dir=%s fast-import --quiet --force", r->git);
    run_shell(script);
    said = gitrepo_git(r, "rev-list", "--max-parents=0", "m0", NULL);
    snprintf(id, sizeof id, "%.40s", said);
    free(said);
    assert_done(vmscm_holder_find(&name, r->db, id, &err), &err);
    assert_string_equal(name, "m0");
    free(name);
    gitrepo_commit(id, r, "x", NULL, "nobody's");
    assert_fails(vmscm_holder_find(&name, r->db, id, &err), &err, VMSCM_ENOTFOUND,
        "in no machine's history");
}

int main(void)
{
#define GIT_TEST(f) cmocka_unit_test_setup_teardown(f, gitrepo_setup, gitrepo_teardown)
    const struct CMUnitTest tests[] = {
        GIT_TEST(grammar),
        GIT_TEST(dates),
        cmocka_unit_test(relative_dates),
        GIT_TEST(hints),
        GIT_TEST(prefixes),
        cmocka_unit_test(names),
        GIT_TEST(holders),
        GIT_TEST(many_holders),
    };
    return unit_run(tests);
}
