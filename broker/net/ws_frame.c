/* SPDX-License-Identifier: Apache-2.0 */
#include "net/ws_frame.h"
#include "base/check.h"
#include <pthread.h>
#include <stdlib.h>
#include <wslay/wslay.h>

/*
 * The bytes of one read are a stream: the head that was kept, then what came.
 *
 *   | kept head | frame | frame | fra           frame_at: where the frame begins that is being read
 *               ^in                             taken:    what is done with
 *
 * The library judges and counts, and gets only what it needs for that: a head as if it were not masked, and
 * of a payload no more than its length. It would copy it, and take the mask off byte by byte.
 *
 * Pieces lie in `in`, and their reader may put them together at its beginning: they are shorter than the
 * stream up to the head of the next frame.
 */
struct ws_framer {
    wslay_frame_context_ptr context; /* NULL: to be made */
    struct ws_cut *cut;
    struct ws_cut kept; /* as it was at the beginning */
    uint8_t *in;
    uint64_t stream_bytes, taken, frame_at;
    uint8_t feed[WS_HEAD_BYTES_MAX]; /* what the library still gets of a head */
    size_t feed_at, feed_bytes;
    uint64_t feed_payload;
    uint64_t length, left; /* of the payload of the frame at frame_at, when has_head */
    uint8_t key[4];
    uint8_t opcode;
    bool is_final, is_masked;
    bool has_head;
    bool is_rest; /* that frame's head is one made for a rest */
    uint8_t out[WS_HEAD_BYTES_MAX];
    size_t out_bytes;
};

/* --- the block of a thread */

static pthread_key_t framers;
static pthread_once_t framers_once = PTHREAD_ONCE_INIT;

static void forget_context(struct ws_framer *f)
{
    if (f->context != NULL) wslay_frame_context_free(f->context);
    f->context = NULL;
}

static void framer_free(void *owned)
{
    struct ws_framer *f = owned;
    forget_context(f);
    free(f);
}

static void framers_init(void)
{
    CHECK(pthread_key_create(&framers, framer_free) == 0);
}

/* --- the library's callbacks */

static ssize_t feed(uint8_t *at, size_t room, int flags, void *framer)
{
    struct ws_framer *f = framer;
    size_t n = f->feed_bytes - f->feed_at;
    (void)flags;
    if (n > 0) {
        if (n > room) n = room;
        memcpy(at, f->feed + f->feed_at, n);
        f->feed_at += n;
        return (ssize_t)n;
    }
    n = f->feed_payload < room ? (size_t)f->feed_payload : room;
    f->feed_payload -= n;
    return (ssize_t)n; /* 0: it will ask again */
}

/* Keeps the head, and takes the payload for sent. */
static ssize_t keep_head(const uint8_t *at, size_t n, int flags, void *framer)
{
    struct ws_framer *f = framer;
    (void)flags;
    if (f->out_bytes == 0) {
        CHECK(n <= sizeof f->out);
        memcpy(f->out, at, n);
        f->out_bytes = n;
    }
    return (ssize_t)n;
}

static bool make_context(struct ws_framer *f)
{
    static const struct wslay_frame_callbacks callbacks = { .send_callback = keep_head,
                                                            .recv_callback = feed };
    if (f->context == NULL && wslay_frame_context_init(&f->context, &callbacks, f) != 0) f->context = NULL;
    return f->context != NULL;
}

struct ws_framer *ws_framer_get(void)
{
    CHECK(pthread_once(&framers_once, framers_init) == 0);
    struct ws_framer *f = pthread_getspecific(framers);
    if (f == NULL) {
        f = calloc(1, sizeof *f);
        if (f == NULL || pthread_setspecific(framers, f) != 0) {
            free(f);
            return NULL;
        }
    }
    return make_context(f) ? f : NULL;
}

/* --- writing */

