/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/script.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "kit/mtc_line.h"
#include "kit/script_int.h"

enum { TRACE_HEX_MAX = 48, SCRIPT_PATIENCE_MAX_MS = 60000 };

static void say_where(struct run *r)
{
    fprintf(r->report, "%s:%u: (v%u) %s\n", r->path, r->line, r->version, r->text);
}

bool script_fail(struct run *r, const char *format, ...)
{
    va_list args;

    if (r->result->end != SCRIPT_PASSED) return false; /* the first reason is the one that counts */
    r->result->end = SCRIPT_FAILED;
    say_where(r);
    fputs("    FAILED: ", r->report);
    va_start(args, format);
    (void)vfprintf(r->report, format, args);
    va_end(args);
    fputc('\n', r->report);
    return false;
}

bool script_broken(struct run *r, const char *why)
{
    r->result->end = SCRIPT_BROKEN;
    say_where(r);
    fprintf(r->report, "    THE SCENARIO IS WRONG: %s\n", why);
    return false;
}

void script_trace(struct run *r, const struct client *c, const char *arrow, const struct out *bytes)
{
    fprintf(r->report, "    %s %s", c->name, arrow);
    for (size_t i = 0; i < bytes->len && i < TRACE_HEX_MAX; i++) fprintf(r->report, " %02x", bytes->at[i]);
    fprintf(r->report, bytes->len > TRACE_HEX_MAX ? " ... (%zu bytes)\n" : "\n", bytes->len);
}

static struct client *client_of(struct run *r, const char *name)
{
    for (size_t i = 0; i < r->clients_count; i++)
        if (strcmp(r->clients[i].name, name) == 0) return &r->clients[i];
    if (r->clients_count == SCRIPT_CLIENTS_MAX) return NULL;

    struct client *c = &r->clients[r->clients_count++];
    *c = (struct client){ .link.fd = -1, .version = r->version };
    (void)snprintf(c->name, sizeof c->name, "%s", name);
    return c;
}

/* Sends, over a new connection when there is none. That the broker closes meanwhile is no failure here: what
 * the scenario expects next decides. */
static bool send_bytes(struct run *r, struct client *c, const struct out *bytes)
{
    script_trace(r, c, "->", bytes);
    if (c->link.fd < 0 && !link_open(&c->link, &r->conf->to, r->wait_ms))
        return script_fail(r, "cannot connect to %s port %u", r->conf->to.host, r->conf->to.port);
    (void)link_send(&c->link, bytes, r->wait_ms);
    return true;
}

static void fill_in_connect(struct run *r, struct client *c, struct fields *words)
{
    const struct field *asked = fields_find(words, "version", 0);
    const struct field *unique = fields_find(&r->vars, "u", 0);
    unsigned long version = r->version;
    char id[64];

    if (asked != NULL) (void)field_number(asked, &version);
    c->version = version == 5 || version == 3 ? (unsigned)version : 4;
    if (fields_find(words, "id", 0) != NULL) return;
    int len = snprintf(id, sizeof id, "%s%s", unique->at, c->name);
    fields_add(words, "id", id, (size_t)len);
}

static bool send_packet(struct run *r, struct client *c, unsigned type, struct fields *words)
{
    struct out bytes = { 0 };

    if (type == MTC_CONNECT) fill_in_connect(r, c, words);
    const char *wrong = mtc_encode(&bytes, type, c->version, words);
    bool is_good = wrong == NULL ? send_bytes(r, c, &bytes) : script_broken(r, wrong);
    out_clear(&bytes);
    return is_good;
}

static bool send_raw(struct run *r, struct client *c, const struct fields *words)
{
    struct out bytes = { 0 };
    bool is_good = true;

    for (size_t i = 0; i < words->count; i++) {
        char *end = NULL;
        unsigned long byte = strtoul(words->all[i].at, &end, 16);
        is_good &= words->all[i].len == 2 && *end == '\0';
        out_u8(&bytes, byte);
    }
    is_good = is_good ? send_bytes(r, c, &bytes) : script_broken(r, "send takes bytes of two hex digits");
    out_clear(&bytes);
    return is_good;
}

