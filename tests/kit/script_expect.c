/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "kit/script_int.h"

/* A packet that came, taken apart. */
struct came {
    enum mtc_got got;
    unsigned type;
    struct fields fields;
};

/* False when something came that is no packet: that is never what was expected. */
static bool next(struct run *r, struct client *c, struct came *out)
{
    *out = (struct came){ .got = link_next(&c->link, r->wait_ms) };
    if (out->got == GOT_HALF) return script_fail(r, "the connection ended inside a packet");
    if (out->got == GOT_CLOSE) fprintf(r->report, "    %s <- (closed)\n", c->name);
    if (out->got != GOT_PACKET) return true;

    struct out bytes = { c->link.in.at, c->link.packet_len, 0 };
    const char *wrong = mtc_decode(&out->fields, c->version, bytes.at, bytes.len);
    out->type = bytes.at[0] >> 4;
    fprintf(r->report, "    %s <- %s", c->name, mtc_type_name(out->type) ? mtc_type_name(out->type) : "?");
    fields_print(&out->fields, r->report);
    fputc('\n', r->report);
    script_trace(r, c, "<-", &bytes);
    if (wrong == NULL) return true;
    fields_clear(&out->fields);
    return script_fail(r, "what came is malformed: %s", wrong);
}

/* Numbers compare as numbers and may have alternatives: 0x81|0x82, ranges: 90..100, or an exception: !7. */
static bool value_equal(const struct field *want, const struct field *got)
{
    unsigned long n = 0;
    char *at = want->at;

    if (!got->is_number) return want->len == got->len && memcmp(want->at, got->at, got->len) == 0;
    if (want->len == 0 || !field_number(got, &n)) return false;
    if (*at == '!') return isdigit((unsigned char)at[1]) && strtoul(at + 1, &at, 0) != n && *at == '\0';
    for (;; at++) {
        if (!isdigit((unsigned char)*at)) return false;
        unsigned long first = strtoul(at, &at, 0), last = first;
        if (at[0] == '.' && at[1] == '.' && isdigit((unsigned char)at[2])) last = strtoul(at + 2, &at, 0);
        if (first <= n && n <= last) return true;
        if (*at != '|') return false;
    }
}

static bool is_capture(const struct field *want)
{
    if (want->len < 2 || want->at[0] != '?') return false;
    for (size_t i = 1; i < want->len; i++)
        if (!islower((unsigned char)want->at[i]) && !isdigit((unsigned char)want->at[i])) return false;
    return true;
}

static void capture(struct run *r, const char *name, const struct field *got)
{
    struct field *old = fields_find(&r->vars, name, 0);
    if (old != NULL) old->name[0] = '\0'; /* the newest value is the only one with the name */
    fields_add(&r->vars, name, got->at, got->len);
}

static size_t count_of(const struct fields *f, const char *name)
{
    size_t n = 0;
    while (fields_find(f, name, n) != NULL) n++;
    return n;
}

/* One word of an expectation, the nth of its name. */
static bool check_word(struct run *r, const struct field *want, size_t nth, const struct came *came)
{
    const struct field *got = fields_find(&came->fields, want->name, nth);

    if (want->name[0] == '\0') {
        if (want->at[0] != '!' || want->len < 2)
            return script_broken(r, "a word is neither key=value nor !key");
        if (mtc_prop_by_name(want->at + 1) == NULL) return script_broken(r, "! is for properties");
        if (fields_find(&came->fields, want->at + 1, 0) == NULL) return true;
        return script_fail(r, "%s came, and should not", want->at + 1);
    }
    if (got == NULL) return script_fail(r, "there is no %s number %zu in what came", want->name, nth + 1);
    if (is_capture(want)) {
        capture(r, want->at + 1, got);
        return true;
    }
    if (value_equal(want, got)) return true;
    script_fail(r, "%s is not what was expected", want->name);
    fputs("    expected: ", r->report);
    field_print(want, r->report);
    fputs("\n    came:     ", r->report);
    field_print(got, r->report);
    fputc('\n', r->report);
    return false;
}

