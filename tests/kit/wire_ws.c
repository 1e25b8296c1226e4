/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/wire.h"
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OP_CONTINUATION = 0, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10, FIN = 0x80 };

static unsigned draw(struct wire *w, unsigned below)
{
    w->random = w->random * 1664525u + 1013904223u;
    return (w->random >> 8) % below;
}

static void draw_key(struct wire *w, uint8_t key[4])
{
    for (unsigned i = 0; i < 4; i++) key[i] = (uint8_t)draw(w, 256);
}

void wire_frame(struct out *to, unsigned first_byte, const void *at, size_t len, const uint8_t *key)
{
    unsigned masked = key != NULL ? 0x80 : 0;
    out_u8(to, first_byte);
    out_u8(to, masked | (len < 126 ? (unsigned)len : len < 65536 ? 126u : 127u));
    if (len >= 126) {
        for (int shift = len < 65536 ? 8 : 56; shift >= 0; shift -= 8) out_u8(to, (len >> shift) & 0xff);
    }
    if (key != NULL) out_add(to, key, 4);
    out_add(to, at, len);
    uint8_t *payload = to->at + to->len - len;
    for (size_t i = 0; i < len && key != NULL; i++) payload[i] ^= key[i % 4];
}

static void send_frame(struct wire *w, unsigned first_byte, const void *at, size_t len)
{
    struct out frame = { 0 };
    uint8_t key[4];
    draw_key(w, key);
    wire_frame(&frame, first_byte, at, len, key);
    wire_send_below(w, frame.at, frame.len);
    out_clear(&frame);
}

/* --- the handshake */

void wire_ws_start(struct wire *w, const struct wire_conf *conf)
{
    uint8_t nonce[16];
    char head[1024];
    for (unsigned i = 0; i < sizeof nonce; i++) nonce[i] = (uint8_t)draw(w, 256);
    EVP_EncodeBlock((unsigned char *)w->ws_key, nonce, sizeof nonce);
    w->ws = WIRE_WS_SHAKING;
    w->protocol = conf->protocol != NULL ? conf->protocol : "mqtt";
    int n =
        snprintf(head, sizeof head,
                 "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: %s\r\n%s\r\n",
                 w->ws_key, w->protocol, conf->more_head != NULL ? conf->more_head : "");
    wire_send_below(w, head, (size_t)n);
}

static bool has_line(const char *head, const char *name, const char *value)
{
    char line[256];
    (void)snprintf(line, sizeof line, "\r\n%s: %s\r\n", name, value);
    return strstr(head, line) != NULL;
}

