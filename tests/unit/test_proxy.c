/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol, from its specification of 2020: headers alone, then on a socket. */
#include "kit/test.h"
#include "net/edge.h"
#include "net/proxy.h"
#include "net/sources.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BOTH = PROXY_V1 | PROXY_V2 };

/* In a block of its own size, so that a sanitizer sees a read beyond it. */
static enum err parse(const void *at, size_t n, unsigned versions, struct proxy_header *h)
{
    const char *why = NULL;
    uint8_t *copy = malloc(n > 0 ? n : 1);
    CHECK_TRUE(copy != NULL);
    memcpy(copy, at, n);
    enum err rc = proxy_parse(bytes_of(copy, n), versions, h, &why);
    if (rc == ERR_SYNTAX) CHECK_TRUE(why != NULL && why[0] != '\0');
    h->name.at = NULL; /* its block goes */
    free(copy);
    return rc;
}

static enum err parse_text(const char *line, struct proxy_header *h)
{
    return parse(line, strlen(line), BOTH, h);
}

static void check_from(const char *want, const struct proxy_header *h)
{
    char text[ADDRESS_TEXT_BYTES];
    CHECK_TRUE(h->is_told);
    address_print(&h->from, text);
    if (strcmp(want, text) != 0) fail_msg("%s is not %s", text, want);
}

/* --- version 2, built */

struct built {
    uint8_t at[70000];
    size_t n;
};

static void put(struct built *b, const void *at, size_t n)
{
    memcpy(b->at + b->n, at, n);
    b->n += n;
}

static void put_tlv(struct built *b, uint8_t type, const void *at, size_t n)
{
    uint8_t head[3] = { type, (uint8_t)(n >> 8), (uint8_t)n };
    put(b, head, 3);
    put(b, at, n);
}

static void set_length(struct built *b)
{
    b->at[14] = (uint8_t)((b->n - 16) >> 8);
    b->at[15] = (uint8_t)(b->n - 16);
}

static void begin(struct built *b, uint8_t command, uint8_t family)
{
    uint8_t head[16] = "\r\n\r\n\0\r\nQUIT\n";
    head[12] = command;
    head[13] = family;
    b->n = 0;
    put(b, head, 16);
}

static void build_v4(struct built *b)
{
    static const uint8_t addresses[] = { 192, 0, 2, 7, 198, 51, 100, 1, 0x30, 0x39, 0x07, 0x5b };
    begin(b, 0x21, 0x11);
    put(b, addresses, sizeof addresses);
    set_length(b);
}

static void build_v6(struct built *b)
{
    static const uint8_t addresses[36] = {
        0x20, 0x01, 0x0d, 0xb8, [15] = 1, [31] = 1, 0x30, 0x39, 0x07, 0x5b
    };
    begin(b, 0x21, 0x21);
    put(b, addresses, sizeof addresses);
    set_length(b);
}

/* The value of a TLV of TLS: how the client has shown itself, and the name in its certificate. */
static size_t build_ssl(uint8_t *at, uint8_t client, uint8_t verify, const char *name)
{
    struct built b = { .n = 0 };
    uint8_t head[5] = { client, 0, 0, 0, verify };
    put(&b, head, 5);
    put_tlv(&b, 0x21, "TLSv1.3", 7);
    put_tlv(&b, 0x22, name, strlen(name));
    memcpy(at, b.at, b.n);
    return b.n;
}

static void build_named(struct built *b, uint8_t client, uint8_t verify, const char *name)
{
    uint8_t ssl[400];
    size_t n = build_ssl(ssl, client, verify, name);
    build_v4(b);
    put_tlv(b, 0x20, ssl, n);
    set_length(b);
}

static enum err parse_built(const struct built *b, struct proxy_header *h)
{
    return parse(b->at, b->n, BOTH, h);
}

/* --- version 1 */

TEST(a_line_tells_an_address_of_either_family)
{
    struct proxy_header h;
    CHECK_INT(ERR_OK, parse_text("PROXY TCP4 192.0.2.7 198.51.100.1 12345 1883\r\nrest", &h));
    check_from("192.0.2.7:12345", &h);
    CHECK_INT(46, h.bytes);
    CHECK_INT(ERR_OK, parse_text("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", &h));
    check_from("[2001:db8::1]:0", &h);
    CHECK_INT(ERR_OK, parse_text("PROXY TCP6 ::ffff:192.0.2.7 ::1 5 6\r\n", &h));
    check_from("192.0.2.7:5", &h);
}

