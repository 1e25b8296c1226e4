/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/backup.h"
#include "store_sqlite/backup.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* A command with two directories and no options. */
struct two_folders {
    const char *name, *form;
    void (*help)(void);
    enum err (*run)(const char *from, const char *to, struct backup_report *report);
    const char *done; /* what became of the second */
};

void backup_help(void)
{
    printf(
        "usage: longlink backup DIR OUT\n\n"
        "Copies the store in DIR, the persistence_location of a broker with durability disk or os, into\n"
        "OUT, which must not exist or be empty. The broker may run and is not disturbed. Everything that it\n"
        "had acknowledged when the command began is in the backup: sessions, their subscriptions and queued\n"
        "messages, retained messages. The copy is checked before it is called good; MANIFEST in OUT, the\n"
        "last file to be written, has sizes and checksums.\n\n"
        "While it runs, DIR needs room for what the broker writes meanwhile.\n\n"
        "exit status: 0 OUT is good; 1 it failed, and OUT is removed; 2 wrong usage\n");
}

void restore_help(void)
{
    printf(
        "usage: longlink restore IN DIR\n\n"
        "Makes a store in DIR, which must not exist or be empty, of the backup IN; then a broker can be\n"
        "started with DIR as its persistence_location. IN is compared with its MANIFEST before anything is\n"
        "made. Run by root, it gives the files to the owner of DIR: make DIR for the broker's user "
        "before.\n\n"
        "What happened after the backup began may be missing: messages acknowledged since then are sent\n"
        "again, those published since then are not known.\n\n"
        "exit status: 0 DIR is good; 1 it failed, and what was made is removed; 2 wrong usage\n");
}

static bool asks_help(int argc, char *const *argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
    return false;
}

static int run(const struct two_folders *c, int argc, char *const *argv)
{
    struct backup_report report;

    if (asks_help(argc, argv)) {
        c->help();
        return EXIT_GOOD;
    }
    if (argc != 2 || argv[0][0] == '-' || argv[0][0] == '\0' || argv[1][0] == '\0') {
        fprintf(stderr, "longlink %s: it takes two directories: longlink %s %s; see 'longlink help %s'\n",
                c->name, c->name, c->form, c->name);
        return EXIT_USAGE;
    }
    enum err rc = c->run(argv[0], argv[1], &report);
    if (rc != ERR_OK) {
        fprintf(stderr, "longlink %s: %s\n", c->name, report.text[0] != '\0' ? report.text : err_text(rc));
        return EXIT_FAILED;
    }
    printf("%s %s: %" PRIu64 " files, %" PRIu64 " bytes, everything up to position %" PRIu64 "\n", argv[1],
           c->done, report.files, report.bytes, report.position);
    return EXIT_GOOD;
}

int backup_main(int argc, char *const *argv)
{
    static const struct two_folders c = { "backup", "DIR OUT", backup_help, backup_make, "is a good backup" };
    return run(&c, argc, argv);
}

int restore_main(int argc, char *const *argv)
{
    static const struct two_folders c = { "restore", "IN DIR", restore_help, backup_restore, "is restored" };
    return run(&c, argc, argv);
}
