/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * nbdkit-vmscm-plugin(1): the disks of a revision as read-only NBD exports, straight from the packs.
 * A disk's id is its export's name; a machine's only disk, or the one that disk= names, is the
 * default export as well. With all=true there is no revision: every disk of every one is an export
 * "ID/DISK", with the revision's 40 digits, opened when it is first connected to and closed with its
 * last connection; and with idle= it ends by itself when nobody was connected for so long.
 *
 * Where there is a boot trace of the revision, what it has is read ahead as soon as reads follow it: see
 * bootdisk.h. With record= what is read is noted, and written to a file at the end.
 *
 * Threading: nbdkit's parallel model. All connections share the open disks and one cache; disks
 * are opened once nbdkit is where it stays (after_fork), since threads and locks do not survive a
 * fork, and before that to see that they can be.
 */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "bootdisk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include <vmscm/disk.h>
#include <vmscm/machine.h>
#include <vmscm/remote.h>
#include <vmscm/repo.h>
#include <vmscm/revision.h>
#include <vmscm/trace.h>
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
    enum bootdisk_use trace;
    char *record;
};

/* A disk; with all=true, one that somebody is connected to. It is what connections have as handle. */
struct shared {
    struct bootdisk boot;
    char *name;
    unsigned users;
    struct shared *next;
};

struct opened {
    struct vmscm_repo *repo;
    struct vmscm_disk_cache *cache;
    struct shared *disks;
    size_t count;
    struct vmscm_trace *recording; /* what is read, with record=; NULL: it is not noted */
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

static int config_trace(const char *value)
{
    static const char *const words[] = {"auto", "always", "never"};

    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i], value) == 0) {
            settings.trace = (enum bootdisk_use)i;
            return 0;
        }
    nbdkit_error("trace=%s: auto, always or never", value);
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
    if (strcmp(key, "record") == 0) {
        free(settings.record);
        return (settings.record = nbdkit_absolute_path(value)) ? 0 : -1;
    }
    if (strcmp(key, "trace") == 0)
        return config_trace(value);
    nbdkit_error("unknown parameter '%s': repo, rev, disk, all, idle, cache-size, readahead-threads, "
                 "record and trace are known", key);
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
    if (settings.all && settings.record) {
        nbdkit_error("all=true: not with record=");
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
        bootdisk_close(&opened.disks[i].boot);
    free(opened.disks);
    vmscm_trace_free(opened.recording);
    vmscm_disk_cache_free(opened.cache);
    vmscm_repo_close(opened.repo);
    memset(&opened, 0, sizeof opened);
}

static int open_disk(struct shared *s, struct vmscm_revision *rev, const char *id,
    struct vmscm_error *err)
{
    /* What was read ahead would be noted. */
    return bootdisk_open(&s->boot, rev, id, opened.cache,
        settings.record ? BOOTDISK_NEVER : settings.trace, err);
}

static int open_disks(struct vmscm_revision *rev, struct vmscm_error *err)
{
    const struct vmscm_machine *machine;
    int rc = vmscm_revision_machine(&machine, rev, err);

    if (rc)
        return rc;
    bool one = settings.disk || machine->disk_count < 2;
    opened.count = one ? 1 : machine->disk_count;
    if (!(opened.disks = calloc(opened.count, sizeof *opened.disks)))
        return VMSCM_ENOMEM;
    for (size_t i = 0; i < opened.count && !rc; i++)
        rc = open_disk(&opened.disks[i], rev, one ? settings.disk : machine->disks[i].id, err);
    return rc;
}

static void on_warning(void *data, const char *text)
{
    (void)data;
    nbdkit_error("%s", text);
}

static void on_note(void *data, const char *text)
{
    (void)data;
    nbdkit_debug("%s", text);
}

/* What the remote of a lazy clone has to say. */
static const struct vmscm_events events = {.warning = on_warning, .note = on_note};

