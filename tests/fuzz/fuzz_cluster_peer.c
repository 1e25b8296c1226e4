/* SPDX-License-Identifier: Apache-2.0 */
/* A client of a node's ports, over a socket of this machine. The first byte: which port (1), whether the
 * hello and the proof are right and the input comes behind them (2). The second byte: the size of pieces, 0:
 * one. Whatever comes, sessions begin and end in order, and at the end nothing is left. */
#include "base/check.h"
#include "fuzz/fuzz.h"
#include "peer/peer.h"
#include "wire/wire.h"
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ID = 5, GUEST = 9, TURNS_MAX = 1000, HEAD_BYTES = 2 };

struct seen {
    uint64_t session;
    bool is_up;
};

static void on_link(void *arg, uint16_t peer, uint64_t session, bool is_up)
{
    struct seen *s = arg;

    CHECK(peer > ID && s->is_up != is_up);
    CHECK(is_up ? session > s->session : session == s->session);
    s->session = session;
    s->is_up = is_up;
}

static void on_frame(void *arg, uint16_t peer, uint64_t session, const struct zab_frame *f)
{
    const struct seen *s = arg;

    CHECK(peer > ID && s->is_up && session == s->session);
    CHECK(f->type >= ZAB_FOLLOWERINFO && f->type <= ZAB_PONG);
}

static void on_note(void *arg, uint16_t from, const struct zab_note *note)
{
    (void)arg;
    CHECK(from > ID && note->state <= ZAB_NOTE_OBSERVING);
}

static int dial(const struct peers *p, enum wire_plane plane)
{
    const struct peer_address *at = peer_listens(p);
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct linger at_once = { .l_onoff = 1 }; /* or ports are soon used up */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    sa.sin_port = htons(plane == WIRE_PEER ? at->peer_port : at->election_port);
    CHECK(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
    CHECK(connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0);
    return fd;
}

static void run(struct peers *p, uint64_t now_ms)
{
    peer_run(p, now_ms);
    peer_flush(p);
}

static void say(struct peers *p, int fd, struct bytes b, size_t piece)
{
    while (b.len > 0) {
        size_t n = piece > 0 && piece < b.len ? piece : b.len;
        (void)!send(fd, b.at, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        b.at += n;
        b.len -= n;
        run(p, 1000);
    }
}

static void shake(struct peers *p, int fd, enum wire_plane plane)
{
    struct wire_hello h = { .version = WIRE_VERSION, .plane = (uint8_t)plane, .from = GUEST, .to = ID };
    struct wire_proof proof = { 0 };
    uint8_t at[WIRE_HELLO_BYTES], end[WIRE_PROOF_BYTES];

    wire_hello_encode(at, &h);
    wire_proof_encode(end, &proof);
    say(p, fd, bytes_of(at, sizeof at), 0);
    say(p, fd, bytes_of(end, sizeof end), 0);
}

/* The client is gone: so are all traces of it, at the latest when the time of its hello is over. */
static void settle(struct peers *p, const struct seen *s)
{
    uint64_t now_ms = 1000;

    for (int i = 0; i < TURNS_MAX && (s->is_up || peer_next_ms(p) != UINT64_MAX); i++) {
        struct pollfd fd = { .fd = peer_fd(p), .events = POLLIN };
        (void)poll(&fd, 1, i < 10 ? 0 : 1);
        run(p, now_ms);
        now_ms += 100;
    }
    CHECK(!s->is_up && peer_next_ms(p) == UINT64_MAX);
    CHECK(peer_queued(p, GUEST, s->session) == UINT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen s = { 0 };
    struct peer_conf conf = { .id = ID,
                              .listen = { .host = "127.0.0.1" },
                              .sink = { &s, on_link, on_frame, on_note, NULL } };
    struct peers *p;
    char text[PEER_TEXT_BYTES];

    if (size < HEAD_BYTES) return 0;
    enum wire_plane plane = (data[0] & 1) != 0 ? WIRE_ELECTION : WIRE_PEER;
    CHECK(peer_open(&p, &conf, text) == ERR_OK);
    run(p, 1000);
    int fd = dial(p, plane);
    run(p, 1000);
    if ((data[0] & 2) != 0) shake(p, fd, plane);
    say(p, fd, bytes_of(data + HEAD_BYTES, size - HEAD_BYTES), data[1]);
    run(p, 1001);
    close(fd);
    settle(p, &s);
    peer_free(&p);
    return 0;
}
