/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "unit.h"

#include "base/endian.h"
#include "base/path.h"
#include "base/str.h"
#include "image/nbdserver.h"
#include "memdev.h"
#include "sys/file.h"
#include "sys/spawn.h"
#include "sys/tempdir.h"

#include <errno.h>
#include <fcntl.h>
#include <libnbd.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MIB (1u << 20)
#define SIZE (40 * (uint64_t)MIB + 1000) /* not whole sectors */

struct fixture {
    struct memdev mem;
    struct vmscm_nbdserver *server;
    char *dir;
    char *socket;
    uint64_t reads;
    uint64_t bytes;
};

static void count_read(void *data, uint64_t offset, uint64_t len)
{
    struct fixture *f = data;

    (void)offset;
    f->reads++;
    f->bytes += len;
}

static int setup(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    assert_true(memdev_init(&f->mem, SIZE));
    memdev_fill(f->mem.bytes, 3 * MIB + 5, 1);
    memdev_fill(f->mem.bytes + 10 * MIB, 70000, 2);
    memdev_fill(f->mem.bytes + 10 * MIB + 80000, 4096, 3);
    memdev_fill(f->mem.bytes + SIZE - 1000, 1000, 4);
    assert_done(vmscm_tempdir_make(&f->dir, NULL, &err), &err);
    assert_done(vmscm_path_join(&f->socket, f->dir, "nbd", &err), &err);
    assert_done(
        vmscm_nbdserver_start(&f->server, &f->mem.dev, f->socket, 3, count_read, f, &err), &err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    vmscm_nbdserver_stop(f->server, NULL);
    vmscm_blockdev_close(&f->mem.dev);
    vmscm_tempdir_remove(f->dir);
    free(f->socket);
    free(f);
    return 0;
}

#define assert_nbd(call)                                                                           \
    do {                                                                                           \
        if ((call) < 0)                                                                            \
            fail_msg("%s: %s", #call, nbd_get_error());                                            \
    } while (0)

static struct nbd_handle *connect_nbd(const struct fixture *f, bool structured)
{
    struct nbd_handle *h = nbd_create();

    assert_non_null(h);
    assert_nbd(nbd_set_request_structured_replies(h, structured));
    if (structured)
        assert_nbd(nbd_add_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION));
    assert_nbd(nbd_connect_unix(h, f->socket));
    return h;
}

static void read_all(const struct fixture *f, struct nbd_handle *h, uint32_t step)
{
    uint8_t *buf = malloc(step);

    assert_non_null(buf);
    for (uint64_t at = 0; at < SIZE; at += step) {
        uint32_t n = SIZE - at < step ? (uint32_t)(SIZE - at) : step;
        memset(buf, 0xaa, step);
        assert_nbd(nbd_pread(h, buf, n, at, 0));
        assert_memory_equal(buf, f->mem.bytes + at, n);
    }
    free(buf);
}

static void test_read(void **state)
{
    struct fixture *f = *state;

    for (int structured = 0; structured < 2; structured++) {
        struct nbd_handle *h = connect_nbd(f, structured);
        assert_int_equal(nbd_get_size(h), SIZE);
        assert_int_equal(nbd_is_read_only(h), 1);
        assert_int_equal(nbd_can_multi_conn(h), 1);
        assert_int_equal(nbd_can_flush(h), 1);
        assert_int_equal(nbd_get_structured_replies_negotiated(h), structured);
        assert_nbd(nbd_flush(h, 0));
        read_all(f, h, 32 * MIB);
        read_all(f, h, 999 * 1024 + 1);
        assert_nbd(nbd_shutdown(h, 0));
        nbd_close(h);
    }
    vmscm_nbdserver_stop(f->server, NULL);
    f->server = NULL;
    assert_int_equal(f->bytes, 4 * SIZE);
}

struct extents {
    uint64_t offset;
    uint64_t size;
    unsigned count;
    const struct memdev *mem;
    bool one;
};

static int check_extents(void *data, const char *context, uint64_t offset, uint32_t *entries,
    size_t n, int *error)
{
    struct extents *e = data;

    (void)error;
    assert_string_equal(context, "base:allocation");
    assert_int_equal(offset, e->offset);
    assert_true(n >= 2);
    if (e->one)
        assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i += 2) {
        bool zero = entries[i + 1] == (LIBNBD_STATE_HOLE | LIBNBD_STATE_ZERO);
        assert_true(zero || entries[i + 1] == 0);
        assert_true(!zero || memdev_is_zero(e->mem, e->offset, entries[i]));
        e->offset += entries[i];
        e->count++;
    }
    assert_true(e->offset <= e->size);
    return 0;
}

