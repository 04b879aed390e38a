/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/repo/workfile: a checkout's file, vmscm-format-repository(5) R18 and R19. */
#include "repo/workfile.h"
#include "sys/file.h"
#include "sys/tempdir.h"
#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

static char *dir;

static int setup(void **state)
{
    (void)state;
    return vmscm_tempdir_make(&dir, NULL, NULL);
}

static int teardown(void **state)
{
    (void)state;
    vmscm_tempdir_remove(dir);
    return 0;
}

static void put(const char *name, const char *text)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char path[512];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_done(vmscm_file_replace(path, text, strlen(text), 0600, &err), &err);
}

static void dup_to(char **out, const char *text)
{
    *out = strdup(text);
    assert_non_null(*out);
}

static void round_trip(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_workfile work = {0}, back;
    struct vmscm_workfile_disk *disk;
    bool missing;

    (void)state;
    put("sda.vmdk", "descriptor");
    put("sda-flat.vmdk", "contents");
    dup_to(&work.repository, "/srv/it's \"here\".vmscm");
    dup_to(&work.machine, "qa/web");
    dup_to(&work.request, "format=vmdk options=");
    memcpy(work.base, "0123456789abcdef0123456789abcdef01234567", 41);
    dup_to(&work.thin.socket, "/run/user/0/vm\"scm/x");
    memcpy(work.thin.base, "1123456789abcdef0123456789abcdef01234567", 41);
    memcpy(work.thin.pin, "2123456789abcdef0123456789abcdef", VMSCM_PIN_NAME);
    assert_done(vmscm_workfile_add_disk(
                    &disk, &work, "sda", "vmdk", UINT64_C(1) << 62, &err), &err);
    assert_done(vmscm_workfile_add_file(disk, dir, "sda.vmdk", &err), &err);
    assert_done(vmscm_workfile_add_file(disk, dir, "sda-flat.vmdk", &err), &err);
    assert_int_equal(
        vmscm_workfile_add_file(disk, dir, "not-there.vmdk", &err), VMSCM_ENOTFOUND);
    assert_int_equal(vmscm_workfile_read(&back, dir, &err), VMSCM_ENOTFOUND);
    assert_done(vmscm_workfile_write(&work, dir, &err), &err);
    assert_done(vmscm_workfile_read(&back, dir, &err), &err);
    assert_string_equal(back.repository, work.repository);
    assert_string_equal(back.machine, work.machine);
    assert_string_equal(back.request, work.request);
    assert_string_equal(back.base, work.base);
    assert_string_equal(back.thin.socket, work.thin.socket);
    assert_string_equal(back.thin.base, work.thin.base);
    assert_string_equal(back.thin.pin, work.thin.pin);
    assert_int_equal(back.disks.len, 1);
    assert_int_equal(back.disks.items[0].size, UINT64_C(1) << 62);
    assert_int_equal(back.disks.items[0].files.len, 2);

    const struct vmscm_workfile_file *file = &back.disks.items[0].files.items[1];
    assert_true(vmscm_workfile_same(file, dir, &missing) && !missing);
    put("sda-flat.vmdk", "CONTENTS"); /* as long as before: another inode and time */
    assert_false(vmscm_workfile_same(file, dir, &missing));
    assert_false(missing);
    char path[512];
    snprintf(path, sizeof path, "%s/sda-flat.vmdk", dir);
    assert_int_equal(unlink(path), 0);
    assert_false(vmscm_workfile_same(file, dir, &missing));
    assert_true(missing);
    vmscm_workfile_release(&back);
    vmscm_workfile_release(&work);
}

#define BASE "\"base\":\"0123456789abcdef0123456789abcdef01234567\","
#define HEAD "{\"version\":1,\"repository\":\"/r\",\"machine\":\"m\",\"request\":\"\"," BASE
#define THIN(socket, base, pin)                                                                    \
    HEAD "\"disks\":[],\"thin\":{\"socket\":\"" socket "\",\"base\":\"" base "\",\"pin\":\"" pin "\"}}"
#define HEX32 "0123456789abcdef0123456789abcdef"
#define FILES(name) "[{\"name\":\"" name "\",\"size\":1,\"mtime\":-1,\"ctime\":2,\"inode\":-3}]"
#define DISK(id, files)                                                                            \
    HEAD "\"disks\":[{\"id\":\"" id "\",\"format\":\"raw\",\"size\":1,\"files\":" files "}]}"

