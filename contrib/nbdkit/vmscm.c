/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * nbdkit-vmscm-plugin(1): the disks of a revision as read-only NBD exports, straight from the packs.
 * A disk's id is its export's name; a machine's only disk, or the one that disk= names, is the
 * default export as well. With all=true there is no revision: every disk of every one is an export
 * "ID/DISK", with the revision's 40 digits, opened when it is first connected to and closed with its
 * last connection; and with idle= it ends by itself when nobody was connected for so long.
 *
 * Threading: nbdkit's parallel model. All connections share the open disks and one cache; disks
 * are opened once nbdkit is where it stays (after_fork), since threads and locks do not survive a
 * fork, and before that to see that they can be.
 */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <vmscm/disk.h>
#include <vmscm/machine.h>
#include <vmscm/remote.h>
#include <vmscm/repo.h>
#include <vmscm/revision.h>
#include <vmscm/version.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL
#define PREFERRED (64u << 10)
#define LONGEST (32u << 20)

struct settings {
    char *repo;
    char *rev;
    char *disk;
    int all;
    unsigned idle; /* seconds; 0: never */
    int64_t cache;
    unsigned threads;
};

struct opened {
    struct vmscm_repo *repo;
    struct vmscm_disk_cache *cache;
    struct vmscm_disk **disks;
    size_t count;
};

/* With all=true: a disk that somebody is connected to. */
struct shared {
    char *name;
    struct vmscm_disk *disk;
    unsigned users;
    struct shared *next;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* somebody came or went, or it ends */
    struct shared *disks;
    unsigned connections;
    int ends;
    int watched; /* watcher runs */
    pthread_t watcher;
} use = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct settings settings;
static struct opened opened;

/* Tell an error; -1 with what the client is to get. */
static int fail(int rc, const struct vmscm_error *err)
{
    nbdkit_error("%s%s%s%s", err->message, err->hint[0] ? " (" : "", err->hint,
        err->hint[0] ? ")" : "");
    nbdkit_set_error(rc == VMSCM_ENOMEM ? ENOMEM : rc == VMSCM_EUSAGE ? EINVAL : EIO);
    return -1;
}

static int copy(char **to, const char *value)
{
    free(*to);
    if ((*to = strdup(value)))
        return 0;
    nbdkit_error("out of memory");
    return -1;
}

static int plugin_config(const char *key, const char *value)
{
    if (strcmp(key, "repo") == 0) {
        free(settings.repo);
        return (settings.repo = nbdkit_realpath(value)) ? 0 : -1;
    }
    if (strcmp(key, "rev") == 0)
        return copy(&settings.rev, value);
    if (strcmp(key, "disk") == 0)
        return copy(&settings.disk, value);
    if (strcmp(key, "all") == 0)
        return (settings.all = nbdkit_parse_bool(value)) < 0 ? -1 : 0;
    if (strcmp(key, "idle") == 0)
        return nbdkit_parse_unsigned(key, value, &settings.idle);
    if (strcmp(key, "cache-size") == 0) {
        if ((settings.cache = nbdkit_parse_size(value)) == 0)
            nbdkit_error("cache-size: 0: must be more");
        return settings.cache > 0 ? 0 : -1;
    }
    if (strcmp(key, "readahead-threads") == 0)
        return nbdkit_parse_unsigned(key, value, &settings.threads);
    nbdkit_error("unknown parameter '%s': repo, rev, disk, all, idle, cache-size and "
                 "readahead-threads are known", key);
    return -1;
}

/* Here nbdkit is still in the directory it was started in. */
static int plugin_config_complete(void)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    const char *dir = getenv("VMSCM_DIR");
    char *path = NULL;
    int rc;

    if (settings.all && (settings.rev || settings.disk)) {
        nbdkit_error("all=true: not with %s=", settings.rev ? "rev" : "disk");
        return -1;
    }
    if (!settings.rev && !settings.all) {
        nbdkit_error("which revision? Say rev=MACHINE or rev=MACHINE:TAG");
        return -1;
    }
    if (settings.repo)
        return 0;
    if (dir && *dir)
        return (settings.repo = nbdkit_realpath(dir)) ? 0 : -1;
    if ((rc = vmscm_repo_discover(&path, ".", &err)))
        return fail(rc, &err);
    rc = copy(&settings.repo, path);
    vmscm_free(path);
    return rc;
}

