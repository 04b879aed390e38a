/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/midxwriter.h"
#include "base/buf.h"
#include "base/endian.h"
#include "base/str.h"
#include "base/vec.h"
#include "codec/checksum.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define NO_PACK UINT32_MAX
#define WORDS 8192u /* of an older index, read at once */

struct entry {
    uint64_t key;
    uint32_t pack; /* its number in what is written */
};

/* Entries in the order of keys: those of an older index, or of all packs. */
struct source {
    struct vmscm_midxfile *midx; /* NULL: entries */
    const struct entry *entries;
    uint32_t at, count;
    struct entry now;
    uint32_t bucket; /* of the entry at hand, and where the next bucket begins */
    uint32_t bucket_end;
    uint32_t *numbers; /* of the older index's packs, or NO_PACK */
    uint8_t *words;
};

/* One table of the file: written through a buffer, each full piece of which goes into its checksum. */
struct table {
    uint64_t at; /* of what the buffer begins with */
    struct vmscm_buf buf;
    uint64_t sum;
};

struct writer {
    int fd;
    char *tmp;
    struct vmscm_midx header;
    VMSCM_VEC(struct vmscm_packfile *) packs; /* sorted by name */
    VMSCM_VEC(struct entry) entries;          /* of the packs that no older index has */
    struct source *sources;
    size_t source_count;
    struct table prints, words;
    uint8_t *ends;
    uint64_t sums[VMSCM_MIDX_SUMS];
};

static int by_size(const void *a, const void *b)
{
    uint32_t x = (*(struct vmscm_midxfile *const *)a)->header.entry_count;
    uint32_t y = (*(struct vmscm_midxfile *const *)b)->header.entry_count;

    return x < y ? -1 : x > y;
}

size_t vmscm_midxwriter_choose(struct vmscm_midxfile **indexes, size_t count, uint64_t entries,
    uint64_t max)
{
    size_t taken = 0;

    if (count)
        qsort(indexes, count, sizeof *indexes, by_size);
    for (size_t i = 0; i < count; i++) {
        const struct vmscm_midx *h = &indexes[i]->header;
        if (entries + h->entry_count > max)
            break;
        if (h->entry_count <= 2 * entries || indexes[i]->present <= h->pack_count / 2)
            taken = i + 1;
        entries += h->entry_count;
    }
    return taken;
}

static int flush(struct writer *w, struct table *t, size_t len, struct vmscm_error *err)
{
    int rc;

    /* Nothing must stay nothing: even an empty piece would change the checksum. */
    if (!len)
        return 0;
    if ((rc = vmscm_file_pwrite(w->fd, t->buf.data, len, t->at, w->tmp, err)))
        return rc;
    t->sum = vmscm_checksum_64(t->buf.data, len, t->sum);
    t->at += len;
    memmove(t->buf.data, t->buf.data + len, t->buf.len - len);
    t->buf.len -= len;
    return 0;
}

static int add(struct writer *w, struct table *t, const void *data, size_t len,
    struct vmscm_error *err)
{
    int rc = vmscm_buf_append(&t->buf, data, len, err);

    return !rc && t->buf.len >= VMSCM_MIDX_PIECE ? flush(w, t, VMSCM_MIDX_PIECE, err) : rc;
}

/* Bytes that are whole in memory. */
static int put(struct writer *w, const uint8_t *data, uint64_t len, uint64_t at, uint64_t *sum,
    struct vmscm_error *err)
{
    int rc = vmscm_file_pwrite(w->fd, data, len, at, w->tmp, err);

    *sum = 0;
    for (uint64_t n = 0; n < len && !rc; n += VMSCM_MIDX_PIECE)
        *sum = vmscm_checksum_64(
            data + n, len - n < VMSCM_MIDX_PIECE ? len - n : VMSCM_MIDX_PIECE, *sum);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return memcmp((*(struct vmscm_packfile *const *)a)->name,
        (*(struct vmscm_packfile *const *)b)->name, VMSCM_MIDX_NAME_SIZE);
}

static int by_key(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->pack < y->pack ? -1 : x->pack > y->pack;
}

/* All packs there are to be, each once. */
static int collect_packs(struct writer *w, struct vmscm_packfile *const *packs, size_t pack_count,
    struct vmscm_midxfile *const *indexes, size_t index_count, struct vmscm_error *err)
{
    struct vmscm_packfile **slot;
    size_t kept = 0;

