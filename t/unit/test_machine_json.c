/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/machine/json against the rules of vmscm-format-machine(5), which the comments name. */
#include "machine/json.h"
#include "machine/model.h"
#include "unit.h"

/* The page's example. */
static const char example[] = "{\n"
                              "  \"arch\": \"x86_64\",\n"
                              "  \"cpus\": 2,\n"
                              "  \"disks\": [\n"
                              "    {\n"
                              "      \"bus\": \"virtio\",\n"
                              "      \"format\": \"qcow2\",\n"
                              "      \"id\": \"vda\",\n"
                              "      \"options\": {\n"
                              "        \"cluster_size\": \"65536\",\n"
                              "        \"compat\": \"1.1\"\n"
                              "      },\n"
                              "      \"size\": 4294967296,\n"
                              "      \"target\": \"vda\"\n"
                              "    }\n"
                              "  ],\n"
                              "  \"firmware\": \"uefi\",\n"
                              "  \"machine_type\": \"pc-q35-7.2\",\n"
                              "  \"memory\": 2147483648,\n"
                              "  \"name\": \"web \\\"\\\\ gr\xc3\xbc\xc3\x9f\",\n"
                              "  \"nics\": [\n"
                              "    {\n"
                              "      \"mac\": \"52:54:00:12:34:56\",\n"
                              "      \"model\": \"virtio\",\n"
                              "      \"network\": \"default\",\n"
                              "      \"type\": \"network\"\n"
                              "    },\n"
                              "    {}\n"
                              "  ],\n"
                              "  \"secure_boot\": true,\n"
                              "  \"version\": 1\n"
                              "}\n";

static const char least[] = "{\n"
                            "  \"arch\": \"riscv64\",\n"
                            "  \"cpus\": 1,\n"
                            "  \"disks\": [],\n"
                            "  \"firmware\": \"bios\",\n"
                            "  \"memory\": 1,\n"
                            "  \"nics\": [],\n"
                            "  \"secure_boot\": false,\n"
                            "  \"version\": 1\n"
                            "}\n";

static void expect_encoding(const struct vmscm_machine *m, const char *text)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;

    assert_done(vmscm_json_encode(&buf, m, &err), &err);
    assert_string_equal(vmscm_buf_str(&buf), text);
    vmscm_buf_release(&buf);
}

/* M1, M2: what is written is canonical, and reads back as itself. */
static void both_ways(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_machine *m;

    (void)state;
    assert_done(vmscm_json_decode(&m, example, strlen(example), &err), &err);
    assert_string_equal(m->name, "web \"\\ gr\xc3\xbc\xc3\x9f");
    assert_string_equal(m->arch, "x86_64");
    assert_string_equal(m->machine_type, "pc-q35-7.2");
    assert_string_equal(m->firmware, "uefi");
    assert_int_equal(m->secure_boot, 1);
    assert_int_equal(m->cpus, 2);
    assert_int_equal(m->memory, 2147483648);
    assert_int_equal(m->disk_count, 1);
    assert_string_equal(m->disks[0].id, "vda");
    assert_int_equal(m->disks[0].size, 4294967296);
    assert_string_equal(vmscm_model_option(&m->disks[0], "compat"), "1.1");
    assert_int_equal(m->nic_count, 2);
    assert_string_equal(m->nics[0].mac, "52:54:00:12:34:56");
    assert_null(m->nics[1].type);
    expect_encoding(m, example);
    vmscm_model_free(m);

    assert_done(vmscm_json_decode(&m, least, strlen(least), &err), &err);
    assert_null(m->name);
    assert_null(m->machine_type);
    expect_encoding(m, least);
    vmscm_model_free(m);
}

/* M2: a reader takes other spacing, order and escapes; written again, it is canonical. */
static void loose_reading(void **state)
{
    static const char loose[] =
        "{\"version\":1,\"secure_boot\":false,\"nics\":[],\"memory\":1,\"firmware\":\"\\u0062ios\","
        "\"disks\":[],\n\n\"cpus\":1 ,\"arch\":\"riscv64\"}";
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_machine *m;

    (void)state;
    assert_done(vmscm_json_decode(&m, loose, strlen(loose), &err), &err);
    expect_encoding(m, least);
    vmscm_model_free(m);
}

/* The example or the least machine with one piece of text exchanged for another. */
static char *exchange(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    char *out = NULL;

    if (!at)
        fail_msg("%s is not in the text", from);
    if (asprintf(&out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) < 0)
        abort();
    return out;
}

