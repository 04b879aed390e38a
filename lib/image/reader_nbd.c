/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/reader_nbd.h"
#include "base/path.h"
#include "base/str.h"
#include "base/vec.h"
#include "image/qemu.h"
#include "sys/spawn.h"
#include "sys/tempdir.h"

#include <libnbd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define READ_MAX ((size_t)8 << 20)          /* of one request; the protocol allows 32 MiB */
#define WINDOW ((uint64_t)256 << 20)        /* asked for extents at once */
#define ALIGNMENT_MAX 4096
#define START_SECONDS 120                   /* for qemu-nbd to open the image */
#define STATE_HOLE_ZERO 2u                  /* NBD_STATE_ZERO */

struct piece {
    uint64_t start;
    uint64_t length;
    bool zero;
};

/* The extents of one window, as last asked for. */
struct window {
    VMSCM_VEC(struct piece) pieces;
    uint64_t used; /* the device's clock when it last answered: the oldest is replaced */
};

/* A qemu-nbd. */
struct server {
    char *dir; /* private; holds the socket */
    char *socket;
    struct vmscm_spawn child;
    bool failed; /* it could not be started; why is in the device's failure */
};

/* A connection, of one thread at a time. */
struct slot {
    struct server *server;
    struct nbd_handle *h; /* NULL: not open */
    bool taken;
};

struct nbd {
    struct vmscm_blockdev dev;
    const struct vmscm_probe *probe;
    unsigned slot_count;
    pthread_mutex_t lock; /* guards all below, but a taken slot is its thread's */
    pthread_cond_t idle;
    struct server *servers;
    unsigned server_count;
    struct slot *slots; /* slot_count of them */
    struct vmscm_error failure;
    struct window *windows; /* slot_count of them */
    uint64_t clock;
};

static int start_program(const struct nbd *nbd, struct server *server, struct vmscm_error *err)
{
    struct vmscm_qemu_files files = {0};
    char *image = NULL, *socket_option = NULL, *shared = NULL;
    const char *const writable[] = {server->dir, NULL};
    int rc;

    if ((rc = vmscm_qemu_describe(&image, nbd->probe, err)) ||
        (rc = vmscm_qemu_list_files(&files, nbd->probe, err)) ||
        (rc = vmscm_str_printf(&socket_option, err, "--socket=%s", server->socket)) ||
        (rc = vmscm_str_printf(&shared, err, "--shared=%u", nbd->slot_count + 1)))
        goto out;
    const char *const argv[] = {"qemu-nbd", "--read-only", "--persistent", shared, socket_option,
        image, NULL};
    struct vmscm_spawn_options options = {
        .argv = argv,
        .read_only = files.paths.items,
        .read_write = writable,
        .max_memory = vmscm_qemu_memory(nbd->probe) + nbd->slot_count * (uint64_t)(64 << 20),
        .confined = true,
    };
    rc = vmscm_spawn_start(&server->child, &options, false, err);
out:
    vmscm_vec_release(&files.paths);
    free(image);
    free(socket_option);
    free(shared);
    return rc;
}

static int connect_failed(const struct nbd *nbd, struct vmscm_error *err)
{
    const char *why = nbd_get_error();

    return vmscm_error_set(err, VMSCM_ETOOL, "%s: connecting to qemu-nbd: %s", nbd->dev.name,
        why ? why : "unknown error");
}

/* One try; *again: the socket is not there yet. */
static int connect_once(const struct nbd *nbd, struct slot *slot, bool *again,
    struct vmscm_error *err)
{
    struct nbd_handle *h = nbd_create();
    int rc = 0;

    *again = false;
    if (!h)
        return connect_failed(nbd, err);
    /* Unread buffers are never looked at. */
    if (nbd_set_pread_initialize(h, false) < 0 ||
        nbd_add_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0) {
        rc = connect_failed(nbd, err);
    } else if (nbd_connect_unix(h, slot->server->socket) < 0) {
        *again = true;
        rc = connect_failed(nbd, err);
    } else if (nbd_get_size(h) < 0 || (uint64_t)nbd_get_size(h) != nbd->dev.size) {
        rc = vmscm_error_set(err, VMSCM_EINPUT,
            "%s: its header says %llu bytes, but QEMU sees %lld", nbd->dev.name,
            (unsigned long long)nbd->dev.size, (long long)nbd_get_size(h));
    }
    if (rc)
        nbd_close(h);
    else
        slot->h = h;
    return rc;
}