    for (size_t i = 0; i < pack_count; i++) {
        if (vmscm_vec_add(&w->packs, &slot, err))
            return VMSCM_ENOMEM;
        *slot = packs[i];
    }
    for (size_t m = 0; m < index_count; m++)
        for (uint32_t i = 0; i < indexes[m]->header.pack_count; i++) {
            struct vmscm_packfile *pack = indexes[m]->packs[i];
            if (!pack || pack->gone)
                continue;
            if (vmscm_vec_add(&w->packs, &slot, err))
                return VMSCM_ENOMEM;
            *slot = pack;
        }
    if (w->packs.len)
        qsort(w->packs.items, w->packs.len, sizeof *w->packs.items, by_name);
    for (size_t i = 0; i < w->packs.len; i++)
        if (!kept || w->packs.items[kept - 1] != w->packs.items[i])
            w->packs.items[kept++] = w->packs.items[i];
    w->packs.len = kept;
    if (kept > VMSCM_MIDX_PACKS_MAX)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "too many packs for one index");
    return 0;
}

static uint32_t number_of(const struct writer *w, struct vmscm_packfile *pack)
{
    struct vmscm_packfile **found =
        bsearch(&pack, w->packs.items, w->packs.len, sizeof pack, by_name);

    return found ? (uint32_t)(found - w->packs.items) : NO_PACK;
}

static int add_packs(struct writer *w, struct source *s, struct vmscm_packfile *const *packs,
    size_t count, struct vmscm_error *err)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t number = number_of(w, packs[i]);
        for (uint32_t n = 0; n < packs[i]->trailer.entry_count; n++) {
            struct entry *slot;
            if (vmscm_vec_add(&w->entries, &slot, err))
                return VMSCM_ENOMEM;
            *slot = (struct entry){
                vmscm_get_be64(packs[i]->index + (size_t)n * VMSCM_PACK_ENTRY_SIZE), number};
        }
        vmscm_packfile_forget(packs[i]);
    }
    if (w->entries.len)
        qsort(w->entries.items, w->entries.len, sizeof *w->entries.items, by_key);
    s->entries = w->entries.items;
    s->count = (uint32_t)w->entries.len;
    return 0;
}

/* The words of the entries from `at` on, up to WORDS of them. */
static int read_words(const struct source *s, uint32_t at, struct vmscm_error *err)
{
    uint32_t left = s->count - at;

    return vmscm_file_pread(s->midx->fd, s->words,
        (left < WORDS ? left : WORDS) * (size_t)VMSCM_MIDX_WORD_SIZE,
        s->midx->header.words_at + (uint64_t)at * VMSCM_MIDX_WORD_SIZE, s->midx->path, err);
}

static uint64_t word_at(const struct source *s, uint32_t at)
{
    return vmscm_get_le64(s->words + (at % WORDS) * (size_t)VMSCM_MIDX_WORD_SIZE);
}

static uint32_t new_number(const struct source *s, uint64_t word)
{
    uint32_t pack = vmscm_midx_word_pack(word);

    return pack < s->midx->header.pack_count ? s->numbers[pack] : NO_PACK;
}

/* An older index; taken[] has the packs whose entries come from elsewhere. *total: entries that are
 * kept. */
static int add_index(struct writer *w, struct source *s, struct vmscm_midxfile *midx,
    bool *taken, uint64_t *total, struct vmscm_error *err)
{
    bool all = true;

    s->midx = midx;
    s->count = midx->header.entry_count;
    s->bucket_end = vmscm_midxfile_start(midx, 1);
    s->numbers = calloc((size_t)midx->header.pack_count + 1, sizeof *s->numbers);
    s->words = malloc(WORDS * (size_t)VMSCM_MIDX_WORD_SIZE);
    if (!s->numbers || !s->words)
        return vmscm_error_nomem(err);
    for (uint32_t i = 0; i < midx->header.pack_count; i++) {
        struct vmscm_packfile *pack = midx->packs[i];
        s->numbers[i] = pack && !pack->gone ? number_of(w, pack) : NO_PACK;
        if (s->numbers[i] != NO_PACK && taken[s->numbers[i]])
            s->numbers[i] = NO_PACK;
        all = all && s->numbers[i] != NO_PACK;
    }
    /* Only now: an index may list a pack twice, and have its entries once. */
    for (uint32_t i = 0; i < midx->header.pack_count; i++)
        if (s->numbers[i] != NO_PACK)
            taken[s->numbers[i]] = true;
    if (all) {
        *total += s->count;
        return 0;
    }
    for (uint32_t at = 0; at < s->count; at++) {
        int rc = at % WORDS ? 0 : read_words(s, at, err);
        if (rc)
            return rc;
        *total += new_number(s, word_at(s, at)) != NO_PACK;
    }
    return 0;
}

