/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "kit/test.h"
#include "unit/cluster_peer_rig.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct rig rig;

static void begin(int nodes)
{
    rig_init(&rig);
    for (int i = 0; i < nodes; i++) rig_open(&rig, i);
}

static void begin_up(int nodes)
{
    begin(nodes);
    rig_meet(&rig);
    rig_until(&rig, rig_all_up);
}

/* --- sessions, frames, notes */

static bool has_ten(struct rig *r)
{
    return r->node[0].next_zxid == 10 && r->node[1].next_zxid == 10;
}

TEST(frames_go_both_ways_in_order_in_a_session_that_the_larger_id_dialled)
{
    begin_up(2);
    CHECK_INT(1, rig.node[0].ups);
    CHECK_INT(1, rig.node[1].ups);
    CHECK_TRUE(strstr(rig.node[0].lines, "server.2") != NULL);
    for (uint64_t i = 1; i <= 10; i++) {
        rig_send(&rig, 0, 2, i);
        rig_send(&rig, 1, 1, i);
    }
    peer_flush(rig.node[0].p);
    peer_flush(rig.node[1].p);
    rig_until(&rig, has_ten);
    CHECK_INT(10, rig.node[0].frames);
    CHECK_INT(0, rig.node[0].downs);
    rig_fini(&rig);
}

TEST(what_was_sent_and_not_flushed_is_due_at_once)
{
    struct zab_note note = { .round = 1 };

    begin_up(2);
    rig_run(&rig, 20);
    CHECK_TRUE(peer_next_ms(rig.node[0].p) > rig.now_ms);
    rig_send(&rig, 0, 2, 1);
    CHECK_TRUE(peer_next_ms(rig.node[0].p) <= rig.now_ms);
    peer_flush(rig.node[0].p);
    CHECK_TRUE(peer_next_ms(rig.node[0].p) > rig.now_ms);
    peer_tell(rig.node[0].p, 2, &note);
    CHECK_TRUE(peer_next_ms(rig.node[0].p) <= rig.now_ms);
    peer_flush(rig.node[0].p);
    CHECK_TRUE(peer_next_ms(rig.node[0].p) > rig.now_ms);
    rig_fini(&rig);
}

TEST(three_nodes_have_one_session_a_pair)
{
    begin_up(3);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(2, rig.node[i].ups);
        CHECK_INT(2, peer_stat(rig.node[i].p).sessions);
        CHECK_INT(0, peer_stat(rig.node[i].p).refused);
        CHECK_INT(0, peer_stat(rig.node[i].p).replaced);
    }
    rig_fini(&rig);
}

static bool has_large(struct rig *r)
{
    return r->node[0].large == ZAB_PAYLOAD_BYTES_MAX && r->node[0].next_zxid == 2;
}

TEST(the_largest_frame_comes_whole_between_small_ones)
{
    begin_up(2);
    rig_send(&rig, 1, 1, 1);
    rig_send_large(&rig, 1, 1, 100);
    rig_send_large(&rig, 1, 1, 20000);
    for (int i = 0; i < 12; i++) rig_send_large(&rig, 1, 1, ZAB_PAYLOAD_BYTES_MAX);
    rig_send(&rig, 1, 1, 2);
    CHECK_TRUE(peer_queued(rig.node[1].p, 1, rig.node[1].session[1]) > 0);
    rig_until(&rig, has_large);
    CHECK_INT(16, rig.node[0].frames);
    CHECK_INT(0, peer_queued(rig.node[1].p, 1, rig.node[1].session[1]));
    rig_fini(&rig);
}

static bool has_note(struct rig *r)
{
    return r->node[0].notes > 0 && r->node[1].notes > 0;
}