/* Start qemu-nbd and wait until it listens, which it does once the image is open. */
static int start_server(const struct nbd *nbd, struct slot *slot, struct vmscm_error *err)
{
    const struct timespec pause = {0, 5 * 1000 * 1000};
    struct server *server = slot->server;
    struct timespec begun, now;
    bool again = false;
    int rc;

    if ((rc = vmscm_tempdir_make(&server->dir, NULL, err)) ||
        (rc = vmscm_path_join(&server->socket, server->dir, "nbd", err)) ||
        (rc = start_program(nbd, server, err)))
        return rc;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    for (;;) {
        bool alive = vmscm_spawn_alive(&server->child);
        rc = connect_once(nbd, slot, &again, err);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (!rc || !again)
            return rc;
        if (!alive) {
            if ((rc = vmscm_spawn_wait(&server->child, err)))
                return rc;
            return vmscm_error_set(err, VMSCM_ETOOL, "qemu-nbd: ended early");
        }
        if (now.tv_sec - begun.tv_sec > START_SECONDS)
            return rc;
        nanosleep(&pause, NULL);
    }
}

/* The lock is held, so that one thread starts a server and the others wait for it. */
static int open_slot(struct nbd *nbd, struct slot *slot, struct vmscm_error *err)
{
    struct vmscm_error failure = VMSCM_ERROR_INIT;
    bool again;
    int rc;

    if (slot->server->failed)
        return vmscm_error_copy(err, &nbd->failure);
    if (slot->server->dir)
        return connect_once(nbd, slot, &again, err);
    rc = start_server(nbd, slot, &failure);
    if (!rc)
        return 0;
    vmscm_qemu_explain(&failure, nbd->dev.name);
    if (strncmp(failure.message, nbd->dev.name, strlen(nbd->dev.name)) != 0)
        vmscm_error_prefix(&failure, "%s", nbd->dev.name);
    slot->server->failed = true;
    nbd->failure = failure;
    return vmscm_error_copy(err, &failure);
}

static int take(struct slot **out, struct nbd *nbd, struct vmscm_error *err)
{
    struct slot *slot = NULL;
    int rc = 0;

    pthread_mutex_lock(&nbd->lock);
    for (;;) {
        /* One that is open, or else any that nobody uses. */
        for (unsigned i = 0; i < nbd->slot_count; i++) {
            struct slot *s = &nbd->slots[i];
            if (!s->taken && (!slot || (!slot->h && s->h)))
                slot = s;
        }
        if (slot)
            break;
        pthread_cond_wait(&nbd->idle, &nbd->lock);
    }
    if (!slot->h)
        rc = open_slot(nbd, slot, err);
    if (!rc) {
        slot->taken = true;
        *out = slot;
    }
    pthread_mutex_unlock(&nbd->lock);
    return rc;
}

static void give_back(struct nbd *nbd, struct slot *slot, bool broken)
{
    struct nbd_handle *old = NULL;

    pthread_mutex_lock(&nbd->lock);
    if (broken) {
        old = slot->h;
        slot->h = NULL;
    }
    slot->taken = false;
    pthread_cond_signal(&nbd->idle);
    pthread_mutex_unlock(&nbd->lock);
    nbd_close(old);
}

static int request_failed(const struct nbd *nbd, const char *what, uint64_t offset,
    struct vmscm_error *err)
{
    const char *why = nbd_get_error();

    return vmscm_error_set(err, VMSCM_EIO, "%s: %s at %llu through qemu-nbd: %s", nbd->dev.name,
        what, (unsigned long long)offset, why ? why : "unknown error");
}

/* The smallest unit the server reads, e.g. 512 for vhdx. */
static size_t alignment(struct nbd_handle *h)
{
    int64_t n = nbd_get_block_size(h, LIBNBD_SIZE_MINIMUM);

    return n > 1 && n <= ALIGNMENT_MAX ? (size_t)n : 1;
}