/* The next entry into `now`; *end if there is none. The index is not trusted: out of order or with other
 * counts than its header says, it is damaged. */
static int step(struct source *s, bool *end, struct vmscm_error *err)
{
    uint64_t last = s->at ? s->now.key : 0;
    int rc;

    *end = s->at == s->count;
    if (*end)
        return 0;
    if (!s->midx) {
        s->now = s->entries[s->at++];
        return 0;
    }
    const struct vmscm_midx *h = &s->midx->header;
    while (s->at >= s->bucket_end && s->bucket + 1 < 1u << h->bits)
        s->bucket_end = vmscm_midxfile_start(s->midx, ++s->bucket + 1);
    if (s->at % WORDS == 0 && (rc = read_words(s, s->at, err)))
        return rc;
    uint64_t word = word_at(s, s->at);
    uint16_t print = vmscm_get_le16(
        s->midx->map + h->prints_at + (uint64_t)s->at * VMSCM_MIDX_PRINT_SIZE);
    s->now.key = vmscm_midx_entry_key(s->bucket, h->bits, print, word);
    s->now.pack = new_number(s, word);
    s->at++;
    if (s->now.key < last || vmscm_midx_print(s->now.key, h->bits) != print) {
        s->midx->state = VMSCM_MIDXFILE_BAD;
        return vmscm_error_set(err, VMSCM_EDAMAGED, "%s: not sorted", s->midx->path);
    }
    return 0;
}

/* As step, passing over what is in packs that are gone. */
static int step_kept(struct source *s, bool *end, struct vmscm_error *err)
{
    int rc;

    do
        rc = step(s, end, err);
    while (!rc && !*end && s->now.pack == NO_PACK);
    return rc;
}

static int emit(struct writer *w, const struct entry *e, uint32_t *bucket, uint32_t count,
    struct vmscm_error *err)
{
    uint8_t bytes[VMSCM_MIDX_WORD_SIZE];
    uint32_t now = vmscm_midx_bucket(e->key, w->header.bits);
    int rc;

    for (; *bucket < now; ++*bucket)
        vmscm_put_le32(w->ends + 4 * (size_t)*bucket, count);
    vmscm_put_le16(bytes, vmscm_midx_print(e->key, w->header.bits));
    if ((rc = add(w, &w->prints, bytes, VMSCM_MIDX_PRINT_SIZE, err)))
        return rc;
    vmscm_put_le64(bytes, vmscm_midx_word(e->key, e->pack));
    return add(w, &w->words, bytes, sizeof bytes, err);
}

static int merge(struct writer *w, struct vmscm_error *err)
{
    uint32_t count = 0, bucket = 0;
    size_t live = 0;
    bool end;
    int rc;

    for (size_t i = 0; i < w->source_count; i++) {
        if ((rc = step_kept(&w->sources[i], &end, err)))
            return rc;
        if (!end) {
            struct source t = w->sources[live];
            w->sources[live++] = w->sources[i];
            w->sources[i] = t;
        }
    }
    while (live) {
        size_t least = 0;
        for (size_t i = 1; i < live; i++)
            if (by_key(&w->sources[i].now, &w->sources[least].now) < 0)
                least = i;
        if (count == w->header.entry_count)
            return vmscm_error_set(err, VMSCM_EDAMAGED, "multi-pack index: has too many entries");
        if ((rc = emit(w, &w->sources[least].now, &bucket, count, err)) ||
            (rc = step_kept(&w->sources[least], &end, err)))
            return rc;
        count++;
        if (end) {
            struct source t = w->sources[--live];
            w->sources[live] = w->sources[least];
            w->sources[least] = t;
        }
    }
    if (count != w->header.entry_count)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "multi-pack index: has too few entries");
    for (; bucket < 1u << w->header.bits; bucket++)
        vmscm_put_le32(w->ends + 4 * (size_t)bucket, count);
    if ((rc = flush(w, &w->prints, w->prints.buf.len, err)) ||
        (rc = flush(w, &w->words, w->words.buf.len, err)))
        return rc;
    w->sums[2] = w->prints.sum;
    w->sums[3] = w->words.sum;
    return put(w, w->ends, UINT64_C(4) << w->header.bits, w->header.ends_at, &w->sums[1], err);
}

