/* SPDX-License-Identifier: Apache-2.0 */
#include "node/node.h"
#include "base/clock.h"
#include "base/rng.h"
#include "node/node_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { TICK_MS_MAX = 10, SESSION_BITS = 32, LINE_BYTES = 1024 };

#define STARTS_NAME "starts"

void node_line(struct node *n, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    n->sink.line(n->sink.arg, text);
}

void node_fail(struct node *n, const char *text)
{
    n->sink.fail(n->sink.arg, text);
    abort();
}

/* --- what peers say */

static void on_link(void *arg, uint16_t peer, uint64_t session, bool is_up)
{
    struct node *n = arg;
    struct zab_event event = { .kind = ZAB_LINK };

    event.link.peer = peer;
    event.link.session = session;
    event.link.is_up = is_up;
    if (!is_up) sender_end_session(n, peer, session);
    node_step(n, &event);
}

static void on_frame(void *arg, uint16_t peer, uint64_t session, const struct zab_frame *frame)
{
    struct zab_event event = { .kind = ZAB_FRAME };

    event.frame.peer = peer;
    event.frame.session = session;
    event.frame.frame = frame;
    node_step(arg, &event);
}

static void on_note(void *arg, uint16_t from, const struct zab_note *note)
{
    struct zab_event event = { .kind = ZAB_NOTE };

    event.note.from = from;
    event.note.note = note;
    node_step(arg, &event);
}

static void on_line(void *arg, const char *text)
{
    node_line(arg, "%s", text);
}

/* --- opening */

static enum err say(char text[NODE_TEXT_BYTES], enum err rc, const char *what, const char *why)
{
    snprintf(text, NODE_TEXT_BYTES, "%s: %s", what, why);
    return rc;
}

static enum err open_dir(struct node *n, char text[NODE_TEXT_BYTES])
{
    n->dir_fd = open(n->conf.data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return n->dir_fd >= 0 ? ERR_OK : say(text, ERR_SYS, n->conf.data_dir, strerror(errno));
}

/* Counts the starts, so that numbers of sessions are never used twice. */
static enum err count_start(struct node *n, uint64_t *starts, char text[NODE_TEXT_BYTES])
{
    enum err rc = ERR_OK;
    char line[32] = "";
    int fd = openat(n->dir_fd, STARTS_NAME, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, line, sizeof line - 1) : errno == ENOENT ? 0 : -1;

    if (got < 0) rc = say(text, ERR_SYS, "the number of starts cannot be read", strerror(errno));
    if (fd >= 0) close(fd);
    if (rc != ERR_OK) return rc;
    *starts = got > 0 ? strtoull(line, NULL, 10) + 1 : 1;
    int len = snprintf(line, sizeof line, "%llu\n", (unsigned long long)*starts);
    fd = openat(n->dir_fd, STARTS_NAME ".tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_well = fd >= 0 && write(fd, line, (size_t)len) == len && fsync(fd) == 0;
    if (fd >= 0) close(fd);
    is_well = is_well && renameat(n->dir_fd, STARTS_NAME ".tmp", n->dir_fd, STARTS_NAME) == 0;
    if (is_well && fsync(n->dir_fd) == 0) return ERR_OK;
    return say(text, ERR_SYS, "the number of starts cannot be written", strerror(errno));
}

static enum err read_secret(const struct node *n, uint8_t secret[PEER_SECRET_BYTES_MAX + 1], size_t *len,
                            char text[NODE_TEXT_BYTES])
{
    *len = 0;
    if (n->conf.secret_file[0] == '\0') return ERR_OK;
    int fd = open(n->conf.secret_file, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, secret, PEER_SECRET_BYTES_MAX + 1) : -1;
    if (fd >= 0) close(fd);
    if (got < 0) return say(text, ERR_SYS, n->conf.secret_file, strerror(errno));
    while (got > 0 && (secret[got - 1] == '\n' || secret[got - 1] == '\r')) got--;
    *len = (size_t)got;
    return ERR_OK;
}

static const char *or_null(const char *path)
{
    return path[0] != '\0' ? path : NULL;
}

static enum err open_peers(struct node *n, char text[NODE_TEXT_BYTES])
{
    uint8_t secret[PEER_SECRET_BYTES_MAX + 1];
    size_t secret_len;
    uint64_t starts;
    struct peer_conf conf = { .id = n->conf.id,
                              .cluster = n->conf.cluster,
                              .cafile = or_null(n->conf.ca_file),
                              .certfile = or_null(n->conf.cert_file),
                              .keyfile = or_null(n->conf.key_file),
                              .seed = rng_u64(),
                              .sink = { n, on_link, on_frame, on_note, on_line } };
    const char *address = NULL;