static void close_all(void)
{
    for (size_t i = 0; i < opened.count; i++)
        vmscm_disk_close(opened.disks[i]);
    free(opened.disks);
    vmscm_disk_cache_free(opened.cache);
    vmscm_repo_close(opened.repo);
    memset(&opened, 0, sizeof opened);
}

static int open_disks(struct vmscm_revision *rev, struct vmscm_error *err)
{
    const struct vmscm_machine *machine;
    int rc = vmscm_revision_machine(&machine, rev, err);

    if (rc)
        return rc;
    if (settings.disk || machine->disk_count < 2) {
        opened.disks = calloc(1, sizeof *opened.disks);
        rc = opened.disks ? vmscm_disk_open_cached(
                                &opened.disks[0], rev, settings.disk, opened.cache, err)
                          : VMSCM_ENOMEM;
        opened.count = !rc;
        return rc;
    }
    if (!(opened.disks = calloc(machine->disk_count, sizeof *opened.disks)))
        return VMSCM_ENOMEM;
    for (size_t i = 0; i < machine->disk_count && !rc; i++)
        if (!(rc = vmscm_disk_open_cached(
                  &opened.disks[i], rev, machine->disks[i].id, opened.cache, err)))
            opened.count++;
    return rc;
}

static int open_all(void)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_revision *rev = NULL;
    int rc;

    if (!(rc = vmscm_repo_open(&opened.repo, settings.repo, &err)) &&
        /* What a lazy clone lacks comes from where it was cloned. */
        (!vmscm_remote_promisor(opened.repo) ||
            !(rc = vmscm_remote_attach(opened.repo, NULL, &err))) &&
        !(rc = vmscm_disk_cache_new(
              &opened.cache, (uint64_t)settings.cache, settings.threads, &err)) &&
        !settings.all && !(rc = vmscm_revision_resolve(&rev, opened.repo, settings.rev, &err)))
        rc = open_disks(rev, &err);
    vmscm_revision_free(rev);
    if (!rc)
        return 0;
    close_all();
    return fail(rc, &err);
}

static int plugin_get_ready(void)
{
    int rc = open_all();

    close_all();
    return rc;
}

/* Ends nbdkit when nobody was connected for so long. */
static void *watch(void *unused)
{
    struct timespec until;
    int rc = 0;

    (void)unused;
    pthread_mutex_lock(&use.lock);
    while (!use.ends && rc != ETIMEDOUT) {
        if (use.connections) {
            pthread_cond_wait(&use.changed, &use.lock);
            continue;
        }
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += settings.idle;
        do
            rc = pthread_cond_timedwait(&use.changed, &use.lock, &until);
        while (!use.ends && !use.connections && !rc);
    }
    use.ends = 1;
    pthread_mutex_unlock(&use.lock);
    if (rc == ETIMEDOUT)
        nbdkit_shutdown();
    return NULL;
}

static int plugin_after_fork(void)
{
    pthread_condattr_t attr;
    int sig = 0;

    /* Where nbdkit is told of its parent's death, it goes on until its clients are gone: with the
     * listening socket, at which it answers nobody any more. */
    if (settings.all && prctl(PR_GET_PDEATHSIG, &sig) == 0 && sig == SIGTERM)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (open_all())
        return -1;
    if (!settings.idle)
        return 0;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&use.changed, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&use.watcher, NULL, watch, NULL)) {
        nbdkit_error("idle: no thread can be started");
        return -1;
    }
    use.watched = 1;
    return 0;
}