static int nbd_dev_pread(struct vmscm_blockdev *dev, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    struct nbd *nbd = (struct nbd *)dev;
    struct slot *slot = NULL;
    uint8_t *p = data, block[ALIGNMENT_MAX];
    int rc = take(&slot, nbd, err);

    if (rc)
        return rc;
    struct nbd_handle *h = slot->h;
    size_t align = alignment(h);
    while (!rc && len) {
        size_t skip = (size_t)(offset % align), n = len < READ_MAX ? len : READ_MAX;
        bool failed;
        if (skip || n < align) {
            /* An edge: its whole block, of which a part is wanted. */
            n = n < align - skip ? n : align - skip;
            failed = nbd_pread(h, block, align, offset - skip, 0) < 0;
            if (!failed)
                memcpy(p, block + skip, n);
        } else {
            n -= n % align;
            failed = nbd_pread(h, p, n, offset, 0) < 0;
        }
        if (failed)
            rc = request_failed(nbd, "reading", offset, err);
        p += n;
        offset += n;
        len -= n;
    }
    give_back(nbd, slot, rc != 0);
    return rc;
}

struct answer {
    struct window window;
    uint64_t offset; /* asked for */
    uint64_t size;   /* of the device */
    bool failed;     /* out of memory, or nonsense */
};

static int answer_extents(void *data, const char *context, uint64_t offset, uint32_t *entries,
    size_t count, int *error)
{
    struct answer *a = data;

    (void)error;
    if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0)
        return 0;
    if (offset != a->offset || a->window.pieces.len) {
        a->failed = true;
        return 0;
    }
    for (size_t i = 0; i + 1 < count && !a->failed && offset < a->size; i += 2) {
        struct piece *p;
        bool zero = entries[i + 1] & STATE_HOLE_ZERO;
        uint64_t length = entries[i];
        if (length > a->size - offset)
            length = a->size - offset;
        p = a->window.pieces.len ? &a->window.pieces.items[a->window.pieces.len - 1] : NULL;
        if (length == 0) {
            a->failed = true;
        } else if (p && p->zero == zero) {
            p->length += length;
        } else if (vmscm_vec_add(&a->window.pieces, &p, NULL)) {
            a->failed = true;
        } else {
            *p = (struct piece){offset, length, zero};
        }
        offset += length;
    }
    return 0;
}

/* Looks offset up in what was asked before. The lock is held. */
static bool window_find(struct nbd *nbd, uint64_t offset, uint64_t *len, bool *zero)
{
    for (unsigned w = 0; w < nbd->slot_count; w++) {
        struct window *window = &nbd->windows[w];
        size_t low = 0, high = window->pieces.len;
        if (!high || window->pieces.items[0].start > offset)
            continue;
        while (high - low > 1) {
            size_t mid = low + (high - low) / 2;
            if (window->pieces.items[mid].start <= offset)
                low = mid;
            else
                high = mid;
        }
        const struct piece *p = &window->pieces.items[low];
        if (offset - p->start >= p->length)
            continue;
        *len = p->length - (offset - p->start);
        *zero = p->zero;
        window->used = ++nbd->clock;
        return true;
    }
    return false;
}

static void window_store(struct nbd *nbd, struct window *fresh)
{
    struct window *oldest = &nbd->windows[0];

    for (unsigned w = 1; w < nbd->slot_count; w++)
        if (nbd->windows[w].used < oldest->used)
            oldest = &nbd->windows[w];
    vmscm_vec_release(&oldest->pieces);
    *oldest = *fresh;
    oldest->used = ++nbd->clock;
    *fresh = (struct window){0};
}

static int nbd_dev_extent(struct vmscm_blockdev *dev, uint64_t offset, uint64_t *len, bool *zero,
    struct vmscm_error *err)
{
    struct nbd *nbd = (struct nbd *)dev;
    struct answer answer = {.size = dev->size};
    const uint64_t wanted = offset;
    struct slot *slot = NULL;
    int rc;

