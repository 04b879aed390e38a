/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bit rot: flips every bit of every file of a repository, cuts every file at every length and takes
 * every file away, one at a time, and each time checks and reads the repository as facts.h says. No
 * process may die, hang, or want more memory than a bound.
 * Usage: bitrot [-e N] [-v] REPOSITORY...
 *   -e N   only one of N changes, the same ones every time
 *   -v     say what was found for each
 * The repositories are copies of one; each has a process of its own. They are as before at the end.
 * Ends with a line "CHANGES changes: REPORTED reported, HARMLESS harmless, N failed".
 */
#include "facts.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <git2.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAILURES_MAX 50
#define MEMORY_MAX ((rlim_t)512 << 20) /* beyond what the process has when it begins */
#define SECONDS_MAX 60                 /* of processor time: a hang, on any machine */

struct file {
    char *path; /* relative */
    uint8_t *bytes;
    size_t size;
};

/* What the processes share with the one that started them. */
struct progress {
    uint64_t next; /* the change under way, or to be made next */
    uint64_t changes, reported, harmless, failed;
};

static struct file *files;
static size_t file_count, root_len;
static uint64_t every = 1;
static int verbose;

static void die(const char *what)
{
    fprintf(stderr, "bitrot: %s: %s\n", what, strerror(errno));
    exit(3);
}

static int see(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)where;
    if (type != FTW_F)
        return 0;
    files = realloc(files, (file_count + 1) * sizeof *files);
    if (!files)
        die("memory");
    struct file *f = &files[file_count++];
    f->path = strdup(path + root_len + 1);
    f->size = (size_t)st->st_size;
    f->bytes = malloc(f->size + 1);
    int fd = open(path, O_RDONLY);
    if (!f->path || !f->bytes || fd < 0 || read(fd, f->bytes, f->size) != (ssize_t)f->size)
        die(path);
    close(fd);
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

/* Each bit, each length, and gone. */
static uint64_t changes_of(const struct file *f)
{
    return (uint64_t)f->size * 9 + 1;
}

static void put(const char *path, const void *bytes, size_t len, size_t offset)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0644);

    if (fd < 0 || pwrite(fd, bytes, len, (off_t)offset) != (ssize_t)len)
        die(path);
    close(fd);
}

/* Makes the change, or takes it back. what: as it is told. */
static void change(const char *root, uint64_t number, int back, char what[512])
{
    const struct file *f = files;
    char path[4096];

    for (; number >= changes_of(f); f++)
        number -= changes_of(f);
    snprintf(path, sizeof path, "%s/%s", root, f->path);
    size_t at = (size_t)(number / 9);
    if (at == f->size) {
        snprintf(what, 512, "%.400s, gone", f->path);
        if (back)
            put(path, f->bytes, f->size, 0);
        else if (unlink(path) < 0)
            die(path);
    } else if (number % 9 == 8) {
        snprintf(what, 512, "%.400s, cut at %zu", f->path, at);
        if (back)
            put(path, f->bytes + at, f->size - at, at);
        else if (truncate(path, (off_t)at) < 0)
            die(path);
    } else {
        uint8_t byte = (uint8_t)(f->bytes[at] ^ (back ? 0 : 1u << number % 9));
        snprintf(what, 512, "%.400s, bit %u of byte %zu", f->path, (unsigned)(number % 9), at);
        put(path, &byte, 1, at);
    }
}

/* One of N, scattered, but the same ones every time. */
static int chosen(uint64_t number)
{
    uint64_t z = number * UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % every == 0;
}