static bool check_words(struct run *r, const struct client *c, const struct fields *words,
                        const struct came *came)
{
    for (size_t i = 1; i < words->count; i++) {
        const struct field *want = &words->all[i];
        size_t nth = 0;

        if (c->version < 5 && mtc_is_v5_only(came->type, want->name)) continue;
        if (c->version == 3 && strcmp(want->name, "session") == 0) continue; /* 3.1 does not say it */
        for (size_t k = 1; k < i; k++) nth += strcmp(words->all[k].name, want->name) == 0;
        if (!check_word(r, want, nth, came)) return false;

        size_t asked = count_of(words, want->name), came_times = count_of(&came->fields, want->name);
        if (want->name[0] != '\0' && asked != came_times)
            return script_fail(r, "%s came %zu times, expected %zu", want->name, came_times, asked);
    }
    return true;
}

static bool expect_packet(struct run *r, struct client *c, const struct fields *words)
{
    unsigned type = mtc_type_of(words->all[0].at);
    struct came came;

    if (type == 0) return script_broken(r, "expect what? A packet, close, end or nothing");
    if (!next(r, c, &came)) return false;
    if (came.got == GOT_SILENCE) return script_fail(r, "nothing came within %d ms", r->wait_ms);
    if (came.got == GOT_CLOSE) return script_fail(r, "the broker closed the connection");
    bool is_good = came.type == type ? check_words(r, c, words, &came)
                                     : script_fail(r, "a %s came", mtc_type_name(came.type));
    fields_clear(&came.fields);
    return is_good;
}

static bool expect_close(struct run *r, struct client *c)
{
    struct came came;

    if (!next(r, c, &came)) return false;
    bool is_good = came.got == GOT_CLOSE;
    if (came.got == GOT_SILENCE) script_fail(r, "the connection was still open after %d ms", r->wait_ms);
    if (came.got == GOT_PACKET) script_fail(r, "a %s came", mtc_type_name(came.type));
    fields_clear(&came.fields);
    link_close(&c->link);
    return is_good;
}

/* A close, or before it a CONNACK or DISCONNECT that says why: the standard leaves the choice to the broker.
 */
static bool expect_end(struct run *r, struct client *c, const struct fields *words)
{
    struct came came;

    if (!next(r, c, &came)) return false;
    bool is_good = came.got == GOT_CLOSE;
    bool says_why = came.type == MTC_CONNACK || came.type == MTC_DISCONNECT;
    if (came.got == GOT_SILENCE) script_fail(r, "the connection was still open after %d ms", r->wait_ms);
    if (came.got == GOT_PACKET && !says_why) script_fail(r, "a %s came", mtc_type_name(came.type));
    if (came.got == GOT_PACKET && says_why) is_good = check_words(r, c, words, &came) && expect_close(r, c);
    fields_clear(&came.fields);
    link_close(&c->link);
    return is_good;
}

/* Without waiting for silence: what the broker had to send is in front of its answer to a PINGREQ. */
static bool expect_nothing(struct run *r, struct client *c)
{
    struct out ping = { 0 };
    struct came came;

    out_u8(&ping, MTC_PINGREQ << 4);
    out_u8(&ping, 0);
    (void)link_send(&c->link, &ping, r->wait_ms); /* if it is closed, that is what comes next */
    out_clear(&ping);
    if (!next(r, c, &came)) return false;
    bool is_good = came.got == GOT_PACKET && came.type == MTC_PINGRESP;
    if (came.got == GOT_SILENCE) script_fail(r, "not even a PINGRESP came within %d ms", r->wait_ms);
    if (came.got == GOT_CLOSE) script_fail(r, "the broker closed the connection");
    if (came.got == GOT_PACKET && !is_good) script_fail(r, "a %s came", mtc_type_name(came.type));
    fields_clear(&came.fields);
    return is_good;
}

bool script_expect(struct run *r, struct client *c, struct fields *words)
{
    if (words->count == 0) return script_broken(r, "expect what?");
    if (c->link.fd < 0) return script_broken(r, "this client has no connection");

    const char *what = words->all[0].at;
    if (strcmp(what, "end") == 0) return expect_end(r, c, words);
    if (strcmp(what, "close") == 0 || strcmp(what, "nothing") == 0) {
        if (words->count > 1) return script_broken(r, "there is nothing to compare in that");
        return what[0] == 'c' ? expect_close(r, c) : expect_nothing(r, c);
    }
    return expect_packet(r, c, words);
}

bool script_drain(struct run *r, struct client *c)
{
    enum mtc_got got = GOT_PACKET;

    while (got == GOT_PACKET) got = link_next(&c->link, r->wait_ms);
    link_close(&c->link);
    if (got == GOT_SILENCE) return script_fail(r, "the broker did not close within %d ms", r->wait_ms);
    return true;
}
