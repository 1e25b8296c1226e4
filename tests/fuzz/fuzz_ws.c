/* SPDX-License-Identifier: Apache-2.0 */
/* Frames, behind a good handshake. The first byte says how a read below cuts them, the second how large a
 * read is and how much a write takes. However that is, the same payload must come out. */
#include "base/check.h"
#include "fuzz/fuzz.h"
#include "net/ws.h"
#include <stdlib.h>
#include <sys/epoll.h>

static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Protocol: mqtt\r\n\r\n";

/* The transport below: gives bytes of the input, and forgets what is written. */
struct source {
    struct bytes in;
    size_t at, cut, takes;
    bool has_ended, is_closed;
};

static enum err source_read(struct transport *t, void *at, size_t size, size_t *got)
{
    struct source *s = t->state;
    size_t n = s->in.len - s->at;
    if (n > size) n = size;
    if (n > s->cut) n = s->cut;
    *got = n;
    if (n > 0) memcpy(at, s->in.at + s->at, n);
    s->at += n;
    return n > 0 ? ERR_OK : ERR_CLOSED;
}

static enum err source_write(struct transport *t, struct iovec *parts, int count, size_t *wrote)
{
    struct source *s = t->state;
    size_t all = 0;
    CHECK(!s->has_ended && count <= TRANSPORT_PARTS_MAX);
    for (int i = 0; i < count; i++) all += parts[i].iov_len;
    *wrote = all < s->takes ? all : s->takes;
    return ERR_OK;
}

static void source_end(struct transport *t)
{
    struct source *s = t->state;
    CHECK(!s->has_ended);
    s->has_ended = true;
}

static void source_close(struct transport *t)
{
    struct source *s = t->state;
    CHECK(!s->is_closed);
    s->is_closed = true;
}

static const struct transport_ops ops = {
    .name = "source", .read = source_read, .write = source_write, .end = source_end, .close = source_close
};

struct outcome {
    uint64_t hash;
    size_t bytes;
    enum err rc;
    const char *why;
};

static void say(struct transport *t, struct source *s)
{
    struct iovec parts[] = { { "some", 4 }, { "thing", 5 } };
    size_t wrote;
    enum err rc = t->ops->write(t, parts, 2, &wrote);
    CHECK(wrote <= 9 && (rc == ERR_OK || rc == ERR_AGAIN));
    s->takes = 1000; /* what is left goes with the next */
}

static struct outcome run(struct bytes in, struct ws_rules *rules, size_t cut, size_t size)
{
    struct source s = { .in = in, .cut = cut, .takes = 3 };
    struct transport t = { .ops = &ops, .fd = -1, .state = &s };
    struct outcome o = { .hash = 1 };
    uint8_t *at = malloc(size);
    CHECK(at != NULL && ws_open(rules, &t) == ERR_OK);
    for (unsigned turn = 0; o.rc == ERR_OK || o.rc == ERR_AGAIN; turn++) {
        size_t got;
        o.rc = t.ops->read(&t, at, size, &got);
        CHECK(got <= size && (got > 0) == (o.rc == ERR_OK));
        for (size_t i = 0; i < got; i++) o.hash = o.hash * 31 + at[i];
        o.bytes += got;
        if (turn == 3) say(&t, &s);
    }
    o.why = o.rc == ERR_SYNTAX ? t.why : NULL;
    CHECK((o.rc == ERR_SYNTAX) == (o.why != NULL));
    s.takes = 1000;
    for (int i = 0; i < 3 && (t.needs & TRANSPORT_HAS_OUTPUT) != 0; i++)
        (void)t.ops->write(&t, NULL, 0, &(size_t){ 0 });
    t.ops->end(&t);
    CHECK(s.has_ended || (t.needs & TRANSPORT_HAS_OUTPUT) != 0);
    t.ops->close(&t);
    CHECK(s.is_closed);
    free(at);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ws_rules_conf conf = { 0 };
    struct ws_rules *rules;
    struct bytes wrong;
    if (size < 2) return 0;
    size_t len = sizeof request - 1 + size - 2;
    uint8_t *in = malloc(len);
    CHECK(in != NULL && ws_rules_new(&rules, &conf, &wrong) == ERR_OK);
    memcpy(in, request, sizeof request - 1);
    memcpy(in + sizeof request - 1, data + 2, size - 2);

    struct outcome whole = run(bytes_of(in, len), rules, len, len + 1);
    struct outcome cut = run(bytes_of(in, len), rules, 1 + data[0] % 64, 1 + data[1] % 64);
    CHECK(whole.bytes == cut.bytes && whole.hash == cut.hash && whole.rc == cut.rc && whole.why == cut.why);
    ws_rules_unref(&rules);
    free(in);
    return 0;
}
