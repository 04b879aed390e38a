/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All files of a guest by their metadata, and then, of those that standard input names, sums of
 * their content.
 *
 * On standard output a record for each: "MODE UID GID SIZE MTIME CTIME INODE PATH", MODE octal,
 * times as SECONDS.NANOSECONDS, and a zero; a link's target, or nothing, and a zero. A newline ends
 * the tree. Standard input then has paths, each with a zero behind it, till its end; the answer to
 * each is its SHA-256 in hexadecimal, or nothing if it cannot be read, and a zero.
 */
#include "guest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILES_MAX 1000000
#define NAMES_MAX ((size_t)256 << 20)
#define REQUESTS_MAX ((size_t)64 << 20)

/* All of a file or stream; the caller's, with a zero behind it. NULL: more than max, or it cannot
 * be read. */
static char *slurp(FILE *in, size_t max, size_t *len)
{
    char *text = NULL;
    size_t room = 0, n = 1;

    *len = 0;
    while (n) {
        if (*len + 1 >= room) {
            room = room ? room * 2 : 65536;
            char *more = room > max ? NULL : realloc(text, room);
            if (!more) {
                free(text);
                return NULL;
            }
            text = more;
        }
        n = fread(text + *len, 1, room - *len - 1, in);
        *len += n;
    }
    text[*len] = '\0';
    if (ferror(in)) {
        free(text);
        return NULL;
    }
    return text;
}

/* Every path, without the slash in front, each with a zero behind it; the caller's. */
static char *find_names(guestfs_h *g, size_t *len, const char **why)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");
    char *path = NULL, *names = NULL;
    FILE *file;

    *why = NULL;
    if (!dir || asprintf(&path, "%s/names", dir) < 0) {
        *why = "out of memory";
        return NULL;
    }
    if (guestfs_find0(g, "/", path)) {
        *why = guestfs_last_error(g);
    } else if ((file = fopen(path, "re"))) {
        names = slurp(file, NAMES_MAX, len);
        fclose(file);
    }
    if (!names && !*why)
        *why = "it has too many files";
    remove(path);
    free(path);
    return names;
}

/* A path in its two parts; dir is "" for what is in the root. */
struct name {
    const char *dir;
    char *base;
};

static int by_dir(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->dir, ((const struct name *)b)->dir);
}

static char **read_targets(
    guestfs_h *g, const char *dir, char **names, const struct guestfs_statns_list *stats)
{
    char **links = calloc(stats->len + 1, sizeof *links), **targets = NULL;
    size_t count = 0;

    for (uint32_t i = 0; links && i < stats->len; i++)
        if (S_ISLNK((mode_t)stats->val[i].st_mode))
            links[count++] = names[i];
    if (count)
        targets = guestfs_readlinklist(g, dir, links);
    free(links);
    return targets;
}

static void print_one(
    const struct guestfs_statns *st, const char *dir, const char *name, const char *target)
{
    printf("%" PRIo64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 ".%09" PRId64 " %" PRId64
           ".%09" PRId64 " %" PRId64 " %s%s%s%c%s%c",
        st->st_mode, st->st_uid, st->st_gid, st->st_size, st->st_mtime_sec, st->st_mtime_nsec,
        st->st_ctime_sec, st->st_ctime_nsec, st->st_ino, dir, dir[1] ? "/" : "", name, 0, target,
        0);
}

/* Names in one directory. One that is gone or cannot be told has the inode -1, and is left out. */
static int print_dir(guestfs_h *g, const char *dir, char **names)
{
    struct guestfs_statns_list *stats = guestfs_lstatnslist(g, dir, names);
    char **targets = stats ? read_targets(g, dir, names, stats) : NULL;
    size_t link = 0, target_count = 0;
    int rc = stats ? 0 : -1;

    while (targets && targets[target_count])
        target_count++;
    for (uint32_t i = 0; stats && i < stats->len && names[i]; i++) {
        const struct guestfs_statns *st = &stats->val[i];
        int is_link = S_ISLNK((mode_t)st->st_mode);
        const char *target = is_link && link < target_count ? targets[link] : "";
        link += (size_t)is_link;
        if (st->st_ino != -1)
            print_one(st, dir, names[i], target);
    }
    guest_free_strings(targets);
    guestfs_free_statns_list(stats);
    return rc;
}

static int print_group(guestfs_h *g, const struct name *first, size_t count)
{
    char *dir = NULL, **bases = calloc(count + 1, sizeof *bases);
    int rc = -1;

    for (size_t i = 0; bases && i < count; i++)
        bases[i] = first[i].base;
    if (bases && asprintf(&dir, "/%s", first->dir) >= 0)
        rc = print_dir(g, dir, bases);
    free(dir);
    free(bases);
    return rc;
}

/* libguestfs tells of many files at once what they are, if they are in one directory. */
static int print_tree(guestfs_h *g, char *text, size_t len, const char **why)
{
    struct name *names;
    size_t total = 0, count;
    int rc = 0;

    for (char *p = text; p < text + len; p += strlen(p) + 1)
        total++;
    if (total > FILES_MAX || !(names = calloc(total + 1, sizeof *names))) {
        *why = "it has over 1000000 files";
        return -1;
    }
    total = 0;
    for (char *p = text, *next; p < text + len; p = next) {
        char *slash = strrchr(p, '/');
        next = p + strlen(p) + 1;
        if (slash)
            *slash = '\0';
        names[total++] = (struct name){slash ? p : "", slash ? slash + 1 : p};
    }
    qsort(names, total, sizeof *names, by_dir);
    for (size_t i = 0; i < total && !rc; i += count) {
        for (count = 1; i + count < total && by_dir(&names[i], &names[i + count]) == 0;)
            count++;
        rc = print_group(g, &names[i], count);
    }
    if (rc)
        *why = guestfs_last_error(g);
    free(names);
    return rc;
}

static int answer(guestfs_h *g)
{
    size_t len;
    char *paths = slurp(stdin, REQUESTS_MAX, &len);

    for (char *p = paths; p && p < paths + len; p += strlen(p) + 1) {
        char *sum =
            *p == '/' && guestfs_is_file(g, p) == 1 ? guestfs_checksum(g, "sha256", p) : NULL;
        printf("%s%c", sum ? sum : "", 0);
        free(sum);
    }
    free(paths);
    return paths ? 0 : -1;
}

int tree_tell(const struct guest *guest, const char *device, char **why)
{
    const char *problem = NULL;
    size_t len;
    int rc = files_mount(guest, device, why);

    if (rc)
        return rc;
    char *names = find_names(guest->g, &len, &problem);
    if (!names || print_tree(guest->g, names, len, &problem)) {
        *why = strdup(problem ? problem : "it cannot be read");
        rc = 1;
    }
    free(names);
    if (!rc) {
        putchar('\n');
        fflush(stdout);
        rc = answer(guest->g) || fflush(stdout) || ferror(stdout);
    }
    return rc;
}
