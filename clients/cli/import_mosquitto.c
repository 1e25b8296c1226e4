/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/import_mosquitto.h"
#include "cli/import_plan.h"
#include "config/config.h"
#include "store_sqlite/fresh.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

#define NAME "longlink import-mosquitto: "

void import_mosquitto_help(void)
{
    printf("usage: longlink import-mosquitto --to DIR FILE\n"
           "       longlink import-mosquitto -c CONFIG FILE\n"
           "       longlink import-mosquitto --dry-run FILE\n\n"
           "Makes a store in DIR, or in the persistence_location of CONFIG, of FILE: a mosquitto.db of "
           "mosquitto\n"
           "1.6, 2.0 or 2.1. DIR must not exist or be empty; then longlinkd is started on it. Stop mosquitto "
           "with\n"
           "SIGTERM before, so that the file is complete. Sessions come over with their subscriptions and "
           "queued\n"
           "messages, in order and with their states of QoS 1 and 2, and retained messages; all with what is "
           "left\n"
           "of their expiry. Says how much came over, and what did not, with the reason. --dry-run only says "
           "so.\n\n"
           "Run by root, it gives the files to the owner of DIR: make DIR for the broker's user before. FILE "
           "must\n"
           "have been written on a machine of the same byte order, and fits into memory.\n\n"
           "exit status: 0 done; 1 it failed, and what was made is removed; 2 wrong usage\n");
}

struct asked {
    const char *to, *config, *file;
    bool dry_run;
};

static int wrong(const char *what)
{
    fprintf(stderr, NAME "%s; see 'longlink help import-mosquitto'\n", what);
    return EXIT_USAGE;
}

/* --- the arguments */

/* The value of a flag that has one: "--to DIR", "--to=DIR". *i is moved on. NULL: it is another. */
static const char *value_of(const char *flag, int argc, char *const *argv, int *i)
{
    size_t n = strlen(flag);
    const char *word = argv[*i];
    if (strncmp(word, flag, n) != 0) return NULL;
    if (word[n] == '=') return word + n + 1;
    if (word[n] != '\0') return NULL;
    if (*i + 1 == argc) return "";
    ++*i;
    return argv[*i];
}

static bool read_word(struct asked *a, int argc, char *const *argv, int *i)
{
    const char *to = value_of("--to", argc, argv, i);
    const char *config = to == NULL ? value_of("-c", argc, argv, i) : NULL;
    if (to != NULL) a->to = to;
    if (config != NULL) a->config = config;
    if (to != NULL || config != NULL) return true;
    if (strcmp(argv[*i], "--dry-run") == 0) {
        a->dry_run = true;
        return true;
    }
    if (argv[*i][0] == '-' || a->file != NULL) return false;
    a->file = argv[*i];
    return true;
}

static bool is_empty(const char *text)
{
    return text != NULL && text[0] == '\0';
}

static int read_words(struct asked *a, int argc, char *const *argv)
{
    *a = (struct asked){ 0 };
    for (int i = 0; i < argc; i++) {
        if (read_word(a, argc, argv, &i)) continue;
        fprintf(stderr, NAME "'%s' is one too many, or no option; see 'longlink help import-mosquitto'\n",
                argv[i]);
        return EXIT_USAGE;
    }
    if (a->file == NULL) return wrong("the mosquitto.db is to be named");
    if (is_empty(a->to) || is_empty(a->config) || is_empty(a->file)) return wrong("a name is missing");
    int ways = (a->to != NULL) + (a->config != NULL) + a->dry_run;
    if (ways != 1) return wrong("say one of --to DIR, -c CONFIG and --dry-run");
    return EXIT_GOOD;
}

/* --- where to */

static void print_errors(const struct config_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        if (notes->at[i].is_error) fprintf(stderr, "error: %s\n", notes->at[i].text);
}

/* For a user who is not root the broker has another place than the default: --to is for him. */
static bool configured_dir(const char *path, const char **dir)
{
    static struct config config;
    struct config_notes notes;
    config_init(&config);
    config_notes_init(&notes);
    config_read_file(&config, path, &notes);
    config_finish(&config, &notes);
    print_errors(&notes);
    bool is_well = notes.errors == 0;
    bool is_said = config_is_set(&config, CONFIG_ID_persistence_location) || geteuid() == 0;
    bool is_kept = config.persistence && config.durability != CONFIG_DURABILITY_MEMORY;
    config_notes_fini(&notes);
    *dir = config.persistence_location;
    if (!is_well) return false;
    if (!is_kept)
        fprintf(stderr, NAME "%s keeps nothing on disk: set persistence true and durability disk\n", path);
    else if (!is_said)
        fprintf(stderr,
                NAME "%s does not set persistence_location; set it, or name the directory: --to DIR\n", path);
    return is_kept && is_said;
}