TEST(the_newest_note_waits_for_the_connection_and_older_ones_are_forgotten)
{
    struct zab_note note = { .state = ZAB_NOTE_LOOKING, .leader = 2, .epoch = 3, .zxid = 4, .round = 1 };

    begin(2);
    rig_meet(&rig);
    for (note.round = 1; note.round < 9; note.round++) {
        peer_tell(rig.node[0].p, 2, &note);
        peer_tell(rig.node[1].p, 1, &note);
        peer_tell(rig.node[1].p, 9, &note); /* nobody */
    }
    rig_until(&rig, has_note);
    rig_until(&rig, rig_all_up);
    CHECK_INT(1, rig.node[0].notes);
    CHECK_INT(1, rig.node[1].notes);
    CHECK_INT(2, rig.node[0].note_from);
    CHECK_INT(8, rig.node[0].note.round);
    CHECK_INT(8, rig.node[1].note.round);
    CHECK_INT(4, rig.node[1].note.zxid);
    rig_fini(&rig);
}

static bool has_second_session(struct rig *r)
{
    return r->node[0].ups == 2 && r->node[1].ups == 2 && rig_all_up(r);
}

TEST(a_session_that_is_closed_takes_nothing_more_and_is_followed_by_another_one)
{
    struct zab_frame f = { .type = ZAB_COMMIT };

    begin_up(2);
    uint64_t first = rig.node[0].session[2];
    peer_close_session(rig.node[0].p, 2, first + 1); /* not that one */
    CHECK_INT(0, peer_queued(rig.node[0].p, 2, first));
    peer_close_session(rig.node[0].p, 2, first);
    CHECK_TRUE(rig.node[0].is_up[2]); /* the sink is told by peer_run */
    CHECK_TRUE(!peer_send(rig.node[0].p, 2, first, &f));
    CHECK_TRUE(peer_queued(rig.node[0].p, 2, first) == UINT64_MAX);
    CHECK_TRUE(peer_next_ms(rig.node[0].p) <= rig.now_ms);
    rig_until(&rig, has_second_session);
    CHECK_TRUE(rig.node[0].session[2] > first);
    CHECK_INT(1, rig.node[0].downs);
    rig_fini(&rig);
}

static void close_at_once(struct rig_node *n, uint16_t peer, uint64_t session)
{
    peer_close_session(n->p, peer, session);
}

TEST(frames_behind_the_one_that_ends_a_session_are_not_told)
{
    begin_up(2);
    rig.node[0].on_frame = close_at_once;
    for (uint64_t i = 1; i <= 10; i++) rig_send(&rig, 1, 1, i);
    peer_flush(rig.node[1].p);
    rig_until(&rig, has_second_session);
    CHECK_INT(1, rig.node[0].frames);
    rig_fini(&rig);
}

TEST(a_frame_that_cannot_be_encoded_ends_the_session_and_says_so)
{
    struct zab_frame f = { .type = ZAB_COMMIT, .epoch = ZAB_EPOCH_MAX + 1 };

    begin_up(2);
    CHECK_TRUE(!peer_send(rig.node[0].p, 2, rig.node[0].session[2], &f));
    rig_until_line(&rig, 0, "a frame that nobody would take");
    rig_fini(&rig);
}

static bool is_one_down(struct rig *r)
{
    return r->node[1].downs > 0;
}

TEST(a_node_that_takes_nothing_loses_its_session_when_too_much_waits)
{
    rig_init(&rig);
    rig.conf[1].queue_bytes_max = 4u << 20;
    rig_open(&rig, 0);
    rig_open(&rig, 1);
    rig_meet(&rig);
    rig_until(&rig, rig_all_up);
    uint64_t session = rig.node[1].session[1];
    struct zab_frame f = { .type = ZAB_COMMIT, .epoch = 1 };
    uint64_t sent = 0;
    while (peer_send(rig.node[1].p, 1, session, &f)) {
        sent++;
        CHECK(peer_queued(rig.node[1].p, 1, session) <= 4u << 20);
        if (sent % 64 == 0) peer_flush(rig.node[1].p);
    }
    CHECK_TRUE(sent > (4u << 20) / WIRE_HEAD_BYTES);
    CHECK_INT(1, peer_stat(rig.node[1].p).overflows);
    CHECK_TRUE(strstr(rig.node[1].lines, "it takes too little") != NULL);
    rig_fini(&rig);
}