    for (uint32_t i = 0; i < n->conf.members.count; i++)
        if (n->conf.members.at[i].id == n->conf.id) address = n->conf.members.at[i].address;
    if (address == NULL || !peer_address_parse(address, &conf.listen))
        return say(text, ERR_RANGE, "myid",
                   "there is no server.N of this number with an address to listen on");
    enum err rc = count_start(n, &starts, text);
    if (rc == ERR_OK) rc = read_secret(n, secret, &secret_len, text);
    if (rc != ERR_OK) return rc;
    conf.sessions_after = starts << SESSION_BITS;
    conf.secret = bytes_of(secret, secret_len);
    return peer_open(&n->peers, &conf, text);
}

static enum err start_threads(struct node *n)
{
    enum err rc = journal_start(n);

    if (rc == ERR_OK) rc = reader_start(n);
    if (rc == ERR_OK) rc = keeper_start(n);
    n->has_threads = rc == ERR_OK;
    return rc;
}

static enum err watch_fd(struct node *n, int fd, void *what, uint32_t events)
{
    struct epoll_event e = { .events = events, .data.ptr = what };
    return epoll_ctl(n->epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0 ? ERR_OK : ERR_SYS;
}

static enum err open_loop(struct node *n)
{
    enum err rc = mailbox_open(&n->box);

    if (rc == ERR_OK) rc = mailbox_open(&n->journal_box);
    if (rc == ERR_OK) rc = mailbox_open(&n->reader_box);
    if (rc == ERR_OK) rc = mailbox_open(&n->keeper_box);
    n->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (rc == ERR_OK && n->epoll_fd < 0) rc = ERR_SYS;
    if (rc == ERR_OK) rc = watch_fd(n, n->box.event_fd, &n->box, EPOLLIN | EPOLLET);
    return rc;
}

static struct node *node_new(const struct conf *conf, const struct node_machine *machine,
                             const struct node_sink *sink)
{
    struct node *n = calloc(1, sizeof *n);

    if (n == NULL) return NULL;
    n->conf = *conf;
    n->machine = *machine;
    n->sink = *sink;
    n->dir_fd = n->epoll_fd = n->incoming.fd = -1;
    n->box.event_fd = n->journal_box.event_fd = n->reader_box.event_fd = n->keeper_box.event_fd = -1;
    n->filling = &n->batches[0];
    n->now_ms = clock_mono_ms(&clock_system);
    lock_init(&n->lock, LOCK_RANK_CLUSTER_NODE);
    index_init(&n->index);
    keeper_choose_next(n);
    return n;
}

static enum err start(struct node *n, char text[NODE_TEXT_BYTES])
{
    enum err rc = open_loop(n);