static bool expect_text(struct run *r, struct client *c, const char *text)
{
    struct fields words = { 0 };
    const char *wrong = line_parse(&words, text, &r->vars);
    bool is_good = wrong == NULL ? script_expect(r, c, &words) : script_broken(r, wrong);

    fields_clear(&words);
    return is_good;
}

/* Ends our direction and waits for the broker to end the other, so that it knows before the next line. */
static bool hang_up(struct run *r, struct client *c)
{
    if (c->link.fd < 0) return script_broken(r, "this client has no connection");
    link_finish(&c->link);
    return script_drain(r, c);
}

/* The one of the two to which something comes has the first's name from now on, the other one the other's. */
static bool choose(struct run *r, struct client *c, const struct fields *words)
{
    struct client *other = words->count == 1 ? client_of(r, words->all[0].at) : NULL;

    if (other == NULL || other == c || c->link.fd < 0 || other->link.fd < 0)
        return script_broken(r, "or takes the name of another client, and both have a connection");
    const struct link *first = link_wait_either(&c->link, &other->link, r->wait_ms);
    if (first == NULL) return script_fail(r, "nothing came to either within %d ms", r->wait_ms);
    if (first == &c->link) return true;
    struct client was = *c;
    c->link = other->link;
    c->version = other->version;
    other->link = was.link;
    other->version = was.version;
    fprintf(r->report, "    %s and %s change their names\n", c->name, other->name);
    return true;
}

/* words: what follows the verb. */
static bool run_verb(struct run *r, struct client *c, const char *verb, struct fields *words)
{
    unsigned type = mtc_type_of(verb);

    if (type != 0) return send_packet(r, c, type, words);
    if (strcmp(verb, "expect") == 0) return script_expect(r, c, words);
    if (strcmp(verb, "send") == 0) return send_raw(r, c, words);
    if (strcmp(verb, "join") == 0)
        return send_packet(r, c, MTC_CONNECT, words) && expect_text(r, c, "connack code=0");
    if (strcmp(verb, "leave") == 0) return send_packet(r, c, MTC_DISCONNECT, words) && hang_up(r, c);
    if (strcmp(verb, "close") == 0) return hang_up(r, c);
    if (strcmp(verb, "or") == 0) return choose(r, c, words);
    return script_broken(r, "there is no such verb");
}

static bool run_words(struct run *r, struct fields *words)
{
    if (words->count < 2) return script_broken(r, "a line is: client verb words");
    struct client *c = client_of(r, words->all[0].at);
    if (c == NULL) return script_broken(r, "too many clients");

    struct fields rest = { words->all + 2, words->count - 2 };
    struct fields copy = { 0 };
    fprintf(r->report, "%4u: %s\n", r->line, r->text);
    for (size_t i = 0; i < rest.count; i++)
        fields_add(&copy, rest.all[i].name, rest.all[i].at, rest.all[i].len);
    bool is_good = run_verb(r, c, words->all[1].at, &copy);
    fields_clear(&copy);
    return is_good;
}

/* What follows the word when the line starts with it, else NULL. */
static const char *after(const char *line, const char *word)
{
    size_t len = strlen(word);

    if (strncmp(line, word, len) != 0 || (line[len] != '\0' && !isspace((unsigned char)line[len])))
        return NULL;
    while (isspace((unsigned char)line[len])) len++;
    return line + len;
}

/* What follows the word of a version, "v5" and then `end`; *is_other: of another than this run's. */
static const char *after_version(const struct run *r, const char *line, const char *end, bool *is_other)
{
    *is_other = false;
    for (unsigned v = 3; v <= 5; v++) {
        char word[8];
        (void)snprintf(word, sizeof word, "v%u%s", v, end);
        const char *rest = after(line, word);
        if (rest == NULL) continue;
        *is_other = v != r->version;
        return rest;
    }
    return line;
}