static int open_all(void)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_revision *rev = NULL;
    int rc;

    if (!(rc = vmscm_repo_open(&opened.repo, settings.repo, &err)) &&
        /* What a lazy clone lacks comes from where it was cloned. */
        (!vmscm_remote_promisor(opened.repo) ||
            !(rc = vmscm_remote_attach(opened.repo, &events, &err))) &&
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
    struct vmscm_error err = VMSCM_ERROR_INIT;
    pthread_condattr_t attr;
    int sig = 0;

    /* Where nbdkit is told of its parent's death, it goes on until its clients are gone: with the
     * listening socket, at which it answers nobody any more. */
    if (settings.all && prctl(PR_GET_PDEATHSIG, &sig) == 0 && sig == SIGTERM)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (open_all())
        return -1;
    if (settings.record && vmscm_trace_new(&opened.recording, &err))
        return fail(VMSCM_ENOMEM, &err);
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

/* What was read, for whoever asked. */
static void write_recording(void)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char *text = NULL;
    int fd, bad;

    if (vmscm_trace_text(&text, opened.recording, &err)) {
        nbdkit_debug("record: %s", err.message);
        return;
    }
    fd = open(settings.record, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bad = fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text);
    if (fd >= 0 && close(fd) < 0)
        bad = 1;
    if (bad)
        nbdkit_error("%s: %m", settings.record);
    vmscm_free(text);
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
    if (opened.recording)
        write_recording();
    close_all();
    free(settings.repo);
    free(settings.rev);
    free(settings.record);
    free(settings.disk);
}

static int plugin_list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
    (void)readonly, (void)is_tls;
    for (size_t i = 0; i < opened.count; i++)
        if (nbdkit_add_export(exports, vmscm_disk_id(opened.disks[i].boot.disk), settings.rev) < 0)
            return -1;
    return 0;
}

static const char *plugin_default_export(int readonly, int is_tls)
{
    (void)readonly, (void)is_tls;
    return opened.count == 1 ? vmscm_disk_id(opened.disks[0].boot.disk) : "";
}

/* A disk by "ID/DISK", shared by all who are connected to it. Under the lock. */
static struct shared *open_shared(const char *name)
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
        return s;
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
        rc = open_disk(s, rev, name + VMSCM_ID_HEX + 1, &err);
    vmscm_revision_free(rev);
    if (rc) {
        fail(rc, &err);
        if (rc == VMSCM_ENOTFOUND)
            nbdkit_set_error(ENOENT);
        bootdisk_close(&s->boot);
        free(s->name);
        free(s);
        return NULL;
    }
    s->users = 1;
    s->next = use.disks;
    use.disks = s;
    bootdisk_connect(&s->boot);
    return s;
}

/* Under the lock. */
static void close_shared(struct shared *s)
{
    struct shared **at = &use.disks;

    if (--s->users)
        return;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    bootdisk_close(&s->boot);
    free(s->name);
    free(s);
}

static void *open_fixed(const char *name)
{
    for (size_t i = 0; i < opened.count && name; i++) {
        struct shared *s = &opened.disks[i];
        if (strcmp(name, vmscm_disk_id(s->boot.disk)) != 0 && (opened.count > 1 || *name))
            continue;
        bootdisk_connect(&s->boot);
        return s;
    }
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
    const struct shared *s = handle;

    return (int64_t)vmscm_disk_size(s->boot.disk);
}

static const char *plugin_export_description(void *handle)
{
    const struct shared *s = handle;

    return settings.rev
        ? nbdkit_printf_intern("%s:%s", settings.rev, vmscm_disk_id(s->boot.disk))
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
    struct shared *s = handle;
    int rc;

    (void)flags;
    if (opened.recording)
        vmscm_trace_add(opened.recording, vmscm_disk_id(s->boot.disk), offset, count);
    bootdisk_watch(&s->boot, offset, count);
    rc = vmscm_disk_pread(s->boot.disk, buf, count, offset, &err);
    return rc ? fail(rc, &err) : 0;
}

static int plugin_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
    struct nbdkit_extents *extents)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct shared *s = handle;
    uint64_t end = offset + count, len;
    int rc, zero;

    while (offset < end) {
        if ((rc = vmscm_disk_extent(s->boot.disk, offset, &len, &zero, &err)))
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
                   "readahead-threads=<N>    Threads that read ahead (default: one a core).\n"
                   "record=<FILE>            Write what is read to FILE, as a boot trace.\n"
                   "trace=auto|always|never  When to read ahead by the revision's boot trace.",
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
