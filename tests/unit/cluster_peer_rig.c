/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cluster_peer_rig.h"
#include "base/check.h"
#include "kit/test.h"
#include <errno.h>
#include <netinet/in.h>
#include <openssl/hmac.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TURNS_MAX = 20000, IDLE_MS = 5, LARGE_BYTES_MAX = ZAB_PAYLOAD_BYTES_MAX };

static uint8_t large[LARGE_BYTES_MAX];

static const uint8_t *pattern(void)
{
    for (uint32_t i = 0; i < LARGE_BYTES_MAX && large[1] == 0; i++) large[i] = (uint8_t)(i * 7 + i / 251);
    return large;
}

/* --- the sink */

static void on_link(void *arg, uint16_t peer, uint64_t session, bool is_up)
{
    struct rig_node *n = arg;

    CHECK(n->is_up[peer] != is_up);
    CHECK(is_up ? session > n->session[peer] : session == n->session[peer]);
    CHECK(session > RIG_SESSIONS_AFTER);
    n->is_up[peer] = is_up;
    n->session[peer] = session;
    if (is_up)
        n->ups++;
    else
        n->downs++;
}

static void on_frame(void *arg, uint16_t peer, uint64_t session, const struct zab_frame *f)
{
    struct rig_node *n = arg;

    CHECK(n->is_up[peer] && n->session[peer] == session);
    n->frames++;
    if (f->type == ZAB_COMMIT) {
        CHECK(f->zxid == n->next_zxid + 1);
        n->next_zxid = f->zxid;
    }
    if (f->type == ZAB_PROPOSAL) {
        n->large = (uint32_t)f->proposal.entry.payload.len;
        CHECK(memcmp(f->proposal.entry.payload.at, pattern(), n->large) == 0);
    }
    if (n->on_frame != NULL) n->on_frame(n, peer, session);
}

static void on_note(void *arg, uint16_t from, const struct zab_note *note)
{
    struct rig_node *n = arg;

    n->notes++;
    n->note_from = from;
    n->note = *note;
}

static void on_line(void *arg, const char *text)
{
    struct rig_node *n = arg;
    size_t len = strlen(n->lines);

    snprintf(n->lines + len, sizeof n->lines - len, "%s\n", text);
}

/* --- nodes */

void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    rig->now_ms = 5000;
    for (int i = 0; i < RIG_NODES; i++)
        rig->conf[i] = (struct peer_conf){
            .id = (uint16_t)(i + 1),
            .cluster = 77,
            .listen = { .host = "127.0.0.1" },
            .secret = bytes_of_text(RIG_SECRET),
            .sessions_after = RIG_SESSIONS_AFTER,
            .sink = { &rig->node[i], on_link, on_frame, on_note, on_line },
        };
}

void rig_open(struct rig *rig, int i)
{
    char text[PEER_TEXT_BYTES];

    memset(rig->node[i].session, 0, sizeof rig->node[i].session);
    memset(rig->node[i].is_up, 0, sizeof rig->node[i].is_up);
    if (peer_open(&rig->node[i].p, &rig->conf[i], text) != ERR_OK) fail_msg("peer_open: %s", text);
}

void rig_fini(struct rig *rig)
{
    for (int i = 0; i < RIG_NODES; i++) peer_free(&rig->node[i].p);
}

void rig_meet(struct rig *rig)
{
    rig->members = (struct zab_members){ 0 };
    for (int i = 0; i < RIG_NODES; i++) {
        if (rig->node[i].p == NULL) continue;
        struct zab_member *m = &rig->members.at[rig->members.count++];
        const struct peer_address *at = peer_listens(rig->node[i].p);
        *m = (struct zab_member){ .id = (uint16_t)(i + 1), .role = ZAB_VOTER };
        snprintf(m->address, sizeof m->address, "%s:%u:%u", "127.0.0.1", at->peer_port, at->election_port);
    }
    for (int i = 0; i < RIG_NODES; i++)
        if (rig->node[i].p != NULL) peer_members(rig->node[i].p, &rig->members);
}

/* One turn of each; when nothing comes, time goes on. */
static void turn(struct rig *rig)
{
    struct pollfd fds[RIG_NODES];
    nfds_t count = 0;

    for (int i = 0; i < RIG_NODES; i++) {
        if (rig->node[i].p == NULL) continue;
        peer_run(rig->node[i].p, rig->now_ms);
        peer_flush(rig->node[i].p);
        fds[count++] = (struct pollfd){ .fd = peer_fd(rig->node[i].p), .events = POLLIN };
    }
    if (poll(fds, count, 1) == 0) rig->now_ms += IDLE_MS;
}

void rig_run(struct rig *rig, int turns)
{
    for (int i = 0; i < turns; i++) turn(rig);
}

void rig_until(struct rig *rig, bool (*is_so)(struct rig *rig))
{
    for (int i = 0; i < TURNS_MAX; i++) {
        if (is_so(rig)) return;
        turn(rig);
    }
    fail_msg("it never came; node 1 says:\n%s\nnode 2:\n%s\nnode 3:\n%s", rig->node[0].lines,
             rig->node[1].lines, rig->node[2].lines);
}

bool rig_all_up(struct rig *rig)
{
    for (int i = 0; i < RIG_NODES; i++)
        for (int k = 0; k < RIG_NODES; k++) {
            if (i == k || rig->node[i].p == NULL || rig->node[k].p == NULL) continue;
            if (!rig->node[i].is_up[k + 1]) return false;
        }
    return true;
}

