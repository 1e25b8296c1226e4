/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manual, the sample and the effective configuration, all from the tables.
 */
#include "config/config_int.h"
#include <inttypes.h>
#include <string.h>

enum { VALUE_BYTES = CONFIG_TEXT_BYTES };

static const char *const when_texts[] = {
    [CONFIG_WHEN_START] = "Read at start.",
    [CONFIG_WHEN_RELOAD] = "May change while the broker runs (SIGHUP).",
};

/* --- what holds */

static void print_listener(const struct config_listener *l, FILE *to)
{
    char value[VALUE_BYTES];
    fprintf(to, "listener %u%s%s  # %s\n", l->port, l->address[0] != '\0' ? " " : "", l->address, l->origin);
    for (size_t i = 0; i < config_listener_options_count; i++) {
        const struct listener_option *o = &config_listener_options[i];
        listener_option_print(l, o, value, sizeof value);
        /* "any" is what holds when nothing is said; it is not a word of the file's format. */
        if (strcmp(value, "any") != 0) fprintf(to, "%s %s\n", o->name, value);
    }
}

static void print_word(const char *name, const char *word, const char *origin, FILE *to)
{
    fprintf(to, "%s %s  # %s\n", name, word, origin[0] != '\0' ? origin : "default");
}

static void print_log(const struct config *c, FILE *to)
{
    static const char *const words[] = { "error", "warning", "notice", "information", "debug" };
    const char *dest = c->origins[CONFIG_ID_log_dest], *type = c->origins[CONFIG_ID_log_type];
    if (dest[0] == '\0') dest = "default";
    if (type[0] == '\0') type = "default";
    if (c->log_dests_count == 0) fprintf(to, "log_dest none  # %s\n", dest);
    for (size_t i = 0; i < c->log_dests_count; i++)
        fprintf(to, "log_dest %s%s%s  # %s\n", c->log_dests[i].sink,
                c->log_dests[i].path[0] != '\0' ? " " : "", c->log_dests[i].path, dest);
    if (c->log_types == 0) fprintf(to, "log_type none  # %s\n", type);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if ((c->log_types & 1u << i) != 0) fprintf(to, "log_type %s  # %s\n", words[i], type);
}

void config_print_effective(const struct config *c, FILE *to)
{
    char value[VALUE_BYTES];
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *o = &config_options[i];
        if (o->type == CONFIG_TYPE_group || o->type == CONFIG_TYPE_directive) continue;
        value_print(c, o, value, sizeof value);
        const char *origin = c->origins[o->id][0] != '\0' ? c->origins[o->id] : "default";
        fprintf(to, "%s %s  # %s\n", o->name, value[0] != '\0' ? value : "(none)", origin);
    }
    print_word("durability", config_durability_word(c->durability), c->origins[CONFIG_ID_durability], to);
    print_word("persistence_damaged", c->sets_damaged_aside ? "set-aside" : "refuse",
               c->origins[CONFIG_ID_persistence_damaged], to);
    print_word("max_queued_policy", config_queue_policy_word(c->max_queued_policy),
               c->origins[CONFIG_ID_max_queued_policy], to);
    print_log(c, to);
    for (size_t i = 0; i < c->listeners_count; i++) print_listener(&c->listeners[i], to);
}

/* --- the manual */

static void print_option_md(const struct option *o, FILE *to)
{
    char def[VALUE_BYTES], allowed[VALUE_BYTES];
    value_print_default(o, def, sizeof def);
    value_allowed(o, allowed, sizeof allowed);
    if (o->type == CONFIG_TYPE_directive)
        fprintf(to, "### %s `%s`\n\n%s\n\nDefault: %s. %s\n\n", o->name, allowed, o->doc, def,
                when_texts[o->when]);
    else
        fprintf(to, "### %s\n\n%s\n\nDefault: %s. Allowed: %s. %s\n\n", o->name, o->doc,
                def[0] != '\0' ? def : "empty", allowed, when_texts[o->when]);
}

static void listener_default(const struct listener_option *o, char *out, size_t size)
{
    struct config_listener l;
    listener_init(&l);
    listener_option_print(&l, o, out, size);
}

static void print_listener_options_md(FILE *to)
{
    char def[VALUE_BYTES], allowed[VALUE_BYTES];
    fputs("## Options of a listener\n\n"
          "After a `listener` line they are that listener's; before the first one they are the default\n"
          "listener's, and call it into being.\n\n",
          to);
    for (size_t i = 0; i < config_listener_options_count; i++) {
        const struct listener_option *o = &config_listener_options[i];
        listener_default(o, def, sizeof def);
        listener_option_allowed(o, allowed, sizeof allowed);
        fprintf(to, "### %s\n\n%s\n\nDefault: %s. Allowed: %s. %s\n\n", o->name, o->doc, def, allowed,
                when_texts[CONFIG_WHEN_START]);
    }
}

