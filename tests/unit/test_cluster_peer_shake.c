/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "kit/test.h"
#include "unit/cluster_peer_rig.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct rig rig;

static void begin(int nodes)
{
    rig_init(&rig);
    for (int i = 0; i < nodes; i++) rig_open(&rig, i);
}

/* --- nodes that do not belong together */

static void check_strange(struct peer_conf mine, const char *words_1, const char *words_2)
{
    rig_init(&rig);
    rig_open(&rig, 0);
    rig.conf[1] = mine;
    rig.conf[1].sink = (struct peer_sink){ &rig.node[1], rig.conf[0].sink.link, rig.conf[0].sink.frame,
                                           rig.conf[0].sink.note, rig.conf[0].sink.line };
    rig_open(&rig, 1);
    rig_meet(&rig);
    rig_until_line(&rig, 0, words_1);
    rig_until_line(&rig, 1, words_2);
    rig_run(&rig, 500);
    CHECK_INT(0, rig.node[0].ups);
    CHECK_INT(0, rig.node[1].ups);
    CHECK_TRUE(peer_stat(rig.node[0].p).refused > 1);
    CHECK_TRUE(peer_stat(rig.node[1].p).refused > 1);
    rig_fini(&rig);
}

TEST(another_secret_or_none_is_refused_by_name_on_both_sides)
{
    rig_init(&rig);
    struct peer_conf conf = rig.conf[1];
    conf.secret = bytes_of_text("another secret of as many bytes");
    check_strange(conf, "server.2", "refuses us: its cluster secret is another one");
    conf.secret = bytes_of(NULL, 0);
    check_strange(conf, "its cluster secret is another one", "refuses us: its cluster secret");
}

TEST(another_cluster_is_refused_by_name_on_both_sides)
{
    rig_init(&rig);
    struct peer_conf conf = rig.conf[1];
    conf.cluster++;
    check_strange(conf, "it belongs to another cluster", "refuses us: it belongs to another cluster");
}

TEST(a_reason_is_told_once_however_often_it_is_met)
{
    rig_init(&rig);
    rig.conf[1].cluster++;
    rig_open(&rig, 0);
    rig_open(&rig, 1);
    rig_meet(&rig);
    rig_until_line(&rig, 1, "another cluster");
    rig_run(&rig, 300);
    CHECK_TRUE(peer_stat(rig.node[1].p).refused > 5);
    char *first = strstr(rig.node[1].lines, "another cluster");
    char *second = strstr(first + 1, "another cluster"); /* of the other port */
    CHECK_TRUE(second == NULL || strstr(second + 1, "another cluster") == NULL);
    rig_fini(&rig);
}

TEST(who_only_says_that_he_is_a_node_fills_no_log)
{
    uint64_t lines = 0, began_ms;

    begin(2);
    rig_meet(&rig);
    rig_until(&rig, rig_all_up);
    struct wire_hello h = rig_hello(&rig, 0, WIRE_PEER, 2);
    h.cluster++;
    began_ms = rig.now_ms;
    for (int i = 0; i < 20; i++) CHECK_INT(WIRE_OTHER_CLUSTER, rig_answer(&rig, 0, WIRE_PEER, &h));
    for (char *at = rig.node[0].lines; (at = strstr(at, "which dials from")) != NULL; at++) lines++;
    CHECK_TRUE(lines >= 1 && lines <= 1 + (rig.now_ms - began_ms) / 1000);
    rig_fini(&rig);
}

TEST(ports_that_are_exchanged_are_told)
{
    begin(2);
    rig_meet(&rig);
    const struct peer_address *at = peer_listens(rig.node[0].p);
    snprintf(rig.members.at[0].address, ZAB_ADDRESS_BYTES, "127.0.0.1:%u:%u", at->election_port,
             at->peer_port);
    peer_members(rig.node[1].p, &rig.members);
    rig_until_line(&rig, 1, "its peer and election ports are exchanged");
    CHECK_INT(0, rig.node[1].ups);
    rig_fini(&rig);
}

/* --- hellos */

