/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/inspect/changes: what differs between facts, in a line. */
#include "inspect/changes.h"
#include "unit.h"

#include <vmscm/repo.h>

#define HEAD "{\"schema\":1,\"date\":\"2026-11-30T12:00:00Z\",\"status\":\"ok\",\"systems\":["
#define DEBIAN(N, V) "\"distro\":\"debian\",\"product\":\"Debian GNU/Linux " N " (x)\",\"version\":\"" V "\""
#define WINDOWS(P, V) "\"distro\":\"windows\",\"product\":\"" P "\",\"version\":\"" V "\""

static void line(const char *before, const char *after, const char *want)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf out = VMSCM_BUF_INIT, x = VMSCM_BUF_INIT, y = VMSCM_BUF_INIT;
    struct vmscm_facts a, b;

    assert_done(vmscm_buf_printf(&x, &err, HEAD "%s]}", before), &err);
    assert_done(vmscm_buf_printf(&y, &err, HEAD "%s]}", after), &err);
    assert_done(vmscm_facts_parse(&a, vmscm_buf_str(&x), x.len, &err), &err);
    assert_done(vmscm_facts_parse(&b, vmscm_buf_str(&y), y.len, &err), &err);
    assert_done(vmscm_changes_put(&out, &a, &b, &err), &err);
    assert_string_equal(vmscm_buf_str(&out), want);
    vmscm_facts_release(&a);
    vmscm_facts_release(&b);
    vmscm_buf_release(&out);
    vmscm_buf_release(&x);
    vmscm_buf_release(&y);
}

static void systems(void **state)
{
    (void)state;
    line("{" DEBIAN("12", "12.4") "}", "{" DEBIAN("12", "12.4") "}", "");
    line("{" DEBIAN("12", "12.4") "}", "{" DEBIAN("12", "12.5") "}", "Debian GNU/Linux 12.4 -> 12.5");
    line("{" DEBIAN("11", "11.9") "}", "{" DEBIAN("12", "12.5") "}", "Debian GNU/Linux 11.9 -> 12.5");
    line("{" DEBIAN("12", "12.5") "}",
        "{\"distro\":\"ubuntu\",\"product\":\"Ubuntu 24.04 LTS\",\"version\":\"24.04\"}",
        "Debian GNU/Linux 12 (x) -> Ubuntu 24.04 LTS");
    line("{\"product\":\"Alpine Linux v3.18\",\"version\":\"3.18.4\"}",
        "{\"product\":\"Alpine Linux v3.19\",\"version\":\"3.19.0\"}", "Alpine Linux 3.18.4 -> 3.19.0");
    line("{\"distro\":\"arch\",\"version\":\"1\"}", "{\"distro\":\"arch\",\"version\":\"2\"}", "arch 1 -> 2");
    /* The kernel's number is none that people know. */
    line("{" WINDOWS("Windows 7 Pro", "6.1") "}", "{" WINDOWS("Windows 10 Pro", "10.0") "}",
        "Windows 7 Pro -> Windows 10 Pro");
    line("{" WINDOWS("Windows 7 Pro", "6.1") ",\"build\":\"7600\"}",
        "{" WINDOWS("Windows 7 Pro", "6.1") ",\"build\":\"7601\",\"service_pack_name\":\"Service Pack 1\"}",
        "Service Pack 1 added, build 7600 -> 7601");
    line("{" WINDOWS("Windows 10 Pro", "10.0") ",\"release\":\"21H2\"}",
        "{" WINDOWS("Windows 10 Pro", "10.0") ",\"release\":\"22H2\"}", "release 21H2 -> 22H2");
    line("{\"hostname\":\"a\",\"timezone\":\"UTC\"}", "{\"hostname\":\"b\",\"timezone\":\"Asia/Tokyo\"}",
        "hostname a -> b, timezone changed");
    line("{\"init\":\"sysvinit\",\"arch\":\"i386\",\"default_boot\":\"x\"}",
        "{\"init\":\"systemd\",\"arch\":\"x86_64\",\"default_boot\":\"y\"}",
        "2 settings of the system changed");
    line("", "{" DEBIAN("12", "12.4") ",\"root\":\"vda:1\"}", "Debian GNU/Linux 12 (x) added");
    line("{" DEBIAN("12", "12.4") ",\"root\":\"vda:1\"},{" WINDOWS("Windows 7", "6.1") ",\"root\":\"vda:2\"}",
        "{" DEBIAN("12", "12.5") ",\"root\":\"vda:1\"}", "Debian GNU/Linux 12.4 -> 12.5, Windows 7 removed");
}

#define APPS(X) "{\"package_format\":\"deb\",\"applications\":[" X "]}"
#define APP(N, V) "{\"name\":\"" N "\",\"version\":\"" V "\"}"

static void lists(void **state)
{
    (void)state;
    line(APPS(""), APPS(APP("jq", "1.6")), "package jq added");
    line(APPS(APP("a", "1") "," APP("b", "1") "," APP("c", "2") "," APP("d", "1")),
        APPS(APP("a", "2") "," APP("b", "2") "," APP("c", "1") "," APP("e", "1") "," APP("f", "1")),
        "2 packages added, package d removed, 2 packages upgraded, package c downgraded");
    line(APPS(APP("a", "1") "," APP("b", "1")),
        APPS(APP("a", "2") "," APP("b", "2") "," APP("e", "1") "," APP("f", "1")),
        "2 packages added, 2 upgraded");
    line("{\"patches\":[]}", "{\"patches\":[{\"name\":\"KB1\"},{\"name\":\"KB2\"}]}", "2 patches added");
    line("{\"users\":[{\"name\":\"ann\",\"shell\":\"/bin/sh\"}]}",
        "{\"users\":[{\"name\":\"ann\",\"shell\":\"/bin/bash\"},{\"name\":\"oracle\"}]}",
        "user oracle added, user ann changed");
    /* A login is no change. */
    line("{\"users\":[{\"name\":\"ann\"}]}",
        "{\"users\":[{\"name\":\"ann\",\"last_login\":\"2026-11-30T12:00:00Z\"}]}",
        "");
    line(APPS(""), APPS(APP("a-name-that-is-longer-than-anybody-wants-to-read", "1")), "1 package added");
    line("{}",
        "{\"applications\":[" APP("a", "1") "],\"users\":[{\"name\":\"u\"}],\"groups\":[{\"name\":\"g\"}],"
        "\"services\":[\"s\"],\"kernels\":[\"6\"],\"swap\":[\"/s\"],\"agents\":[\"x\"],"
        "\"nameservers\":[\"1.1.1.1\",\"9.9.9.9\"]}",
        "package a added, user u added, group g added, service s added, kernel 6 added, swap /s added, "
        "3 other changes inside");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(systems), cmocka_unit_test(lists)};

    return unit_run(tests);
}
