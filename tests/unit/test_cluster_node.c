/* SPDX-License-Identifier: Apache-2.0 */
/* One node that is its own quorum, on a real disk, with a state machine that counts. More of them, as
 * processes: tests/e2e/test_zab.py. */
#include "kit/test.h"
#include "node/node_int.h"
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct world {
    struct conf conf;
    struct node *node;
    char text[NODE_TEXT_BYTES], said[2048];
    uint64_t sum, count; /* the state */
    uint64_t goal;       /* of count: then it stops */
    uint64_t asked;      /* proposed and not delivered */
    uint64_t refused;
    uint32_t bytes; /* of a payload */
    bool leads;
};

/* --- the state machine */

static void apply(void *arg, const struct zab_entry *e)
{
    struct world *w = arg;

    if (e->kind != ZAB_DATA) return;
    for (size_t i = 0; i < e->payload.len; i++) w->sum = w->sum * 31 + e->payload.at[i];
    w->count++;
    if (w->asked > 0) w->asked--;
}

static void *freeze(void *arg)
{
    struct world *w = arg;
    uint64_t *copy = malloc(2 * sizeof *copy);

    if (copy == NULL) return NULL;
    copy[0] = w->sum;
    copy[1] = w->count;
    return copy;
}

static void save(void *frozen, struct snap_writer *to)
{
    snap_write(to, bytes_of(frozen, 2 * sizeof(uint64_t)));
}

static enum err load(void *arg, struct snap_reader *from)
{
    struct world *w = arg;
    uint64_t state[2];

    if (snap_read(from, state, sizeof state) != sizeof state) return ERR_SYNTAX;
    w->sum = state[0];
    w->count = state[1];
    return ERR_OK;
}

/* --- what the node says */

static void on_accepted(void *arg, uint64_t token, enum zab_why why, uint64_t first, uint64_t last)
{
    struct world *w = arg;

    (void)token, (void)first, (void)last;
    if (why != ZAB_OK) w->refused++;
}

static void on_role(void *arg, const struct zab_effect *role)
{
    struct world *w = arg;
    w->leads = role->role == ZAB_LEADING && role->is_established;
}

/* Some at a time, until the goal is delivered. A leader may be established before all of its log is: what it
 * finds there counts, too. */
static void on_turn(void *arg)
{
    static uint8_t payload[4096];
    struct world *w = arg;
    struct node_status s;

    if (w->leads && w->count >= w->goal) node_stop(w->node);
    if (!w->leads || w->asked > 0) return;
    node_status(w->node, &s);
    if (s.zab.delivered < s.zab.last) return;
    for (int i = 0; i < 10 && w->count + w->asked < w->goal; i++, w->asked++) {
        payload[0] = (uint8_t)(w->count + w->asked);
        node_propose(w->node, 0, 1, bytes_of(payload, w->bytes));
    }
}

static void on_line(void *arg, const char *text)
{
    struct world *w = arg;
    size_t len = strlen(w->said);
    snprintf(w->said + len, sizeof w->said - len, "%s\n", text);
}

static void on_fail(void *arg, const char *text)
{
    (void)arg;
    print_error("%s\n", text);
    abort();
}

/* --- the directory */

static uint16_t free_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK_INT(0, bind(fd, (struct sockaddr *)&a, sizeof a));
    CHECK_INT(0, getsockname(fd, (struct sockaddr *)&a, &len));
    close(fd);
    return ntohs(a.sin_port);
}

static void world_init(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->bytes = 100;
    w->conf = (struct conf){ .id = 1,
                             .tick_ms = 100,
                             .init_ticks = 50,
                             .sync_ticks = 50,
                             .snap_count = 100,
                             .snap_kib = 1024,
                             .retain = 3,
                             .segment_kib = 64,
                             .lease_ms = 1000,
                             .window_entries = 256 };
    snprintf(w->conf.data_dir, sizeof w->conf.data_dir, "/tmp/longlink-node.XXXXXX");
    CHECK_TRUE(mkdtemp(w->conf.data_dir) != NULL);
    w->conf.members.count = 1;
    w->conf.members.at[0] = (struct zab_member){ .id = 1, .role = ZAB_VOTER };
}

static void world_fini(struct world *w)
{
    char command[CONF_PATH_BYTES + 16];
    snprintf(command, sizeof command, "rm -r %s", w->conf.data_dir);
    CHECK_INT(0, system(command));
}

/* A start with an empty state, as a process has it. */
static enum err start(struct world *w)
{
    const struct node_machine machine = { w, apply, freeze, save, free, load };
    const struct node_sink sink = { w, on_accepted, on_role, on_turn, on_line, on_fail };
    enum err rc = ERR_SYS;