/* --- who goes, comes back, moves */

static bool is_up_again(struct rig *r)
{
    return r->node[0].p != NULL && r->node[0].is_up[2] && r->node[1].ups == 2;
}

/* Nobody listens there, and it is given to nobody else. */
static int hold_port(uint16_t port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    return fd;
}

TEST(a_node_that_comes_back_is_found_within_a_second_and_not_hammered)
{
    begin_up(2);
    struct peer_address at = *peer_listens(rig.node[0].p);
    peer_free(&rig.node[0].p);
    int held[] = { hold_port(at.peer_port), hold_port(at.election_port) };
    rig.node[0].is_up[2] = false;
    rig_until(&rig, is_one_down);
    uint64_t begin_ms = rig.now_ms;
    unsigned dials = 0;
    int last = -1;
    while (rig.now_ms < begin_ms + 10000) { /* each try is a wait whose end we see */
        uint64_t next = peer_next_ms(rig.node[1].p);
        CHECK(next <= rig.now_ms + 2000);
        if (next > rig.now_ms && last != (int)(next - begin_ms)) dials++;
        last = (int)(next - begin_ms);
        rig_run(&rig, 1);
    }
    CHECK_TRUE(dials > 10);
    CHECK_TRUE(dials < 2 * 40);
    CHECK_TRUE(strstr(rig.node[1].lines, "cannot connect: Connection refused") != NULL);
    rig.conf[0].listen = at;
    rig_open(&rig, 0);
    for (int i = 0; i < 2; i++) close(held[i]);
    begin_ms = rig.now_ms;
    rig_until(&rig, is_up_again);
    CHECK_TRUE(rig.now_ms - begin_ms <= 1000 + 100);
    rig_fini(&rig);
}

static bool is_none_up(struct rig *r)
{
    return !r->node[0].is_up[2] && !r->node[1].is_up[1];
}

TEST(who_is_no_longer_a_member_loses_its_session_and_is_not_dialled)
{
    struct zab_members alone = { .count = 1, .at = { { .id = 2, .role = ZAB_VOTER } } };

    begin_up(2);
    peer_members(rig.node[1].p, &alone);
    rig_until(&rig, is_none_up);
    CHECK_TRUE(peer_next_ms(rig.node[1].p) == UINT64_MAX);
    peer_members(rig.node[1].p, &rig.members);
    rig_until(&rig, rig_all_up);
    rig_fini(&rig);
}

TEST(a_member_with_another_address_is_dialled_there)
{
    begin_up(2);
    struct rig_node *moved = &rig.node[0];
    peer_free(&moved->p);
    moved->is_up[2] = false;
    rig_open(&rig, 0);
    rig_meet(&rig);
    rig_until(&rig, is_up_again);
    CHECK_TRUE(strstr(rig.node[1].lines, "it has another address now") != NULL);
    rig_fini(&rig);
}

TEST(the_same_members_again_leave_sessions_alone)
{
    begin_up(3);
    rig_meet(&rig);
    rig_run(&rig, 20);
    for (int i = 0; i < 3; i++) CHECK_INT(0, rig.node[i].downs);
    rig_fini(&rig);
}

TEST(a_host_may_be_a_name_and_one_that_is_none_is_told)
{
    begin(2);
    rig_meet(&rig);
    snprintf(rig.members.at[0].address, ZAB_ADDRESS_BYTES, "localhost:%u:%u",
             peer_listens(rig.node[0].p)->peer_port, peer_listens(rig.node[0].p)->election_port);
    peer_members(rig.node[1].p, &rig.members);
    rig_until(&rig, rig_all_up);
    snprintf(rig.members.at[0].address, ZAB_ADDRESS_BYTES, "localhost:70000:1");
    peer_members(rig.node[1].p, &rig.members);
    rig_until_line(&rig, 1, "\"localhost:70000:1\" is not host:peerPort:electionPort");
    rig_fini(&rig);
}