TEST(each_hello_that_is_wrong_gets_its_answer)
{
    begin(2);
    rig_meet(&rig);
    struct wire_hello good = rig_hello(&rig, 1, WIRE_PEER, 9), h = good;

    CHECK_INT(WIRE_WELCOME, rig_answer(&rig, 1, WIRE_PEER, &h));
    CHECK_INT(WIRE_OTHER_PLANE, rig_answer(&rig, 1, WIRE_ELECTION, &h));
    h.version = WIRE_VERSION + 1;
    CHECK_INT(WIRE_OTHER_VERSION, rig_answer(&rig, 1, WIRE_PEER, &h));
    h = good;
    h.cluster++;
    CHECK_INT(WIRE_OTHER_CLUSTER, rig_answer(&rig, 1, WIRE_PEER, &h));
    h = good;
    h.to = 3;
    CHECK_INT(WIRE_OTHER_NODE, rig_answer(&rig, 1, WIRE_PEER, &h));
    h = good;
    h.from = 1; /* a member, but it is to be dialled */
    CHECK_INT(WIRE_SMALLER_ID, rig_answer(&rig, 1, WIRE_PEER, &h));
    h.from = 2; /* it itself */
    CHECK_INT(WIRE_SMALLER_ID, rig_answer(&rig, 1, WIRE_PEER, &h));
    h = good;
    h.has_secret = false;
    CHECK_INT(WIRE_WRONG_PROOF, rig_answer(&rig, 1, WIRE_PEER, &h));
    CHECK_INT(0, rig.node[1].downs);
    rig_fini(&rig);
}

TEST(nonces_differ_from_connection_to_connection)
{
    begin(1);
    struct wire_hello h = rig_hello(&rig, 0, WIRE_PEER, 9), got[2];
    uint8_t at[WIRE_HELLO_BYTES];

    for (int i = 0; i < 2; i++) {
        int fd = rig_dial(&rig, 0, WIRE_PEER);
        wire_hello_encode(at, &h);
        rig_say(fd, at, sizeof at);
        CHECK_TRUE(rig_hear(&rig, fd, at, sizeof at));
        CHECK_INT(WIRE_OK, wire_hello_decode(bytes_of(at, sizeof at), &got[i]));
        close(fd);
    }
    CHECK_TRUE(memcmp(got[0].nonce, got[1].nonce, sizeof got[0].nonce) != 0);
    rig_fini(&rig);
}

TEST(garbage_is_closed_at_its_first_byte)
{
    uint8_t at;

    begin(1);
    for (int plane = WIRE_PEER; plane <= WIRE_ELECTION; plane++) {
        int fd = rig_dial(&rig, 0, (enum wire_plane)plane);
        uint64_t before_ms = rig.now_ms;
        rig_say(fd, "G", 1);
        CHECK_TRUE(!rig_hear(&rig, fd, &at, 1));
        CHECK_TRUE(rig.now_ms < before_ms + 1000);
        close(fd);
    }
    rig_until_line(&rig, 0, "not a node of this broker");
    rig_fini(&rig);
}

static bool has_refused(struct rig *r)
{
    static uint64_t before;
    uint64_t now = peer_stat(r->node[0].p).refused;
    bool more = now != before;

    before = now;
    return more;
}

TEST(a_hello_or_proof_cut_at_any_byte_comes_to_nothing)
{
    uint8_t both[WIRE_HELLO_BYTES + WIRE_PROOF_BYTES] = { 0 };

    begin(1);
    struct wire_hello h = rig_hello(&rig, 0, WIRE_PEER, 9);
    wire_hello_encode(both, &h);
    for (size_t n = 0; n < sizeof both; n++) {
        int fd = rig_dial(&rig, 0, WIRE_PEER);
        rig_say(fd, both, n);
        rig_run(&rig, 2);
        close(fd);
        rig_until(&rig, has_refused);
    }
    CHECK_INT(0, rig.node[0].ups);
    CHECK_TRUE(peer_next_ms(rig.node[0].p) == UINT64_MAX);
    rig_fini(&rig);
}

