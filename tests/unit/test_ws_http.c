/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "net/ws_http.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The key and its answer are those of RFC 6455 section 1.3. */
#define LINE     "GET /chat HTTP/1.1\r\n"
#define HOST     "Host: server.example.com\r\n"
#define UPGRADE  "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEY      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define PROTOCOL "Sec-WebSocket-Protocol: mqtt\r\n"
#define VERSION  "Sec-WebSocket-Version: 13\r\n"
#define END      "\r\n"

static struct ws_rules *rules_of(uint32_t bytes_max, const char *origins)
{
    struct ws_rules *r;
    struct ws_rules_conf conf = { bytes_max, origins };
    struct bytes wrong;
    CHECK_INT(ERR_OK, ws_rules_new(&r, &conf, &wrong));
    return r;
}

/* The answer must be the same wherever the request is cut, and come no earlier than it can. */
static struct ws_answer answer_by(const struct ws_rules *rules, const char *request)
{
    struct ws_answer whole = { 0 }, cut = { 0 };
    size_t len = strlen(request), used = ws_http_answer(rules, bytes_of(request, len), 0, &whole);
    CHECK_TRUE(used > 0);
    for (size_t step = 1; step < 9; step += 7) {
        size_t n = 0, seen = 0, taken = 0;
        for (; taken == 0; seen = n) {
            n = len - n < step ? len : n + step;
            char *exact = malloc(n);
            memcpy(exact, request, n);
            taken = ws_http_answer(rules, bytes_of(exact, n), seen, &cut);
            free(exact);
            CHECK_TRUE(taken > 0 || n < len);
        }
        CHECK_TRUE(cut.why == whole.why && cut.bytes == whole.bytes);
        CHECK_TRUE(memcmp(cut.text, whole.text, whole.bytes) == 0);
        if (whole.why == NULL) CHECK_INT(used, taken);
    }
    return whole;
}

static struct ws_answer answer(const char *request)
{
    struct ws_rules *rules = rules_of(0, NULL);
    struct ws_answer a = answer_by(rules, request);
    ws_rules_unref(&rules);
    return a;
}

static void check_status(const char *request, const char *status)
{
    struct ws_answer a = answer(request);
    char line[64];
    int n = snprintf(line, sizeof line, "HTTP/1.1 %s ", status);
    if (strncmp(a.text, line, (size_t)n) != 0) print_error("%s\n-> %s, not %s\n", request, a.text, status);
    CHECK_TRUE(strncmp(a.text, line, (size_t)n) == 0);
    CHECK_INT(strcmp(status, "101") == 0, a.why == NULL);
    CHECK_TRUE(a.why == NULL || strstr(a.text, "\r\nConnection: ") != NULL);
}