static void set_limits(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");

    if (!statm || fscanf(statm, "%lu", &pages) != 1)
        die("/proc/self/statm");
    fclose(statm);
    rlim_t limit = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + MEMORY_MAX;
    if (setrlimit(RLIMIT_AS, &(struct rlimit){limit, limit}) < 0)
        die("setrlimit");
#endif
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

static void __attribute__((noreturn)) work(const char *root, const struct facts *facts,
    struct progress *p, uint64_t step, uint64_t total)
{
    struct itimerval limit = {{0, 0}, {SECONDS_MAX, 0}};
    char what[512], why[1000];

    set_limits();
    for (; p->next < total; p->next += step) {
        if (!chosen(p->next))
            continue;
        why[0] = '\0';
        change(root, p->next, 0, what);
        setitimer(ITIMER_VIRTUAL, &limit, NULL);
        int verdict = facts_check(facts, why, root);
        p->changes++;
        p->reported += verdict == 1;
        p->harmless += verdict == 0;
        p->failed += verdict == 2;
        if (verdict == 2 || verbose) {
            printf("%s%s: %s\n", verdict == 2 ? "FAILED: " : "", what, *why ? why : "harmless");
            fflush(stdout);
        }
        change(root, p->next, 1, what);
        if (p->failed > FAILURES_MAX)
            exit(1);
    }
    exit(0);
}

/* Processes that die are replaced: the change that killed one is the failure. */
static void run(char **roots, size_t count, const struct facts *facts, struct progress *progress,
    uint64_t total)
{
    pid_t pids[64] = {0};
    char what[512];
    int status;

    for (size_t i = 0; i < count; i++)
        progress[i].next = i;
    for (size_t i = 0;; i = 0) {
        size_t running = 0;
        for (i = 0; i < count; i++) {
            struct progress *p = &progress[i];
            if (pids[i] == 0 && p->next < total && p->failed <= FAILURES_MAX) {
                if ((pids[i] = fork()) < 0)
                    die("fork");
                if (pids[i] == 0)
                    work(roots[i], facts, p, count, total);
            }
            running += pids[i] != 0;
        }
        if (!running)
            return;
        pid_t pid = wait(&status);
        for (i = 0; i < count && pids[i] != pid; i++)
            ;
        if (i == count)
            die("wait");
        pids[i] = 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) <= 1)
            continue;
        change(roots[i], progress[i].next, 1, what);
        if (WIFEXITED(status))
            printf("FAILED: %s: the process ended with status %d\n", what, WEXITSTATUS(status));
        else
            printf("FAILED: %s: the process was killed: %s\n", what, strsignal(WTERMSIG(status)));
        fflush(stdout);
        progress[i].failed++;
        progress[i].changes++;
        progress[i].next += count;
    }
}

int main(int argc, char **argv)
{
    struct progress *progress, sum = {0};
    struct facts facts;
    char why[1000] = "";
    uint64_t total = 0;
    int option;

    while ((option = getopt(argc, argv, "e:v")) != -1) {
        if (option == 'v')
            verbose = 1;
        else if (option != 'e' || (every = strtoull(optarg, NULL, 10)) < 1)
            return 2;
    }
    size_t count = (size_t)(argc - optind);
    char **roots = argv + optind;
    if (count < 1 || count > 64)
        return 2;
    /* Else each repository that is opened starts libgit2 anew, which reads the system's certificates. */
    git_libgit2_init();
    root_len = strlen(roots[0]);
    if (nftw(roots[0], see, 64, FTW_PHYS) < 0)
        die(roots[0]);
    qsort(files, file_count, sizeof *files, compare);
    for (size_t i = 0; i < file_count; i++)
        total += changes_of(&files[i]);
    progress = mmap(NULL, count * sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
        -1, 0);
    if (progress == MAP_FAILED)
        die("memory");
    if (facts_collect(&facts, why, roots[0])) {
        fprintf(stderr, "bitrot: %s\n", why);
        return 3;
    }
    int verdict = facts_check(&facts, why, roots[0]);
    if (verdict) {
        fprintf(stderr, "bitrot: not whole to begin with: %s\n", why);
        return 3;
    }
    printf("%zu files, %llu changes possible, %zu facts\n", file_count, (unsigned long long)total,
        facts.count);
    fflush(stdout);
    run(roots, count, &facts, progress, total);
    for (size_t i = 0; i < count; i++) {
        sum.changes += progress[i].changes;
        sum.reported += progress[i].reported;
        sum.harmless += progress[i].harmless;
        sum.failed += progress[i].failed;
    }
    printf("%llu changes: %llu reported, %llu harmless, %llu failed\n",
        (unsigned long long)sum.changes, (unsigned long long)sum.reported,
        (unsigned long long)sum.harmless, (unsigned long long)sum.failed);
    facts_release(&facts);
    for (size_t i = 0; i < file_count; i++) {
        free(files[i].path);
        free(files[i].bytes);
    }
    free(files);
    return sum.failed || !sum.changes;
}