static void print_elsewhere_md(FILE *to)
{
    fputs(
        "## Options of mosquitto that are not here\n\n"
        "*Refused*: the broker does not start with them, because it would do something else than they say.\n"
        "*No effect*: a warning at start. The value in the third column is accepted in silence.\n\n"
        "| option | | same as here | why |\n|---|---|---|---|\n",
        to);
#define KIND_NOT_YET   "refused"
#define KIND_NO_EFFECT "no effect"
#define ELSEWHERE(name, kind, same, why)                                                                     \
    fprintf(to, "| `%s` | %s | %s | %s |\n", name, KIND_##kind, same, why);
#include "config/options_mosquitto.def"
#undef ELSEWHERE
}

void config_print_reference(FILE *to)
{
    fputs("# Options\n\n"
          "<!-- Generated from broker/config/*.def by longlink-docs. Do not edit. -->\n\n"
          "The configuration has mosquitto's format: a line is an option's name and its value; `#` begins a\n"
          "comment line. `longlinkd -t -c FILE` checks a file and reports all of its errors.\n\n",
          to);
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *o = &config_options[i];
        if (o->type == CONFIG_TYPE_group)
            fprintf(to, "## %s\n\n", o->name);
        else
            print_option_md(o, to);
    }
    print_listener_options_md(to);
    print_elsewhere_md(to);
}

/* --- the sample */

/* Comment lines of at most 100 characters, cut at blanks. */
static void print_wrapped(const char *text, FILE *to)
{
    enum { WIDTH = 100 };
    size_t column = 0;
    while (*text != '\0') {
        size_t n = strcspn(text, " ");
        if (column > 0 && column + 1 + n > WIDTH) {
            fputs("\n", to);
            column = 0;
        }
        fprintf(to, "%s%.*s", column == 0 ? "# " : " ", (int)n, text);
        column += n + (column == 0 ? 2 : 1);
        text += n;
        text += strspn(text, " ");
    }
    fputs("\n", to);
}

static void print_listener_sample(FILE *to)
{
    char def[VALUE_BYTES];
    for (size_t i = 0; i < config_listener_options_count; i++) {
        const struct listener_option *o = &config_listener_options[i];
        listener_default(o, def, sizeof def);
        print_wrapped(o->doc, to);
        fprintf(to, "#%s %s\n\n", o->name, def);
    }
}

void config_print_sample(FILE *to)
{
    char def[VALUE_BYTES];
    fputs("# longlinkd.conf: every option with its default. Generated by longlink-docs from the tables of\n"
          "# options; longlinkd.conf(5) says more. Check a changed file with: longlinkd -t -c FILE\n\n",
          to);
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *o = &config_options[i];
        if (o->type == CONFIG_TYPE_group) {
            fprintf(to, "# --- %s\n\n", o->name);
            continue;
        }
        value_print_default(o, def, sizeof def);
        print_wrapped(o->doc, to);
        const char *value = o->type == CONFIG_TYPE_directive ? o->syntax : def;
        fprintf(to, "#%s%s%s\n\n", o->name, value[0] != '\0' ? " " : "", value);
    }
    fputs("# --- Options of a listener, after its listener line\n\n", to);
    print_listener_sample(to);
}

/* --- the manual page */

static void print_man_item(const char *name, const char *syntax, const char *doc, FILE *to)
{
    /* A backslash or a leading dot would be roff's; no text of the tables has one. */
    fprintf(to, ".TP\n.BI %s \" %s\"\n%s\n", name, syntax, doc);
}

void config_print_man(FILE *to)
{
    char def[VALUE_BYTES], allowed[VALUE_BYTES];
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *o = &config_options[i];
        if (o->type == CONFIG_TYPE_group) {
            fprintf(to, ".SS %s\n", o->name);
            continue;
        }
        value_print_default(o, def, sizeof def);
        value_allowed(o, allowed, sizeof allowed);
        print_man_item(o->name, allowed, o->doc, to);
        fprintf(to, "Default: %s. %s\n", def[0] != '\0' ? def : "empty", when_texts[o->when]);
    }
    fputs(".SS Options of a listener\nAfter a\n.B listener\nline they are that listener's.\n", to);
    for (size_t i = 0; i < config_listener_options_count; i++) {
        const struct listener_option *o = &config_listener_options[i];
        listener_default(o, def, sizeof def);
        listener_option_allowed(o, allowed, sizeof allowed);
        print_man_item(o->name, allowed, o->doc, to);
        fprintf(to, "Default: %s.\n", def);
    }
}