static void test_block_status(void **state)
{
    struct fixture *f = *state;
    struct nbd_handle *h = connect_nbd(f, true);

    for (int one = 0; one < 2; one++) {
        struct extents e = {.size = SIZE, .mem = &f->mem, .one = one};
        while (e.offset < SIZE) {
            nbd_extent_callback cb = {.callback = check_extents, .user_data = &e};
            assert_nbd(nbd_block_status(
                h, SIZE - e.offset, e.offset, cb, one ? LIBNBD_CMD_FLAG_REQ_ONE : 0));
        }
        /* data, hole, data, hole, data, hole, data */
        assert_int_equal(e.count, 7);
    }
    nbd_close(h);
}

static void test_writes_refused(void **state)
{
    struct fixture *f = *state;
    struct nbd_handle *h = connect_nbd(f, true);
    char *data = calloc(1, 3 * MIB);

    assert_non_null(data);
    assert_nbd(nbd_set_strict_mode(h, 0));
    assert_int_equal(nbd_pwrite(h, data, 3 * MIB, 0, 0), -1);
    assert_int_equal(nbd_get_errno(), EPERM);
    assert_int_equal(nbd_trim(h, 4096, 0, 0), -1);
    assert_int_equal(nbd_get_errno(), EPERM);
    assert_int_equal(nbd_zero(h, 4096, 0, 0), -1);
    assert_int_equal(nbd_get_errno(), EPERM);
    assert_int_equal(nbd_cache(h, 4096, 0, 0), -1);
    assert_int_equal(nbd_get_errno(), EINVAL);
    read_all(f, h, 32 * MIB);
    nbd_close(h);
    free(data);
}

static void test_out_of_bounds(void **state)
{
    struct fixture *f = *state;
    struct nbd_handle *h = connect_nbd(f, true);
    uint8_t *buf = malloc(64 * MIB);

    assert_non_null(buf);
    assert_nbd(nbd_set_strict_mode(h, 0));
    assert_int_equal(nbd_pread(h, buf, 2, SIZE - 1, 0), -1);
    assert_int_equal(nbd_get_errno(), EINVAL);
    assert_int_equal(nbd_pread(h, buf, 4096, UINT64_MAX - 100, 0), -1);
    assert_int_equal(nbd_get_errno(), EINVAL);
    assert_int_equal(nbd_pread(h, buf, 0, 0, 0), -1);
    assert_int_equal(nbd_get_errno(), EINVAL);
    assert_nbd(nbd_pread(h, buf, 1, SIZE - 1, 0));
    assert_int_equal(buf[0], f->mem.bytes[SIZE - 1]);
    nbd_close(h);
    free(buf);
}