static void refused(void **state)
{
    static const struct {
        const char *from, *to;
        int code;
        const char *why;
    } cases[] = {
        /* M1 */
        {"{\n  \"arch\"", "[\n  \"arch\"", VMSCM_EDAMAGED, "machine.json: line"},
        {"\"version\": 1\n}", "\"version\": 1\n} x", VMSCM_EDAMAGED, "line"},
        {"\"version\": 1\n}", "\"version\": 1\n", VMSCM_EDAMAGED, "line"},
        {"\"x86_64\"", "\"x86\xff\"", VMSCM_EDAMAGED, "line"},
        {"\"x86_64\"", "\"x86\\u0000\"", VMSCM_EDAMAGED, "line"},
        {"\"cpus\": 2", "\"cpus\": 2, \"cpus\": 2", VMSCM_EDAMAGED, "duplicate"},
        /* M3 */
        {"\"version\": 1", "\"version\": 2", VMSCM_EUNSUPPORTED, "version 2"},
        {"\"version\": 1", "\"version\": 0, \"new\": 1", VMSCM_EUNSUPPORTED, "version 0"},
        {"\"version\": 1", "\"version\": \"1\"", VMSCM_EDAMAGED, "version: not an integer"},
        {"\"version\": 1", "\"versio\": 1", VMSCM_EDAMAGED, "version: missing"},
        /* M4 */
        {"\"cpus\": 2", "\"cpus\": 2, \"new\": 1", VMSCM_EDAMAGED, "does not know"},
        {"\"bus\"", "\"new\": 1, \"bus\"", VMSCM_EDAMAGED, "disks[0]: has a field"},
        {"\"mac\"", "\"new\": 1, \"mac\"", VMSCM_EDAMAGED, "nics[0]: has a field"},
        {"\"target\": \"vda\"", "\"target\": null", VMSCM_EDAMAGED, "target: not a string"},
        {"  \"cpus\": 2,\n", "", VMSCM_EDAMAGED, "cpus: missing"},
        {"  \"arch\": \"x86_64\",\n", "", VMSCM_EDAMAGED, "arch: missing"},
        {"  \"firmware\": \"uefi\",\n", "", VMSCM_EDAMAGED, "firmware: missing"},
        {"  \"memory\": 2147483648,\n", "", VMSCM_EDAMAGED, "memory: missing"},
        {"  \"secure_boot\": true,\n", "", VMSCM_EDAMAGED, "secure_boot: missing"},
        {"\"id\": \"vda\",", "", VMSCM_EDAMAGED, "disks[0]: id: missing"},
        {"\"format\": \"qcow2\",", "", VMSCM_EDAMAGED, "disks[0]: format: missing"},
        {"\"size\": 4294967296,", "", VMSCM_EDAMAGED, "disks[0]: size: missing"},
        /* M5 */
        {"\"x86_64\"", "\"x 86\"", VMSCM_EDAMAGED, "arch: must be"},
        {"\"x86_64\"", "\"\"", VMSCM_EDAMAGED, "arch: must be"},
        {"\"x86_64\"", "64", VMSCM_EDAMAGED, "arch: not a string"},
        {"\"pc-q35-7.2\"", "\"a,b\"", VMSCM_EDAMAGED, "machine_type: must be"},
        {"\"uefi\"", "\"efi\"", VMSCM_EDAMAGED, "firmware: unknown value"},
        {"true", "1", VMSCM_EDAMAGED, "secure_boot: not true or false"},
        {"\"cpus\": 2", "\"cpus\": 0", VMSCM_EDAMAGED, "cpus: out of range"},
        {"\"cpus\": 2", "\"cpus\": -1", VMSCM_EDAMAGED, "cpus: out of range"},
        {"\"cpus\": 2", "\"cpus\": 65537", VMSCM_EDAMAGED, "cpus: out of range"},
        {"\"cpus\": 2", "\"cpus\": 2.0", VMSCM_EDAMAGED, "cpus: not an integer"},
        {"2147483648", "4611686018427387905", VMSCM_EDAMAGED, "memory: out of range"},
        {"2147483648", "99999999999999999999", VMSCM_EDAMAGED, "line"},
        {"web \\\"", "\\u001b[2J", VMSCM_EDAMAGED, "name: must be"},
        {"\"web \\\"\\\\ gr\xc3\xbc\xc3\x9f\"", "\"\"", VMSCM_EDAMAGED, "name: must be"},
        /* M6 */
        {"\"disks\": [", "\"disks\": {}, \"x\": [", VMSCM_EDAMAGED, "disks: not an array"},
        {"\"id\": \"vda\"", "\"id\": \"../vda\"", VMSCM_EDAMAGED, "disks[0]: id: not a disk id"},
        {"\"size\": 4294967296", "\"size\": 0", VMSCM_EDAMAGED, "size: out of range"},
        {"\"size\": 4294967296", "\"size\": 4611686018427387905", VMSCM_EDAMAGED, "out of range"},
        {"\"qcow2\"", "\"qcow3\"", VMSCM_EDAMAGED, "disk vda: format: unknown value"},
        {"\"bus\": \"virtio\"", "\"bus\": \"v/o\"", VMSCM_EDAMAGED, "disk vda: bus: must be"},
        {"\"target\": \"vda\"", "\"target\": \"/dev/vda\"", VMSCM_EDAMAGED, "target: must be"},
        {"\"compat\": \"1.1\"", "\"compat\": 1", VMSCM_EDAMAGED, "options: not a string"},
        {"\"compat\"", "\"com pat\"", VMSCM_EDAMAGED, "options: must be"},
        {"\"compat\": \"1.1\"", "\"compat\": \"\\n\"", VMSCM_EDAMAGED, "options: compat: must"},
        /* M7 */
        {"52:54", "52-54", VMSCM_EDAMAGED, "NIC 1: mac: must be"},
        {"34:56", "34:5", VMSCM_EDAMAGED, "NIC 1: mac: must be"},
        {"34:56", "34:5A", VMSCM_EDAMAGED, "NIC 1: mac: must be"},
        {"34:56", "34:56:78", VMSCM_EDAMAGED, "NIC 1: mac: must be"},
        {"    {}\n", "    []\n", VMSCM_EDAMAGED, "nics[1]: not an object"},
    };
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_machine *m;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = exchange(example, cases[i].from, cases[i].to);
        assert_fails(vmscm_json_decode(&m, text, strlen(text), &err), &err, cases[i].code,
            cases[i].why);
        assert_null(m);
        free(text);
    }
    /* M6: two disks of one id. */
    static const char twice[] =
        "\"disks\": [{\"id\":\"a\",\"format\":\"raw\",\"size\":1,\"options\":{}},"
        "{\"id\":\"a\",\"format\":\"raw\",\"size\":1,\"options\":{}}]";
    char *text = exchange(least, "\"disks\": []", twice);
    assert_fails(vmscm_json_decode(&m, text, strlen(text), &err), &err, VMSCM_EDAMAGED,
        "disks[1]: id: not");
    free(text);
    /* Cut anywhere, it is damaged, and not merely shorter. */
    for (size_t len = 0; len + 2 < sizeof example; len++)
        assert_fails(
            vmscm_json_decode(&m, example, len, &err), &err, VMSCM_EDAMAGED, "machine.json: ");
    /* Nested without end. */
    char *deep = malloc(1 << 20);
    assert_non_null(deep);
    memset(deep, '[', 1 << 20);
    assert_fails(
        vmscm_json_decode(&m, deep, 1 << 20, &err), &err, VMSCM_EDAMAGED, "machine.json: line");
    assert_fails(
        vmscm_json_decode(&m, deep, (1 << 20) + 1, &err), &err, VMSCM_EDAMAGED, "over 1 MiB");
    free(deep);
}

