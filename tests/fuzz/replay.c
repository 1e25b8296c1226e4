/* SPDX-License-Identifier: Apache-2.0 */
/* replay CORPUS COUNT: gives a fuzz target each file of a folder, then COUNT mutations of them. The mutations
 * are drawn from a fixed seed, so that a failure comes again; the input that failed is left in a file. */
#include "base/check.h"
#include "fuzz/fuzz.h"
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEEDS_MAX = 256, SEED_BYTES_MAX = 4096, EDITS_MAX = 6 };

struct input {
    uint8_t at[SEED_BYTES_MAX];
    size_t len;
};

static struct input seeds[SEEDS_MAX];
static size_t seeds_count;
static uint64_t state = 1;

static size_t draw(size_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(state >> 33) % below;
}

static void seed_read(const char *path)
{
    FILE *f = fopen(path, "rb");

    CHECK(f != NULL);
    CHECK(seeds_count < SEEDS_MAX);
    struct input *in = &seeds[seeds_count++];
    in->len = fread(in->at, 1, sizeof in->at, f);
    fclose(f);
}

static int is_visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void corpus_read(const char *folder)
{
    struct dirent **entries;
    char path[4096];
    int n = scandir(folder, &entries, is_visible, alphasort);

    CHECK(n > 0);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        seed_read(path);
        free(entries[i]);
    }
    free(entries);
}

static void edit_insert(struct input *in, size_t at, uint8_t byte)
{
    if (in->len == sizeof in->at) return;
    memmove(in->at + at + 1, in->at + at, in->len - at);
    in->at[at] = byte;
    in->len++;
}

static void edit_remove(struct input *in, size_t at, size_t n)
{
    memmove(in->at + at, in->at + at + n, in->len - at - n);
    in->len -= n;
}

/* Puts a piece of another seed over what is at `at`. */
static void edit_splice(struct input *in, size_t at)
{
    const struct input *from = &seeds[draw(seeds_count)];
    size_t start = draw(from->len + 1), n = draw(from->len - start + 1);

    if (n > sizeof in->at - at) n = sizeof in->at - at;
    memcpy(in->at + at, from->at + start, n);
    if (at + n > in->len) in->len = at + n;
}

static void edit(struct input *in)
{
    static const uint8_t telling[] = { 0x00, 0x01, 0x02, 0x7f, 0x80, 0xff, '+',
                                       '#',  '/',  '$',  0x26, 0x0b, 0xc0, 0xed };
    size_t at = draw(in->len + 1);
    uint8_t byte = telling[draw(sizeof telling)];

    switch (draw(7)) {
    case 0: edit_insert(in, at, byte); break;
    case 1: edit_insert(in, at, (uint8_t)draw(256)); break;
    case 2: edit_remove(in, at, draw(in->len - at + 1)); break;
    case 3: edit_splice(in, at); break;
    case 4:
        if (at < in->len) in->at[at] = byte;
        break;
    case 5:
        if (at < in->len) in->at[at]++;
        break;
    default:
        if (at < in->len) in->at[at] ^= (uint8_t)(1u << draw(8));
        break;
    }
}

static const struct input *running;

/* An abort leaves the input behind; a sanitizer's report says enough by itself. */
static void save(int number)
{
    FILE *f = fopen("replay-failed.bin", "wb");

    if (f != NULL) {
        fwrite(running->at, 1, running->len, f);
        fclose(f);
    }
    signal(number, SIG_DFL);
    raise(number);
}

static void run(const struct input *in)
{
    uint8_t *exact = malloc(in->len);

    CHECK(exact != NULL || in->len == 0);
    if (in->len > 0) memcpy(exact, in->at, in->len);
    running = in;
    LLVMFuzzerTestOneInput(exact, in->len);
    free(exact);
}

int main(int argc, char **argv)
{
    static struct input in;

    if (argc != 3) {
        fprintf(stderr, "usage: replay CORPUS COUNT\n");
        return 2;
    }
    signal(SIGABRT, save);
    corpus_read(argv[1]);
    for (size_t i = 0; i < seeds_count; i++) run(&seeds[i]);

    long count = strtol(argv[2], NULL, 10);
    for (long i = 0; i < count; i++) {
        in = seeds[draw(seeds_count)];
        for (size_t n = 1 + draw(EDITS_MAX); n > 0; n--) edit(&in);
        run(&in);
    }
    printf("%zu seeds, %ld mutations\n", seeds_count, count);
    return 0;
}