TEST(a_line_of_an_unknown_client_tells_nothing_whatever_it_says)
{
    struct proxy_header h;
    CHECK_INT(ERR_OK, parse_text("PROXY UNKNOWN\r\n", &h));
    CHECK_TRUE(!h.is_told);
    CHECK_INT(15, h.bytes);
    CHECK_INT(ERR_OK, parse_text("PROXY UNKNOWN 1.2.3.4 nonsense\r\n", &h));
    CHECK_TRUE(!h.is_told);
}

TEST(a_line_that_is_wrong_anywhere_is_refused)
{
    static const char *const wrong[] = {
        "PROXY\r\n",
        "PROXY \r\n",
        "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 1.2.3.4\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4  2\r\n",
        "PROXY TCP4 1.2.3.4.5 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP6 ::1 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        "\r\nQUIT",
        "GET / HTTP/1.1\r\n",
        "\x10\x0c\0\4MQTT\5\2\0\0\0\0\0",
    };
    struct proxy_header h;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (parse_text(wrong[i], &h) != ERR_SYNTAX) fail_msg("taken: %s", wrong[i]);
    char with_nul[] = "PROXY UNKNOWN \0 x\r\n";
    CHECK_INT(ERR_SYNTAX, parse(with_nul, sizeof with_nul - 1, BOTH, &h));
}

TEST(a_line_has_at_most_107_bytes)
{
    char line[PROXY_V1_BYTES_MAX + 2];
    struct proxy_header h;
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    memcpy(line + PROXY_V1_BYTES_MAX - 2, "\r\n", 3);
    CHECK_INT(ERR_OK, parse(line, PROXY_V1_BYTES_MAX, BOTH, &h));
    CHECK_INT(PROXY_V1_BYTES_MAX, h.bytes);
    memcpy(line + PROXY_V1_BYTES_MAX - 2, "x\r\n", 3);
    CHECK_INT(ERR_AGAIN, parse(line, PROXY_V1_BYTES_MAX - 1, BOTH, &h));
    CHECK_INT(ERR_SYNTAX, parse(line, PROXY_V1_BYTES_MAX, BOTH, &h));
    CHECK_INT(ERR_SYNTAX, parse(line, PROXY_V1_BYTES_MAX + 1, BOTH, &h));
}

/* --- version 2 */

TEST(a_binary_header_tells_an_address_of_either_family)
{
    struct built b;
    struct proxy_header h;
    build_v4(&b);
    CHECK_INT(ERR_OK, parse_built(&b, &h));
    check_from("192.0.2.7:12345", &h);
    CHECK_INT(28, h.bytes);
    build_v6(&b);
    CHECK_INT(ERR_OK, parse_built(&b, &h));
    check_from("[2001:db8::1]:12345", &h);
}

TEST(a_client_on_a_socket_of_the_proxys_machine_is_local)
{
    static const uint8_t paths[216] = "/run/x";
    struct built b;
    struct proxy_header h;
    begin(&b, 0x21, 0x31);
    put(&b, paths, sizeof paths);
    set_length(&b);
    CHECK_INT(ERR_OK, parse_built(&b, &h));
    CHECK_INT(ADDRESS_LOCAL, h.from.kind);
}

TEST(what_the_proxy_does_for_itself_or_knows_no_address_of_tells_nothing)
{
    static const uint8_t protocols[] = { 0x00, 0x01, 0x02, 0x10, 0x12, 0x22, 0x32 };
    static const uint8_t addresses[216];
    struct built b;
    struct proxy_header h;
    build_v4(&b);
    b.at[12] = 0x20; /* LOCAL: the address is to be ignored */
    CHECK_INT(ERR_OK, parse_built(&b, &h));
    CHECK_TRUE(!h.is_told);
    for (size_t i = 0; i < sizeof protocols; i++) {
        begin(&b, 0x21, protocols[i]);
        put(&b, addresses, sizeof addresses);
        set_length(&b);
        CHECK_INT(ERR_OK, parse_built(&b, &h));
        CHECK_TRUE(!h.is_told);
    }
}