    w->sum = w->count = w->asked = w->refused = 0;
    w->leads = false;
    for (int tries = 0; rc == ERR_SYS && tries < 10; tries++) { /* a port may be taken meanwhile */
        snprintf(w->conf.members.at[0].address, ZAB_ADDRESS_BYTES, "127.0.0.1:%u:%u", free_port(),
                 free_port());
        rc = node_open(&w->node, &w->conf, &machine, &sink, w->text);
    }
    return rc;
}

/* Until so many entries are there in all. */
static void run_to(struct world *w, uint64_t count)
{
    CHECK_INT(ERR_OK, start(w));
    w->goal = count;
    node_run(w->node);
    CHECK_INT(count, w->count);
    CHECK_INT(0, w->refused);
}

static void remove_file(struct world *w, const char *like)
{
    char command[CONF_PATH_BYTES + 64];
    snprintf(command, sizeof command, "rm -r %s/%s", w->conf.data_dir, like);
    CHECK_INT(0, system(command));
}

TEST(what_was_delivered_is_there_after_a_start)
{
    struct world w;

    world_init(&w);
    run_to(&w, 50);
    uint64_t sum = w.sum;
    node_close(&w.node);
    run_to(&w, 50);
    CHECK_TRUE(sum == w.sum);
    node_close(&w.node);
    world_fini(&w);
}

TEST(snapshots_come_the_log_is_purged_and_starts_go_on_from_there)
{
    struct world w;
    struct node_status s;
    uint64_t sum = 0;

    world_init(&w);
    w.bytes = 1000;
    for (uint64_t round = 1; round <= 4; round++) {
        CHECK_INT(ERR_OK, start(&w));
        w.goal = 500 * round;
        node_run(w.node);
        node_status(w.node, &s);
        node_close(&w.node);
        CHECK_INT(500 * round, w.count);
        sum = w.sum;
    }
    CHECK_TRUE(s.snapshot > 0);
    CHECK_TRUE(s.zab.begin > 0);        /* purged */
    CHECK_TRUE(s.segments < 2000 / 64); /* 64 KiB each, of 2 MB in all */
    run_to(&w, 2000);
    CHECK_TRUE(sum == w.sum);
    node_close(&w.node);
    world_fini(&w);
}

TEST(a_log_or_a_beginning_that_is_gone_is_refused_by_name)
{
    struct world w;

    world_init(&w);
    w.bytes = 1000;
    run_to(&w, 1000);
    node_close(&w.node);
    remove_file(&w, "wal");
    CHECK_INT(ERR_NOTFOUND, start(&w));
    CHECK_TRUE(w.node == NULL);
    CHECK_TRUE(strstr(w.text, w.conf.data_dir) != NULL && strstr(w.text, "missing") != NULL);
    world_fini(&w);
}

TEST(a_directory_of_another_node_is_refused)
{
    struct world w;

    world_init(&w);
    run_to(&w, 5);
    node_close(&w.node);
    w.conf.id = 2;
    w.conf.members.at[0].id = 2;
    CHECK_INT(ERR_RANGE, start(&w));
    CHECK_TRUE(strstr(w.text, "another node") != NULL);
    world_fini(&w);
}

TEST(a_directory_that_is_in_use_is_refused)
{
    struct world w, other;

    world_init(&w);
    run_to(&w, 5);
    other = w;
    CHECK_INT(ERR_AGAIN, start(&other));
    CHECK_TRUE(strstr(other.text, "in use") != NULL);
    node_close(&w.node);
    world_fini(&w);
}

TEST(a_snapshot_that_no_record_knows_of_is_dropped)
{
    struct world w;
    struct snap_writer to;
    struct snap_head head = { .zxid = zab_zxid(900, 7), .epoch = 900 };

    world_init(&w);
    run_to(&w, 20);
    uint64_t sum = w.sum;
    head.members = w.conf.members;
    node_close(&w.node);
    int dir = open(w.conf.data_dir, O_RDONLY | O_DIRECTORY);
    snap_begin(&to, dir, SNAP_INSTALL_NAME);
    snap_write(&to, bytes_of("0123456789abcdef", 16));
    CHECK_INT(ERR_OK, snap_end(&to, &head));
    close(dir);
    run_to(&w, 20);
    CHECK_TRUE(sum == w.sum);
    CHECK_TRUE(strstr(w.said, "not part of this node's history") != NULL);
    node_close(&w.node);
    world_fini(&w);
}