    pthread_mutex_lock(&nbd->lock);
    bool found = window_find(nbd, offset, len, zero);
    pthread_mutex_unlock(&nbd->lock);
    if (found)
        return 0;
    if ((rc = take(&slot, nbd, err)))
        return rc;
    struct nbd_handle *h = slot->h;
    if (nbd_can_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) <= 0) {
        *len = dev->size - offset;
        *zero = false;
        give_back(nbd, slot, false);
        return 0;
    }
    offset -= offset % alignment(h);
    answer.offset = offset;
    uint64_t n = dev->size - offset < WINDOW ? dev->size - offset : WINDOW;
    nbd_extent_callback callback = {.callback = answer_extents, .user_data = &answer};
    if (nbd_block_status(h, n, offset, callback, 0) < 0)
        rc = request_failed(nbd, "asking for extents", offset, err);
    else if (answer.failed || !answer.window.pieces.len ||
        answer.window.pieces.items[0].length <= wanted - offset)
        rc = vmscm_error_set(
            err, VMSCM_EIO, "%s: qemu-nbd gave no usable list of extents", dev->name);
    give_back(nbd, slot, rc != 0);
    if (!rc) {
        *len = answer.window.pieces.items[0].length - (wanted - offset);
        *zero = answer.window.pieces.items[0].zero;
        pthread_mutex_lock(&nbd->lock);
        window_store(nbd, &answer.window);
        pthread_mutex_unlock(&nbd->lock);
    }
    vmscm_vec_release(&answer.window.pieces);
    return rc;
}

static int nbd_dev_unchanged(struct vmscm_blockdev *dev, struct vmscm_error *err)
{
    return vmscm_probe_unchanged(((struct nbd *)dev)->probe, err);
}

static void nbd_dev_close(struct vmscm_blockdev *dev)
{
    struct nbd *nbd = (struct nbd *)dev;

    for (unsigned i = 0; nbd->slots && i < nbd->slot_count; i++)
        nbd_close(nbd->slots[i].h);
    for (unsigned i = 0; nbd->servers && i < nbd->server_count; i++) {
        struct server *server = &nbd->servers[i];
        vmscm_spawn_kill(&server->child);
        vmscm_tempdir_remove(server->dir);
        free(server->socket);
    }
    for (unsigned w = 0; nbd->windows && w < nbd->slot_count; w++)
        vmscm_vec_release(&nbd->windows[w].pieces);
    free(nbd->windows);
    free(nbd->slots);
    free(nbd->servers);
    pthread_cond_destroy(&nbd->idle);
    pthread_mutex_destroy(&nbd->lock);
    free(nbd);
}

static const struct vmscm_blockdev_ops nbd_ops = {.pread = nbd_dev_pread,
    .extent = nbd_dev_extent,
    .unchanged = nbd_dev_unchanged,
    .close = nbd_dev_close};

static unsigned threads_for(unsigned jobs)
{
    return jobs > 1 ? 2 * jobs : 1;
}

int vmscm_reader_nbd_open(struct vmscm_blockdev **out, const struct vmscm_probe *probe,
    unsigned jobs, struct vmscm_error *err)
{
    struct nbd *nbd = calloc(1, sizeof *nbd);

    if (!nbd)
        return vmscm_error_nomem(err);
    nbd->dev = (struct vmscm_blockdev){&nbd_ops, probe->size, probe->path, threads_for(jobs), 0};
    nbd->probe = probe;
    nbd->slot_count = nbd->dev.threads;
    /* What comes here is mostly compressed, and one qemu-nbd inflates a vmdk's grains on a single
     * thread, hands out a qcow2's clusters from one. */
    nbd->server_count = jobs ? jobs : 1;
    pthread_mutex_init(&nbd->lock, NULL);
    pthread_cond_init(&nbd->idle, NULL);
    nbd->servers = calloc(nbd->server_count, sizeof *nbd->servers);
    nbd->slots = calloc(nbd->slot_count, sizeof *nbd->slots);
    nbd->windows = calloc(nbd->slot_count, sizeof *nbd->windows);
    if (!nbd->servers || !nbd->slots || !nbd->windows) {
        nbd_dev_close(&nbd->dev);
        return vmscm_error_nomem(err);
    }
    for (unsigned i = 0; i < nbd->server_count; i++)
        nbd->servers[i].child = (struct vmscm_spawn)VMSCM_SPAWN_INIT;
    for (unsigned i = 0; i < nbd->slot_count; i++)
        nbd->slots[i].server = &nbd->servers[i % nbd->server_count];
    *out = &nbd->dev;
    return 0;
}
