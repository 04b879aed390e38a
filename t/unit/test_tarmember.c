/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What members of archives say of files, and the tree that they leave behind. */
#include "unit.h"

#include "base/endian.h"
#include "bundle/filetree.h"
#include "format/acltext.h"
#include "format/tarhead.h"
#include "format/tarmember.h"

static struct vmscm_error err = VMSCM_ERROR_INIT;

/* A group of a pax header, of these records, and a header of a regular file of so many bytes. */
static void group_of(struct vmscm_container_group *group, const char *records, unsigned size)
{
    static uint8_t bytes[3 * VMSCM_TARHEAD_BLOCK];
    static char name[] = "GNUSparseFile.1/x";

    memset(bytes, 0, sizeof bytes);
    bytes[VMSCM_TARHEAD_TYPE] = 'x';
    snprintf((char *)bytes + VMSCM_TARHEAD_SIZE, 12, "%011o", (unsigned)strlen(records));
    memcpy(bytes + 512, records, strlen(records));
    bytes[1024 + VMSCM_TARHEAD_TYPE] = '0';
    snprintf((char *)bytes + 1024 + VMSCM_TARHEAD_MODE, 8, "%07o", 04755);
    snprintf((char *)bytes + 1024 + VMSCM_TARHEAD_SIZE, 12, "%011o", size);
    *group = (struct vmscm_container_group){
        .bytes = {bytes, sizeof bytes, 0}, .type = '0', .name = name, .said = name, .size = size};
}

/* "LENGTH KEY=VALUE\n", whose length counts itself. */
static void record(char *text, size_t room, const char *pair)
{
    size_t len = strlen(pair) + 3;

    len += len > 9;
    len += len > 99;
    snprintf(text + strlen(text), room - strlen(text), "%zu %s\n", len, pair);
}

static void pax_header(void **state)
{
    struct vmscm_container_group group;
    struct vmscm_tarmember m = {0};
    char text[500] = "";

    (void)state;
    record(text, sizeof text, "mtime=-1.25");
    record(text, sizeof text, "SCHILY.xattr.user.a=1");
    record(text, sizeof text, "LIBARCHIVE.xattr.user.%62=aGk=");
    record(text, sizeof text, "SCHILY.xattr.user.a=22");
    record(text, sizeof text, "uid=4000000000");
    group_of(&group, text, 5);
    assert_done(vmscm_tarmember_decode(&m, &group, &err), &err);
    assert_int_equal(m.mtime.seconds, -2);
    assert_int_equal(m.mtime.nanoseconds, 750000000);
    assert_int_equal(m.ctime.seconds, -2);
    assert_int_equal(m.mode, 04755);
    assert_int_equal(m.uid, 4000000000u);
    assert_int_equal(m.xattrs.len, 2);
    assert_string_equal((const char *)m.xattrs.items[0].value, "22");
    assert_string_equal(m.xattrs.items[1].name, "user.b");
    assert_int_equal(m.xattrs.items[1].len, 2);
    assert_memory_equal(m.xattrs.items[1].value, "hi", 2);

    group_of(&group, "13 mtime=x.1\n", 5);
    assert_int_equal(vmscm_tarmember_decode(&m, &group, &err), VMSCM_EINPUT);
    vmscm_tarmember_release(&m);
}

static void map_in_data(void **state)
{
    static const char map[] = "2\n0\n512\n8192\n100\n";
    uint8_t block[512] = {0};
    struct vmscm_container_group group;
    struct vmscm_tarmember m = {0};
    char text[500] = "";
    size_t used;

    (void)state;
    record(text, sizeof text, "GNU.sparse.major=1");
    record(text, sizeof text, "GNU.sparse.name=real");
    record(text, sizeof text, "GNU.sparse.realsize=9000");
    group_of(&group, text, 512 + 612);
    memcpy(block, map, sizeof map);
    assert_done(vmscm_tarmember_decode(&m, &group, &err), &err);
    assert_true(m.map_in_data);
    assert_string_equal(m.path, "real");
    assert_done(vmscm_tarmember_map(&m, block, 5, &used, &err), &err);
    assert_int_equal(used, 5);
    assert_done(vmscm_tarmember_map(&m, block + 5, sizeof block - 5, &used, &err), &err);
    assert_false(m.map_in_data);
    assert_int_equal(m.stored, 612);
    assert_int_equal(m.size, 9000);
    assert_int_equal(m.spans.len, 2);
    assert_int_equal(m.spans.items[1].offset, 8192);

    /* It must be of just the bytes that there are. */
    group_of(&group, text, 512 + 700);
    assert_done(vmscm_tarmember_decode(&m, &group, &err), &err);
    assert_int_equal(vmscm_tarmember_map(&m, block, sizeof block, &used, &err), VMSCM_EINPUT);
    vmscm_tarmember_release(&m);
}

