/* SPDX-License-Identifier: Apache-2.0 */
#include "net/ws.h"
#include "base/check.h"
#include "net/ws_frame.h"
#include <stdlib.h>
#include <sys/epoll.h>

/*
 * SHAKING --handshake accepted--> OPEN --the peer's Close, or a mistake--> HEARD --ws_end--> DEAF
 *    |                             +-----------------------ws_end---------------------------^
 *    +--refused, or ws_end------------------------------------------------------------------+
 *
 * HEARD and DEAF: nothing that comes means anything any more; it is thrown away until the peer closes. In
 * HEARD what was said before is still answered, and the loop decides when that is done: our Close is the last
 * word. DEAF: what is given to be written is thrown away too, but for the rest of a frame whose head has
 * gone. Then come our last words, an HTTP status or a Close, and then the transport below is ended.
 *
 *   bytes -> ws_read -> shake                      until there is an answer
 *                    -> read_frames -> take_piece  -> take_data, take_control -> on_control
 *   parts -> ws_write -> say (our own), write_frame
 */

enum phase { SHAKING, OPEN, HEARD, DEAF };

/* What comes before there are frames. */
struct shake {
    struct ws_rules *rules;
    size_t bytes, done, room;
    uint8_t at[];
};

/* Output of our own. */
struct words {
    size_t bytes, done;
    uint8_t at[];
};

struct control {
    uint8_t bytes;
    uint8_t at[WS_CONTROL_BYTES_MAX];
};

struct ws {
    struct transport below;
    struct shake *shake;
    struct words *words;
    struct control *coming; /* a control frame that is being read */
    struct control *ping;   /* the newest that has no answer */
    uint64_t promised;      /* payload that the head of the last frame has promised, not written yet */
    const char *why;
    struct ws_cut cut;
    uint8_t head[WS_HEAD_BYTES_MAX]; /* of that frame, what has not gone of it */
    uint8_t head_bytes;
    enum phase phase;
    uint32_t overhead_bytes; /* of this read */
    enum err verdict;        /* which the next read gives; ERR_OK: none */
    uint16_t status;         /* of our Close */
    bool in_message;         /* whose last fragment has not come */
    bool ends;               /* after our words */
    bool is_ended;
};

/* --- our own output */

static bool add_words(struct ws *w, struct bytes b)
{
    size_t had = w->words == NULL ? 0 : w->words->bytes;
    struct words *words = realloc(w->words, sizeof *words + had + b.len);
    if (words == NULL) return false;
    if (had == 0) words->done = 0;
    if (b.len > 0) memcpy(words->at + had, b.at, b.len);
    words->bytes = had + b.len;
    w->words = words;
    return true;
}

static bool add_frame(struct ws *w, enum ws_opcode opcode, struct bytes payload)
{
    uint8_t frame[WS_HEAD_BYTES_MAX + WS_CONTROL_BYTES_MAX];
    size_t n = ws_frame_head(frame, opcode, payload.len);
    if (n == 0) return false;
    if (payload.len > 0) memcpy(frame + n, payload.at, payload.len);
    return add_words(w, bytes_of(frame, n + payload.len));
}

static bool has_words(const struct ws *w)
{
    return w->words != NULL || w->ping != NULL;
}

static void drop_control(struct control **owner)
{
    free(*owner);
    *owner = NULL;
}

/* Nothing more that comes is read. */
static void stop_reading(struct ws *w, enum err verdict, uint16_t status)
{
    w->phase = HEARD;
    w->verdict = verdict;
    w->status = status;
}

static void fail(struct ws *w, uint16_t status, const char *why)
{
    w->why = why;
    stop_reading(w, ERR_SYNTAX, status);
}

static bool is_between_frames(const struct ws *w)
{
    return w->promised == 0 && w->head_bytes == 0;
}