/* --- the file */

static bool read_all(int fd, uint8_t *to, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = read(fd, to, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = EIO; /* it has become shorter */
        if (n <= 0) return false;
        to += n;
        bytes -= (size_t)n;
    }
    return true;
}

static enum err read_regular(int fd, struct bytes *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return ERR_SYS;
    errno = EINVAL;
    if (!S_ISREG(st.st_mode)) return ERR_SYS;
    size_t bytes = (size_t)st.st_size;
    uint8_t *at = malloc(bytes + 1);
    if (at == NULL) return ERR_NOMEM;
    if (!read_all(fd, at, bytes)) {
        free(at);
        return ERR_SYS;
    }
    *out = bytes_of(at, bytes);
    return ERR_OK;
}

static enum err read_file(const char *path, struct bytes *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum err rc = fd >= 0 ? read_regular(fd, out) : ERR_SYS;
    if (rc != ERR_OK)
        fprintf(stderr, NAME "cannot read %s: %s\n", path, rc == ERR_SYS ? strerror(errno) : err_text(rc));
    if (fd >= 0) close(fd);
    return rc;
}

/* --- the store */

static enum err put(void *ctx, struct command *c)
{
    return fresh_put(ctx, c);
}

static enum err wait(void *ctx)
{
    return fresh_wait(ctx);
}

static void done(void *ctx, const struct command *c)
{
    (void)ctx;
    import_done(c);
}

static enum err fill(struct import_plan *p, const struct fresh_conf *conf, char *text)
{
    struct fresh *f;
    enum err rc = fresh_begin(&f, conf, text);
    if (rc != ERR_OK) return rc;
    struct import_target to = { put, wait, f, fresh_boot_no(f) << 32, fresh_client_key(f) };
    import_put(p, &to); /* what fails, fails the commit */
    return fresh_commit(&f, text);
}

static struct log *open_log(void)
{
    struct log *l;
    const struct log_dest dest = { .sink = "stderr", .path = "" };
    struct log_conf conf = { .clock = &clock_system,
                             .levels = 1u << LOG_LEVEL_ERROR | 1u << LOG_LEVEL_WARNING,
                             .dests = &dest,
                             .dests_count = 1 };
    return log_open(&l, &conf) == ERR_OK ? l : NULL;
}

static int make_store(struct import_plan *p, const char *dir)
{
    char text[FRESH_TEXT_BYTES];
    struct log *log = open_log();
    struct fresh_conf conf = { .dir = dir, .log = log, .clock = &clock_system, .done = done };
    enum err rc = fill(p, &conf, text);
    log_close(&log);
    if (rc != ERR_OK) {
        fprintf(stderr, NAME "%s\n", text);
        return EXIT_FAILED;
    }
    import_print(p, stdout);
    printf("%s is ready: start longlinkd with it as persistence_location\n", dir);
    return EXIT_GOOD;
}

static int import(const struct asked *a, struct bytes file)
{
    static struct import_plan plan;
    const char *dir = a->to;
    enum err rc = import_read(&plan, file, clock_wall_ms(&clock_system) / 1000);
    int status = EXIT_FAILED;
    if (rc != ERR_OK)
        fprintf(stderr, NAME "%s: %s\n", a->file, rc == ERR_NOMEM ? err_text(rc) : plan.db.text);
    else if (a->dry_run) {
        import_print(&plan, stdout);
        status = EXIT_GOOD;
    } else if (dir != NULL || configured_dir(a->config, &dir))
        status = make_store(&plan, dir);
    import_fini(&plan);
    return status;
}

int import_mosquitto_main(int argc, char *const *argv)
{
    struct asked a;
    struct bytes file;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") != 0 && strcmp(argv[i], "-h") != 0) continue;
        import_mosquitto_help();
        return EXIT_GOOD;
    }
    int status = read_words(&a, argc, argv);
    if (status != EXIT_GOOD) return status;
    if (read_file(a.file, &file) != ERR_OK) return EXIT_FAILED;
    status = import(&a, file);
    free((void *)(uintptr_t)file.at);
    return status;
}
