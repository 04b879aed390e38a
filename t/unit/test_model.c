/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/machine/model. */
#include "machine/model.h"
#include "unit.h"

static void building(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_machine *m, *copy;
    struct vmscm_machine_disk *disk;

    (void)state;
    assert_done(vmscm_model_new(&m, &err), &err);
    assert_string_equal(m->arch, "x86_64");
    assert_string_equal(m->firmware, "bios");
    assert_int_equal(m->cpus, 1);
    assert_int_equal(m->memory, 1 << 30);
    assert_int_equal(m->nic_count, 1);
    assert_int_equal(m->disk_count, 0);
    for (int i = 0; i < 3; i++) {
        static const char *const ids[] = {"sda", "sdb", "sdc"};
        assert_done(vmscm_model_add_disk(&disk, m, ids[i], &err), &err);
        assert_int_equal(disk->size, 0);
        assert_done(vmscm_model_set(&disk->format, "qcow2", &err), &err);
        assert_done(vmscm_model_set_option(disk, "cluster_size", "65536", &err), &err);
        assert_done(vmscm_model_set_option(disk, "compat", "1.1", &err), &err);
        assert_done(vmscm_model_set_option(disk, "cluster_size", "4096", &err), &err);
        assert_int_equal(disk->option_count, 2);
        disk->size = (uint64_t)(i + 1);
    }
    assert_fails(vmscm_model_add_disk(&disk, m, "sdb", &err), &err, VMSCM_EEXIST, "disk sdb");
    assert_null(disk);
    assert_null(vmscm_model_disk(m, "sdd"));
    assert_string_equal(vmscm_model_option(vmscm_model_disk(m, "sdb"), "cluster_size"), "4096");
    assert_null(vmscm_model_option(vmscm_model_disk(m, "sdb"), "size"));
    assert_done(vmscm_model_copy(&copy, m, &err), &err);
    vmscm_model_remove_disk(m, "sda");
    vmscm_model_remove_disk(m, "none");
    assert_int_equal(m->disk_count, 2);
    assert_string_equal(m->disks[0].id, "sdb");
    assert_int_equal(m->disks[1].size, 3);
    vmscm_model_remove_disk(m, "sdc");
    vmscm_model_remove_disk(m, "sdb");
    assert_int_equal(m->disk_count, 0);
    vmscm_model_free(m);
    assert_int_equal(copy->disk_count, 3);
    assert_string_equal(vmscm_model_option(&copy->disks[0], "compat"), "1.1");
    assert_string_equal(copy->nics[0].model, "virtio");
    assert_done(vmscm_model_set(&copy->name, "x", &err), &err);
    assert_done(vmscm_model_set(&copy->name, NULL, &err), &err);
    assert_null(copy->name);
    vmscm_model_free(copy);
    vmscm_model_free(NULL);
}

static void ids(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    static const char *const good[] = {"sda", "disk1", "A.b_c-d", "0", "_"};
    static const char *const bad[] = {"", ".", "..", ".a", "-a", "a/b", "a b", "a\n", "\xc3\xbc",
        "a:b", "a,b"};
    char longest[66];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_done(vmscm_model_check_disk_id(good[i], &err), &err);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(
            vmscm_model_check_disk_id(bad[i], &err), &err, VMSCM_EUSAGE, "not a disk id");
    memset(longest, 'a', sizeof longest);
    longest[64] = '\0';
    assert_done(vmscm_model_check_disk_id(longest, &err), &err);
    longest[64] = 'a';
    longest[65] = '\0';
    assert_fails(vmscm_model_check_disk_id(longest, &err), &err, VMSCM_EUSAGE, "not a disk id");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(building),
        cmocka_unit_test(ids),
    };
    return unit_run(tests);
}
