/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/wire.h"
#include "base/endian.h"
#include "base/str.h"

#include <string.h>

static const uint8_t magic[8] = {'V', 'M', 'S', 'C', 'M', 'R', 'E', 'M'};

/* What is left of a frame. */
struct cursor {
    const uint8_t *at;
    size_t left;
};

static const uint8_t *take(struct cursor *c, size_t n)
{
    const uint8_t *at = c->at;

    if (c->left < n)
        return NULL;
    c->at += n;
    c->left -= n;
    return at;
}

static int bad(struct vmscm_error *err, const char *what)
{
    return vmscm_error_set(err, VMSCM_EINPUT, "the other side sent %s that cannot be read", what);
}

/* A length of 2 bytes and as many bytes of text. */
static int take_text(char *out, size_t room, struct cursor *c)
{
    const uint8_t *head = take(c, 2), *text;
    size_t len;

    if (!head || (len = vmscm_get_le16(head)) >= room || !(text = take(c, len)) ||
        memchr(text, '\0', len))
        return -1;
    memcpy(out, text, len);
    out[len] = '\0';
    return 0;
}

static int put_text(struct vmscm_buf *buf, const char *text, size_t max, struct vmscm_error *err)
{
    size_t len = strlen(text);
    int rc;

    if (len > max)
        len = max;
    return (rc = vmscm_buf_put16(buf, (uint16_t)len, err)) ? rc
                                                           : vmscm_buf_append(buf, text, len, err);
}

/* A ref's name is text without control characters; what it may be, its user decides. */
static bool is_name(const char *name)
{
    return *name && vmscm_str_printable(name);
}

void vmscm_wire_encode_head(uint8_t out[VMSCM_WIRE_HEAD_SIZE], unsigned type, uint32_t length)
{
    memset(out, 0, VMSCM_WIRE_HEAD_SIZE);
    out[0] = (uint8_t)type;
    vmscm_put_le32(out + 4, length);
}

int vmscm_wire_decode_head(unsigned *type, uint32_t *length, const uint8_t in[VMSCM_WIRE_HEAD_SIZE],
    struct vmscm_error *err)
{
    *type = in[0];
    *length = vmscm_get_le32(in + 4);
    if (*type < VMSCM_WIRE_REQUEST || *type > VMSCM_WIRE_CHECKSUM || in[1] || in[2] || in[3] ||
        *length > (*type == VMSCM_WIRE_ALIVE ? 0 : VMSCM_WIRE_FRAME_MAX))
        return bad(err, "a frame");
    return 0;
}

int vmscm_wire_encode_opening(struct vmscm_buf *buf, const struct vmscm_wire_opening *opening,
    struct vmscm_error *err)
{
    uint8_t out[16] = {0};

    memcpy(out, magic, sizeof magic);
    out[8] = VMSCM_WIRE_VERSION;
    out[9] = opening->op;
    vmscm_put_le16(out + 10, opening->flags);
    return vmscm_buf_append(buf, out, sizeof out, err);
}

int vmscm_wire_decode_opening(struct vmscm_wire_opening *opening, const uint8_t *in, size_t len,
    struct vmscm_error *err)
{
    if (len < 9 || memcmp(in, magic, sizeof magic) != 0)
        return bad(err, "an opening");
    if (in[8] != VMSCM_WIRE_VERSION) {
        vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "the other side speaks version %u of the protocol, this vmscm speaks %d", in[8],
            VMSCM_WIRE_VERSION);
        return vmscm_error_hint(err, "use vmscm of the same age on both sides");
    }
    if (len != 16 || in[12] || in[13] || in[14] || in[15])
        return bad(err, "an opening");
    opening->op = in[9];
    opening->flags = vmscm_get_le16(in + 10);
    return 0;
}

static int encode_why(struct vmscm_buf *buf, const struct vmscm_error *said, struct vmscm_error *err)
{
    int rc = vmscm_buf_put16(buf, (uint16_t)-said->code, err);

    if (!rc && !(rc = put_text(buf, said->message, VMSCM_WIRE_TEXT_MAX, err)))
        rc = put_text(buf, said->hint, VMSCM_ERROR_HINT_MAX - 1, err);
    return rc;
}