static enum err write_words(struct ws *w)
{
    struct words *words = w->words;
    struct iovec part = { words->at + words->done, words->bytes - words->done };
    size_t n;
    enum err rc = w->below.ops->write(&w->below, &part, 1, &n);
    if (rc != ERR_OK) return rc;
    words->done += n;
    if (words->done < words->bytes) return ERR_AGAIN;
    free(words);
    w->words = NULL;
    return ERR_OK;
}

/* Says what there is, and after the last words ends. */
static enum err say(struct ws *w)
{
    enum err rc = ERR_OK;
    if ((w->below.needs & TRANSPORT_HAS_OUTPUT) != 0)
        rc = w->below.ops->write(&w->below, NULL, 0, &(size_t){ 0 });
    if (!is_between_frames(w)) return rc;
    while (rc == ERR_OK && has_words(w)) {
        if (w->words == NULL) {
            if (!add_frame(w, WS_PONG, bytes_of(w->ping->at, w->ping->bytes))) return ERR_NOMEM;
            drop_control(&w->ping);
        }
        rc = write_words(w);
    }
    if (rc == ERR_OK && w->ends && !w->is_ended) {
        w->is_ended = true;
        w->below.ops->end(&w->below);
    }
    return rc;
}

/* --- what was read */

static void on_control(struct ws *w, uint8_t opcode, struct control *c)
{
    uint16_t status;
    if (opcode == WS_PING) {
        drop_control(&w->ping);
        w->ping = c;
        return;
    }
    if (opcode == WS_CLOSE) {
        bool is_good = ws_close_read(bytes_of(c->at, c->bytes), &status);
        if (is_good)
            stop_reading(w, ERR_CLOSED, status);
        else
            fail(w, status, "a Close is not well formed");
    }
    free(c);
}

static void take_control(struct ws *w, const struct ws_piece *p)
{
    if (w->coming == NULL) w->coming = calloc(1, sizeof *w->coming);
    struct control *c = w->coming;
    if (c == NULL) {
        w->verdict = ERR_NOMEM;
        return;
    }
    CHECK(p->data.len <= sizeof c->at - c->bytes);
    if (p->data.len > 0) memcpy(c->at + c->bytes, p->data.at, p->data.len);
    c->bytes = (uint8_t)(c->bytes + p->data.len);
    if (!p->ends) return;
    w->coming = NULL;
    on_control(w, p->opcode, c);
}

/* RFC 6455 sections 5.1, 5.2, 5.4; [MQTT-6.0.0-1]. False: it has failed. */
static bool judge(struct ws *w, const struct ws_piece *p)
{
    bool goes_on = p->opcode == WS_CONTINUATION;
    bool is_known = goes_on || p->opcode == WS_TEXT || p->opcode == WS_BINARY ||
                    (p->opcode >= WS_CLOSE && p->opcode <= WS_PONG);
    if (!p->is_masked)
        fail(w, WS_STATUS_PROTOCOL, "a frame is not masked");
    else if (p->rsv != 0)
        fail(w, WS_STATUS_PROTOCOL, "a frame has a reserved bit set");
    else if (!is_known)
        fail(w, WS_STATUS_PROTOCOL, "a frame has a reserved opcode");
    else if (p->opcode < WS_CLOSE && goes_on != w->in_message)
        fail(w, WS_STATUS_PROTOCOL, "a fragment is out of order");
    else if (p->opcode == WS_TEXT)
        fail(w, WS_STATUS_NOT_BINARY, "a message is text");
    return w->verdict == ERR_OK;
}

/* Appends data to the `*got` bytes at `at`. */
static void take_piece(struct ws *w, const struct ws_piece *p, uint8_t *at, size_t *got)
{
    if (p->begins && !judge(w, p)) return;
    if (p->opcode >= WS_CLOSE) {
        take_control(w, p);
        return;
    }
    if (p->data.len > 0) memmove(at + *got, p->data.at, p->data.len);
    *got += p->data.len;
    w->in_message = !p->is_final;
}