TEST(versions_commands_families_and_lengths_that_are_not_known_are_refused)
{
    struct built b;
    struct proxy_header h;
    for (unsigned command = 0; command < 256; command++) {
        build_v4(&b);
        b.at[12] = (uint8_t)command;
        CHECK_INT(command == 0x20 || command == 0x21 ? ERR_OK : ERR_SYNTAX, parse_built(&b, &h));
    }
    for (unsigned protocol = 0; protocol < 256; protocol++) {
        static const uint8_t addresses[216];
        begin(&b, 0x21, (uint8_t)protocol);
        put(&b, addresses, sizeof addresses);
        set_length(&b);
        bool known = protocol >> 4 <= 3 && (protocol & 15) <= 2;
        CHECK_INT(known ? ERR_OK : ERR_SYNTAX, parse_built(&b, &h));
    }
    build_v6(&b);
    b.n--;
    set_length(&b);
    CHECK_INT(ERR_SYNTAX, parse_built(&b, &h));
}

TEST(a_header_cut_at_any_byte_is_not_whole_and_whole_with_the_last_one)
{
    static const char line[] = "PROXY TCP4 192.0.2.7 198.51.100.1 12345 1883\r\n";
    struct built b;
    struct proxy_header h;
    for (size_t n = 0; n < sizeof line - 1; n++) CHECK_INT(ERR_AGAIN, parse(line, n, BOTH, &h));
    CHECK_INT(ERR_OK, parse(line, sizeof line - 1, BOTH, &h));
    build_named(&b, 3, 0, "device");
    for (size_t n = 0; n < b.n; n++) {
        CHECK_INT(ERR_AGAIN, parse(b.at, n, BOTH, &h));
        CHECK_INT(n < PROXY_V2_BYTES ? 0 : b.n, h.bytes);
    }
    CHECK_INT(ERR_OK, parse_built(&b, &h));
}

TEST(a_version_that_is_not_wanted_is_refused_at_its_first_byte)
{
    struct proxy_header h;
    CHECK_INT(ERR_SYNTAX, parse("P", 1, PROXY_V2, &h));
    CHECK_INT(ERR_SYNTAX, parse("\r", 1, PROXY_V1, &h));
    CHECK_INT(ERR_AGAIN, parse("P", 1, PROXY_V1, &h));
    CHECK_INT(ERR_AGAIN, parse("\r", 1, PROXY_V2, &h));
}

TEST(values_that_are_not_known_are_passed_over_and_may_not_reach_beyond_the_header)
{
    struct built b;
    struct proxy_header h;
    build_v4(&b);
    put_tlv(&b, 0x04, "", 0);
    put_tlv(&b, 0xee, "mine", 4);
    set_length(&b);
    CHECK_INT(ERR_OK, parse_built(&b, &h));
    check_from("192.0.2.7:12345", &h);
    b.at[b.n - 5]++; /* the length of the last one */
    CHECK_INT(ERR_SYNTAX, parse_built(&b, &h));
    build_v4(&b);
    put(&b, "\x04\0", 2); /* half of a head */
    set_length(&b);
    CHECK_INT(ERR_SYNTAX, parse_built(&b, &h));
}

TEST(of_a_large_header_only_the_beginning_is_needed)
{
    static uint8_t noise[60000];
    struct built b;
    struct proxy_header h;
    build_v4(&b);
    put_tlv(&b, 0x04, noise, sizeof noise);
    set_length(&b);
    CHECK_INT(ERR_AGAIN, parse(b.at, PROXY_SEEN_BYTES - 1, BOTH, &h));
    CHECK_INT(ERR_OK, parse(b.at, PROXY_SEEN_BYTES, BOTH, &h));
    CHECK_INT(b.n, h.bytes);
    check_from("192.0.2.7:12345", &h);
}

static bool has_name(const struct built *b, const char *want)
{
    struct proxy_header h;
    const char *why;
    if (proxy_parse(bytes_of(b->at, b->n), BOTH, &h, &why) != ERR_OK) return false;
    return want == NULL ? h.name.at == NULL : bytes_equal(h.name, bytes_of_text(want));
}

TEST(the_name_in_a_certificate_counts_only_when_it_was_shown_and_found_good)
{
    struct built b;
    build_named(&b, 3, 0, "device 7"); /* TLS, with a certificate on this connection */
    CHECK_TRUE(has_name(&b, "device 7"));
    build_named(&b, 5, 0, "device 7"); /* or in this session */
    CHECK_TRUE(has_name(&b, "device 7"));
    build_named(&b, 1, 0, "device 7");
    CHECK_TRUE(has_name(&b, NULL));
    build_named(&b, 3, 1, "device 7");
    CHECK_TRUE(has_name(&b, NULL));
    b.at[12] = 0x20;
    CHECK_TRUE(has_name(&b, NULL));
}