static int decode_why(struct vmscm_error *said, struct cursor *c)
{
    char message[VMSCM_WIRE_TEXT_MAX + 1], hint[VMSCM_ERROR_HINT_MAX];
    const uint8_t *code = take(c, 2);

    if (!code || take_text(message, sizeof message, c) || take_text(hint, sizeof hint, c))
        return -1;
    vmscm_error_clear(said);
    if (vmscm_get_le16(code) == 0)
        return 0;
    /* Control characters that a peer may send are replaced here, too. A code that is not known is a
     * failure. */
    vmscm_error_set(said, vmscm_get_le16(code) <= -VMSCM_ETOOL ? -(int)vmscm_get_le16(code) : VMSCM_EIO,
        "%s", message);
    if (*hint)
        vmscm_error_hint(said, "%s", hint);
    return 0;
}

int vmscm_wire_encode_error(struct vmscm_buf *buf, const struct vmscm_error *said,
    struct vmscm_error *err)
{
    return encode_why(buf, said, err);
}

int vmscm_wire_decode_error(struct vmscm_error *said, const uint8_t *in, size_t len,
    struct vmscm_error *err)
{
    struct cursor c = {in, len};

    if (decode_why(said, &c) || c.left || !said->code)
        return bad(err, "an error");
    return 0;
}

int vmscm_wire_encode_info(struct vmscm_buf *buf, const struct vmscm_wire_info *info,
    struct vmscm_error *err)
{
    int rc = vmscm_buf_put32(buf, info->flags, err);

    return rc ? rc : put_text(buf, info->agent, sizeof info->agent - 1, err);
}

int vmscm_wire_decode_info(struct vmscm_wire_info *info, const uint8_t *in, size_t len,
    struct vmscm_error *err)
{
    struct cursor c = {in, len};
    const uint8_t *flags = take(&c, 4);

    if (!flags || take_text(info->agent, sizeof info->agent, &c) || c.left ||
        !vmscm_str_printable(info->agent))
        return bad(err, "a greeting");
    info->flags = vmscm_get_le32(flags);
    return 0;
}

int vmscm_wire_encode_ref(struct vmscm_buf *buf, const struct vmscm_wire_ref *ref,
    struct vmscm_error *err)
{
    int rc = vmscm_buf_append(buf, ref->id, sizeof ref->id, err);

    if (!rc && !(rc = vmscm_buf_append(buf, ref->commit, sizeof ref->commit, err)))
        rc = put_text(buf, ref->name, VMSCM_WIRE_NAME_MAX, err);
    return rc;
}

int vmscm_wire_decode_ref(struct vmscm_wire_ref *ref, const uint8_t **in, size_t *len,
    struct vmscm_error *err)
{
    struct cursor c = {*in, *len};
    const uint8_t *ids = take(&c, sizeof ref->id + sizeof ref->commit);

    if (!ids || take_text(ref->name, sizeof ref->name, &c) || !is_name(ref->name))
        return bad(err, "a list of refs");
    memcpy(ref->id, ids, sizeof ref->id);
    memcpy(ref->commit, ids + sizeof ref->id, sizeof ref->commit);
    *in = c.at;
    *len = c.left;
    return 0;
}

int vmscm_wire_encode_list(struct vmscm_buf *buf, unsigned role, const void *ids, size_t count,
    size_t size, struct vmscm_error *err)
{
    int rc = vmscm_buf_put32(buf, role, err);

    return rc ? rc : vmscm_buf_append(buf, ids, count * size, err);
}

int vmscm_wire_decode_list(unsigned *role, const uint8_t **ids, size_t *count, size_t size,
    const uint8_t *in, size_t len, struct vmscm_error *err)
{
    struct cursor c = {in, len};
    const uint8_t *head = take(&c, 4);

    if (!head || c.left % size || c.left / size > VMSCM_WIRE_IDS_MAX)
        return bad(err, "a list of ids");
    *role = vmscm_get_le32(head);
    *ids = c.at;
    *count = c.left / size;
    return 0;
}

void vmscm_wire_encode_block(uint8_t out[VMSCM_WIRE_BLOCK_HEAD], unsigned algorithm, uint32_t plain)
{
    vmscm_put_le32(out, algorithm);
    vmscm_put_le32(out + 4, plain);
}

