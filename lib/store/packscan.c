/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/packscan.h"
#include "codec/checksum.h"
#include "codec/compress.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define WINDOW (VMSCM_PACK_RECORD_MAX + (1u << 20))
#define SECTOR 4096u /* read alone where more cannot be read at once */
#define STRIDE (64u << 10) /* bytes looked through at once for the next record */
/* Times the file's size that may be hashed for what only looks like records. A disk can be full of
 * such. */
#define VAIN 256u

static const uint8_t magic[4] = {'V', 'R', 'E', 'C'};

struct vmscm_packscan {
    int fd;
    char *path;
    uint64_t limit; /* where records end */
    uint64_t at;
    bool expected; /* a record should begin there */
    bool search;   /* there is no whole one: one may begin after it */
    uint64_t vain; /* bytes hashed of what turned out to be no record */
    uint64_t vain_max;
    uint8_t *window;
    uint64_t from; /* where it begins */
    size_t have;
    struct vmscm_pack_entry *claims; /* by place */
    size_t claim_count;
    bool index_right;
};

/* len bytes at offset into out; what cannot be read is zeros. */
static void read_some(struct vmscm_packscan *s, uint8_t *out, size_t len, uint64_t offset)
{
    size_t got;

    memset(out, 0, len);
    if (!vmscm_file_pread_some(s->fd, out, len, offset, &got, s->path, NULL) || len <= SECTOR)
        return;
    for (size_t at = 0; at < len; at += SECTOR)
        read_some(s, out + at, len - at < SECTOR ? len - at : SECTOR, offset + at);
}

/* The bytes at offset, at most len of them; *got tells how many there are before the limit. */
static const uint8_t *view(struct vmscm_packscan *s, uint64_t offset, size_t len, size_t *got)
{
    *got = s->limit - offset < len ? (size_t)(s->limit - offset) : len;
    if (offset < s->from || offset + *got > s->from + s->have) {
        size_t more = s->limit - offset < WINDOW ? (size_t)(s->limit - offset) : WINDOW;
        /* Many records are short: not the whole window for each jump. */
        if (more > *got + (1u << 20))
            more = *got + (1u << 20);
        read_some(s, s->window, more, offset);
        s->from = offset;
        s->have = more;
    }
    return s->window + (offset - s->from);
}

static int by_place(const void *a, const void *b)
{
    const struct vmscm_pack_entry *x = a, *y = b;

    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return (int)x->part - (int)y->part;
}

/* The index, if the trailer tells where it is. It need not be right to be of use. */
static int read_index(struct vmscm_packscan *s, uint64_t size, struct vmscm_error *err)
{
    uint8_t bytes[VMSCM_PACK_TRAILER_SIZE], *index;
    struct vmscm_pack_trailer trailer;
    size_t len;

    if (size < VMSCM_PACK_HEADER_SIZE + sizeof bytes || size > VMSCM_PACK_FILE_MAX)
        return 0;
    read_some(s, bytes, sizeof bytes, size - sizeof bytes);
    if (vmscm_pack_decode_trailer(&trailer, bytes, size, NULL) || !trailer.entry_count)
        return 0;
    len = (size_t)trailer.entry_count * VMSCM_PACK_ENTRY_SIZE;
    index = malloc(len);
    s->claims = calloc(trailer.entry_count, sizeof *s->claims);
    if (!index || !s->claims) {
        free(index);
        return vmscm_error_nomem(err);
    }
    read_some(s, index, len, trailer.index_offset);
    s->index_right = vmscm_checksum_64(index, len, 0) == trailer.index_checksum;
    for (size_t i = 0; i < trailer.entry_count; i++) {
        struct vmscm_pack_entry *claim = &s->claims[s->claim_count];
        vmscm_pack_decode_entry(claim, index + i * VMSCM_PACK_ENTRY_SIZE);
        s->claim_count += claim->offset >= VMSCM_PACK_HEADER_SIZE &&
            claim->offset < trailer.index_offset;
    }
    free(index);
    qsort(s->claims, s->claim_count, sizeof *s->claims, by_place);
    s->limit = trailer.index_offset;
    return 0;
}