/* Under the lock. */
static void note_use(int change)
{
    use.connections += (unsigned)change;
    if (use.watched)
        pthread_cond_signal(&use.changed);
}

static void plugin_unload(void)
{
    struct vmscm_disk_cache_stats stats;

    if (use.watched) {
        pthread_mutex_lock(&use.lock);
        use.ends = 1;
        pthread_cond_signal(&use.changed);
        pthread_mutex_unlock(&use.lock);
        pthread_join(use.watcher, NULL);
        pthread_cond_destroy(&use.changed);
    }
    if (opened.cache) {
        vmscm_disk_cache_stats(&stats, opened.cache);
        nbdkit_debug("cache: %llu records read, %llu times found",
            (unsigned long long)stats.reads, (unsigned long long)stats.hits);
    }
    close_all();
    free(settings.repo);
    free(settings.rev);
    free(settings.disk);
}

static int plugin_list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
    (void)readonly, (void)is_tls;
    for (size_t i = 0; i < opened.count; i++)
        if (nbdkit_add_export(exports, vmscm_disk_id(opened.disks[i]), settings.rev) < 0)
            return -1;
    return 0;
}

static const char *plugin_default_export(int readonly, int is_tls)
{
    (void)readonly, (void)is_tls;
    return opened.count == 1 ? vmscm_disk_id(opened.disks[0]) : "";
}

/* A disk by "ID/DISK", shared by all who are connected to it. Under the lock. */
static struct vmscm_disk *open_shared(const char *name)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_revision *rev = NULL;
    struct shared *s = use.disks;
    char id[VMSCM_ID_HEX + 1];
    int rc;

    while (s && strcmp(s->name, name) != 0)
        s = s->next;
    if (s) {
        s->users++;
        return s->disk;
    }
    /* Nothing but a whole id: what else would name a revision may come to name another. */
    if (strspn(name, "0123456789abcdef") != VMSCM_ID_HEX || name[VMSCM_ID_HEX] != '/') {
        nbdkit_error("export '%.100s': not ID/DISK", name);
        nbdkit_set_error(ENOENT);
        return NULL;
    }
    memcpy(id, name, VMSCM_ID_HEX);
    id[VMSCM_ID_HEX] = '\0';
    if (!(s = calloc(1, sizeof *s)) || !(s->name = strdup(name))) {
        nbdkit_error("out of memory");
        free(s);
        return NULL;
    }
    if (!(rc = vmscm_revision_resolve(&rev, opened.repo, id, &err)))
        rc = vmscm_disk_open_cached(&s->disk, rev, name + VMSCM_ID_HEX + 1, opened.cache, &err);
    vmscm_revision_free(rev);
    if (rc) {
        fail(rc, &err);
        if (rc == VMSCM_ENOTFOUND)
            nbdkit_set_error(ENOENT);
        free(s->name);
        free(s);
        return NULL;
    }
    s->users = 1;
    s->next = use.disks;
    use.disks = s;
    return s->disk;
}

/* Under the lock. */
static void close_shared(const struct vmscm_disk *disk)
{
    for (struct shared **at = &use.disks; *at; at = &(*at)->next) {
        struct shared *s = *at;
        if (s->disk != disk)
            continue;
        if (--s->users == 0) {
            *at = s->next;
            vmscm_disk_close(s->disk);
            free(s->name);
            free(s);
        }
        return;
    }
}

static void *open_fixed(const char *name)
{
    if (opened.count == 1 && name && !*name)
        return opened.disks[0];
    for (size_t i = 0; i < opened.count && name; i++)
        if (strcmp(name, vmscm_disk_id(opened.disks[i])) == 0)
            return opened.disks[i];
    nbdkit_error("export '%s': %s", name ? name : "",
        name && *name ? "there is no such disk" : "there are several disks: name one of them");
    nbdkit_set_error(ENOENT);
    return NULL;
}