void rig_until_line(struct rig *rig, int i, const char *words)
{
    for (int n = 0; n < TURNS_MAX; n++) {
        if (strstr(rig->node[i].lines, words) != NULL) return;
        turn(rig);
    }
    fail_msg("node %d never says \"%s\", but:\n%s", i + 1, words, rig->node[i].lines);
}

void rig_send(struct rig *rig, int from, uint16_t to, uint64_t zxid)
{
    struct zab_frame f = { .type = ZAB_COMMIT, .epoch = 1, .zxid = zxid };

    CHECK_TRUE(peer_send(rig->node[from].p, to, rig->node[from].session[to], &f));
}

bool rig_send_large(struct rig *rig, int from, uint16_t to, uint32_t payload_bytes)
{
    struct zab_frame f = { .type = ZAB_PROPOSAL, .epoch = 1 };

    f.proposal.entry = (struct zab_entry){ .first = zab_zxid(1, 5),
                                           .last = zab_zxid(1, 5),
                                           .prev = zab_zxid(1, 4),
                                           .kind = ZAB_DATA,
                                           .payload = bytes_of(pattern(), payload_bytes) };
    return peer_send(rig->node[from].p, to, rig->node[from].session[to], &f);
}

/* --- a client */

int rig_dial(struct rig *rig, int i, enum wire_plane plane)
{
    const struct peer_address *at = peer_listens(rig->node[i].p);
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    sa.sin_port = htons(plane == WIRE_PEER ? at->peer_port : at->election_port);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0);
    return fd;
}

void rig_say(int fd, const void *at, size_t len)
{
    if (len > 0) (void)!send(fd, at, len, MSG_NOSIGNAL);
}

bool rig_hear(struct rig *rig, int fd, void *at, size_t len)
{
    uint8_t *to = at;
    size_t got = 0;

    for (int i = 0; i < TURNS_MAX && got < len; i++) {
        ssize_t n = recv(fd, to + got, len - got, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) return false;
        if (n > 0)
            got += (size_t)n;
        else
            turn(rig);
    }
    if (got < len) fail_msg("a client waits for bytes that never come");
    return true;
}

bool rig_is_closed(struct rig *rig, int fd)
{
    uint8_t at[4096];

    for (int i = 0; i < TURNS_MAX; i++) {
        ssize_t n = recv(fd, at, sizeof at, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) return true;
        turn(rig);
    }
    return false;
}

struct wire_hello rig_hello(struct rig *rig, int i, enum wire_plane plane, uint16_t from)
{
    return (struct wire_hello){ .version = WIRE_VERSION,
                                .plane = (uint8_t)plane,
                                .has_secret = rig->conf[i].secret.len > 0,
                                .from = from,
                                .to = rig->conf[i].id,
                                .cluster = rig->conf[i].cluster,
                                .nonce = { 1, 2, 3 } };
}

/* As shake.c has it, written again. */
static void prove(uint8_t out[WIRE_MAC_BYTES], char who, const uint8_t *dialler, const uint8_t *other)
{
    static const char label[] = "longlink cluster 1";
    uint8_t data[sizeof label + 1 + 2 * WIRE_HELLO_BYTES + 32] = { 0 };
    unsigned len = 0;

    memcpy(data, label, sizeof label);
    data[sizeof label] = (uint8_t)who;
    memcpy(data + sizeof label + 1, dialler, WIRE_HELLO_BYTES);
    memcpy(data + sizeof label + 1 + WIRE_HELLO_BYTES, other, WIRE_HELLO_BYTES);
    CHECK(HMAC(EVP_sha256(), RIG_SECRET, (int)strlen(RIG_SECRET), data, sizeof data, out, &len) != NULL);
}

int rig_join(struct rig *rig, int i, enum wire_plane plane, uint16_t from)
{
    int fd = rig_dial(rig, i, plane);
    struct wire_hello h = rig_hello(rig, i, plane, from);
    struct wire_proof proof = { 0 }, theirs;
    uint8_t mine[WIRE_HELLO_BYTES], other[WIRE_HELLO_BYTES], at[WIRE_PROOF_BYTES], want[WIRE_MAC_BYTES];

    wire_hello_encode(mine, &h);
    rig_say(fd, mine, sizeof mine);
    CHECK(rig_hear(rig, fd, other, sizeof other));
    CHECK_INT(WIRE_OK, wire_hello_decode(bytes_of(other, sizeof other), &h));
    CHECK_INT(WIRE_WELCOME, h.answer);
    CHECK_INT(from, h.to);
    prove(proof.mac, 'D', mine, other);
    wire_proof_encode(at, &proof);
    rig_say(fd, at, sizeof at);
    CHECK(rig_hear(rig, fd, at, sizeof at));
    CHECK_INT(WIRE_OK, wire_proof_decode(bytes_of(at, sizeof at), &theirs));
    CHECK_INT(WIRE_WELCOME, theirs.answer);
    prove(want, 'A', mine, other);
    CHECK_TRUE(memcmp(want, theirs.mac, sizeof want) == 0);
    return fd;
}

enum wire_answer rig_answer(struct rig *rig, int i, enum wire_plane plane, const struct wire_hello *h)
{
    int fd = rig_dial(rig, i, plane);
    uint8_t at[WIRE_HELLO_BYTES];
    struct wire_hello got;

    wire_hello_encode(at, h);
    rig_say(fd, at, sizeof at);
    CHECK(rig_hear(rig, fd, at, sizeof at));
    CHECK_INT(WIRE_OK, wire_hello_decode(bytes_of(at, sizeof at), &got));
    if (got.answer != WIRE_WELCOME) CHECK_TRUE(rig_is_closed(rig, fd));
    close(fd);
    return (enum wire_answer)got.answer;
}