static void read_answer(struct wire *w, const char *head)
{
    static const char salt[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char salted[24 + sizeof salt], accept[32];
    uint8_t digest[SHA_DIGEST_LENGTH];
    (void)snprintf(salted, sizeof salted, "%s%s", w->ws_key, salt);
    SHA1((const uint8_t *)salted, strlen(salted), digest);
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
    if (sscanf(head, "HTTP/1.1 %3u ", &w->ws_status) != 1)
        w->trouble = "the answer to the handshake is not HTTP";
    else if (w->ws_status != 101)
        w->trouble = "the handshake was refused";
    else if (!has_line(head, "Sec-WebSocket-Accept", accept))
        w->trouble = "Sec-WebSocket-Accept is wrong";
    else if (!has_line(head, "Sec-WebSocket-Protocol", w->protocol))
        w->trouble = "another sub-protocol was chosen";
    else if (!has_line(head, "Upgrade", "websocket") || !has_line(head, "Connection", "Upgrade"))
        w->trouble = "the answer does not upgrade";
    else if (strstr(head, "Extensions") != NULL)
        w->trouble = "there is an extension nobody asked for";
    w->ws = w->trouble == NULL ? WIRE_WS_OPEN : WIRE_WS_CLOSED;
    if (w->trouble == NULL) w->ws_status = 0;
}

static bool take_answer(struct wire *w)
{
    out_add(&w->ws_in, "", 1); /* a text, for a moment */
    w->ws_in.len--;
    const char *head = (const char *)w->ws_in.at, *end = strstr(head, "\r\n\r\n");
    if (end == NULL) return false;
    size_t len = (size_t)(end - head) + 4;
    char *copy = strndup(head, len);
    read_answer(w, copy);
    free(copy);
    wire_drop(&w->ws_in, len);
    if (w->ws == WIRE_WS_OPEN && w->ws_waiting.len > 0) wire_ws_send(w, w->ws_waiting.at, w->ws_waiting.len);
    out_clear(&w->ws_waiting);
    return w->ws == WIRE_WS_OPEN;
}

/* --- frames that come */

static void on_close(struct wire *w, const uint8_t *at, size_t len)
{
    w->ws_status = len >= 2 ? (unsigned)(at[0] << 8 | at[1]) : 1005;
    w->has_end = true;
    if (w->ws == WIRE_WS_OPEN) send_frame(w, FIN | OP_CLOSE, at, len < 2 ? 0 : 2);
    w->ws = WIRE_WS_CLOSED;
}

static void on_frame(struct wire *w, unsigned first_byte, const uint8_t *at, size_t len)
{
    w->frames++;
    if (len > w->frame_bytes_max) w->frame_bytes_max = len;
    switch (first_byte) {
    case FIN | OP_BINARY: out_add(&w->plain, at, len); break;
    case FIN | OP_CLOSE: on_close(w, at, len); break;
    case FIN | OP_PING: send_frame(w, FIN | OP_PONG, at, len); break;
    case FIN | OP_PONG: w->pongs++; break;
    default: w->trouble = "a frame that a broker does not send"; break;
    }
}

static bool take_frame(struct wire *w)
{
    const uint8_t *at = w->ws_in.at;
    size_t have = w->ws_in.len, head = 2;
    if (have < 2) return false;
    uint64_t len = at[1] & 0x7f;
    if ((at[1] & 0x80) != 0) w->trouble = "a frame of the server is masked";
    if (len >= 126) {
        size_t bytes = len == 126 ? 2 : 8;
        if (have < 2 + bytes) return false;
        len = 0;
        for (size_t i = 0; i < bytes; i++) len = len << 8 | at[2 + i];
        head += bytes;
        if (len < (bytes == 2 ? 126u : 65536u)) w->trouble = "a length is not the shortest";
    }
    if (w->trouble != NULL || have - head < len) return false;
    on_frame(w, at[0], at + head, (size_t)len);
    wire_drop(&w->ws_in, head + (size_t)len);
    return w->trouble == NULL;
}

void wire_ws_take(struct wire *w, const void *at, size_t len)
{
    if (w->trouble != NULL) return;
    out_add(&w->ws_in, at, len);
    if (w->ws == WIRE_WS_SHAKING && !take_answer(w)) return;
    while (take_frame(w)) {}
}

/* --- frames that go */

static void send_fragments(struct wire *w, const uint8_t *at, size_t len)
{
    unsigned opcode = OP_BINARY;
    while (len > 0) {
        size_t n = draw(w, draw(w, 8) == 0 ? 200000 : draw(w, 2) == 0 ? 700 : 5);
        if (n > len) n = len;
        send_frame(w, opcode | (n == len ? (unsigned)FIN : 0u), at, n);
        if (draw(w, 16) == 0) send_frame(w, FIN | OP_PING, "still there?", draw(w, 13));
        opcode = OP_CONTINUATION;
        at += n;
        len -= n;
    }
}

void wire_ws_send(struct wire *w, const void *at, size_t len)
{
    if (w->ws == WIRE_WS_SHAKING)
        out_add(&w->ws_waiting, at, len);
    else if (w->ws == WIRE_WS_OPEN && w->has_fragments)
        send_fragments(w, at, len);
    else if (w->ws == WIRE_WS_OPEN)
        send_frame(w, FIN | OP_BINARY, at, len);
}

void wire_ws_finish(struct wire *w)
{
    static const uint8_t normal[] = { 1000 >> 8, 1000 & 0xff };
    if (w->ws == WIRE_WS_OPEN) send_frame(w, FIN | OP_CLOSE, normal, sizeof normal);
    if (w->ws == WIRE_WS_OPEN) w->ws = WIRE_WS_CLOSED;
}