static size_t make_head(struct ws_framer *f, uint8_t head[WS_HEAD_BYTES_MAX], uint8_t opcode, uint64_t bytes)
{
    /* The payload is never looked at, for it is not masked: keep_head says that it was sent. */
    struct wslay_frame_iocb io = {
        .fin = 1, .opcode = opcode, .payload_length = bytes, .data = f->out, .data_length = bytes
    };
    f->out_bytes = 0;
    CHECK(wslay_frame_send(f->context, &io) >= 0);
    memcpy(head, f->out, f->out_bytes);
    return f->out_bytes;
}

size_t ws_frame_head(uint8_t head[WS_HEAD_BYTES_MAX], enum ws_opcode opcode, uint64_t bytes)
{
    struct ws_framer *f = ws_framer_get();
    return f == NULL ? 0 : make_head(f, head, (uint8_t)opcode, bytes);
}

/* --- reading */

void ws_framer_begin(struct ws_framer *f, struct ws_cut *cut, uint8_t *at, size_t n)
{
    f->cut = cut;
    f->kept = *cut;
    f->in = at;
    f->stream_bytes = cut->head_bytes + n;
    f->taken = f->frame_at = 0;
    f->feed_at = f->feed_bytes = 0;
    f->feed_payload = 0;
    f->has_head = false;
    f->is_rest = cut->is_inside;
}

static void stream_copy(const struct ws_framer *f, uint64_t from, uint8_t *to, size_t n)
{
    for (size_t i = 0; i < n; i++, from++)
        to[i] = from < f->kept.head_bytes ? f->kept.head[from] : f->in[from - f->kept.head_bytes];
}

/* Gives the library the head at frame_at, or as much as has come of it. True: it is whole. */
static bool feed_head(struct ws_framer *f)
{
    uint8_t head[WS_HEAD_BYTES_MAX];
    uint64_t left = f->stream_bytes - f->frame_at;
    size_t have = left < sizeof head ? (size_t)left : sizeof head;
    stream_copy(f, f->frame_at, head, have);
    f->feed_at = f->feed_bytes = 0;
    if (have < 2) return false;
    size_t plain = (head[1] & 0x7f) < 126 ? 2 : (head[1] & 0x7f) == 126 ? 4 : 10;
    f->is_masked = (head[1] & 0x80) != 0;
    size_t whole = f->is_masked ? plain + 4 : plain;
    if (f->is_masked && have >= whole) memcpy(f->key, head + plain, 4);
    head[1] &= 0x7f;
    f->feed_bytes = have < plain ? have : plain;
    memcpy(f->feed, head, f->feed_bytes);
    f->feed_payload = 0;
    if (have < whole) return false;
    f->taken = f->frame_at + whole;
    uint64_t length = plain == 2 ? head[1] : 0;
    for (size_t i = 2; i < plain; i++) length = length << 8 | head[i];
    f->feed_payload = f->stream_bytes - f->taken < length ? f->stream_bytes - f->taken : length;
    return true;
}

static void unmask(uint8_t *at, size_t n, const uint8_t key[4], uint64_t phase)
{
    uint8_t turned[8];
    uint64_t mask, word;
    for (unsigned i = 0; i < 8; i++) turned[i] = key[(phase + i) % 4];
    memcpy(&mask, turned, 8);
    for (; n >= 8; at += 8, n -= 8) {
        memcpy(&word, at, 8);
        word ^= mask;
        memcpy(at, &word, 8);
    }
    for (size_t i = 0; i < n; i++) at[i] ^= turned[i];
}

/* A head for what is left of the payload. */
static void cut_inside(struct ws_framer *f)
{
    struct ws_cut *cut = f->cut;
    uint64_t gone = f->length - f->left;
    size_t n = make_head(f, cut->head, f->opcode, f->left);
    if (!f->is_final) cut->head[0] &= 0x7f;
    if (f->is_masked) {
        cut->head[1] |= 0x80;
        for (unsigned i = 0; i < 4; i++) cut->head[n++] = f->key[(gone + i) % 4];
    }
    cut->head_bytes = (uint8_t)n;
    cut->is_inside = true;
}