/* Turns n bytes at `at` into the payload that is in them. */
static void read_frames(struct ws *w, uint8_t *at, size_t n, size_t *got)
{
    struct ws_framer *f = ws_framer_get();
    struct ws_piece p;
    enum err rc = f == NULL ? ERR_NOMEM : ERR_OK;
    if (f != NULL) ws_framer_begin(f, &w->cut, at, n);
    while (rc == ERR_OK && w->verdict == ERR_OK) {
        rc = ws_framer_next(f, &p);
        if (rc == ERR_OK) take_piece(w, &p, at, got);
    }
    if (rc == ERR_OK) ws_framer_leave(f);
    if (rc == ERR_NOMEM) w->verdict = rc;
    if (rc == ERR_SYNTAX) fail(w, WS_STATUS_PROTOCOL, "the head of a frame is not well formed");
}

/* --- the handshake */

static void shake_free(struct ws *w)
{
    if (w->shake == NULL) return;
    ws_rules_unref(&w->shake->rules);
    free(w->shake);
    w->shake = NULL;
}

static enum err shake_make_room(struct ws *w)
{
    size_t most = ws_rules_bytes_max(w->shake->rules);
    if (w->shake->bytes < w->shake->room) return ERR_OK;
    size_t room = w->shake->room == 0 ? 1024 : w->shake->room * 2;
    if (room > most) room = most;
    struct shake *s = realloc(w->shake, sizeof *s + room);
    if (s == NULL) return ERR_NOMEM;
    s->room = room;
    w->shake = s;
    return ERR_OK;
}

static enum err shake(struct ws *w)
{
    struct ws_answer answer;
    size_t n;
    enum err rc = shake_make_room(w);
    struct shake *s = w->shake;
    if (rc == ERR_OK) rc = w->below.ops->read(&w->below, s->at + s->bytes, s->room - s->bytes, &n);
    if (rc != ERR_OK) return rc;
    s->bytes += n;
    s->done = ws_http_answer(s->rules, bytes_of(s->at, s->bytes), s->bytes - n, &answer);
    if (s->done == 0) return ERR_AGAIN;
    if (!add_words(w, bytes_of(answer.text, answer.bytes))) return ERR_NOMEM;
    w->phase = OPEN;
    if (answer.why == NULL) return ERR_OK;
    w->phase = DEAF;
    w->ends = true;
    w->why = answer.why;
    shake_free(w);
    return ERR_SYNTAX;
}

/* What came behind the request, at most `size` of it. */
static size_t take_leftover(struct ws *w, uint8_t *at, size_t size)
{
    struct shake *s = w->shake;
    size_t n = s->bytes - s->done < size ? s->bytes - s->done : size;
    if (n > 0) memcpy(at, s->at + s->done, n);
    s->done += n;
    if (s->done == s->bytes) shake_free(w);
    return n;
}

/* --- the transport */

static void sync_needs(struct transport *t, struct ws *w)
{
    unsigned needs = w->below.needs;
    if (has_words(w)) needs |= TRANSPORT_HAS_OUTPUT;
    if (w->verdict != ERR_OK || (w->phase == OPEN && w->shake != NULL)) needs |= TRANSPORT_HAS_INPUT;
    t->needs = (uint8_t)needs;
    w->below.needs &= (uint8_t)~TRANSPORT_RESUMED; /* told once */
    t->why = w->why != NULL ? w->why : w->below.why;
}

/* The bytes of one read below, or what the handshake has left of one. */
static enum err read_open(struct ws *w, uint8_t *at, size_t size, size_t *got)
{
    enum { READ_BYTES = 32 * 1024 }; /* 5,000 frames of nothing: half a millisecond */
    size_t n = 0;
    enum err rc = ERR_OK;
    if (size > READ_BYTES) size = READ_BYTES;
    if (w->shake != NULL)
        n = take_leftover(w, at, size);
    else
        rc = w->below.ops->read(&w->below, at, size, &n);
    if (rc == ERR_OK) read_frames(w, at, n, got);
    if (n > *got) w->overhead_bytes = (uint32_t)(n - *got);
    return rc;
}