TEST(addresses_are_host_and_two_ports)
{
    static const struct {
        const char *text, *host;
        uint16_t peer_port, election_port;
    } good[] = {
        { "a.example:2888:3888", "a.example", 2888, 3888 },
        { "10.0.0.1:1:65535", "10.0.0.1", 1, 65535 },
        { "[::1]:2888:3888", "::1", 2888, 3888 },
    };
    static const char *const bad[] = { "",       "h",      "h:1",       "h:1:",
                                       "h::2",   ":1:2",   "h:0:2",     "h:1:0",
                                       "h:1:x",  "h:1:2x", "h:+1:2",    "::1:2888:3888",
                                       "[]:1:2", "h:1:-2", "h:1:65536", "h:99999999999999999999:1" };
    struct peer_address got;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CHECK_TRUE(peer_address_parse(good[i].text, &got));
        CHECK_TRUE(strcmp(got.host, good[i].host) == 0);
        CHECK_INT(good[i].peer_port, got.peer_port);
        CHECK_INT(good[i].election_port, got.election_port);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_TRUE(!peer_address_parse(bad[i], &got));
    char long_one[ZAB_ADDRESS_BYTES + 10];
    memset(long_one, 'a', sizeof long_one);
    snprintf(long_one + ZAB_ADDRESS_BYTES - 4, 8, ":1:2");
    CHECK_TRUE(!peer_address_parse(long_one, &got));
}

/* --- no memory */

static int allocations_left = -1; /* until one fails; less than 0: none does */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_realloc(void *at, size_t size);

static bool is_refused(void)
{
    return allocations_left >= 0 && allocations_left-- == 0;
}
void *__wrap_calloc(size_t n, size_t size)
{
    return is_refused() ? NULL : __real_calloc(n, size);
}
void *__wrap_malloc(size_t size)
{
    return is_refused() ? NULL : __real_malloc(size);
}
void *__wrap_realloc(void *at, size_t size)
{
    return is_refused() ? NULL : __real_realloc(at, size);
}

static uint64_t sent_in;

/* Node 2 sends it in each session until it has come. */
static bool has_come(struct rig *r)
{
    const struct rig_node *n = &r->node[1];

    if (rig_all_up(r) && n->session[1] != sent_in && peer_queued(n->p, 1, n->session[1]) == 0) {
        sent_in = n->session[1];
        rig_send_large(r, 1, 1, ZAB_PAYLOAD_BYTES_MAX);
    }
    return r->node[0].large == ZAB_PAYLOAD_BYTES_MAX;
}

TEST(an_allocation_that_fails_ends_one_connection_and_the_next_one_lives)
{
    bool has_failed = true;
    int n = 0;

    for (; has_failed; n++) {
        begin(2);
        rig_meet(&rig);
        snprintf(rig.members.at[0].address, ZAB_ADDRESS_BYTES, "localhost:%u:%u",
                 peer_listens(rig.node[0].p)->peer_port, peer_listens(rig.node[0].p)->election_port);
        peer_members(rig.node[1].p, &rig.members);
        sent_in = 0;
        allocations_left = n;
        rig_until(&rig, has_come);
        has_failed = allocations_left < 0;
        allocations_left = -1;
        rig_fini(&rig);
    }
    CHECK_TRUE(n > 10);
}

TEST(without_memory_nothing_is_opened)
{
    char text[PEER_TEXT_BYTES];
    struct peers *p;

    rig_init(&rig);
    allocations_left = 0;
    CHECK_INT(ERR_NOMEM, peer_open(&p, &rig.conf[0], text));
    CHECK_TRUE(p == NULL);
}

/* --- no descriptors */

static bool has_late(struct rig *r)
{
    return peer_stat(r->node[0].p).late > 0;
}

