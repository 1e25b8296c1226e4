/* SPDX-License-Identifier: Apache-2.0 */
/* longlink - one tool; what it does are subcommands. A new one is a row here. */
#include <stdio.h>
#include <string.h>

#include "cli/accounts.h"
#include "cli/backup.h"
#include "cli/bench.h"
#include "cli/import_mosquitto.h"
#include "cli/passwd.h"

enum { EXIT_USAGE = 2 };

static const struct command {
    const char *name, *doc;
    int (*run)(int argc, char *const *argv);
    void (*help)(void);
} commands[] = {
    { "accounts", "change who is in a database of accounts, and may do what", accounts_main, accounts_help },
    { "bench", "load an MQTT broker and measure it", bench_main, bench_help },
    { "backup", "copy the store of a broker, which may run", backup_main, backup_help },
    { "restore", "make a store of a backup", restore_main, restore_help },
    { "import-mosquitto", "make a store of a mosquitto.db", import_mosquitto_main, import_mosquitto_help },
    { "passwd", "change the passwords of a file or a database", passwd_main, passwd_help },
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void list_commands(FILE *to)
{
    for (int i = 0; i < COMMANDS; i++) fprintf(to, "  %-17s %s\n", commands[i].name, commands[i].doc);
}

static void print_help(FILE *to)
{
    fprintf(to, "usage: longlink COMMAND [OPTION...]\n"
                "       longlink help COMMAND\n"
                "       longlink --version\n\ncommands:\n");
    list_commands(to);
}

static const struct command *find_command(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    fprintf(stderr, "longlink: there is no command '%s'; there are:\n", name);
    list_commands(stderr);
    return NULL;
}

static int help(int argc, char *const *argv)
{
    if (argc == 0) {
        print_help(stdout);
        return 0;
    }
    const struct command *c = find_command(argv[0]);
    if (c == NULL) return EXIT_USAGE;
    c->help();
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return help(argc - 2, argv + 2);
    if (strcmp(name, "--version") == 0) {
        printf("longlink %s\n", LONGLINK_VERSION);
        return 0;
    }
    const struct command *c = find_command(name);
    return c != NULL ? c->run(argc - 2, argv + 2) : EXIT_USAGE;
}
