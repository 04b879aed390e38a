/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/inspect/facts: what is a document, and which of a note's lines counts. */
#include "inspect/facts.h"
#include "unit.h"

#include <vmscm/inspect.h>
#include <vmscm/repo.h>

#define HEAD "{\"schema\":1,\"date\":\"2026-11-30T12:00:00Z\",\"status\":\"ok\""

static int parse(const char *text, struct vmscm_error *err)
{
    struct vmscm_facts facts;
    int rc = vmscm_facts_parse(&facts, text, strlen(text), err);

    vmscm_facts_release(&facts);
    return rc;
}

static void documents(void **state)
{
    static const char *const good[] = {HEAD "}",
        HEAD ",\"systems\":[{\"type\":\"linux\",\"applications\":[{\"name\":\"a\",\"epoch\":2}]}]}",
        HEAD ",\"of another time\":{\"x\":[1,2]}}",
        "{\"schema\":1,\"date\":\"2026-11-30\",\"status\":\"failed\",\"error\":\"why\"}"};
    static const char *const bad[] = {"", "[]", "{}", "null", "{\"schema\":\"1\"}",
        "{\"schema\":1,\"schema\":1,\"date\":\"2026-11-30\",\"status\":\"ok\"}",
        "{\"schema\":1,\"status\":\"ok\"}", "{\"schema\":1,\"date\":\"soon\",\"status\":\"ok\"}",
        "{\"schema\":1,\"date\":\"2026-11-30\",\"status\":\"good\"}",
        "{\"schema\":1,\"date\":\"2026-11-30\",\"status\":\"failed\"}",
        HEAD ",\"systems\":{}}", HEAD ",\"systems\":[1]}", HEAD ",\"systems\":[{\"type\":1}]}",
        HEAD ",\"systems\":[{\"kernels\":[1]}]}", HEAD ",\"systems\":[{\"users\":[{\"name\":{}}]}]}",
        HEAD ",\"disks\":[{\"size\":-1}]}", HEAD ",\"disks\":[{\"size\":1.5}]}",
        HEAD ",\"tool\":\"a\\u0000b\"}", HEAD ",\"filesystems\":[{\"opaque\":1}]}", HEAD "} x"};
    struct vmscm_error err = VMSCM_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_done(parse(good[i], &err), &err);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (parse(bad[i], &err) != VMSCM_EINPUT)
            fail_msg("taken: %s", bad[i]);
    assert_fails(parse("{\"schema\":2}", &err), &err, VMSCM_EUNSUPPORTED, "schema 2");
}

static void limits(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char *text = malloc(VMSCM_FACTS_MAX + 2);
    size_t len = (size_t)snprintf(text, 256, HEAD ",\"tool\":\"");

    (void)state;
    memset(text + len, 'x', VMSCM_FACTS_TEXT_MAX + 1);
    memcpy(text + len + VMSCM_FACTS_TEXT_MAX, "\"}", 3);
    assert_done(parse(text, &err), &err);
    text[len + VMSCM_FACTS_TEXT_MAX] = 'x';
    memcpy(text + len + VMSCM_FACTS_TEXT_MAX + 1, "\"}", 3);
    assert_fails(parse(text, &err), &err, VMSCM_EINPUT, "tool");
    memset(text, ' ', VMSCM_FACTS_MAX + 1);
    memcpy(text, HEAD "}", strlen(HEAD "}"));
    text[VMSCM_FACTS_MAX + 1] = '\0';
    assert_fails(parse(text, &err), &err, VMSCM_EINPUT, "16 MiB");
    /* One deeper than the parser goes is an error, and no end of the stack. */
    memset(text, '[', 1 << 20);
    text[1 << 20] = '\0';
    assert_fails(parse(text, &err), &err, VMSCM_EINPUT, "facts: line 1");
    free(text);
}

static void check_chosen(const char *note, const char *tool)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_facts facts;

    assert_done(vmscm_facts_choose(&facts, note, &err), &err);
    assert_string_equal(vmscm_facts_text(facts.root, "tool"), tool);
    vmscm_facts_release(&facts);
}

#define LINE(date, status, tool)                                                                   \
    "{\"schema\":1,\"date\":\"" date "\",\"status\":\"" status "\",\"error\":\"e\",\"tool\":\"" tool "\"}\n"

static void choice(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_facts facts;

    (void)state;
    check_chosen(LINE("2026-01-02", "ok", "b") LINE("2026-01-01", "ok", "a"), "b");
    check_chosen(LINE("2026-01-02", "ok", "b") LINE("2026-01-02", "ok", "a"), "a");
    check_chosen(LINE("2026-01-01", "ok", "a") LINE("2026-01-02", "failed", "b"), "a");
    check_chosen(LINE("2026-01-03", "failed", "b") LINE("2026-01-01", "ok", "a"), "a");
    check_chosen(LINE("2026-01-01", "failed", "a") LINE("2026-01-02", "failed", "b"), "b");
    check_chosen("by hand\n\n{\"schema\":9}\n" LINE("2026-01-01", "ok", "a") "{", "a");
    assert_fails(vmscm_facts_choose(&facts, "{\"schema\":9}\n\n", &err), &err, VMSCM_ENOTFOUND, "none");
    vmscm_facts_release(&facts);
}

static void check_summary(const char *rest, const char *expected)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char text[1024], *summary = NULL;

    snprintf(text, sizeof text, HEAD "%s}", rest);
    assert_done(vmscm_inspect_summary(&summary, text, &err), &err);
    assert_string_equal(summary, expected);
    vmscm_free(summary);
}

static void summaries(void **state)
{
    (void)state;
    check_summary("", "no operating system");
    check_summary(",\"filesystems\":[{\"type\":\"ext4\"},{\"type\":\"crypto_LUKS\",\"opaque\":true}]",
        "no operating system; ext4, crypto_LUKS (opaque)");
    check_summary(",\"systems\":[{\"distro\":\"debian\",\"version\":\"12.5\",\"arch\":\"x86_64\"},{}]",
        "debian 12.5, x86_64; unknown system");
    check_summary(",\"systems\":[{\"product\":\"Microsoft Windows Server 2003\",\"version\":\"5.2\","
                  "\"service_pack\":2,\"hostname\":\"DB\"}]",
        "Microsoft Windows Server 2003 SP2, DB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(documents), cmocka_unit_test(limits),
        cmocka_unit_test(choice), cmocka_unit_test(summaries)};

    return unit_run(tests);
}