/* What comes first in the file, and what comes last. */
static int put_frame(struct writer *w, struct vmscm_error *err)
{
    uint8_t header[VMSCM_MIDX_HEADER_SIZE], sums[8 * VMSCM_MIDX_SUMS];
    struct vmscm_buf head = VMSCM_BUF_INIT;
    int rc;

    vmscm_midx_encode_header(header, &w->header);
    rc = vmscm_buf_append(&head, header, sizeof header, err);
    for (size_t i = 0; i < w->packs.len && !rc; i++)
        rc = vmscm_buf_append(&head, w->packs.items[i]->name, VMSCM_MIDX_NAME_SIZE, err);
    if (!rc)
        rc = put(w, head.data, head.len, 0, &w->sums[0], err);
    vmscm_buf_release(&head);
    for (size_t i = 0; i < VMSCM_MIDX_SUMS; i++)
        vmscm_put_le64(sums + 8 * i, w->sums[i]);
    return rc ? rc
              : vmscm_file_pwrite(w->fd, sums, sizeof sums, w->header.sums_at, w->tmp, err);
}

static int set_up(struct writer *w, struct vmscm_packfile *const *packs, size_t pack_count,
    struct vmscm_midxfile *const *indexes, size_t index_count, struct vmscm_error *err)
{
    uint64_t total = 0;
    bool *taken = NULL;
    int rc = collect_packs(w, packs, pack_count, indexes, index_count, err);

    if (rc)
        return rc;
    w->sources = calloc(index_count + 1, sizeof *w->sources);
    taken = calloc(w->packs.len + 1, sizeof *taken);
    if (!w->sources || !taken) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    w->source_count = index_count + 1;
    if ((rc = add_packs(w, &w->sources[index_count], packs, pack_count, err)))
        goto out;
    total = w->entries.len;
    for (size_t i = 0; i < pack_count; i++)
        taken[number_of(w, packs[i])] = true;
    for (size_t i = 0; i < index_count && !rc; i++)
        rc = add_index(w, &w->sources[i], indexes[i], taken, &total, err);
    if (!rc && total > UINT32_MAX)
        rc = vmscm_error_set(err, VMSCM_EUNSUPPORTED, "too many entries for one index");
    if (rc)
        goto out;
    w->header.pack_count = (uint32_t)w->packs.len;
    w->header.entry_count = (uint32_t)total;
    w->header.bits = vmscm_midx_bits(w->header.entry_count);
    vmscm_midx_lay_out(&w->header);
    w->prints.at = w->header.prints_at;
    w->words.at = w->header.words_at;
    if (!(w->ends = malloc((size_t)4 << w->header.bits)))
        rc = vmscm_error_nomem(err);
out:
    free(taken);
    return rc;
}

static void release(struct writer *w)
{
    for (size_t i = 0; i < w->source_count; i++) {
        free(w->sources[i].numbers);
        free(w->sources[i].words);
    }
    free(w->sources);
    free(w->ends);
    free(w->tmp);
    vmscm_vec_release(&w->packs);
    vmscm_vec_release(&w->entries);
    vmscm_buf_release(&w->prints.buf);
    vmscm_buf_release(&w->words.buf);
}

int vmscm_midxwriter_write(const char *dir, struct vmscm_packfile *const *packs, size_t pack_count,
    struct vmscm_midxfile *const *indexes, size_t index_count, struct vmscm_error *err)
{
    struct writer w = {.fd = -1};
    uint8_t name[VMSCM_MIDX_NAME_SIZE];
    char hex[2 * VMSCM_MIDX_NAME_SIZE + 1], *path = NULL;
    int rc = set_up(&w, packs, pack_count, indexes, index_count, err);

    if (rc || !w.packs.len)
        goto out;
    if (getrandom(name, sizeof name, 0) != sizeof name) {
        rc = vmscm_error_errno(err, errno, "random numbers");
        goto out;
    }
    vmscm_str_hex(hex, name, sizeof name);
    if ((rc = vmscm_str_printf(&w.tmp, err, "%s/midx-%s.tmp", dir, hex)) ||
        (rc = vmscm_str_printf(&path, err, "%s/midx-%s.vmx", dir, hex)) ||
        (rc = vmscm_file_open(&w.fd, w.tmp, O_WRONLY | O_CREAT | O_EXCL, 0444, err)) ||
        (rc = merge(&w, err)) || (rc = put_frame(&w, err)) ||
        (rc = vmscm_file_fsync(w.fd, w.tmp, err)) ||
        (rc = vmscm_file_close(&w.fd, w.tmp, err)) ||
        (rc = vmscm_file_rename_new(w.tmp, path, err)))
        goto out;
    rc = vmscm_file_sync_dir(dir, err);
out:
    if (w.fd >= 0)
        close(w.fd);
    if (rc && w.tmp)
        unlink(w.tmp);
    free(path);
    release(&w);
    return rc;
}