TEST(who_says_nothing_or_too_little_is_late)
{
    uint8_t at[WIRE_HELLO_BYTES];

    begin(1);
    struct wire_hello h = rig_hello(&rig, 0, WIRE_PEER, 9);
    wire_hello_encode(at, &h);
    int silent = rig_dial(&rig, 0, WIRE_PEER), slow = rig_dial(&rig, 0, WIRE_PEER);
    int unproven = rig_dial(&rig, 0, WIRE_ELECTION);
    rig_say(slow, at, sizeof at - 1);
    h.plane = WIRE_ELECTION;
    wire_hello_encode(at, &h);
    rig_say(unproven, at, sizeof at);
    uint64_t before_ms = rig.now_ms;
    CHECK_TRUE(rig_is_closed(&rig, silent));
    CHECK_TRUE(rig_is_closed(&rig, slow));
    CHECK_TRUE(rig_is_closed(&rig, unproven));
    CHECK_INT(3, peer_stat(rig.node[0].p).late);
    CHECK_TRUE(rig.now_ms >= before_ms + 1900 && rig.now_ms <= before_ms + 2200);
    CHECK_TRUE(strstr(rig.node[0].lines, "it took too long to prove who it is") != NULL);
    close(silent);
    close(slow);
    close(unproven);
    rig_fini(&rig);
}

TEST(guests_are_few_and_the_oldest_goes_first)
{
    int fds[PEER_GUESTS_MAX + 8];
    uint8_t at;

    begin(2);
    for (int i = 0; i < PEER_GUESTS_MAX + 8; i++) {
        fds[i] = rig_dial(&rig, 0, WIRE_PEER);
        rig_run(&rig, 1);
    }
    for (int i = 0; i < 8; i++) CHECK_TRUE(!rig_hear(&rig, fds[i], &at, 1));
    CHECK_INT(-1, recv(fds[8], &at, 1, MSG_DONTWAIT));
    rig_meet(&rig);
    rig_until(&rig, rig_all_up); /* members come in all the same */
    for (int i = 0; i < PEER_GUESTS_MAX + 8; i++) close(fds[i]);
    rig_fini(&rig);
}

/* --- proofs */

/* Node 2 is told that node 1 is here, and dials: its connection. */
static int stand_for_node_1(void)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof sa;
    int door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), from = -1;

    CHECK(bind(door, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(door, 8) == 0);
    CHECK(getsockname(door, (struct sockaddr *)&sa, &len) == 0);
    snprintf(rig.members.at[0].address, ZAB_ADDRESS_BYTES, "127.0.0.1:%u:1", ntohs(sa.sin_port));
    peer_members(rig.node[1].p, &rig.members);
    while (from < 0) {
        rig_run(&rig, 1);
        from = accept(door, NULL, NULL);
    }
    close(door);
    return from;
}

TEST(a_proof_that_was_heard_is_of_no_use_for_another_connection)
{
    uint8_t hello[WIRE_HELLO_BYTES], proof[WIRE_PROOF_BYTES], other[WIRE_HELLO_BYTES];
    struct wire_proof answer;

    begin(2);
    rig_meet(&rig);
    int from = stand_for_node_1();
    int to = rig_dial(&rig, 0, WIRE_PEER); /* we stand between node 2 and node 1 */
    CHECK_TRUE(rig_hear(&rig, from, hello, sizeof hello));
    rig_say(to, hello, sizeof hello);
    CHECK_TRUE(rig_hear(&rig, to, other, sizeof other));
    rig_say(from, other, sizeof other);
    CHECK_TRUE(rig_hear(&rig, from, proof, sizeof proof));

    int again = rig_dial(&rig, 0, WIRE_PEER);
    rig_say(again, hello, sizeof hello);
    CHECK_TRUE(rig_hear(&rig, again, other, sizeof other));
    rig_say(again, proof, sizeof proof);
    CHECK_TRUE(rig_hear(&rig, again, proof, sizeof proof));
    CHECK_INT(WIRE_OK, wire_proof_decode(bytes_of(proof, sizeof proof), &answer));
    CHECK_INT(WIRE_WRONG_PROOF, answer.answer);
    CHECK_TRUE(rig_is_closed(&rig, again));
    CHECK_INT(0, rig.node[0].ups);
    close(from);
    close(to);
    close(again);
    rig_fini(&rig);
}

