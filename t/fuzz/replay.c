/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Runs a fuzz target without a fuzzer, so that every compiler can: each input of its corpus, and
 * of each, cut short at every length and with every byte changed, as far as its first bytes go.
 * Usage: fuzz_NAME [FILE-OR-DIRECTORY...]; by default t/fuzz/corpus/NAME of the source tree.
 * Prints TAP. What a target finds it tells by dying.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX (16u << 20)
#define MUTATED_BYTES 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned inputs;

/* A copy of exactly the input's size, so that reading past its end is seen. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy) {
        perror("replay");
        exit(1);
    }
    if (size)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_mutated(uint8_t *data, size_t size)
{
    static const uint8_t patterns[] = {0x00, 0xff, 0x7f, 0x80, 0x01};
    size_t reach = size < MUTATED_BYTES ? size : MUTATED_BYTES;

    for (size_t n = 0; n <= reach && n < size; n++)
        run(data, n);
    for (size_t i = 0; i < reach; i++) {
        uint8_t kept = data[i];

        for (size_t p = 0; p < sizeof patterns; p++) {
            data[i] = patterns[p];
            run(data, size);
        }
        data[i] = (uint8_t)(kept ^ 1);
        run(data, size);
        data[i] = kept;
    }
}

static int replay_file(const char *path)
{
    uint8_t *data = malloc(INPUT_MAX);
    FILE *file = fopen(path, "rb");
    int rc = 1;

    if (data && file) {
        size_t size = fread(data, 1, INPUT_MAX, file);

        if (!ferror(file)) {
            run(data, size);
            run_mutated(data, size);
            rc = 0;
        }
    }
    printf("%s %u - %s\n", rc ? "not ok" : "ok", ++inputs, path);
    fflush(stdout);
    if (file)
        fclose(file);
    free(data);
    return rc;
}

static int replay(const char *path)
{
    struct dirent **entries = NULL;
    struct stat st;
    int count, rc = 0;

    if (stat(path, &st)) {
        printf("not ok %u - %s: %s\n", ++inputs, path, strerror(errno));
        return 1;
    }
    if (!S_ISDIR(st.st_mode))
        return replay_file(path);
    count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char name[PATH_MAX];
        int len = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);

        if (entries[i]->d_name[0] != '.' && len > 0 && (size_t)len < sizeof name)
            rc |= replay(name);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

int main(int argc, char **argv)
{
    int rc = 0;

    run((const uint8_t *)"", 0);
    printf("ok %u - the empty input\n", ++inputs);
    for (int i = 1; i < argc; i++)
        rc |= replay(argv[i]);
    if (argc < 2) {
        struct stat st;

        if (!stat(CORPUS, &st))
            rc |= replay(CORPUS);
    }
    printf("1..%u\n", inputs);
    return rc;
}