/* deviates BROKER [v3|v4|v5] why */
static void read_deviation(struct run *r, const char *line)
{
    const char *rest = r->conf->broker != NULL ? after(line, r->conf->broker) : NULL;
    bool is_other = false;
    if (rest == NULL) return;

    const char *why = after_version(r, rest, "", &is_other);
    if (is_other) return;
    (void)snprintf(r->result->deviates, sizeof r->result->deviates, "%s", why);
    if (r->conf->deviant_wait_ms > 0) r->wait_ms = r->conf->deviant_wait_ms;
}

/* patience MS: this scenario waits for something that takes its time. */
static void read_patience(struct run *r, const char *text)
{
    char *end = NULL;
    unsigned long ms = strtoul(text, &end, 10);

    if (end == text || *end != '\0' || ms > SCRIPT_PATIENCE_MAX_MS)
        (void)script_broken(r, "patience is a number of milliseconds");
    else if ((int)ms > r->wait_ms)
        r->wait_ms = (int)ms;
}

/* Is it a line about the scenario rather than of it? */
static bool read_header(struct run *r, const char *line)
{
    const char *rest = NULL;

    if (*line == '\0' || *line == '#' || after(line, "clause") != NULL) return true;
    if ((rest = after(line, "title")) != NULL)
        (void)snprintf(r->result->title, sizeof r->result->title, "%s", rest);
    else if ((rest = after(line, "versions")) != NULL)
        r->is_for_version = strchr(rest, (int)('0' + r->version)) != NULL;
    else if ((rest = after(line, "deviates")) != NULL)
        read_deviation(r, rest);
    else if ((rest = after(line, "patience")) != NULL)
        read_patience(r, rest);
    return rest != NULL;
}

static bool run_line(struct run *r, char *line)
{
    size_t len = strlen(line);
    struct fields words = { 0 };

    while (len > 0 && isspace((unsigned char)line[len - 1])) line[--len] = '\0';
    while (isspace((unsigned char)*line)) line++;
    r->text = line;
    if (read_header(r, line)) return r->result->end == SCRIPT_PASSED;
    if (!r->is_for_version) return false;
    bool is_other = false;
    const char *mine = after_version(r, line, ":", &is_other);
    if (is_other) return true;
    const char *wrong = line_parse(&words, mine, &r->vars);
    bool is_good = wrong == NULL ? run_words(r, &words) : script_broken(r, wrong);
    fields_clear(&words);
    return is_good;
}

/* Letters and digits only, short enough to leave room in the 23 bytes that any 3.1.1 broker must allow for a
 * client id [MQTT-3.1.3-5]; different in every run, so that brokers with a memory do not mix runs up. */
static void make_unique(struct run *r)
{
    static unsigned count;
    struct timespec t;
    char text[32];

    (void)clock_gettime(CLOCK_REALTIME, &t);
    unsigned long seed =
        (unsigned long)t.tv_sec * 1000003UL + (unsigned long)getpid() * 7919UL + (unsigned long)t.tv_nsec;
    int len = snprintf(text, sizeof text, "u%08lxn%u", seed & 0xffffffffUL, count++);
    fields_add(&r->vars, "u", text, (size_t)len);
}

void script_run(struct script_result *out, const struct script_conf *conf, const char *path, unsigned version)
{
    struct run r = { .conf = conf, .result = out, .path = path, .text = "", .version = version };
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;

    *out = (struct script_result){ .end = SCRIPT_PASSED };
    r.is_for_version = version != 3; /* but for what its header says */
    r.wait_ms = conf->wait_ms;
    r.report = open_memstream(&out->report, &out->report_size);
    CHECK(r.report != NULL);
    make_unique(&r);

    if (file == NULL) (void)script_broken(&r, strerror(errno));
    while (file != NULL && getline(&line, &room, file) >= 0) {
        r.line++;
        if (!run_line(&r, line)) break;
    }
    if (!r.is_for_version) out->end = SCRIPT_NOT_FOR_VERSION;
    for (size_t i = 0; i < r.clients_count; i++) link_close(&r.clients[i].link);
    if (file != NULL) (void)fclose(file);
    free(line);
    fields_clear(&r.vars);
    (void)fclose(r.report);
}

void script_result_fini(struct script_result *r)
{
    free(r->report);
    *r = (struct script_result){ 0 };
}