static void test_failing_device(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error failure = VMSCM_ERROR_INIT;
    uint8_t *buf = malloc(4 * MIB);

    assert_non_null(buf);
    f->mem.bad = 2 * MIB + 17;
    struct nbd_handle *h = connect_nbd(f, true);
    assert_int_equal(nbd_pread(h, buf, 4 * MIB, 0, 0), -1);
    assert_int_equal(nbd_get_errno(), EIO);
    assert_nbd(nbd_pread(h, buf, MIB, 0, 0)); /* the connection goes on */
    nbd_close(h);
    h = connect_nbd(f, false);
    assert_int_equal(nbd_pread(h, buf, 100, 2 * MIB, 0), -1);
    assert_int_equal(nbd_get_errno(), EIO);
    assert_nbd(nbd_pread(h, buf, MIB, 0, 0));
    /* Some was sent already: the connection cannot go on, and must not pretend. */
    assert_int_equal(nbd_pread(h, buf, 4 * MIB, 0, 0), -1);
    nbd_close(h);
    vmscm_nbdserver_stop(f->server, &failure);
    f->server = NULL;
    assert_int_equal(failure.code, VMSCM_EDAMAGED);
    assert_non_null(strstr(failure.message, "mem: bad at"));
    free(buf);
}

struct reader {
    const struct fixture *f;
    bool same;
};

static void *read_much(void *data)
{
    struct reader *r = data;
    struct nbd_handle *h = nbd_create();
    uint8_t *buf = malloc(8 * MIB);
    int64_t cookies[8];

    r->same = h && buf && nbd_connect_unix(h, r->f->socket) == 0;
    for (int round = 0; r->same && round < 20; round++) {
        for (int i = 0; i < 8; i++)
            cookies[i] = nbd_aio_pread(h, buf + i * MIB, MIB, (uint64_t)(round + i) * MIB,
                NBD_NULL_COMPLETION, 0);
        for (int i = 0; i < 8; i++)
            while (r->same && nbd_aio_command_completed(h, (uint64_t)cookies[i]) == 0)
                r->same = nbd_poll(h, -1) >= 0;
        r->same = r->same && memcmp(buf, r->f->mem.bytes + (size_t)round * MIB, 8 * MIB) == 0;
    }
    nbd_close(h);
    free(buf);
    return NULL;
}

static void test_many_connections(void **state)
{
    struct fixture *f = *state;
    struct reader readers[6] = {{0}};

    for (int i = 0; i < 6; i++)
        readers[i].f = f;
    assert_true(unit_threads(6, read_much, readers, sizeof readers[0]));
    for (int i = 0; i < 6; i++)
        assert_true(readers[i].same);
    /* Short ones, many more than may be open at once. */
    for (int i = 0; i < 200; i++)
        nbd_close(connect_nbd(f, true));
}

static int connect_socket(const struct fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {5, 0};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", f->socket);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

/* Sends bytes; true if the server then hangs up. */
static bool hangs_up(const struct fixture *f, const void *bytes, size_t len)
{
    char sink[4096];
    int fd = connect_socket(f);
    ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

    if (n == (ssize_t)len)
        do
            n = recv(fd, sink, sizeof sink, 0);
        while (n > 0);
    bool over = n == 0 || (n < 0 && errno == ECONNRESET);
    close(fd);
    return over;
}

static size_t option(uint8_t *p, uint32_t number, uint32_t len, const void *data, size_t data_len)
{
    memcpy(p, "IHAVEOPT", 8);
    vmscm_put_be32(p + 8, number);
    vmscm_put_be32(p + 12, len);
    if (data_len)
        memcpy(p + 16, data, data_len);
    return 16 + data_len;
}

static void test_hostile_handshakes(void **state)
{
    const struct fixture *f = *state;
    static const uint8_t flags[4] = {0, 0, 0, 3};
    uint8_t buf[16384] = {0};
    size_t n;

    assert_true(hangs_up(f, "\xff\xff\xff\xff", 4));
    memcpy(buf, flags, 4);
    memcpy(buf + 4, "GET / HTTP/1.1\r\n", 16);
    assert_true(hangs_up(f, buf, 20));
    n = 4 + option(buf + 4, 7, 0xffffffff, NULL, 0); /* an option of 4 GiB */
    assert_true(hangs_up(f, buf, n));
    n = 4 + option(buf + 4, 1, 5, "other", 5); /* an export there is not */
    assert_true(hangs_up(f, buf, n));
    n = 4 + option(buf + 4, 2, 0, NULL, 0); /* abort */
    assert_true(hangs_up(f, buf, n));
    n = 4;
    for (int i = 0; i < 200; i++) /* options without end */
        n += option(buf + n, 3, 0, NULL, 0);
    assert_true(hangs_up(f, buf, n));
    /* Inner lengths that reach past the option: refused, and the next option is understood. */
    static const uint8_t bad[][12] = {{0xff, 0xff, 0xff, 0xff, 0, 0}, {0, 0, 0, 0, 0xff, 0xff},
        {0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 5, 0, 0}};
    static const uint32_t numbers[] = {6, 7, 9, 10};
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 4; j++) {
            uint8_t reply[18 + 20];
            int fd = connect_socket(f);
            n = 4 + option(buf + 4, numbers[j], 9, bad[i], 9);
            assert_int_equal(send(fd, buf, n, MSG_NOSIGNAL), n);
            assert_int_equal(recv(fd, reply, sizeof reply, MSG_WAITALL), sizeof reply);
            assert_int_equal(vmscm_get_be32(reply + 18 + 12), 0x80000003);
            close(fd);
        }
    struct nbd_handle *h = connect_nbd(f, true);
    read_all(f, h, 32 * MIB);
    nbd_close(h);
}

