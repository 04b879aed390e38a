/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/history/ident: who acts, and the forms of a date. */
#include "gitrepo.h"

#include "history/ident.h"

#include <time.h>

static void authors(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_signature sig = {NULL, NULL, 7, 8}, copy;
    static const struct {
        const char *text, *name, *email;
    } good[] = {{"A B <a@b>", "A B", "a@b"}, {"  A   < a@b >", "A", "a@b"}, {"A<b>", "A", "b"},
        {"Gr\xc3\xbc\xc3\x9f""e <a@example.org>", "Gr\xc3\xbc\xc3\x9f""e", "a@example.org"}};
    static const char *const bad[] = {"", "nobody", "<>", "<a@b>", " <a@b>", "A <>", "A < >",
        "A <b", "A b>", "A <b> c", "A <b<c>", "a\nb <c@d>", "\xff <a@b>", "A <b\x1b>"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_done(vmscm_ident_parse_author(&sig, good[i].text, &err), &err);
        assert_string_equal(sig.name, good[i].name);
        assert_string_equal(sig.email, good[i].email);
        assert_int_equal(sig.time, 7);
        assert_int_equal(sig.offset, 8);
        assert_done(vmscm_ident_dup(&copy, &sig, &err), &err);
        vmscm_ident_release(&sig);
        assert_string_equal(copy.name, good[i].name);
        assert_int_equal(copy.time, 7);
        vmscm_ident_release(&copy);
        sig = (struct vmscm_signature){NULL, NULL, 7, 8};
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(vmscm_ident_parse_author(&sig, bad[i], &err), &err, VMSCM_EUSAGE,
            "not an author");
    assert_null(sig.name);
}

static void dates(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_signature sig = {NULL, NULL, 0, 0};
    static const struct {
        const char *text;
        int64_t time;
        int offset;
    } good[] = {{"@0 +0000", 0, 0}, {"@1700000000 -0530", 1700000000, -330},
        {"@1700000000", 1700000000, 60}, {"2023-11-14", 1699916400, 60},
        {"2023-07-14", 1689285600, 120}, {"2023-11-14 22:13", 1699996380, 60},
        {"2023-11-14T22:13:20Z", 1700000000, 0}, {"2023-11-14 22:13:20 Z", 1700000000, 0},
        {"2023-11-14 23:13:20+01:00", 1700000000, 60}, {"2023-11-14T16:43:20 -0530", 1700000000, -330},
        {"2024-02-29 12:30:00 +0530", 1709190000, 330}, {"1970-01-01 00:00 +0000", 0, 0},
        {"9999-12-31T23:59:59Z", 253402300799, 0}, {"2023-11-15T12:13:20+14:00", 1700000000, 840}};
    static const char *const bad[] = {"", "yesterday", "now", "2024", "2024-01", "2024-1-1",
        "2024-13-01", "2024-00-01", "2024-02-30", "2023-02-29", "2024-01-01 25:00",
        "2024-01-01 10:60", "2024-01-01 10:00:60", "2024-01-01 10", "2024-01-01T10:00:00+1",
        "2024-01-01 10:00 +9999", "2024-01-01 10:00 +1401", "2024-01-01 10:00 +0060", "@", "@x",
        "@-1", "@1 2", "@1  +0000", "@1 +0000 ", "@99999999999999999999", "@253402300800",
        "1969-12-31 00:00 +0000", "1970-01-01 00:00 +0100", "10000-01-01", "2024-01-01 ",
        "2024-01-01 10:00 x", " 2024-01-01"};

    (void)state;
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_done(vmscm_ident_parse_date(&sig, good[i].text, &err), &err);
        if (sig.time != good[i].time || sig.offset != good[i].offset)
            fail_msg("%s: %lld %d", good[i].text, (long long)sig.time, sig.offset);
    }
    sig.time = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(
            vmscm_ident_parse_date(&sig, bad[i], &err), &err, VMSCM_EUSAGE, "not a date");
    assert_int_equal(sig.time, 7);
}

static void check_default(struct vmscm_gitconfig *config, const char *name, const char *email)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_signature sig;
    int64_t now = time(NULL);

    assert_done(vmscm_ident_default(&sig, config, &err), &err);
    if (name)
        assert_string_equal(sig.name, name);
    else
        assert_true(sig.name[0] != '\0');
    if (email)
        assert_string_equal(sig.email, email);
    else
        assert_non_null(strchr(sig.email, '@'));
    assert_in_range(sig.time, now, now + 5);
    assert_int_equal(sig.offset, 330);
    vmscm_ident_release(&sig);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char path[600];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_done(vmscm_file_replace(path, text, strlen(text), 0666, &err), &err);
}

/* libgit2 reads HOME once, when it starts. */
static void defaults(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitconfig *config;
    char *dir, file[600];

    (void)state;
    assert_done(vmscm_tempdir_make(&dir, "/tmp", &err), &err);
    setenv("HOME", dir, 1);
    unsetenv("XDG_CONFIG_HOME");
    setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
    setenv("TZ", "Asia/Kolkata", 1);
    tzset();
    snprintf(file, sizeof file, "%s/repo-config", dir);
    check_default(NULL, NULL, NULL);
    assert_done(vmscm_gitconfig_open(&config, file, &err), &err);
    check_default(config, NULL, NULL);
    write_file(dir, ".gitconfig", "[user]\n\tname = From Git\n\temail = git@example.org\n");
    check_default(config, "From Git", "git@example.org");
    assert_done(
        vmscm_gitconfig_set(config, VMSCM_CONFIG_USER, "user.name", "The User", &err), &err);
    check_default(config, "The User", "git@example.org");
    assert_done(vmscm_gitconfig_set(
                    config, VMSCM_CONFIG_REPOSITORY, "user.email", "repo@example.org", &err),
        &err);
    check_default(config, "The User", "repo@example.org");
    /* What git would not take in a signature is left out, whoever wrote it. */
    write_file(dir, "repo-config", "[user]\n\tname = A <b>\n\temail = \"<>\"\n");
    check_default(config, "A b", NULL);
    vmscm_gitconfig_close(config);
    vmscm_tempdir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(authors),
        cmocka_unit_test(dates),
        cmocka_unit_test(defaults),
    };
    return unit_run(tests);
}