static void decoding(void **state)
{
    static const char *const good[] = {HEAD "\"disks\":[]}", DISK("sda", FILES("sda.img")),
        THIN("/s", HEX32 "01234567", HEX32),
        HEAD "\"disks\":[],\"later\":{\"more\":[1]}}", DISK("sda", FILES("a/b/c"))};
    static const char *const bad[] = {"", "[]", "null", "{}", "{\"version\":\"1\"}",
        "{\"version\":1}", HEAD "\"disks\":{}}", HEAD "\"disks\":[1]}", DISK("sda", "[]"),
        THIN("s", HEX32 "01234567", HEX32),
        THIN("/s", HEX32, HEX32), THIN("/s", HEX32 "01234567", "../" HEX32),
        HEAD "\"disks\":[],\"thin\":null}", HEAD "\"disks\":[],\"thin\":{}}",
        DISK("../sda", FILES("x")), DISK("", FILES("x")), DISK("sda", FILES("../x")),
        DISK("sda", FILES("/etc/passwd")), DISK("sda", FILES("a/../../x")), DISK("sda", FILES("")),
        DISK("sda", FILES("a\\nb")), DISK("sda", FILES("a\\u0000b")), HEAD "\"disks\":[]} x",
        HEAD "\"version\":1,\"disks\":[]}",
        "{\"version\":1,\"repository\":\"r\",\"machine\":\"m\",\"request\":\"\"," BASE
        "\"disks\":[]}",
        "{\"version\":1,\"repository\":\"/r\",\"machine\":\"m\",\"request\":\"\",\"base\":\"01\","
        "\"disks\":[]}"};
    static const char *const newer[] = {"{\"version\":2}", "{\"version\":4294967297}",
        "{\"version\":0}"};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_workfile work;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_done(vmscm_workfile_decode(&work, good[i], strlen(good[i]), &err), &err);
        vmscm_workfile_release(&work);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int rc = vmscm_workfile_decode(&work, bad[i], strlen(bad[i]), &err);
        if (rc != VMSCM_EDAMAGED)
            fail_msg("%s: %s", bad[i], vmscm_error_name(rc));
        assert_null(work.disks.items);
    }
    for (size_t i = 0; i < sizeof newer / sizeof newer[0]; i++)
        assert_fails(vmscm_workfile_decode(&work, newer[i], strlen(newer[i]), &err), &err,
            VMSCM_EUNSUPPORTED, "another version");
}

static void path_that_json_cannot_hold(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_workfile work = {0};

    (void)state;
    dup_to(&work.repository, "/srv/caf\xe9.vmscm");
    dup_to(&work.machine, "web");
    assert_fails(vmscm_workfile_write(&work, dir, &err), &err, VMSCM_EUSAGE, "UTF-8");
    vmscm_workfile_release(&work);
}

/* A file proves itself only by a clock that was past its last change. */
static void proof(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_workfile work = {0}, back;
    struct vmscm_workfile_disk *disk;

    (void)state;
    put("sda.img", "contents");
    dup_to(&work.repository, "/srv/a.vmscm");
    dup_to(&work.machine, "web");
    dup_to(&work.request, "");
    memcpy(work.base, "0123456789abcdef0123456789abcdef01234567", 41);
    assert_done(vmscm_workfile_add_disk(&disk, &work, "sda", "raw", 8, &err), &err);
    dup_to(&disk->bitmap, "vmscm-0123456789abcdef");
    assert_done(vmscm_workfile_add_file(disk, dir, "sda.img", &err), &err);
    assert_false(vmscm_workfile_proves(&work, disk, dir));
    work.clock = disk->files.items[0].ctime_ns;
    assert_false(vmscm_workfile_proves(&work, disk, dir));
    vmscm_workfile_settle(&work, dir);
    assert_true(work.clock > disk->files.items[0].ctime_ns);
    assert_true(vmscm_workfile_proves(&work, disk, dir));

    assert_done(vmscm_workfile_write(&work, dir, &err), &err);
    assert_done(vmscm_workfile_read(&back, dir, &err), &err);
    assert_true(back.clock == work.clock);
    assert_string_equal(back.disks.items[0].bitmap, disk->bitmap);
    assert_true(vmscm_workfile_proves(&back, &back.disks.items[0], dir));
    vmscm_workfile_release(&back);
    put("sda.img", "CONTENTS");
    assert_false(vmscm_workfile_proves(&work, disk, dir));
    /* One that claims to be from the future proves nothing, however long one waits. */
    disk->files.items[0].ctime_ns = INT64_MAX;
    vmscm_workfile_settle(&work, dir);
    assert_false(vmscm_workfile_proves(&work, disk, dir));
    vmscm_workfile_release(&work);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(round_trip, setup, teardown),
        cmocka_unit_test(decoding),
        cmocka_unit_test_setup_teardown(proof, setup, teardown),
        cmocka_unit_test_setup_teardown(path_that_json_cannot_hold, setup, teardown),
    };
    return unit_run(tests);
}