int vmscm_packscan_open(struct vmscm_packscan **out, const char *path, struct vmscm_error *err)
{
    struct vmscm_packscan *s = calloc(1, sizeof *s);
    struct stat st;
    int rc;

    if (!s)
        return vmscm_error_nomem(err);
    s->fd = -1;
    if ((rc = vmscm_file_open(&s->fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err)))
        goto out;
    if (fstat(s->fd, &st) < 0) {
        rc = vmscm_error_errno(err, errno, "%s", path);
        goto out;
    }
    if (!(s->path = strdup(path)) || !(s->window = malloc(WINDOW))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    if (S_ISREG(st.st_mode) && st.st_size > 0) {
        s->limit = (uint64_t)st.st_size;
        rc = read_index(s, s->limit, err);
        s->vain_max = s->limit * VAIN;
    }
    vmscm_packscan_rewind(s);
out:
    if (rc)
        vmscm_packscan_close(s);
    else
        *out = s;
    return rc;
}

void vmscm_packscan_close(struct vmscm_packscan *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    free(s->window);
    free(s->claims);
    free(s->path);
    free(s);
}

void vmscm_packscan_rewind(struct vmscm_packscan *s)
{
    s->at = VMSCM_PACK_HEADER_SIZE;
    s->expected = true;
    s->search = false;
    s->vain = 0;
}

size_t vmscm_packscan_claims(const struct vmscm_packscan *s, bool *right)
{
    *right = s->index_right;
    return s->claim_count;
}

/* The first claim at or after an offset. */
static size_t claim_at(const struct vmscm_packscan *s, uint64_t offset)
{
    size_t low = 0, high = s->claim_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->claims[mid].offset < offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void find_claims(const struct vmscm_packscan *s, struct vmscm_packscan_record *out,
    uint64_t offset)
{
    size_t first = claim_at(s, offset), n = first;

    while (n < s->claim_count && s->claims[n].offset == offset)
        n++;
    out->claims = s->claims + first;
    out->claim_count = n - first;
}

/* A header as the claims have it, where the record's own is damaged. Bases are taken from where they
 * should be. */
static bool rebuild_head(struct vmscm_packscan_record *out, const uint8_t *bytes, size_t len)
{
    struct vmscm_pack_record *head = &out->head;
    const struct vmscm_pack_entry *first = out->claims;
    uint64_t plain = 0;

    if (!out->claim_count || out->claim_count > VMSCM_PACK_PARTS_MAX ||
        len < VMSCM_PACK_RECORD_SIZE)
        return false;
    for (size_t i = 0; i < out->claim_count; i++) {
        const struct vmscm_pack_entry *claim = &out->claims[i];
        if (claim->part != i || claim->type != first->type || claim->length != first->length ||
            claim->has_base != first->has_base)
            return false;
        head->parts[i] = claim->plain_len;
        plain += claim->plain_len;
    }
    head->type = first->type;
    head->part_count = (uint16_t)out->claim_count;
    head->base_count = first->has_base ? bytes[7] : 0;
    if (plain > VMSCM_PACK_PLAIN_MAX || head->base_count > VMSCM_PACK_BASES_MAX ||
        (first->has_base && !head->base_count))
        return false;
    size_t head_len = vmscm_pack_record_head(head);
    if (first->length <= head_len || first->length - head_len > plain || len < head_len)
        return false;
    for (size_t i = 0; i < head->base_count; i++)
        memcpy(head->bases[i].bytes,
            bytes + VMSCM_PACK_RECORD_SIZE + i * VMSCM_HASH_SIZE, VMSCM_HASH_SIZE);
    head->plain_len = (uint32_t)plain;
    head->stored_len = first->length - (uint32_t)head_len;
    head->compression =
        head->stored_len == head->plain_len ? VMSCM_COMPRESS_NONE : VMSCM_COMPRESS_ZSTD;
    return true;
}

/* What is at s->at: true if there is a record of some kind. */
static bool look(struct vmscm_packscan *s, struct vmscm_packscan_record *out)
{
    size_t len, total;
    const uint8_t *bytes = view(s, s->at, VMSCM_PACK_HEAD_MAX, &len);
    int rc = vmscm_pack_decode_record(&out->head, bytes, len, NULL);
    bool readable = !rc || rc == VMSCM_EUNSUPPORTED;

    out->sound = out->unsupported = false;
    out->claims = NULL;
    out->claim_count = 0;
    if (readable) {
        total = vmscm_pack_record_head(&out->head) + out->head.stored_len;
        out->bytes = view(s, s->at, total, &out->len);
        out->sound = out->len == total && vmscm_pack_check_record(&out->head, out->bytes);
        out->unsupported = out->sound && rc;
        s->vain += out->sound ? 0 : out->len;
    }
    find_claims(s, out, s->at);
    if (out->sound)
        return true;
    /* The claims' lengths are as good as the header's, where these are damaged. */
    struct vmscm_packscan_record other = {.claims = out->claims, .claim_count = out->claim_count};
    bytes = view(s, s->at, VMSCM_PACK_HEAD_MAX, &len);
    if (rebuild_head(&other, bytes, len)) {
        total = vmscm_pack_record_head(&other.head) + other.head.stored_len;
        out->head = other.head;
        out->bytes = view(s, s->at, total, &out->len);
        s->vain += out->len;
        return true;
    }
    return !rc && s->expected;
}

/* Where the next record may be, after s->at. */
static uint64_t next_place(struct vmscm_packscan *s)
{
    size_t claim = claim_at(s, s->at + 1);
    uint64_t end = claim < s->claim_count ? s->claims[claim].offset : s->limit;

    for (uint64_t at = s->at + 1; at < end;) {
        size_t len;
        const uint8_t *bytes = view(s, at, STRIDE, &len);
        const uint8_t *found = memmem(bytes, len, magic, sizeof magic);
        if (found) {
            at += (uint64_t)(found - bytes);
            return at < end ? at : end;
        }
        if (len < STRIDE)
            break;
        at += len - (sizeof magic - 1);
    }
    return end;
}

bool vmscm_packscan_next(struct vmscm_packscan *s, struct vmscm_packscan_record *out)
{
    while (s->at < s->limit && s->vain <= s->vain_max) {
        if (s->search) {
            s->search = s->expected = false;
            s->at = next_place(s);
            continue;
        }
        bool found = look(s, out);
        if (found && out->sound) {
            s->at += out->len;
            s->expected = true;
            return true;
        }
        s->search = true;
        if (found)
            return true;
    }
    return false;
}