    if (rc != ERR_OK) return say(text, rc, "the loop cannot be made", err_text(rc));
    /* The first file of a log takes longer to make than anybody waits for a promise. If there is no room the
     * first record waits for it. */
    if (wal_last(n->wal, 0) == 0) (void)wal_prepare(n->wal);
    rc = open_peers(n, text);
    if (rc != ERR_OK) return rc;
    rc = watch_fd(n, peer_fd(n->peers), n->peers, EPOLLIN);
    if (rc == ERR_OK) rc = start_threads(n);
    if (rc != ERR_OK) return say(text, rc, "threads cannot be started", err_text(rc));
    rc = zab_start(n->zab, n->now_ms, &n->fx);
    if (rc != ERR_OK) return say(text, rc, n->conf.data_dir, "the log does not reach the snapshot");
    node_perform(n);
    return ERR_OK;
}

enum err node_open(struct node **out, const struct conf *conf, const struct node_machine *machine,
                   const struct node_sink *sink, char text[NODE_TEXT_BYTES])
{
    struct node *n = node_new(conf, machine, sink);

    *out = NULL;
    if (n == NULL) return say(text, ERR_NOMEM, "the node cannot be made", err_text(ERR_NOMEM));
    enum err rc = open_dir(n, text);
    if (rc == ERR_OK) rc = node_restore(n, text);
    if (rc == ERR_OK) rc = start(n, text);
    if (rc != ERR_OK) node_close(&n);
    *out = n;
    return rc;
}

/* --- closing */

static void stop_threads(struct node *n)
{
    if (!n->has_threads) return;
    n->stop_journal.kind = n->stop_reader.kind = n->stop_keeper.kind = MAIL_STOP;
    mailbox_send(&n->journal_box, &n->stop_journal);
    mailbox_send(&n->reader_box, &n->stop_reader);
    mailbox_send(&n->keeper_box, &n->stop_keeper);
    thread_join(&n->journal);
    thread_join(&n->reader);
    thread_join(&n->keeper);
}

/* Jobs that came back, or never went. */
static void free_jobs(struct node *n)
{
    struct mail *m = n->box.event_fd >= 0 ? mailbox_take(&n->box) : NULL;

    while (m != NULL) {
        struct mail *next = m->next;
        if (m->kind == MAIL_READ) reader_job_free(CONTAINER(m, struct read_job, mail));
        m = next;
    }
    while (n->parked != NULL) {
        struct read_job *next = n->parked->next;
        reader_job_free(n->parked);
        n->parked = next;
    }
}

static void close_box(struct mailbox *m)
{
    if (m->event_fd >= 0) mailbox_close(m);
}

void node_close(struct node **owner)
{
    struct node *n = *owner;

    *owner = NULL;
    if (n == NULL) return;
    stop_threads(n);
    free_jobs(n);
    reader_forget(n);
    sender_fini(n);
    snap_drop(&n->incoming);
    peer_free(&n->peers);
    wal_reader_close(&n->wal_reader);
    wal_close(&n->wal);
    zab_free(&n->zab);
    index_fini(&n->index);
    for (unsigned i = 0; i < 2; i++) free(n->batches[i].at);
    close_box(&n->box);
    close_box(&n->journal_box);
    close_box(&n->reader_box);
    close_box(&n->keeper_box);
    if (n->epoll_fd >= 0) close(n->epoll_fd);
    if (n->dir_fd >= 0) close(n->dir_fd);
    lock_fini(&n->lock);
    free(n);
}

/* --- the loop */

static void take_mail(struct node *n)
{
    struct mail *m = mailbox_take(&n->box);

    while (m != NULL) {
        struct mail *next = m->next;
        switch (m->kind) {
        case MAIL_BATCH: journal_stored(n, CONTAINER(m, struct batch, mail)); break;
        case MAIL_READ: reader_done(n, CONTAINER(m, struct read_job, mail)); break;
        case MAIL_SAVE: keeper_saved(n); break;
        case MAIL_INSTALL: keeper_installed(n); break;
        default: keeper_purged(n); break;
        }
        m = next;
    }
}

static void tick(struct node *n)
{
    struct zab_event event = { .kind = ZAB_TICK, .now_ms = clock_mono_ms(&clock_system) };

    if (event.now_ms == n->now_ms) return;
    n->now_ms = event.now_ms;
    node_step(n, &event);
}

static void tell_full(struct node *n)
{
    lock_take(&n->lock);
    bool is_full = n->is_full;
    lock_release(&n->lock);
    if (is_full == n->was_full) return;
    n->was_full = is_full;
    if (is_full)
        node_line(n, "no room in %s: records wait until there is some", n->conf.data_dir);
    else
        node_line(n, "there is room in %s again", n->conf.data_dir);
}

/* What events have caused, once for all of a turn. */
static void end_turn(struct node *n)
{
    while (n->told_applied < n->applied) {
        struct zab_event event = { .kind = ZAB_APPLIED, .zxid = n->applied };
        n->told_applied = n->applied;
        node_step(n, &event);
    }
    n->is_reading = n->parked != NULL;
    for (unsigned i = 0; n->is_reading && i < ANSWERS_A_TURN; i++) n->is_reading = reader_go_on(n);
    sender_go_on(n);
    keeper_refuse_install(n);
    /* First who waits longest: a client for an answer, then the followers, whose syncs begin a way later. */
    n->sink.turn(n->sink.arg);
    peer_flush(n->peers);
    journal_hand_over(n);
    keeper_save_if_due(n);
    keeper_purge_if_due(n);
    journal_hand_over(n); /* what turn has proposed */
    tell_full(n);
}

static int wait_ms(const struct node *n)
{
    uint64_t next = peer_next_ms(n->peers), ms = n->conf.tick_ms / 4;

    if (ms > TICK_MS_MAX) ms = TICK_MS_MAX;
    if (ms == 0) ms = 1;
    if (next <= n->now_ms || n->is_reading) return 0;
    return (int)(next - n->now_ms < ms ? next - n->now_ms : ms);
}

static void turn(struct node *n)
{
    struct epoll_event events[EVENTS_A_TURN];
    bool peers_wait = false;
    int count = epoll_wait(n->epoll_fd, events, EVENTS_A_TURN, mailbox_sleep(&n->box) ? wait_ms(n) : 0);

    mailbox_awake(&n->box);
    tick(n);
    take_mail(n);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == n->peers) peers_wait = true;
        if (events[i].data.ptr == n->peers || events[i].data.ptr == &n->box) continue;
        struct node_watch *w = events[i].data.ptr;
        if (w->fd >= 0) w->ready(w->arg, events[i].events);
    }
    if (peers_wait || peer_next_ms(n->peers) <= n->now_ms) peer_run(n->peers, n->now_ms);
    end_turn(n);
}

void node_run(struct node *n)
{
    while (!n->is_stopping) turn(n);
}

void node_stop(struct node *n)
{
    n->is_stopping = true;
}

/* --- for who watches */

enum err node_watch(struct node *n, struct node_watch *w, uint32_t events)
{
    return watch_fd(n, w->fd, w, events);
}

void node_rewatch(struct node *n, struct node_watch *w, uint32_t events)
{
    struct epoll_event e = { .events = events, .data.ptr = w };
    if (epoll_ctl(n->epoll_fd, EPOLL_CTL_MOD, w->fd, &e) != 0) node_fail(n, "a descriptor cannot be watched");
}

void node_unwatch(struct node *n, struct node_watch *w)
{
    epoll_ctl(n->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    w->fd = -1;
}

void node_propose(struct node *n, uint64_t token, uint32_t commands, struct bytes payload)
{
    struct zab_event event = { .kind = ZAB_PROPOSE };

    event.propose.token = token;
    event.propose.commands = commands;
    event.propose.payload = payload;
    node_step(n, &event);
}

void node_reconfig(struct node *n, uint64_t token, enum zab_change change, const struct zab_member *member)
{
    struct zab_event event = { .kind = ZAB_RECONFIG };

    event.reconfig.token = token;
    event.reconfig.change = (uint8_t)change;
    event.reconfig.member = *member;
    node_step(n, &event);
}

void node_status(struct node *n, struct node_status *out)
{
    struct wal_stat log = wal_stat(n->wal);

    *out = (struct node_status){ .is_full = n->was_full,
                                 .snapshot = n->snaps.count > 0 ? n->snaps.at[0] : 0,
                                 .truncs = n->truncs,
                                 .installs = n->installs,
                                 .snaps_sent = n->snaps_sent,
                                 .reads = n->reads,
                                 .checkpoints = n->checkpoints,
                                 .syncs = log.syncs,
                                 .batches = log.batches,
                                 .records = log.appends,
                                 .segments = log.segments };
    zab_state(n->zab, &out->zab);
}
