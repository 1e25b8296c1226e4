/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay_connection CORPUS COUNT [SEED]: runs each script of a file, then COUNT mutations of them. A script
 * is a line of hexadecimal digits. What fails is printed as such a line, so that it can join the corpus.
 */
#include "base/check.h"
#include "fuzz/script.h"
#include "fuzz/script_mutate.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SCRIPT_BYTES = (SCRIPT_STEPS_MAX + 1) * STEP_BYTES,
    SCRIPTS_MAX = 4096,
    LINE_BYTES = 2 * SCRIPT_BYTES + 2
};

struct input {
    size_t size;
    uint8_t at[SCRIPT_BYTES];
};

static struct input inputs[SCRIPTS_MAX], running;
static size_t inputs_count;
static uint32_t state;
static unsigned long runs;

static uint32_t draw(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

static void read_line(const char *line)
{
    struct input *in = &inputs[inputs_count];
    unsigned byte;
    in->size = 0;
    for (; in->size < sizeof in->at && sscanf(line, "%2x", &byte) == 1; line += 2)
        in->at[in->size++] = (uint8_t)byte;
    inputs_count++;
}

static void read_corpus(const char *path)
{
    static char line[LINE_BYTES];
    FILE *f = fopen(path, "r");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f) != NULL) {
        CHECK(inputs_count < SCRIPTS_MAX);
        if (line[0] != '#' && line[0] != '\n') read_line(line);
    }
    fclose(f);
    CHECK(inputs_count > 0);
}

/* By the signal's handler. */
static void tell(int number)
{
    static const char digits[] = "0123456789abcdef";
    static char text[LINE_BYTES];
    size_t n = 0;
    for (size_t i = 0; i < running.size; i++) {
        text[n++] = digits[running.at[i] >> 4];
        text[n++] = digits[running.at[i] & 15];
    }
    text[n++] = '\n';
    fprintf(stderr, "runs %lu; the last:\n%.*s", runs, (int)n, text);
    signal(number, SIG_DFL);
    raise(number);
}

static void mutate(void)
{
    running = inputs[draw() % inputs_count];
    running.size = script_mutate(running.at, running.size, sizeof running.at, draw());
}

static void run(void)
{
    runs++;
    script_run(running.at, running.size);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: replay_connection CORPUS COUNT [SEED]\n");
        return 2;
    }
    long count = strtol(argv[2], NULL, 10);
    state = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 1;
    signal(SIGABRT, tell);
    signal(SIGILL, tell);
    signal(SIGSEGV, tell);
    read_corpus(argv[1]);
    for (size_t i = 0; i < inputs_count; i++) {
        running = inputs[i];
        run();
    }
    for (long i = 0; i < count; i++) {
        mutate();
        run();
    }
    printf("%zu scripts, %ld mutations\n", inputs_count, count);
    return 0;
}