static enum err read_any(struct ws *w, uint8_t *at, size_t size, size_t *got)
{
    enum err rc = w->verdict;
    w->verdict = ERR_OK;
    if (rc != ERR_OK) return rc;
    if (w->phase == SHAKING) rc = shake(w);
    if (rc == ERR_OK && w->phase == OPEN) {
        rc = read_open(w, at, size, got);
    } else if (rc == ERR_OK) {
        rc = w->below.ops->read(&w->below, at, size, got);
        *got = 0;
    }
    if (rc != ERR_OK || *got > 0) return rc;
    rc = w->verdict == ERR_OK ? ERR_AGAIN : w->verdict;
    w->verdict = ERR_OK;
    return rc;
}

static enum err ws_read(struct transport *t, void *at, size_t size, size_t *got)
{
    struct ws *w = t->state;
    *got = 0;
    w->overhead_bytes = 0;
    enum err rc = read_any(w, at, size, got);
    t->overhead_bytes = w->overhead_bytes;
    if (rc == ERR_OK || rc == ERR_AGAIN) {
        enum err said = say(w);
        if (said != ERR_OK && said != ERR_AGAIN && rc == ERR_AGAIN) rc = said;
    }
    sync_needs(t, w);
    /* Last words are the loop's to ask for: who ends so waits for the peer to have read them. */
    if ((rc == ERR_SYNTAX || rc == ERR_CLOSED) && w->phase >= HEARD && !w->is_ended)
        t->needs |= TRANSPORT_HAS_OUTPUT;
    return rc;
}

/* Parts, as far as they have gone. */
struct cursor {
    const struct iovec *parts;
    int count;
    size_t done;  /* of the first of them */
    size_t wrote; /* of all */
};

static void cursor_advance(struct cursor *c, size_t n)
{
    c->wrote += n;
    while (c->count > 0 && n >= c->parts->iov_len - c->done) {
        n -= c->parts->iov_len - c->done;
        c->parts++;
        c->count--;
        c->done = 0;
    }
    c->done += n;
}

/* Puts parts of together at most `most` bytes into `out`. Gives their number. */
static int cursor_clip(const struct cursor *c, uint64_t most, struct iovec *out, int room, size_t *bytes)
{
    int n = 0;
    *bytes = 0;
    for (int i = 0; i < c->count && n < room && *bytes < most; i++) {
        size_t skip = i == 0 ? c->done : 0;
        size_t len = c->parts[i].iov_len - skip;
        if (len > most - *bytes) len = (size_t)(most - *bytes);
        if (len == 0) continue;
        out[n++] = (struct iovec){ (uint8_t *)c->parts[i].iov_base + skip, len };
        *bytes += len;
    }
    return n;
}

/* One write below: of the frame that was begun, or of a new one. */
static enum err write_frame(struct ws *w, struct cursor *c)
{
    struct iovec parts[TRANSPORT_PARTS_MAX];
    bool is_new = is_between_frames(w);
    uint64_t most = is_new ? WS_PAYLOAD_BYTES_MAX : w->promised;
    size_t bytes, n;
    int count = cursor_clip(c, most, parts + 1, TRANSPORT_PARTS_MAX - 1, &bytes);
    if (is_new) {
        w->head_bytes = (uint8_t)ws_frame_head(w->head, WS_BINARY, bytes);
        if (w->head_bytes == 0) return ERR_NOMEM;
        w->promised = bytes;
    }
    size_t head = w->head_bytes;
    parts[0] = (struct iovec){ w->head, head };
    int first = head > 0 ? 0 : 1;
    enum err rc = w->below.ops->write(&w->below, parts + first, count + 1 - first, &n);
    if (rc != ERR_OK) return rc;
    size_t of_head = n < head ? n : head;
    memmove(w->head, w->head + of_head, head - of_head);
    w->head_bytes = (uint8_t)(head - of_head);
    w->promised -= n - of_head;
    cursor_advance(c, n - of_head);
    return n < head + bytes ? ERR_AGAIN : ERR_OK;
}