/* M8: what could not be read is not written. */
static void refused_to_write(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_machine_disk *disk;
    struct vmscm_machine *m;
    char id[16], value[1025];

    (void)state;
    assert_done(vmscm_model_new(&m, &err), &err);
    assert_done(vmscm_model_add_disk(&disk, m, "sda", &err), &err);
    assert_fails(vmscm_json_encode(&buf, m, &err), &err, VMSCM_EINPUT, "disk sda: format: missing");
    assert_done(vmscm_model_set(&disk->format, "raw", &err), &err);
    assert_fails(vmscm_json_encode(&buf, m, &err), &err, VMSCM_EINPUT, "disk sda: size: out of");
    disk->size = UINT64_MAX;
    assert_fails(vmscm_json_encode(&buf, m, &err), &err, VMSCM_EINPUT, "disk sda: size: out of");
    disk->size = UINT64_C(1) << 62;
    assert_done(vmscm_json_encode(&buf, m, &err), &err);
    assert_done(vmscm_model_set(&m->name, "a\nb", &err), &err);
    assert_fails(vmscm_json_encode(&buf, m, &err), &err, VMSCM_EINPUT, "name");
    assert_done(vmscm_model_set(&m->name, NULL, &err), &err);
    m->memory = 0;
    assert_fails(vmscm_json_encode(&buf, m, &err), &err, VMSCM_EINPUT, "memory");
    m->memory = 1;
    /* M6, M1: at most 256 disks, and 1 MiB in all. */
    memset(value, 'v', sizeof value);
    value[1024] = '\0';
    for (int i = 1; i < 256; i++) {
        snprintf(id, sizeof id, "d%d", i);
        assert_done(vmscm_model_add_disk(&disk, m, id, &err), &err);
        assert_done(vmscm_model_set(&disk->format, "raw", &err), &err);
        disk->size = 1;
    }
    buf.len = 0;
    assert_done(vmscm_json_encode(&buf, m, &err), &err);
    for (size_t i = 0; i < m->disk_count; i++)
        for (int k = 0; k < 5; k++) {
            snprintf(id, sizeof id, "o%d", k);
            assert_done(vmscm_model_set_option(&m->disks[i], id, value, &err), &err);
        }
    assert_fails(vmscm_json_encode(&buf, m, &err), &err, VMSCM_EINPUT, "over 1 MiB");
    assert_done(vmscm_model_add_disk(&disk, m, "one-too-many", &err), &err);
    assert_fails(vmscm_json_encode(&buf, m, &err), &err, VMSCM_EINPUT, "more than 256");
    vmscm_model_free(m);
    vmscm_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(loose_reading),
        cmocka_unit_test(refused),
        cmocka_unit_test(refused_to_write),
    };
    return unit_run(tests);
}
