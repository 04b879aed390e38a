/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is taken from OpenVZ's configuration of a container. */
#include "unit.h"

#include "machine/model.h"
#include "machine/veconf.h"

static struct vmscm_machine *parse(const char *text)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_machine *machine = NULL;

    assert_done(vmscm_model_new(&machine, &err), &err);
    vmscm_model_remove_nics(machine);
    assert_done(vmscm_veconf_parse(machine, text, strlen(text), &err), &err);
    return machine;
}

static void what_tells(void **state)
{
    (void)state;
    assert_true(vmscm_veconf_match("# x\n\n  PHYSPAGES=\"0:1\"\n"));
    assert_true(vmscm_veconf_match("ONBOOT=yes\nOSTEMPLATE=a"));
    assert_false(vmscm_veconf_match("# VE_ROOT=x\nVE_ROOTS=1\n"));
    assert_false(vmscm_veconf_match(""));
}

static void all_of_it(void **state)
{
    struct vmscm_machine *m = parse(
        "CPUS=\"4\" # all\r\nPRIVVMPAGES=\"1:2\"\nPHYSPAGES=\"0:512M\"\n"
        "NAME='web'\nHOSTNAME=\"web.example\"\nOSTEMPLATE=\".debian-12-arm64\"\n"
        "NETIF=\"ifname=eth0,mac=00:18:51:AA:BB:01,bridge=br0;;ifname=eth1,mac=x,network=a b\"\n"
        "IP_ADDRESS=\"10.0.0.1\"\n");

    (void)state;
    assert_int_equal(m->cpus, 4);
    assert_int_equal(m->memory, 512 << 20);
    assert_string_equal(m->name, "web");
    assert_string_equal(m->arch, "aarch64");
    assert_int_equal(m->nic_count, 2);
    assert_string_equal(m->nics[0].mac, "00:18:51:aa:bb:01");
    assert_string_equal(m->nics[0].type, "bridge");
    assert_string_equal(m->nics[0].network, "br0");
    assert_null(m->nics[1].mac);
    assert_string_equal(m->nics[1].type, "network");
    assert_string_equal(m->nics[1].network, "a b");
    vmscm_model_free(m);
}

static void memory(void **state)
{
    static const uint64_t unchanged = UINT64_C(1) << 30;
    static const struct {
        const char *text;
        uint64_t memory;
    } cases[] = {{"PHYSPAGES=\"0:524288\"", UINT64_C(2) << 30}, {"PHYSPAGES=65536", 256 << 20},
        {"PHYSPAGES=0:3G\n", UINT64_C(3) << 30}, {"PHYSPAGES=0:100p", 409600}, {"PHYSPAGES=7b", 7},
        {"PHYSPAGES=\"0:unlimited\"\nPRIVVMPAGES=\"1:131072\"\n", 512 << 20},
        {"PRIVVMPAGES=\"1:131072\"\nPHYSPAGES=\"0:9223372036854775807\"\n", 512 << 20},
        {"PHYSPAGES=\"0:0\"", unchanged}, {"PHYSPAGES=\"5MB\"", unchanged},
        {"PHYSPAGES=\"0:5x\"", unchanged}, {"PHYSPAGES=\"\"", unchanged},
        {"PHYSPAGES=\"0:99999999999999999999\"", unchanged}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vmscm_machine *m = parse(cases[i].text);
        assert_int_equal(m->memory, cases[i].memory);
        vmscm_model_free(m);
    }
}

static void little_of_it(void **state)
{
    struct vmscm_machine *m = parse(
        "CPUS=0\nHOSTNAME=\"a\001b\"\nOSTEMPLATE=x\nIP_ADDRESS=10.0.0.1\nNAME=\"open\n= 1\nX");

    (void)state;
    assert_int_equal(m->cpus, 1);
    assert_null(m->name);
    assert_string_equal(m->arch, "x86_64");
    assert_int_equal(m->nic_count, 1);
    assert_string_equal(m->nics[0].model, "venet");
    vmscm_model_free(m);
}

static void too_many_nics(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_machine *machine = NULL;
    char text[2000] = "NETIF=\"";
    size_t len = strlen(text);

    (void)state;
    for (int i = 0; i < 300; i++, len += 4)
        memcpy(text + len, "a=b;", 4);
    text[len++] = '"';
    assert_done(vmscm_model_new(&machine, &err), &err);
    assert_int_equal(vmscm_veconf_parse(machine, text, len, &err), VMSCM_EINPUT);
    vmscm_model_free(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_tells), cmocka_unit_test(all_of_it),
        cmocka_unit_test(memory), cmocka_unit_test(little_of_it), cmocka_unit_test(too_many_nics)};

    return unit_run(tests);
}