static void test_hostile_requests(void **state)
{
    const struct fixture *f = *state;
    static const uint8_t flags[4] = {0, 0, 0, 3}, no_magic[28] = {0x25, 0x60, 0x95, 0x14};
    uint8_t buf[128] = {0}, reply[28 + 16];
    size_t n;

    memcpy(buf, flags, 4);
    n = 4 + option(buf + 4, 1, 0, NULL, 0);
    memcpy(buf + n, no_magic, 28);
    assert_true(hangs_up(f, buf, n + 28));
    /* A write of 4 GiB. */
    uint8_t *request = buf + n;
    memset(request, 0, 28);
    vmscm_put_be32(request, 0x25609513);
    request[7] = 1;
    vmscm_put_be32(request + 24, 0xffffffff);
    assert_true(hangs_up(f, buf, n + 28));
    /* Reads of 4 GiB, of unknown kinds and with unknown flags: EINVAL, with the request's cookie. */
    for (int i = 0; i < 3; i++) {
        request[7] = i == 1 ? 99 : 0;
        request[5] = i == 2 ? 0x80 : 0;
        vmscm_put_be32(request + 24, i == 0 ? 0xffffffff : 512);
        memcpy(request + 8, "cookies!", 8);
        int fd = connect_socket(f);
        assert_int_equal(send(fd, buf, n + 28, MSG_NOSIGNAL), n + 28);
        /* greeting 18, export 10, simple reply 16 */
        assert_int_equal(recv(fd, reply, 28 + 16, MSG_WAITALL), 28 + 16);
        assert_int_equal(vmscm_get_be32(reply + 28), 0x67446698);
        assert_int_equal(vmscm_get_be32(reply + 32), 22);
        assert_memory_equal(reply + 36, "cookies!", 8);
        close(fd);
    }
}

/* A client that asks for much and reads nothing does not keep the server from stopping. */
static void test_stop_with_stuck_client(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[20 + 28 * 50] = {0, 0, 0, 3};
    size_t n = 4 + option(buf + 4, 1, 0, NULL, 0);

    for (int i = 0; i < 50; i++) {
        vmscm_put_be32(buf + n, 0x25609513);
        vmscm_put_be32(buf + n + 24, 32 * MIB);
        n += 28;
    }
    int fd = connect_socket(f), idle = connect_socket(f);
    assert_int_equal(send(fd, buf, n, MSG_NOSIGNAL), n);
    usleep(100000);
    vmscm_nbdserver_stop(f->server, NULL);
    f->server = NULL;
    assert_int_equal(access(f->socket, F_OK), -1);
    close(fd);
    close(idle);
}