int vmscm_wire_decode_block(unsigned *algorithm, uint32_t *plain, const uint8_t **stored,
    size_t *stored_len, const uint8_t *in, size_t len, struct vmscm_error *err)
{
    struct cursor c = {in, len};
    const uint8_t *head = take(&c, VMSCM_WIRE_BLOCK_HEAD);

    if (!head)
        return bad(err, "a block of history");
    *algorithm = vmscm_get_le32(head);
    *plain = vmscm_get_le32(head + 4);
    if (*algorithm > 1 || *plain == 0 || *plain > VMSCM_WIRE_BLOCK_MAX || !c.left ||
        c.left > *plain || (*algorithm == 0 && c.left != *plain))
        return bad(err, "a block of history");
    *stored = c.at;
    *stored_len = c.left;
    return 0;
}

int vmscm_wire_encode_bits(struct vmscm_buf *buf, const uint8_t *bits, size_t count,
    struct vmscm_error *err)
{
    int rc = vmscm_buf_put32(buf, (uint32_t)count, err);

    return rc ? rc : vmscm_buf_append(buf, bits, (count + 7) / 8, err);
}

static int take_bits(const uint8_t **bits, size_t *count, struct cursor *c)
{
    const uint8_t *head = take(c, 4);

    if (!head)
        return -1;
    *count = vmscm_get_le32(head);
    if (*count > (size_t)8 * VMSCM_WIRE_FRAME_MAX || !(*bits = take(c, (*count + 7) / 8)))
        return -1;
    return *count % 8 && (*bits)[*count / 8] >> *count % 8 ? -1 : 0;
}

int vmscm_wire_decode_bits(const uint8_t **bits, size_t *count, const uint8_t *in, size_t len,
    struct vmscm_error *err)
{
    struct cursor c = {in, len};

    return take_bits(bits, count, &c) || c.left ? bad(err, "an answer") : 0;
}

int vmscm_wire_encode_entries(struct vmscm_buf *buf, const struct vmscm_id *leaf,
    const uint8_t *bits, size_t count, struct vmscm_error *err)
{
    int rc = vmscm_buf_append(buf, leaf->bytes, sizeof leaf->bytes, err);

    return rc ? rc : vmscm_wire_encode_bits(buf, bits, count, err);
}

int vmscm_wire_decode_entries(struct vmscm_id *leaf, const uint8_t **bits, size_t *count,
    const uint8_t *in, size_t len, struct vmscm_error *err)
{
    struct cursor c = {in, len};
    const uint8_t *id = take(&c, sizeof leaf->bytes);

    if (!id || take_bits(bits, count, &c) || c.left)
        return bad(err, "a list of entries");
    memcpy(leaf->bytes, id, sizeof leaf->bytes);
    return 0;
}

int vmscm_wire_encode_update(struct vmscm_buf *buf, const struct vmscm_wire_update *update,
    struct vmscm_error *err)
{
    int rc = vmscm_buf_put32(buf, update->flags, err);

    if (!rc && !(rc = vmscm_buf_append(buf, update->before, sizeof update->before, err)) &&
        !(rc = vmscm_buf_append(buf, update->after, sizeof update->after, err)))
        rc = put_text(buf, update->name, VMSCM_WIRE_NAME_MAX, err);
    return rc;
}

int vmscm_wire_decode_update(struct vmscm_wire_update *update, const uint8_t *in, size_t len,
    struct vmscm_error *err)
{
    struct cursor c = {in, len};
    const uint8_t *head = take(&c, 4 + sizeof update->before + sizeof update->after);

    if (!head || take_text(update->name, sizeof update->name, &c) || c.left || !is_name(update->name))
        return bad(err, "a change of a ref");
    update->flags = vmscm_get_le32(head);
    memcpy(update->before, head + 4, sizeof update->before);
    memcpy(update->after, head + 4 + sizeof update->before, sizeof update->after);
    return 0;
}

int vmscm_wire_encode_result(struct vmscm_buf *buf, const struct vmscm_wire_result *result,
    struct vmscm_error *err)
{
    int rc = put_text(buf, result->name, VMSCM_WIRE_NAME_MAX, err);

    return rc ? rc : encode_why(buf, &result->why, err);
}

int vmscm_wire_decode_result(struct vmscm_wire_result *result, const uint8_t *in, size_t len,
    struct vmscm_error *err)
{
    struct cursor c = {in, len};

    if (take_text(result->name, sizeof result->name, &c) || decode_why(&result->why, &c) || c.left ||
        !is_name(result->name))
        return bad(err, "what became of a ref");
    return 0;
}

int vmscm_wire_decode_total(uint64_t *total, const uint8_t *in, size_t len, struct vmscm_error *err)
{
    if (len != 8)
        return bad(err, "a total");
    *total = vmscm_get_le64(in);
    return 0;
}