TEST(without_descriptors_a_door_is_shut_for_a_moment_instead_of_turning_round)
{
    struct rlimit before, none;
    struct pollfd fd = { .events = POLLIN };

    begin(1);
    fd.fd = peer_fd(rig.node[0].p);
    int client = rig_dial(&rig, 0, WIRE_PEER);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = (rlim_t)client + 1;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    while (rig.node[0].lines[0] == '\0') rig_run(&rig, 1);
    int readable = poll(&fd, 1, 0);
    uint64_t next_ms = peer_next_ms(rig.node[0].p);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK_TRUE(strstr(rig.node[0].lines, "no connection can be taken: Too many open files") != NULL);
    CHECK_INT(0, readable);
    CHECK_TRUE(next_ms <= rig.now_ms + 100);
    rig_until(&rig, has_late); /* it was taken, and said nothing */
    close(client);
    rig_fini(&rig);
}

/* --- what peer_open refuses */

static void check_refused(const struct peer_conf *conf, enum err want, const char *words)
{
    char text[PEER_TEXT_BYTES];
    struct peers *p = NULL;

    CHECK_INT(want, peer_open(&p, conf, text));
    CHECK_TRUE(p == NULL);
    if (strstr(text, words) == NULL) fail_msg("\"%s\" does not say \"%s\"", text, words);
}

TEST(a_configuration_that_makes_no_sense_is_refused_with_words)
{
    rig_init(&rig);
    struct peer_conf conf = rig.conf[0];

    conf.id = 0;
    check_refused(&conf, ERR_RANGE, "id is 1 or more");
    conf = rig.conf[0];
    conf.secret = bytes_of_text("too short");
    check_refused(&conf, ERR_RANGE, "secret has 9 bytes");
    conf.secret = bytes_of(rig.node, PEER_SECRET_BYTES_MAX + 1);
    check_refused(&conf, ERR_RANGE, "it needs 16 to 1024");
    conf = rig.conf[0];
    conf.cafile = "/nowhere";
    check_refused(&conf, ERR_RANGE, "all three or none");
    conf.certfile = conf.keyfile = "/nowhere";
    check_refused(&conf, ERR_RANGE, "cafile /nowhere");
    conf = rig.conf[0];
    snprintf(conf.listen.host, sizeof conf.listen.host, "not an address");
    check_refused(&conf, ERR_RANGE, "not an address");
    rig_open(&rig, 1);
    conf = rig.conf[0];
    conf.listen = *peer_listens(rig.node[1].p);
    check_refused(&conf, ERR_SYS, "in use");
    rig_fini(&rig);
}

TEST(without_secret_and_tls_only_this_machine_is_listened_to_and_dialled)
{
    struct zab_members far = { .count = 1,
                               .at = { { .id = 1, .role = ZAB_VOTER, .address = "192.0.2.1:1:2" } } };

    rig_init(&rig);
    rig.conf[1].secret = bytes_of(NULL, 0);
    rig.conf[1].listen.host[0] = '\0';
    check_refused(&rig.conf[1], ERR_RANGE, "* is not an address of this machine alone");
    snprintf(rig.conf[1].listen.host, ZAB_ADDRESS_BYTES, "0.0.0.0");
    check_refused(&rig.conf[1], ERR_RANGE, "a secret or TLS");
    snprintf(rig.conf[1].listen.host, ZAB_ADDRESS_BYTES, "::");
    check_refused(&rig.conf[1], ERR_RANGE, ":: is not an address of this machine alone");
    snprintf(rig.conf[1].listen.host, ZAB_ADDRESS_BYTES, "127.0.0.1");
    rig_open(&rig, 1);
    peer_members(rig.node[1].p, &far);
    rig_until_line(&rig, 1, "neither a secret nor TLS");
    rig_fini(&rig);
}

TEST(without_secret_nodes_of_this_machine_link)
{
    rig_init(&rig);
    for (int i = 0; i < 2; i++) {
        rig.conf[i].secret = bytes_of(NULL, 0);
        rig_open(&rig, i);
    }
    rig_meet(&rig);
    rig_until(&rig, rig_all_up);
    rig_fini(&rig);
}