static void test_socket_path(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_nbdserver *other = NULL;
    char path[300];

    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[299] = '\0';
    assert_fails(vmscm_nbdserver_start(&other, &f->mem.dev, path, 1, NULL, NULL, &err), &err,
        VMSCM_EUSAGE, "too long");
    assert_fails(vmscm_nbdserver_start(&other, &f->mem.dev, f->socket, 1, NULL, NULL, &err), &err,
        VMSCM_EIO, "in use");
    struct nbd_handle *h = connect_nbd(f, true); /* the first is not disturbed */
    nbd_close(h);
}

/* QEMU's own client agrees on every byte; so do nbdkit's tools where they are installed. */
static void test_other_clients(void **state)
{
    struct fixture *f = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf out = VMSCM_BUF_INIT;
    char *raw = NULL, *copy = NULL, *uri = NULL, *qemu = NULL;

    assert_done(vmscm_path_join(&raw, f->dir, "raw", &err), &err);
    assert_done(vmscm_path_join(&copy, f->dir, "copy", &err), &err);
    assert_done(vmscm_str_printf(&uri, &err, "nbd+unix:///?socket=%s", f->socket), &err);
    assert_done(vmscm_str_printf(&qemu, &err,
                    "json:{\"driver\":\"nbd\",\"server\":{\"type\":\"unix\",\"path\":\"%s\"}}",
                    f->socket),
        &err);
    assert_done(vmscm_file_replace(raw, f->mem.bytes, SIZE, 0600, &err), &err);

    const char *const compare[] = {"qemu-img", "compare", "-f", "raw", "-F", "raw", raw, uri, NULL};
    struct vmscm_spawn_options o = {.argv = compare};
    assert_done(vmscm_spawn_run(&out, 1 << 20, &o, NULL, NULL, &err), &err);
    assert_non_null(strstr(vmscm_buf_str(&out), "identical"));
    out.len = 0;
    const char *const map[] = {"qemu-img", "map", "--output=json", qemu, NULL};
    o.argv = map;
    assert_done(vmscm_spawn_run(&out, 1 << 20, &o, NULL, NULL, &err), &err);
    assert_non_null(strstr(vmscm_buf_str(&out), "\"zero\": true"));
    const char *const nbdcopy[] = {"nbdcopy", uri, copy, NULL};
    o.argv = nbdcopy;
    int rc = vmscm_spawn_run(NULL, 0, &o, NULL, NULL, &err);
    if (rc != VMSCM_ETOOL || !strstr(err.message, "not installed")) {
        struct vmscm_buf bytes = VMSCM_BUF_INIT;
        assert_done(rc, &err);
        assert_done(vmscm_file_read(&bytes, copy, 64 * MIB, &err), &err);
        assert_int_equal(bytes.len, SIZE);
        assert_memory_equal(bytes.data, f->mem.bytes, SIZE);
        vmscm_buf_release(&bytes);
        out.len = 0;
        const char *const info[] = {"nbdinfo", "--list", uri, NULL};
        o.argv = info;
        assert_done(vmscm_spawn_run(&out, 1 << 20, &o, NULL, NULL, &err), &err);
        assert_non_null(strstr(vmscm_buf_str(&out), "export-size: 41944040"));
        assert_non_null(strstr(vmscm_buf_str(&out), "base:allocation"));
        assert_non_null(strstr(vmscm_buf_str(&out), "is_read_only: true"));
    }
    free(raw);
    free(copy);
    free(uri);
    free(qemu);
    vmscm_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_block_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writes_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failing_device, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_connections, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_handshakes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_with_stuck_client, setup, teardown),
        cmocka_unit_test_setup_teardown(test_socket_path, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_clients, setup, teardown),
    };
    return unit_run(tests);
}