/* What the dialler has said comes back to it: it is no proof of ours. */
TEST(a_proof_does_not_serve_in_the_other_direction)
{
    uint8_t hello[WIRE_HELLO_BYTES], proof[WIRE_PROOF_BYTES];
    struct wire_hello h;

    begin(2);
    rig_meet(&rig);
    int from = stand_for_node_1();
    CHECK_TRUE(rig_hear(&rig, from, hello, sizeof hello));
    CHECK_INT(WIRE_OK, wire_hello_decode(bytes_of(hello, sizeof hello), &h));
    h.from = 1;
    h.to = 2;
    wire_hello_encode(hello, &h);
    rig_say(from, hello, sizeof hello);
    CHECK_TRUE(rig_hear(&rig, from, proof, sizeof proof));
    rig_say(from, proof, sizeof proof);
    CHECK_TRUE(rig_is_closed(&rig, from));
    CHECK_INT(0, rig.node[1].ups);
    CHECK_TRUE(strstr(rig.node[1].lines, "its cluster secret is another one") != NULL);
    close(from);
    rig_fini(&rig);
}

/* --- who is let in */

TEST(who_is_dialled_and_is_another_node_is_left)
{
    uint8_t at[WIRE_HELLO_BYTES];
    struct wire_hello h;

    begin(2);
    rig_meet(&rig);
    int from = stand_for_node_1();
    CHECK_TRUE(rig_hear(&rig, from, at, sizeof at));
    h = rig_hello(&rig, 1, WIRE_PEER, 3);
    wire_hello_encode(at, &h);
    rig_say(from, at, sizeof at);
    CHECK_TRUE(rig_is_closed(&rig, from));
    rig_until_line(&rig, 1, "it has another id");
    close(from);
    rig_fini(&rig);
}

static bool is_up_1(struct rig *r)
{
    return r->node[0].ups == 1;
}

static bool is_up_2(struct rig *r)
{
    return r->node[0].ups == 2;
}

static bool is_down_1(struct rig *r)
{
    return r->node[0].downs == 1;
}

TEST(a_newer_connection_of_the_same_node_takes_the_place_of_the_older_one)
{
    begin(1);
    int older = rig_join(&rig, 0, WIRE_PEER, 9);
    rig_until(&rig, is_up_1);
    uint64_t first = rig.node[0].session[9];
    int newer = rig_join(&rig, 0, WIRE_PEER, 9);
    rig_until(&rig, is_up_2);
    CHECK_INT(1, rig.node[0].downs);
    CHECK_TRUE(rig.node[0].is_up[9] && rig.node[0].session[9] > first);
    CHECK_TRUE(rig_is_closed(&rig, older));
    CHECK_INT(1, peer_stat(rig.node[0].p).replaced);
    close(older);
    close(newer);
    rig_until(&rig, is_down_1);
    rig_fini(&rig);
}

static bool is_all_down(struct rig *r)
{
    return r->node[0].downs == r->node[0].ups;
}

TEST(nodes_that_nobody_configured_come_in_when_they_prove_the_secret_until_they_are_too_many)
{
    int fds[ZAB_NODES_MAX];

    begin(1);
    for (int i = 0; i < ZAB_NODES_MAX; i++) fds[i] = rig_join(&rig, 0, WIRE_PEER, (uint16_t)(10 + i));
    struct wire_hello h = rig_hello(&rig, 0, WIRE_PEER, 50);
    CHECK_INT(WIRE_TOO_MANY, rig_answer(&rig, 0, WIRE_PEER, &h));
    CHECK_INT(ZAB_NODES_MAX, rig.node[0].ups);
    for (int i = 0; i < ZAB_NODES_MAX; i++) close(fds[i]);
    rig_until(&rig, is_all_down);
    close(rig_join(&rig, 0, WIRE_PEER, 50)); /* the places are free again */
    rig_fini(&rig);
}