TEST(the_handshake_of_the_standard_is_answered_as_there)
{
    struct ws_answer a = answer(LINE HOST UPGRADE KEY PROTOCOL VERSION END);
    static const char want[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        "Sec-WebSocket-Protocol: mqtt\r\n\r\n";
    CHECK_TRUE(a.why == NULL && a.bytes == sizeof want - 1 && memcmp(a.text, want, a.bytes) == 0);
}

TEST(what_comes_behind_the_request_is_no_part_of_it)
{
    static const char request[] = LINE HOST UPGRADE KEY PROTOCOL VERSION END "\x82\x80more";
    struct ws_rules *rules = rules_of(0, NULL);
    struct ws_answer a;
    CHECK_INT(sizeof request - 1 - 6, ws_http_answer(rules, bytes_of(request, sizeof request - 1), 0, &a));
    CHECK_TRUE(a.why == NULL);
    ws_rules_unref(&rules);
}

TEST(names_and_tokens_are_found_in_any_case_and_in_lists)
{
    check_status("GET / HTTP/1.1\r\nhOST: x\r\nUPGRADE: h2c, WebSocket\r\nconnection: keep-alive,upgrade\r\n"
                 "Connection: other\r\nsec-websocket-key:dGhlIHNhbXBsZSBub25jZQ==\r\n"
                 "sec-websocket-version: \t13 \r\nsec-websocket-protocol: chat, mqtt\r\n\r\n",
                 "101");
    check_status("GET http://x/y?z HTTP/1.1\r\nCookie: \xc3\xa4; b\r\nX-Empty:\r\n" HOST UPGRADE KEY PROTOCOL
                     VERSION END,
                 "101");
    check_status(LINE HOST UPGRADE KEY PROTOCOL VERSION "Content-Length: 0\r\n" END, "101");
    check_status(
        LINE HOST UPGRADE KEY PROTOCOL VERSION "Sec-WebSocket-Extensions: permessage-deflate\r\n" END, "101");
}

TEST(the_first_sub_protocol_that_is_known_is_chosen)
{
    struct ws_answer a =
        answer(LINE HOST UPGRADE KEY VERSION "Sec-WebSocket-Protocol: x, mqttv3.1, mqtt\r\n" END);
    CHECK_TRUE(strstr(a.text, "Sec-WebSocket-Protocol: mqttv3.1\r\n") != NULL);
    a = answer(LINE HOST UPGRADE KEY VERSION
               "Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: mqtt, mqttv3.1\r\n" END);
    CHECK_TRUE(strstr(a.text, "Sec-WebSocket-Protocol: mqtt\r\n") != NULL);
    check_status(LINE HOST UPGRADE KEY VERSION END, "400"); /* [MQTT-6.0.0-3] */
    check_status(LINE HOST UPGRADE KEY VERSION "Sec-WebSocket-Protocol: MQTT, mqtt5, \r\n" END, "400");
}

TEST(a_request_line_that_is_wrong_has_its_status)
{
    static char longer[6000];
    check_status("\x10\x10", "400");
    check_status("GET /\r\n\r\n", "400");
    check_status("GET  HTTP/1.1\r\n\r\n", "400");
    check_status("GET * HTTP/1.1\r\n" HOST UPGRADE KEY PROTOCOL VERSION END, "400");
    check_status("GET chat HTTP/1.1\r\n" HOST UPGRADE KEY PROTOCOL VERSION END, "400");
    check_status("GET / HTTP/1.1 \r\n\r\n", "400");
    check_status("GET / HTTP/1.1\nHost: x\r\n\r\n", "400");
    check_status("G(T / HTTP/1.1\r\n\r\n", "400");
    check_status("POST / HTTP/1.1\r\n" HOST UPGRADE KEY PROTOCOL VERSION END, "405");
    check_status("GET / HTTP/1.0\r\n" HOST UPGRADE KEY PROTOCOL VERSION END, "505");
    check_status("GET / HTTP/2.0\r\n" HOST UPGRADE KEY PROTOCOL VERSION END, "505");
    snprintf(longer, sizeof longer, "GET /%05000d HTTP/1.1\r\n\r\n", 0);
    check_status(longer, "414");
}

TEST(a_header_that_is_wrong_is_a_bad_request)
{
    check_status(LINE HOST UPGRADE KEY PROTOCOL VERSION "Name : value\r\n" END, "400");
    check_status(LINE HOST UPGRADE KEY PROTOCOL VERSION "Name\r\n" END, "400");
    check_status(LINE HOST UPGRADE KEY PROTOCOL VERSION ": value\r\n" END, "400");
    check_status(LINE HOST UPGRADE KEY PROTOCOL VERSION "X: a\r\n goes on\r\n" END, "400");
    check_status(LINE HOST UPGRADE KEY PROTOCOL VERSION "X: a\rb\r\n" END, "400");
    check_status(LINE HOST UPGRADE KEY PROTOCOL VERSION "X: a\nY: b\r\n" END, "400");
    check_status(LINE HOST UPGRADE KEY PROTOCOL VERSION "X: \x01\r\n" END, "400");
}

TEST(each_header_that_the_standard_asks_for_must_be_there)
{
    check_status(LINE UPGRADE KEY PROTOCOL VERSION END, "400");
    check_status(LINE HOST HOST UPGRADE KEY PROTOCOL VERSION END, "400");
    check_status(LINE HOST KEY PROTOCOL VERSION END, "426"); /* a browser that looks what is here */
    check_status(LINE HOST "Upgrade: h2c\r\nConnection: Upgrade\r\n" KEY PROTOCOL VERSION END, "426");
    check_status(LINE HOST "Upgrade: websocket\r\nConnection: close\r\n" KEY PROTOCOL VERSION END, "400");
    check_status(LINE HOST UPGRADE PROTOCOL VERSION END, "400");
    check_status(LINE HOST UPGRADE KEY KEY PROTOCOL VERSION END, "400");
    check_status(LINE HOST UPGRADE PROTOCOL VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n" END,
                 "400");
    check_status(LINE HOST UPGRADE PROTOCOL VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ===\r\n" END,
                 "400");
    check_status(LINE HOST UPGRADE KEY PROTOCOL VERSION "Content-Length: 5\r\n" END "hello", "400");
    check_status(LINE HOST UPGRADE KEY PROTOCOL VERSION "Transfer-Encoding: chunked\r\n" END, "400");
}

TEST(another_version_is_told_which_one_there_is)
{
    struct ws_answer a = answer(LINE HOST UPGRADE KEY PROTOCOL "Sec-WebSocket-Version: 8\r\n" END);
    CHECK_TRUE(strncmp(a.text, "HTTP/1.1 426 ", 13) == 0);
    CHECK_TRUE(strstr(a.text, "\r\nSec-WebSocket-Version: 13\r\n") != NULL);
    check_status(LINE HOST UPGRADE KEY PROTOCOL END, "426");
    check_status(LINE HOST UPGRADE KEY PROTOCOL VERSION VERSION END, "426");
}

static void check_origin(const struct ws_rules *rules, const char *header, const char *status)
{
    char request[1024];
    snprintf(request, sizeof request, LINE HOST UPGRADE KEY PROTOCOL VERSION "%s" END, header);
    struct ws_answer a = answer_by(rules, request);
    CHECK_TRUE(strncmp(a.text + 9, status, 3) == 0);
}

/* option: websockets_origin */
TEST(a_page_of_another_origin_is_forbidden_and_who_is_no_page_is_not)
{
    struct ws_rules *rules = rules_of(0, "https://example.com\nhttp://localhost:8080"),
                    *all = rules_of(0, NULL);
    check_origin(rules, "Origin: https://example.com\r\n", "101");
    check_origin(rules, "Origin: http://LOCALHOST:8080\r\n", "101");
    check_origin(rules, "", "101");
    check_origin(rules, "Origin: https://example.com.evil.net\r\n", "403");
    check_origin(rules, "Origin: https://example.co\r\n", "403");
    check_origin(rules, "Origin: null\r\n", "403");
    check_origin(rules, "Origin:\r\n", "403");
    check_origin(rules, "Origin: https://example.com\r\nOrigin: https://example.com\r\n", "403");
    check_origin(all, "Origin: https://evil.net\r\n", "101");
    ws_rules_unref(&rules);
    ws_rules_unref(&all);
}

static void check_origins(const char *origins, enum err want, const char *blamed)
{
    struct ws_rules *r;
    struct ws_rules_conf conf = { 0, origins };
    struct bytes wrong;
    CHECK_INT(want, ws_rules_new(&r, &conf, &wrong));
    CHECK_INT(want == ERR_OK, r != NULL);
    if (blamed != NULL) CHECK_TRUE(bytes_equal(wrong, bytes_of_text(blamed)));
    ws_rules_unref(&r);
}

TEST(what_no_browser_says_is_no_origin)
{
    check_origins("", ERR_OK, NULL);
    check_origins("null\nhttps://[::1]:8080\nchrome-extension://abc\n", ERR_OK, NULL);
    check_origins("https://a\nhttps://b/", ERR_SYNTAX, "https://b/");
    check_origins("example.com", ERR_SYNTAX, "example.com");
    check_origins("example.com:80", ERR_SYNTAX, "example.com:80");
    check_origins("https://", ERR_SYNTAX, "https://");
    check_origins("https://a https://b", ERR_SYNTAX, "https://a https://b");
    check_origins("*", ERR_SYNTAX, "*");
}

/* option: websockets_headers_size */
TEST(a_request_is_as_long_as_the_limit_and_no_longer)
{
    static const char request[] = LINE HOST UPGRADE KEY PROTOCOL VERSION END;
    struct ws_rules *just = rules_of(sizeof request - 1, NULL), *less = rules_of(sizeof request - 2, NULL);
    struct ws_answer a = answer_by(just, request);
    CHECK_TRUE(a.why == NULL);
    a = answer_by(less, request);
    CHECK_TRUE(strncmp(a.text + 9, "431", 3) == 0);
    ws_rules_unref(&just);
    ws_rules_unref(&less);
}

TEST(there_are_not_more_headers_than_the_limit)
{
    char request[4096];
    int n = snprintf(request, sizeof request, LINE HOST UPGRADE KEY PROTOCOL VERSION);
    for (int i = 6; i < WS_HEADERS_MAX; i++) n += snprintf(request + n, sizeof request - (size_t)n, "a:\r\n");
    snprintf(request + n, sizeof request - (size_t)n, "\r\n");
    check_status(request, "101");
    snprintf(request + n, sizeof request - (size_t)n, "a:\r\n\r\n");
    check_status(request, "431");
}