TEST(when_the_newest_snapshot_cannot_be_read_an_older_one_is_taken)
{
    struct world w;
    struct snap_list all;
    char path[CONF_PATH_BYTES + 64];

    world_init(&w);
    w.bytes = 1000;
    run_to(&w, 1000);
    uint64_t sum = w.sum;
    node_close(&w.node);
    int dir = open(w.conf.data_dir, O_RDONLY | O_DIRECTORY);
    CHECK_INT(ERR_OK, snap_list(dir, &all));
    close(dir);
    CHECK_TRUE(all.count > 1);
    snprintf(path, sizeof path, "%s/snap.%016llx", w.conf.data_dir, (unsigned long long)all.at[0]);
    int fd = open(path, O_RDWR);
    CHECK_TRUE(fd >= 0);
    CHECK_INT(1, pwrite(fd, "!", 1, SNAP_HEAD_BYTES + 3));
    close(fd);
    run_to(&w, 1000);
    CHECK_TRUE(sum == w.sum);
    CHECK_TRUE(strstr(w.said, "an older one is taken") != NULL);
    node_close(&w.node);
    world_fini(&w);
}

TEST(addresses_of_nobody_and_files_that_are_not_there_are_named)
{
    struct world w;

    world_init(&w);
    snprintf(w.conf.secret_file, sizeof w.conf.secret_file, "/no/such/secret");
    CHECK_INT(ERR_SYS, start(&w));
    CHECK_TRUE(strstr(w.text, "/no/such/secret") != NULL);
    w.conf.secret_file[0] = '\0';
    w.conf.id = 7;
    CHECK_TRUE(start(&w) != ERR_OK);
    world_fini(&w);
    CHECK_INT(ERR_SYS, start(&w));
    CHECK_TRUE(strstr(w.text, w.conf.data_dir) != NULL);
}

/* Killed between the log's moving aside and the first record of the new one. */
TEST(a_node_whose_log_was_moved_aside_counts_for_nothing_after_another_start_either)
{
    struct world w;
    struct node_status s;
    char path[CONF_PATH_BYTES + 16];

    world_init(&w);
    snprintf(path, sizeof path, "%s/damaged.1", w.conf.data_dir);
    CHECK_INT(0, mkdir(path, 0700));
    CHECK_INT(ERR_OK, start(&w));
    node_status(w.node, &s);
    CHECK_TRUE(s.zab.must_relearn);
    node_close(&w.node);
    world_fini(&w);
}

/* Asks for the entries after one, and gives what the reader's thread has found. */
static struct read_job *read_after(struct node *n, uint64_t after)
{
    const struct zab_effect ask = { .kind = ZAB_READ, .at = { .no = 1 }, .zxid = after, .bytes = 1 };

    reader_ask(n, &ask);
    CHECK_TRUE(reader_go_on(n));
    for (;;)
        for (struct mail *next, *m = mailbox_wait(&n->box); m != NULL; m = next) {
            next = m->next;
            if (m->kind == MAIL_READ) return CONTAINER(m, struct read_job, mail);
        }
}

TEST(what_was_being_read_when_the_log_was_cut_is_for_nobody_who_asks_later)
{
    struct world w;

    world_init(&w);
    w.conf.snap_count = 1000000;
    run_to(&w, 100);
    uint64_t after = w.node->index.begin, kept = 0;
    struct read_job *job = read_after(w.node, after);
    CHECK_TRUE(job->count > 2);
    reader_done(w.node, job);
    for (unsigned i = 0; i < AHEADS_MAX; i++) kept += w.node->ahead[i] != NULL;
    CHECK_INT(1, kept); /* for who reads on */
    job = read_after(w.node, after);
    reader_forget(w.node);
    reader_done(w.node, job);
    for (unsigned i = 0; i < AHEADS_MAX; i++) CHECK_TRUE(w.node->ahead[i] == NULL);
    node_close(&w.node);
    world_fini(&w);
}

static void open_incoming(struct node *n, const char *text)
{
    n->fx.count = 1;
    n->fx.more = false;
    n->fx.at[0] = (struct zab_effect){ .kind = ZAB_SNAP_OPEN };
    node_perform(n);
    snap_write(&n->incoming, bytes_of(text, strlen(text)));
}

TEST(a_snapshot_on_its_way_to_the_disk_keeps_its_file)
{
    struct world w;
    struct stat st;

    world_init(&w);
    run_to(&w, 5);
    struct node *n = w.node;
    open_incoming(n, "the first leader's");
    struct snap_writer first = n->incoming;
    n->incoming.fd = -1; /* the keeper has it */
    n->install.writer = first;
    n->install.is_busy = true;
    for (int i = 0; i < 3; i++) open_incoming(n, "another's");
    CHECK_INT(0, fstat(first.fd, &st));
    CHECK_INT(SNAP_HEAD_BYTES + strlen("the first leader's"), st.st_size);
    snap_drop(&first);
    n->install.is_busy = false;
    node_close(&w.node);
    world_fini(&w);
}