TEST(values_inside_of_a_value_may_not_reach_beyond_it)
{
    struct built b;
    struct proxy_header h;
    uint8_t ssl[100];
    size_t n = build_ssl(ssl, 3, 0, "cn");
    ssl[n - 3] = 3; /* the length of the name */
    build_v4(&b);
    put_tlv(&b, 0x20, ssl, n);
    put_tlv(&b, 0x04, "xxxx", 4);
    set_length(&b);
    CHECK_INT(ERR_SYNTAX, parse_built(&b, &h));
    build_v4(&b);
    put_tlv(&b, 0x20, ssl, 4); /* shorter than its head */
    set_length(&b);
    CHECK_INT(ERR_SYNTAX, parse_built(&b, &h));
}

/* --- sources */

static bool trusts(const char *list, const char *who)
{
    struct sources s;
    struct bytes wrong;
    struct net_address a = { .kind = ADDRESS_LOCAL };
    CHECK_INT(ERR_OK, sources_parse(&s, list, &wrong));
    if (strcmp(who, "local") != 0) {
        struct source one;
        struct sources parsed;
        CHECK_INT(ERR_OK, sources_parse(&parsed, who, &wrong));
        one = parsed.at[0];
        a.kind = one.kind;
        memcpy(a.bytes, one.bytes, sizeof a.bytes);
    }
    return sources_have(&s, &a);
}

TEST(a_list_of_sources_has_addresses_networks_and_local)
{
    CHECK_TRUE(!trusts("", "127.0.0.1"));
    CHECK_TRUE(trusts("192.0.2.1", "192.0.2.1"));
    CHECK_TRUE(!trusts("192.0.2.1", "192.0.2.2"));
    CHECK_TRUE(trusts("192.0.2.1\n10.0.0.0/8 \t2001:db8::/33", "10.255.0.1"));
    CHECK_TRUE(!trusts("10.0.0.0/9", "10.128.0.0"));
    CHECK_TRUE(trusts("10.0.0.0/9", "10.127.255.255"));
    CHECK_TRUE(trusts("2001:db8::/33", "2001:db8:7fff::1"));
    CHECK_TRUE(!trusts("2001:db8::/33", "2001:db8:8000::1"));
    CHECK_TRUE(trusts("0.0.0.0/0", "8.8.8.8"));
    CHECK_TRUE(!trusts("0.0.0.0/0 ::/0", "local"));
    CHECK_TRUE(!trusts("0.0.0.0/0", "::1"));
    CHECK_TRUE(trusts("10.0.0.1 local", "local"));
}

TEST(a_source_that_is_none_is_named)
{
    static const char *const wrong[] = {
        "localhost",   "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/",      "::/129",      "10.0.0",
        "10.0.0.0/08", "1.2.3.4/8/8", "Local",      "2001:db8::1/64", "10.0.0.0/-1",
    };
    struct sources s;
    struct bytes at;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char list[64];
        snprintf(list, sizeof list, "127.0.0.1 %s ::1", wrong[i]);
        if (sources_parse(&s, list, &at) != ERR_SYNTAX) fail_msg("taken: %s", wrong[i]);
        CHECK_TRUE(bytes_equal(at, bytes_of_text(wrong[i])));
    }
}

TEST(there_are_at_most_so_many_sources)
{
    char list[(SOURCES_MAX + 1) * 10 + 1] = "";
    struct sources s;
    struct bytes at;
    for (int i = 0; i <= SOURCES_MAX; i++) memcpy(list + i * 8, "1.2.3.4 ", 9);
    CHECK_INT(ERR_FULL, sources_parse(&s, list, &at));
    list[SOURCES_MAX * 8] = '\0';
    CHECK_INT(ERR_OK, sources_parse(&s, list, &at));
}

/* --- on a socket */

struct pair {
    struct edge *edge;
    struct transport here;
    int there;
};

static void open_pair(struct pair *p)
{
    char text[EDGE_TEXT_BYTES];
    struct edge_conf conf = { .proxy_versions = BOTH, .proxy_trusted = "local" };
    int fds[2];
    CHECK_INT(ERR_OK, edge_new(&p->edge, &conf, text));
    CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
    p->there = fds[1];
    CHECK_INT(ERR_OK, edge_open(p->edge, fds[0], &p->here));
}

