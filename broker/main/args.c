/* SPDX-License-Identifier: Apache-2.0 */
#include "main/args.h"
#include <getopt.h>
#include <string.h>

enum { LONG_PRINT_CONFIG = 256, LONG_VERSION };

static const struct option long_flags[] = {
    { "config-file", required_argument, NULL, 'c' },
    { "daemon", no_argument, NULL, 'd' },
    { "help", no_argument, NULL, 'h' },
    { "port", required_argument, NULL, 'p' },
    { "test-config", no_argument, NULL, 't' },
    { "verbose", no_argument, NULL, 'v' },
    { "print-config", no_argument, NULL, LONG_PRINT_CONFIG },
    { "version", no_argument, NULL, LONG_VERSION },
    { NULL, 0, NULL, 0 },
};

void args_help(FILE *to)
{
    fputs("longlinkd " LONGLINK_VERSION ": an MQTT 3.1, 3.1.1 and 5.0 broker\n\n"
          "usage: longlinkd [-c FILE] [-p PORT]... [-v] [-d] [-t] [--print-config]\n\n"
          "  -c, --config-file FILE  read the configuration (the format of mosquitto.conf)\n"
          "  -p, --port PORT         without a configured listener: this port of this machine\n"
          "  -v, --verbose           log everything\n"
          "  -d, --daemon            go to the background\n"
          "  -t, --test-config       check the configuration and exit\n"
          "      --print-config      print what holds, and where it was set, and exit\n"
          "  -h, --help              this\n"
          "      --version           the version\n",
          to);
}

/* Flags are applied after the file: what is said on the spot wins. */
static enum err apply_flags(struct args *a, int argc, char **argv, struct config *config,
                            struct config_notes *notes)
{
    int flag;
    optind = 1;
    while ((flag = getopt_long(argc, argv, "c:dhp:tv", long_flags, NULL)) != -1) {
        switch (flag) {
        case 'c': a->file = optarg; break;
        case 'd': a->daemon = true; break;
        case 'h': a->help = true; break;
        case 't': a->test = true; break;
        case 'p': config_override_port(config, optarg, notes); break;
        case 'v': config_set(config, "log_type", "all", "-v", notes); break;
        case LONG_PRINT_CONFIG: a->print_config = true; break;
        case LONG_VERSION: a->version = true; break;
        default: /* getopt has said what */
            fputs("longlinkd: see longlinkd --help\n", stderr);
            return ERR_SYNTAX;
        }
    }
    if (optind == argc) return ERR_OK;
    fprintf(stderr, "longlinkd: '%s' is not a flag; see longlinkd --help\n", argv[optind]);
    return ERR_SYNTAX;
}

/* The file is read before the flags, so its name is looked up first, into a configuration thrown away. */
static enum err find_file(struct args *a, int argc, char **argv)
{
    static struct config unused;
    struct config_notes notes;
    config_init(&unused);
    config_notes_init(&notes);
    enum err rc = apply_flags(a, argc, argv, &unused, &notes);
    config_notes_fini(&notes);
    return rc;
}

void args_print_notes(const struct args *a)
{
    const struct config_notes *notes = &a->notes;
    for (size_t i = 0; i < notes->count; i++)
        fprintf(stderr, "%s: %s\n", notes->at[i].is_error ? "error" : "warning", notes->at[i].text);
    if (notes->missed > 0) fprintf(stderr, "and %zu more\n", notes->missed);
}

enum err args_read(struct args *a, int argc, char **argv, struct config *config)
{
    *a = (struct args){ 0 };
    config_notes_init(&a->notes);
    enum err rc = find_file(a, argc, argv);
    if (rc != ERR_OK || a->help || a->version) return rc;

    config_init(config);
    if (a->file != NULL) config_read_file(config, a->file, &a->notes);
    apply_flags(a, argc, argv, config, &a->notes);
    config_finish(config, &a->notes);
    return a->notes.errors > 0 ? ERR_SYNTAX : ERR_OK;
}

void args_fini(struct args *a)
{
    config_notes_fini(&a->notes);
}