static void save_cut(struct ws_framer *f)
{
    if (f->has_head) {
        cut_inside(f);
        return;
    }
    uint64_t n = f->stream_bytes - f->frame_at;
    CHECK(n <= WS_HEAD_BYTES_MAX);
    stream_copy(f, f->frame_at, f->cut->head, (size_t)n);
    f->cut->head_bytes = (uint8_t)n;
    f->cut->is_inside = f->is_rest;
}

/* Nothing is left. What the library has of a frame that is cut is begun anew with the next bytes. */
static enum err stop(struct ws_framer *f)
{
    save_cut(f);
    if (f->cut->head_bytes > 0) forget_context(f);
    return ERR_AGAIN;
}

static void take(struct ws_framer *f, const struct wslay_frame_iocb *io, size_t n, struct ws_piece *out)
{
    bool begins = !f->has_head && !f->is_rest;
    uint8_t *at = f->in + (f->taken - f->kept.head_bytes);
    if (!f->has_head) {
        f->length = f->left = io->payload_length;
        f->opcode = io->opcode;
        f->is_final = io->fin != 0;
    }
    if (f->is_masked) unmask(at, n, f->key, f->length - f->left);
    f->taken += n;
    f->left -= n;
    f->has_head = f->left > 0;
    *out = (struct ws_piece){ .opcode = io->opcode,
                              .rsv = io->rsv,
                              .is_final = f->is_final,
                              .is_masked = f->is_masked,
                              .begins = begins,
                              .ends = f->left == 0,
                              .data = bytes_of(at, n) };
    if (f->left > 0) return;
    f->frame_at = f->taken;
    f->is_rest = false;
}

enum err ws_framer_next(struct ws_framer *f, struct ws_piece *out)
{
    struct wslay_frame_iocb io;
    ssize_t n;
    if (!f->has_head && f->frame_at == f->stream_bytes) return stop(f);
    bool is_whole = f->has_head || feed_head(f);
    do n = wslay_frame_recv(f->context, &io);
    while (n == WSLAY_ERR_WANT_READ && f->feed_at < f->feed_bytes);
    if (n == WSLAY_ERR_WANT_READ || (n >= 0 && !is_whole)) return stop(f);
    if (n < 0) {
        forget_context(f);
        return ERR_SYNTAX;
    }
    take(f, &io, (size_t)n, out);
    return ERR_OK;
}

void ws_framer_leave(struct ws_framer *f)
{
    forget_context(f);
}

/* --- Close */

/* RFC 3629. Gives the size of the character at the beginning, 0 for what is none. */
static size_t utf8_size(struct bytes b)
{
    uint8_t c = b.at[0];
    size_t size = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (size > b.len) return 0;
    for (size_t i = 1; i < size; i++)
        if ((b.at[i] & 0xc0) != 0x80) return 0;
    if ((c == 0xe0 && b.at[1] < 0xa0) || (c == 0xed && b.at[1] > 0x9f)) return 0; /* too long; surrogates */
    if ((c == 0xf0 && b.at[1] < 0x90) || (c == 0xf4 && b.at[1] > 0x8f))
        return 0; /* too long; above U+10FFFF */
    return size;
}

static bool is_utf8(struct bytes b)
{
    while (b.len > 0) {
        size_t n = utf8_size(b);
        if (n == 0) return false;
        b = bytes_of(b.at + n, b.len - n);
    }
    return true;
}

bool ws_close_read(struct bytes payload, uint16_t *status)
{
    *status = payload.len == 0 ? WS_STATUS_NORMAL : WS_STATUS_PROTOCOL;
    if (payload.len < 2) return payload.len == 0;
    uint16_t given = (uint16_t)(payload.at[0] << 8 | payload.at[1]);
    /* Sections 7.4.1 and 7.4.2, and the registry: 1004 to 1006 and 1015 are never sent. */
    bool may_be_sent = (given >= 1000 && given <= 1003) || (given >= 1007 && given <= 1014) ||
                       (given >= 3000 && given <= 4999);
    if (!may_be_sent) return false;
    bool is_text = is_utf8(bytes_of(payload.at + 2, payload.len - 2));
    *status = is_text ? given : WS_STATUS_NOT_UTF8;
    return is_text;
}
