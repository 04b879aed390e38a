/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What repositories say to each other: every message comes back as it was, and no part or flipped bit of
 * one is taken for another. */
#include "format/objstream.h"
#include "format/wire.h"
#include "unit.h"

static void test_head(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t head[VMSCM_WIRE_HEAD_SIZE];
    uint32_t length;
    unsigned type;

    (void)state;
    vmscm_wire_encode_head(head, VMSCM_WIRE_RECORD, 1234);
    assert_done(vmscm_wire_decode_head(&type, &length, head, &err), &err);
    assert_int_equal(type, VMSCM_WIRE_RECORD);
    assert_int_equal(length, 1234);
    vmscm_wire_encode_head(head, VMSCM_WIRE_RECORD, VMSCM_WIRE_FRAME_MAX + 1);
    assert_fails(vmscm_wire_decode_head(&type, &length, head, &err), &err, VMSCM_EINPUT, "frame");
    vmscm_wire_encode_head(head, VMSCM_WIRE_CHECKSUM + 1, 0);
    assert_fails(vmscm_wire_decode_head(&type, &length, head, &err), &err, VMSCM_EINPUT, "frame");
    vmscm_wire_encode_head(head, VMSCM_WIRE_ALIVE, 0);
    assert_done(vmscm_wire_decode_head(&type, &length, head, &err), &err);
    vmscm_wire_encode_head(head, VMSCM_WIRE_ALIVE, 1);
    assert_fails(vmscm_wire_decode_head(&type, &length, head, &err), &err, VMSCM_EINPUT, "frame");
    vmscm_wire_encode_head(head, VMSCM_WIRE_END, 0);
    head[2] = 1;
    assert_fails(vmscm_wire_decode_head(&type, &length, head, &err), &err, VMSCM_EINPUT, "frame");
}

static void test_opening(void **state)
{
    struct vmscm_wire_opening opening = {.op = VMSCM_WIRE_OP_SEND, .flags = VMSCM_WIRE_ATOMIC}, back;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;

    (void)state;
    assert_done(vmscm_wire_encode_opening(&buf, &opening, &err), &err);
    assert_done(vmscm_wire_decode_opening(&back, buf.data, buf.len, &err), &err);
    assert_int_equal(back.op, opening.op);
    assert_int_equal(back.flags, opening.flags);
    for (size_t len = 0; len < buf.len; len++)
        assert_int_not_equal(vmscm_wire_decode_opening(&back, buf.data, len, NULL), 0);
    buf.data[8]++;
    assert_fails(vmscm_wire_decode_opening(&back, buf.data, buf.len, &err), &err,
        VMSCM_EUNSUPPORTED, "version");
    vmscm_buf_release(&buf);
}

static void test_error(void **state)
{
    struct vmscm_error said = VMSCM_ERROR_INIT, back, err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    uint8_t wild[] = {0xff, 0x7f, 5, 0, 'a', '\n', 0x1b, '[', 'b', 0, 0};

    (void)state;
    said.code = VMSCM_EREFUSED;
    memcpy(said.message, "no", 3);
    memcpy(said.hint, "ask", 4);
    assert_done(vmscm_wire_encode_error(&buf, &said, &err), &err);
    assert_done(vmscm_wire_decode_error(&back, buf.data, buf.len, &err), &err);
    assert_int_equal(back.code, VMSCM_EREFUSED);
    assert_string_equal(back.message, "no");
    assert_string_equal(back.hint, "ask");
    for (size_t len = 0; len < buf.len; len++)
        assert_int_not_equal(vmscm_wire_decode_error(&back, buf.data, len, NULL), 0);
    /* What a terminal would obey does not get to one; a code of a later version is a failure. */
    assert_done(vmscm_wire_decode_error(&back, wild, sizeof wild, &err), &err);
    assert_int_equal(back.code, VMSCM_EIO);
    assert_string_equal(back.message, "a??[b");
    vmscm_buf_release(&buf);
}

static void test_refs(void **state)
{
    struct vmscm_wire_ref ref = {{1}, {2}, "refs/heads/web"}, back;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    const uint8_t *at;
    size_t left;

    (void)state;
    assert_done(vmscm_wire_encode_ref(&buf, &ref, &err), &err);
    memcpy(ref.name, "refs/tags/web/x", 16);
    assert_done(vmscm_wire_encode_ref(&buf, &ref, &err), &err);
    at = buf.data;
    left = buf.len;
    assert_done(vmscm_wire_decode_ref(&back, &at, &left, &err), &err);
    assert_string_equal(back.name, "refs/heads/web");
    assert_done(vmscm_wire_decode_ref(&back, &at, &left, &err), &err);
    assert_string_equal(back.name, "refs/tags/web/x");
    assert_int_equal(left, 0);
    buf.data[45] = '\n';
    at = buf.data;
    left = buf.len;
    assert_fails(vmscm_wire_decode_ref(&back, &at, &left, &err), &err, VMSCM_EINPUT, "refs");
    vmscm_buf_release(&buf);
}

