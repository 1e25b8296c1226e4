/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_ws.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

static const char request[] =
    "GET /mqtt HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: bG9uZ2xpbmsgYmVuY2ggIQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: mqtt\r\n\r\n";
enum { REQUEST_BYTES = sizeof request - 1, FIN_BINARY = 0x82, MASKED = 0x80 };

static void begin_frame(struct bench_ws *ws, uint32_t len)
{
    uint8_t *h = ws->out_head;
    memset(h, 0, sizeof ws->out_head);
    h[0] = FIN_BINARY;
    ws->out_head_bytes = len < 126 ? 6 : len < 65536 ? 8 : 14;
    h[1] = (uint8_t)(MASKED | (len < 126 ? len : len < 65536 ? 126u : 127u));
    for (int i = ws->out_head_bytes - 5; i >= 2; i--, len >>= 8) h[i] = (uint8_t)len;
    ws->out_head_sent = 0;
}

/* Counts bytes as sent that belong to a part of so many; gives what is left of n. */
static size_t pass(size_t n, size_t part, uint8_t *sent)
{
    size_t mine = n < part ? n : part;
    *sent = (uint8_t)(*sent + mine);
    return n - mine;
}

ssize_t bench_ws_send(struct bench_ws *ws, struct bench_wire *wire, const uint8_t *at, uint32_t len)
{
    if (ws->out_left == 0) {
        begin_frame(ws, len);
        ws->out_left = len;
    }
    size_t request_left = REQUEST_BYTES - ws->request_sent;
    size_t head_left = (size_t)ws->out_head_bytes - ws->out_head_sent;
    struct iovec parts[] = {
        { (void *)(uintptr_t)(request + ws->request_sent), request_left },
        { ws->out_head + ws->out_head_sent, head_left },
        { (void *)(uintptr_t)at, ws->out_left < len ? (size_t)ws->out_left : len },
    };
    ssize_t sent = bench_wire_send(wire, parts, 3);
    if (sent < 0) return sent;
    size_t n = (size_t)sent, of_request = n < request_left ? n : request_left;
    ws->request_sent = (uint16_t)(ws->request_sent + of_request);
    n = pass(n - of_request, head_left, &ws->out_head_sent);
    ws->out_left -= n;
    if (n > 0 || sent == 0) return (ssize_t)n;
    errno = EAGAIN; /* nothing of the payload */
    return -1;
}

/* Passes over the answer to the request. */
static enum err take_answer(struct bench_ws *ws, const uint8_t *at, size_t n, size_t *used)
{
    static const char good[] = "HTTP/1.1 101", end[] = "\r\n\r\n";
    for (*used = 0; *used < n && !ws->is_open; ++*used) {
        uint8_t c = at[*used];
        if (ws->seen < sizeof good - 1 && c != (uint8_t)good[ws->seen++]) return ERR_SYNTAX;
        ws->matched = c == (uint8_t)end[ws->matched] ? (uint8_t)(ws->matched + 1) : c == '\r';
        ws->is_open = ws->matched == sizeof end - 1;
    }
    return ERR_OK;
}

/* Adds a byte to the head. True: it is whole, and in_left is set. */
static bool add_head(struct bench_ws *ws, uint8_t c)
{
    uint8_t *h = ws->in_head;
    h[ws->in_head_bytes++] = c;
    if (ws->in_head_bytes < 2) return false;
    unsigned more = h[1] < 126 ? 0 : h[1] == 126 ? 2 : 8;
    if (ws->in_head_bytes < 2 + more) return false;
    ws->in_left = more == 0 ? h[1] : 0;
    for (unsigned i = 0; i < more; i++) ws->in_left = ws->in_left << 8 | h[2 + i];
    ws->skips = (h[0] & 8) != 0;
    ws->in_head_bytes = 0;
    return true;
}

enum err bench_ws_take(struct bench_ws *ws, uint8_t *at, size_t *n)
{
    size_t put = 0, i = 0;
    enum err rc = ws->is_open ? ERR_OK : take_answer(ws, at, *n, &i);
    while (rc == ERR_OK && i < *n) {
        if (ws->in_left == 0 && !add_head(ws, at[i++])) continue;
        size_t some = *n - i < ws->in_left ? *n - i : (size_t)ws->in_left;
        if (!ws->skips) {
            memmove(at + put, at + i, some);
            put += some;
        }
        i += some;
        ws->in_left -= some;
    }
    *n = put;
    return rc;
}