static enum err ws_write(struct transport *t, struct iovec *parts, int count, size_t *wrote)
{
    struct ws *w = t->state;
    struct cursor c = { .parts = parts, .count = count };
    cursor_advance(&c, 0); /* over what is empty */
    enum err rc = say(w);
    while (rc == ERR_OK && c.count > 0) {
        if (w->phase != OPEN && w->phase != HEARD && is_between_frames(w))
            cursor_advance(&c, c.parts->iov_len - c.done);
        else
            rc = write_frame(w, &c);
        if (rc == ERR_OK) rc = say(w);
    }
    *wrote = c.wrote;
    sync_needs(t, w);
    return rc == ERR_AGAIN && c.wrote > 0 ? ERR_OK : rc;
}

static void ws_end(struct transport *t)
{
    struct ws *w = t->state;
    uint8_t payload[] = { (uint8_t)(w->status >> 8), (uint8_t)w->status };
    drop_control(&w->ping);
    /* Without memory it ends without a word. */
    if (w->phase == OPEN || w->phase == HEARD) add_frame(w, WS_CLOSE, bytes_of(payload, sizeof payload));
    w->phase = DEAF;
    w->ends = true;
    say(w); /* what does not go now is output, or the next read tells */
    sync_needs(t, w);
}

static enum err ws_watch(struct transport *t, int epoll_fd, int op, struct epoll_event *e)
{
    struct ws *w = t->state;
    return w->below.ops->watch(&w->below, epoll_fd, op, e);
}

static enum err ws_identity(const struct transport *t, enum transport_identity which, char *out, size_t size)
{
    const struct ws *w = t->state;
    return w->below.ops->identity(&w->below, which, out, size);
}

static struct transport_ask *ws_ask(const struct transport *t)
{
    const struct ws *w = t->state;
    return w->below.ops->ask == NULL ? NULL : w->below.ops->ask(&w->below);
}

static void *ws_certificate(const struct transport *t)
{
    const struct ws *w = t->state;
    return w->below.ops->certificate == NULL ? NULL : w->below.ops->certificate(&w->below);
}

static void ws_close(struct transport *t)
{
    struct ws *w = t->state;
    free(t->from);
    t->from = NULL;
    t->state = NULL;
    t->fd = -1;
    if (w == NULL) return;
    w->below.ops->close(&w->below);
    shake_free(w);
    free(w->words);
    free(w->coming);
    free(w->ping);
    free(w);
}

const struct transport_ops transport_ws = {
    .name = "websocket",
    .watch = ws_watch,
    .read = ws_read,
    .write = ws_write,
    .identity = ws_identity,
    .ask = ws_ask,
    .certificate = ws_certificate,
    .facts = socket_facts,
    .patience = socket_patience,
    .probe = socket_probe,
    .end = ws_end,
    .close = ws_close,
};

enum err ws_open(struct ws_rules *rules, struct transport *t)
{
    struct ws *w = calloc(1, sizeof *w);
    struct shake *s = calloc(1, sizeof *s);
    if (w == NULL || s == NULL) {
        free(w);
        free(s);
        return ERR_NOMEM;
    }
    s->rules = ws_rules_ref(rules);
    w->below = *t;
    w->below.from = NULL; /* the outer one's */
    w->shake = s;
    w->status = WS_STATUS_NORMAL;
    *t = (struct transport){ .ops = &transport_ws, .fd = w->below.fd, .state = w, .from = t->from };
    sync_needs(t, w);
    return ERR_OK;
}