static void access_lists(void **state)
{
    static const uint16_t tags[] = {1, 2, 4, 8, 16, 32};
    struct vmscm_buf out = VMSCM_BUF_INIT;
    bool names = false;

    (void)state;
    assert_done(vmscm_acltext_encode(&out, &names,
                    "other::r--,user::rwx,group::r-x,mask:rw-,user:lisa:r-x:502,g:7:r--,user:joe:rwx", &err),
        &err);
    assert_true(names); /* joe */
    assert_int_equal(out.len, 4 + 6 * 8);
    assert_int_equal(vmscm_get_le32(out.data), 2);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(vmscm_get_le16(out.data + 4 + 8 * i), tags[i]);
    assert_int_equal(vmscm_get_le32(out.data + 4 + 8 + 4), 502);
    assert_int_equal(vmscm_get_le16(out.data + 4 + 8 + 2), 5);
    assert_int_equal(vmscm_acltext_encode(&out, &names, "user::rwz", &err), VMSCM_EINPUT);
    vmscm_buf_release(&out);
}

static struct vmscm_filetree tree;
static uint32_t members;

static int add(char type, const char *path, const char *link)
{
    uint32_t file;

    return vmscm_filetree_add(&tree, &file, members++, type, path, link, &err);
}

/* The last member that counts for a file of the root. */
static uint32_t member_of(const char *name)
{
    for (size_t i = 0; i < tree.entries.len; i++)
        if (tree.entries.items[i].dir == VMSCM_FILETREE_ROOT &&
            strcmp(vmscm_filetree_name(&tree, &tree.entries.items[i]), name) == 0)
            return tree.files.items[tree.entries.items[i].file].member;
    return VMSCM_FILETREE_NONE;
}

static void one_after_the_other(void **state)
{
    (void)state;
    members = 0;
    assert_done(vmscm_filetree_begin(&tree, &err), &err);
    assert_done(add('0', "a", NULL), &err);             /* 0 */
    assert_done(add('1', "b", "./a"), &err);            /* 1 */
    assert_done(add('0', "a", NULL), &err);             /* 2: b is the old one still */
    assert_int_equal(member_of("a"), 2);
    assert_int_equal(member_of("b"), 0);
    assert_done(add('2', "link", "/usr/../usr/lib"), &err); /* 3 */
    assert_done(add('0', "link/x", NULL), &err);            /* 4: usr/lib/x, and both directories */
    assert_int_equal(member_of("usr"), VMSCM_FILETREE_NONE);
    assert_done(add('1', "c", "usr/lib/x"), &err);
    assert_int_equal(member_of("c"), 4);
    assert_int_equal(add('0', "usr", NULL), VMSCM_EINPUT);  /* not empty */
    assert_int_equal(add('0', "a/b", NULL), VMSCM_EINPUT);  /* no directory */
    assert_int_equal(add('1', "d", "nothing"), VMSCM_EINPUT);
    assert_int_equal(add('0', "../d", NULL), VMSCM_EREFUSED);
    assert_int_equal(add('1', "d", "../d"), VMSCM_EREFUSED);
    assert_done(add('2', "loop", "loop"), &err);
    assert_int_equal(add('0', "loop/x", NULL), VMSCM_EINPUT);
    assert_done(add('2', "up", "../../.."), &err);
    assert_done(add('0', "up/top", NULL), &err); /* not above the root */
    assert_int_equal(member_of("top"), members - 1);
    vmscm_filetree_release(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pax_header),
        cmocka_unit_test(map_in_data),
        cmocka_unit_test(access_lists),
        cmocka_unit_test(one_after_the_other),
    };

    return unit_run(tests);
}