static void test_lists(void **state)
{
    static const uint8_t ids[64] = {1, 2, 3}, some[2] = {5, 1};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    const uint8_t *back, *bits;
    struct vmscm_id leaf = {{9}}, is;
    size_t count;
    unsigned role;

    (void)state;
    assert_done(vmscm_wire_encode_list(&buf, VMSCM_WIRE_LACK, ids, 2, 32, &err), &err);
    assert_done(vmscm_wire_decode_list(&role, &back, &count, 32, buf.data, buf.len, &err), &err);
    assert_int_equal(role, VMSCM_WIRE_LACK);
    assert_int_equal(count, 2);
    assert_memory_equal(back, ids, 64);
    assert_fails(vmscm_wire_decode_list(&role, &back, &count, 32, buf.data, buf.len - 1, &err), &err,
        VMSCM_EINPUT, "ids");
    buf.len = 0;
    assert_done(vmscm_wire_encode_entries(&buf, &leaf, some, 9, &err), &err);
    assert_done(vmscm_wire_decode_entries(&is, &bits, &count, buf.data, buf.len, &err), &err);
    assert_int_equal(count, 9);
    assert_memory_equal(is.bytes, leaf.bytes, 32);
    /* Bits beyond the last, and another length. */
    buf.data[buf.len - 1] = 0x80;
    assert_fails(vmscm_wire_decode_entries(&is, &bits, &count, buf.data, buf.len, &err), &err,
        VMSCM_EINPUT, "entries");
    memset(buf.data + 32, 0xff, 4);
    assert_fails(vmscm_wire_decode_entries(&is, &bits, &count, buf.data, buf.len, &err), &err,
        VMSCM_EINPUT, "entries");
    vmscm_buf_release(&buf);
}

static void test_updates(void **state)
{
    struct vmscm_wire_update update = {VMSCM_WIRE_FORCE, {1}, {2}, "refs/heads/web"}, back;
    struct vmscm_wire_result result = {"refs/heads/web", VMSCM_ERROR_INIT}, was;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;

    (void)state;
    assert_done(vmscm_wire_encode_update(&buf, &update, &err), &err);
    assert_done(vmscm_wire_decode_update(&back, buf.data, buf.len, &err), &err);
    assert_int_equal(back.flags, VMSCM_WIRE_FORCE);
    assert_string_equal(back.name, update.name);
    for (size_t len = 0; len < buf.len; len++)
        assert_int_not_equal(vmscm_wire_decode_update(&back, buf.data, len, NULL), 0);
    buf.len = 0;
    assert_done(vmscm_wire_encode_result(&buf, &result, &err), &err);
    assert_done(vmscm_wire_decode_result(&was, buf.data, buf.len, &err), &err);
    assert_int_equal(was.why.code, 0);
    vmscm_buf_release(&buf);
}

static void test_block(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t frame[VMSCM_WIRE_BLOCK_HEAD + 4] = {0};
    const uint8_t *stored;
    size_t len;
    unsigned algorithm;
    uint32_t plain;

    (void)state;
    vmscm_wire_encode_block(frame, 1, 100);
    assert_done(
        vmscm_wire_decode_block(&algorithm, &plain, &stored, &len, frame, sizeof frame, &err), &err);
    assert_int_equal(plain, 100);
    assert_int_equal(len, 4);
    vmscm_wire_encode_block(frame, 1, VMSCM_WIRE_BLOCK_MAX + 1);
    assert_fails(vmscm_wire_decode_block(&algorithm, &plain, &stored, &len, frame, sizeof frame, &err),
        &err, VMSCM_EINPUT, "block");
    vmscm_wire_encode_block(frame, 2, 100);
    assert_fails(vmscm_wire_decode_block(&algorithm, &plain, &stored, &len, frame, sizeof frame, &err),
        &err, VMSCM_EINPUT, "block");
}

struct objects {
    size_t count, bytes;
};

static int count_object(void *data, unsigned type, const void *bytes, size_t len,
    struct vmscm_error *err)
{
    struct objects *o = data;

    (void)bytes;
    (void)err;
    assert_int_equal(type, o->count ? VMSCM_OBJSTREAM_BLOB : VMSCM_OBJSTREAM_TREE);
    o->count++;
    o->bytes += len;
    return 0;
}

static void test_objects(void **state)
{
    uint8_t stream[2 * VMSCM_OBJSTREAM_HEAD + 8] = {0};

    (void)state;
    vmscm_objstream_encode(stream, VMSCM_OBJSTREAM_TREE, 5);
    vmscm_objstream_encode(stream + VMSCM_OBJSTREAM_HEAD + 5, VMSCM_OBJSTREAM_BLOB, 3);
    /* In pieces of any length. */
    for (size_t piece = 1; piece <= sizeof stream; piece++) {
        struct vmscm_objstream s = {{0}};
        struct vmscm_error err = VMSCM_ERROR_INIT;
        struct objects o = {0, 0};
        for (size_t at = 0; at < sizeof stream; at += piece) {
            size_t n = sizeof stream - at < piece ? sizeof stream - at : piece;
            assert_done(vmscm_objstream_feed(&s, stream + at, n, count_object, &o, &err), &err);
            if (at + n < sizeof stream && at + n != VMSCM_OBJSTREAM_HEAD + 5)
                assert_fails(vmscm_objstream_end(&s, &err), &err, VMSCM_EINPUT, "ends early");
        }
        assert_done(vmscm_objstream_end(&s, &err), &err);
        assert_int_equal(o.count, 2);
        assert_int_equal(o.bytes, 8);
        vmscm_objstream_release(&s);
    }
    struct vmscm_objstream s = {{0}};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct objects o = {0, 0};
    for (unsigned type = VMSCM_OBJSTREAM_COMMIT; type <= VMSCM_OBJSTREAM_TAG; type++) {
        bool blob = type == VMSCM_OBJSTREAM_BLOB;
        vmscm_objstream_encode(
            stream, type, (blob ? VMSCM_OBJSTREAM_MAX : VMSCM_OBJSTREAM_META_MAX) + 1u);
        assert_fails(vmscm_objstream_feed(&s, stream, sizeof stream, count_object, &o, &err), &err,
            VMSCM_EINPUT, "cannot be read");
        vmscm_objstream_release(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_opening),
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_refs),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_updates),
        cmocka_unit_test(test_block),
        cmocka_unit_test(test_objects),
    };

    return unit_run(tests);
}