TEST(notes_and_frames_of_a_node_that_nobody_configured_are_heard_and_answered)
{
    struct zab_note note = { .state = ZAB_NOTE_LOOKING, .round = 5 }, got;
    uint8_t at[WIRE_NOTE_BYTES];

    begin(1);
    int fd = rig_join(&rig, 0, WIRE_ELECTION, 9);
    CHECK_INT(ERR_OK, wire_note_encode(at, &note));
    rig_say(fd, at, sizeof at);
    while (rig.node[0].notes == 0) rig_run(&rig, 1);
    CHECK_INT(9, rig.node[0].note_from);
    note.round = 6;
    peer_tell(rig.node[0].p, 9, &note);
    peer_flush(rig.node[0].p);
    CHECK_TRUE(rig_hear(&rig, fd, at, sizeof at));
    CHECK_INT(WIRE_OK, wire_note_decode(bytes_of(at, sizeof at), &got));
    CHECK_INT(6, got.round);
    close(fd);
    rig_fini(&rig);
}

/* --- what breaks the protocol in a session */

static void check_broken(enum wire_plane plane, const void *at, size_t len, const char *words)
{
    begin(1);
    int fd = rig_join(&rig, 0, plane, 9);
    rig_say(fd, at, len);
    CHECK_TRUE(rig_is_closed(&rig, fd));
    rig_until_line(&rig, 0, words);
    CHECK_INT(1, peer_stat(rig.node[0].p).malformed);
    CHECK_INT(rig.node[0].ups, rig.node[0].downs);
    CHECK_INT(0, rig.node[0].frames + rig.node[0].notes);
    close(fd);
    rig_fini(&rig);
}

TEST(a_session_that_breaks_the_protocol_ends_by_name)
{
    struct zab_note note = { 0 };
    uint8_t as_note[WIRE_NOTE_BYTES], at[WIRE_HEAD_BYTES] = { 0, 0, 0, 17, WIRE_VERSION, ZAB_COMMIT };

    CHECK_INT(ERR_OK, wire_note_encode(as_note, &note));
    check_broken(WIRE_PEER, "GET / HTTP/1.1", 14, "a length that nothing of its type has");
    check_broken(WIRE_PEER, as_note, sizeof as_note, "an unknown type");
    check_broken(WIRE_ELECTION, at, sizeof at, "an unknown type");
    at[6] = 4;
    check_broken(WIRE_PEER, at, sizeof at, "an unknown flag");
    at[4] = 2;
    check_broken(WIRE_PEER, at, 5, "another version");
}

TEST(a_frame_comes_whole_from_any_two_pieces)
{
    struct zab_frame f = { .type = ZAB_COMMIT, .epoch = 1 };
    static struct wire_out out;

    begin(1);
    int fd = rig_join(&rig, 0, WIRE_PEER, 9);
    for (size_t n = 0; n <= WIRE_HEAD_BYTES; n++) {
        f.zxid = n + 1;
        CHECK_INT(ERR_OK, wire_frame_encode(&out, &f));
        rig_say(fd, out.at, n);
        rig_run(&rig, 1);
        rig_say(fd, out.at + n, out.len - n);
        while (rig.node[0].next_zxid < f.zxid) rig_run(&rig, 1);
    }
    close(fd);
    rig_fini(&rig);
}

/* A proof and the first frames in one segment. */
TEST(frames_right_behind_the_proof_are_not_lost)
{
    begin(2);
    rig_meet(&rig);
    rig_until(&rig, rig_all_up);
    for (int i = 0; i < 20; i++) {
        uint32_t ups = rig.node[1].ups;
        peer_close_session(rig.node[1].p, 1, rig.node[1].session[1]);
        rig.node[0].next_zxid = 0;
        while (rig.node[1].ups == ups) {
            peer_run(rig.node[1].p, rig.now_ms);
            if (rig.node[1].ups == ups) rig_run(&rig, 1);
        }
        rig_send(&rig, 1, 1, 1);
        peer_flush(rig.node[1].p);
        while (rig.node[0].next_zxid < 1) rig_run(&rig, 1);
    }
    rig_fini(&rig);
}