static void close_pair(struct pair *p)
{
    edge_unref(&p->edge); /* connections keep their own reference */
    p->here.ops->close(&p->here);
    close(p->there);
}

static enum err read_some(struct pair *p, char *at, size_t size, size_t *got)
{
    return p->here.ops->read(&p->here, at, size, got);
}

static void say(struct pair *p, const void *at, size_t n)
{
    CHECK_INT(n, send(p->there, at, n, 0));
}

static void check_here(struct pair *p, const char *want)
{
    struct net_address a;
    char text[ADDRESS_TEXT_BYTES];
    transport_address(&p->here, &a);
    address_print(&a, text);
    if (strcmp(want, text) != 0) fail_msg("%s is not %s", text, want);
}

static void check_passes(const void *header, size_t n, const char *from)
{
    struct pair p;
    char got[64], text[] = "bytes";
    struct iovec part = { text, 5 };
    size_t count;
    open_pair(&p);
    say(&p, header, n);
    say(&p, "MQTT\r\n", 6);
    CHECK_INT(ERR_OK, read_some(&p, got, sizeof got, &count));
    CHECK_TRUE(count == 6 && memcmp(got, "MQTT\r\n", 6) == 0);
    check_here(&p, from);
    CHECK_INT(ERR_OK, p.here.ops->write(&p.here, &part, 1, &count));
    CHECK_INT(5, recv(p.there, got, sizeof got, 0));
    p.here.ops->end(&p.here);
    CHECK_INT(0, recv(p.there, got, sizeof got, 0));
    close_pair(&p);
}

TEST(what_follows_the_header_is_the_clients_and_comes_whole)
{
    static const char line[] = "PROXY TCP4 192.0.2.7 198.51.100.1 12345 1883\r\n";
    struct built b;
    check_passes(line, sizeof line - 1, "192.0.2.7:12345");
    build_v6(&b);
    check_passes(b.at, b.n, "[2001:db8::1]:12345");
    build_named(&b, 3, 0, "device");
    check_passes(b.at, b.n, "192.0.2.7:12345");
}

TEST(without_an_address_that_was_told_it_is_the_proxys)
{
    char self[ADDRESS_TEXT_BYTES];
    struct built b;
    snprintf(self, sizeof self, "local:%ld", (long)getpid());
    check_passes("PROXY UNKNOWN\r\n", 15, self);
    build_v4(&b);
    b.at[12] = 0x20;
    check_passes(b.at, b.n, self);
}

/* The loop hears of input as long as there is some: nothing may stay in the socket while more is waited for.
 */
static void check_slow(const uint8_t *header, size_t n)
{
    struct pair p;
    char got[8], none;
    size_t count;
    open_pair(&p);
    for (size_t i = 0; i < n; i++) {
        say(&p, header + i, 1);
        CHECK_INT(ERR_AGAIN, read_some(&p, got, sizeof got, &count));
        CHECK_INT(-1, recv(p.here.fd, &none, 1, MSG_PEEK));
    }
    say(&p, "x", 1);
    CHECK_INT(ERR_OK, read_some(&p, got, sizeof got, &count));
    CHECK_TRUE(count == 1 && got[0] == 'x');
    close_pair(&p);
}

TEST(a_header_may_come_byte_by_byte)
{
    static const char line[] = "PROXY TCP6 2001:db8::1 2001:db8::2 12345 1883\r\n";
    static const uint8_t noise[1000];
    struct built b;
    check_slow((const uint8_t *)line, sizeof line - 1);
    build_named(&b, 3, 0, "device");
    check_slow(b.at, b.n);
    build_v4(&b);
    put_tlv(&b, 0x04, noise, sizeof noise);
    set_length(&b);
    check_slow(b.at, b.n);
}