static void *plugin_open(int readonly)
{
    const char *name = nbdkit_export_name();
    void *disk;

    (void)readonly;
    pthread_mutex_lock(&use.lock);
    if (use.ends) {
        /* QEMU tries again, and is served by the next one. */
        nbdkit_error("export '%s': the idle server ends just now", name ? name : "");
        nbdkit_set_error(ESHUTDOWN);
        disk = NULL;
    } else {
        disk = settings.all ? open_shared(name ? name : "") : open_fixed(name);
    }
    if (disk)
        note_use(1);
    pthread_mutex_unlock(&use.lock);
    return disk;
}

static void plugin_close(void *handle)
{
    pthread_mutex_lock(&use.lock);
    if (settings.all)
        close_shared(handle);
    note_use(-1);
    pthread_mutex_unlock(&use.lock);
}

static int64_t plugin_get_size(void *handle)
{
    return (int64_t)vmscm_disk_size(handle);
}

static const char *plugin_export_description(void *handle)
{
    return settings.rev
        ? nbdkit_printf_intern("%s:%s", settings.rev, vmscm_disk_id(handle))
        : nbdkit_export_name();
}

static int plugin_block_size(void *handle, uint32_t *minimum, uint32_t *preferred,
    uint32_t *maximum)
{
    (void)handle;
    *minimum = 1;
    *preferred = PREFERRED;
    *maximum = LONGEST;
    return 0;
}

static int plugin_no(void *handle)
{
    (void)handle;
    return 0;
}

static int plugin_yes(void *handle)
{
    (void)handle;
    return 1;
}

/* What a client asks to be cached is read once, and stays with us. */
static int plugin_can_cache(void *handle)
{
    (void)handle;
    return NBDKIT_CACHE_EMULATE;
}

static int plugin_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    int rc = vmscm_disk_pread(handle, buf, count, offset, &err);

    (void)flags;
    return rc ? fail(rc, &err) : 0;
}

static int plugin_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
    struct nbdkit_extents *extents)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint64_t end = offset + count, len;
    int rc, zero;

    while (offset < end) {
        if ((rc = vmscm_disk_extent(handle, offset, &len, &zero, &err)))
            return fail(rc, &err);
        if (nbdkit_add_extent(
                extents, offset, len, zero ? NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO : 0) < 0)
            return -1;
        offset += len;
        if (flags & NBDKIT_FLAG_REQ_ONE)
            break;
    }
    return 0;
}

static struct nbdkit_plugin plugin = {
    .name = "vmscm",
    .longname = "vmscm revisions",
    .description = "Serve the disks of a revision of a vmscm repository, read-only.",
    .version = VMSCM_VERSION,
    .config = plugin_config,
    .config_complete = plugin_config_complete,
    .config_help = "rev=<REV>                The revision: MACHINE, MACHINE:TAG, an id.\n"
                   "all=<BOOL>               Or every revision: exports ID/DISK.\n"
                   "idle=<SECONDS>           End when nobody was connected for so long.\n"
                   "repo=<DIR>               The repository; by default that of the directory.\n"
                   "disk=<ID>                Just this disk; by default all, an export each.\n"
                   "cache-size=<SIZE>        Decompressed data to keep (default: 128M).\n"
                   "readahead-threads=<N>    Threads that read ahead (default: one a core).",
    .magic_config_key = "rev",
    .unload = plugin_unload,
    .get_ready = plugin_get_ready,
    .after_fork = plugin_after_fork,
    .list_exports = plugin_list_exports,
    .default_export = plugin_default_export,
    .open = plugin_open,
    .close = plugin_close,
    .get_size = plugin_get_size,
    .export_description = plugin_export_description,
    .block_size = plugin_block_size,
    .can_write = plugin_no,
    .is_rotational = plugin_no,
    .can_extents = plugin_yes,
    .can_multi_conn = plugin_yes,
    .can_cache = plugin_can_cache,
    .pread = plugin_pread,
    .extents = plugin_extents,
    .errno_is_preserved = 0,
};

NBDKIT_REGISTER_PLUGIN(plugin)