TEST(a_header_of_64_kib_is_read_and_forgotten)
{
    static uint8_t noise[65535 - 12 - 3];
    struct pair p;
    struct built b;
    char got[8];
    size_t sent = 0, count;
    build_v4(&b);
    put_tlv(&b, 0x04, noise, sizeof noise);
    set_length(&b);
    open_pair(&p);
    while (sent < b.n) {
        ssize_t n = send(p.there, b.at + sent, b.n - sent, 0);
        if (n > 0) sent += (size_t)n;
        if (sent < b.n) CHECK_INT(ERR_AGAIN, read_some(&p, got, sizeof got, &count));
    }
    CHECK_INT(ERR_AGAIN, read_some(&p, got, sizeof got, &count));
    say(&p, "next", 4);
    CHECK_INT(ERR_OK, read_some(&p, got, sizeof got, &count));
    CHECK_INT(4, count);
    check_here(&p, "192.0.2.7:12345");
    close_pair(&p);
}

TEST(the_name_in_the_certificate_is_an_identity)
{
    struct pair p;
    struct built b;
    char got[8], name[64];
    size_t count;
    build_named(&b, 3, 0, "device 7");
    open_pair(&p);
    CHECK_INT(ERR_NOTFOUND, p.here.ops->identity(&p.here, TRANSPORT_COMMON_NAME, name, sizeof name));
    say(&p, b.at, b.n);
    CHECK_INT(ERR_AGAIN, read_some(&p, got, sizeof got, &count));
    CHECK_INT(ERR_OK, p.here.ops->identity(&p.here, TRANSPORT_COMMON_NAME, name, sizeof name));
    CHECK_TRUE(strcmp(name, "device 7") == 0);
    CHECK_INT(ERR_SYNTAX, p.here.ops->identity(&p.here, TRANSPORT_COMMON_NAME, name, 8));
    CHECK_INT(ERR_NOTFOUND, p.here.ops->identity(&p.here, TRANSPORT_SUBJECT, name, sizeof name));
    close_pair(&p);
}

TEST(a_name_that_is_longer_than_any_is_no_identity)
{
    char long_name[300], name[512];
    struct pair p;
    struct built b;
    char got[8];
    size_t count;
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    build_named(&b, 3, 0, long_name);
    open_pair(&p);
    say(&p, b.at, b.n);
    CHECK_INT(ERR_AGAIN, read_some(&p, got, sizeof got, &count));
    CHECK_INT(ERR_SYNTAX, p.here.ops->identity(&p.here, TRANSPORT_COMMON_NAME, name, sizeof name));
    close_pair(&p);
}

TEST(garbage_is_refused_with_a_reason_and_an_early_end_is_an_end)
{
    struct pair p;
    char got[8];
    size_t count;
    open_pair(&p);
    say(&p, "\x10\x0c", 2);
    CHECK_INT(ERR_SYNTAX, read_some(&p, got, sizeof got, &count));
    CHECK_TRUE(strcmp(p.here.why, "it sent no PROXY header") == 0);
    close_pair(&p);

    open_pair(&p);
    say(&p, "PROXY TCP4 1.2", 14);
    CHECK_INT(ERR_AGAIN, read_some(&p, got, sizeof got, &count));
    CHECK_INT(0, shutdown(p.there, SHUT_WR));
    CHECK_INT(ERR_CLOSED, read_some(&p, got, sizeof got, &count));
    close_pair(&p);
}

TEST(who_is_not_trusted_is_not_heard)
{
    char text[EDGE_TEXT_BYTES], byte;
    struct edge *e;
    struct transport t;
    int fds[2];
    struct edge_conf conf = { .proxy_versions = PROXY_V2, .proxy_trusted = "10.0.0.0/8" };
    CHECK_INT(ERR_OK, edge_new(&e, &conf, text));
    CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    CHECK_INT(ERR_NOTFOUND, edge_open(e, fds[0], &t));
    CHECK_INT(0, recv(fds[1], &byte, 1, 0)); /* closed */
    close(fds[1]);
    edge_unref(&e);
}

TEST(an_edge_says_what_is_wrong_with_its_sources)
{
    char text[EDGE_TEXT_BYTES];
    struct edge *e;
    struct edge_conf none = { .proxy_versions = BOTH, .proxy_trusted = "" };
    CHECK_INT(ERR_SYNTAX, edge_new(&e, &none, text));
    CHECK_TRUE(e == NULL);
    CHECK_TRUE(strstr(text, "proxy_trusted") != NULL);
    struct edge_conf wrong = { .proxy_versions = BOTH, .proxy_trusted = "10.0.0.0/8\nexample.org" };
    CHECK_INT(ERR_SYNTAX, edge_new(&e, &wrong, text));
    CHECK_TRUE(e == NULL);
    CHECK_TRUE(strstr(text, "'example.org'") != NULL);
}
