/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/shard_rig.h"
#include "base/check.h"
#include "base/epoch.h"
#include "base/list.h"
#include "base/rng.h"
#include "net/address.h"
#include "shard/job.h"
#include "shard/shard_int.h"
#include "shard/turn_int.h"
#include "store/store_mem.h"
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/*
 * Each run has shards of its own, so that it is the same whichever ran before it. That costs no system call:
 * the descriptors that the shards ask for are numbers of ours. When they are thrown away, the blocks of
 * memory are counted: as many as when the run began, or something was forgotten.
 */

enum {
    START_MS = 1000000,
    WALL_AHEAD_MS = 1700000000,
    RESTS_MAX = 20000,
    LONGEST_EXPIRY_S = 3600,
    PORT = 1883,
    DESCRIPTORS = 100000
};
enum { KIND_COMMAND = JOURNAL_MAIL_COMMAND, KIND_PAGE = 100, KIND_IDS };

struct link {
    bool used, finished, broken, ended;
    bool reads_by_room;
    int epoll_fd;
    uint64_t id;
    uint32_t watched;
    int room;
    unsigned writes;
    bool has_facts;
    struct transport_facts facts;
    struct transport_probe probe;
    uint32_t patience_ms;
    unsigned shakes, shake_ms; /* what is left of its handshake, and what a step of it takes */
    unsigned watches;
    size_t in_at, in_end;
    uint8_t in[LINK_IN_BYTES];
};

static struct config config;
static struct shards *all; /* of this run */
static struct metrics *metrics;
static struct link links[RIG_LINKS_MAX];
static int links_max; /* of this run */
static struct rig_ears ears;
static struct gauge open_links;
static struct shards_listener listener = { .fd = -1, .port = PORT, .open = &open_links };
static struct shards_door door;
static struct shards_view view;
static uint64_t now_ms, random_state;
static int descriptors;
static long blocks, blocks_at_begin, blocks_of_index;
static size_t queues_at_begin; /* the journal has some of its own */

/* --- memory: the linker sends everybody's calls here */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *at, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void __real_free(void *at);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *at, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
void __wrap_free(void *at);

uint64_t __wrap_heap_used(void);

static uint64_t heap_bytes;

uint64_t __wrap_heap_used(void)
{
    return heap_bytes;
}

void rig_use_memory(uint64_t bytes)
{
    heap_bytes = bytes;
}

/* What shards read into is so large that the sanitizer's allocator asks the system for it: it stays. */
static uint8_t scratch_first[SCRATCH_BYTES], scratch_second[SCRATCH_BYTES];
static uint8_t *const scratches[RIG_SHARDS_MAX] = { scratch_first, scratch_second };
static unsigned scratches_used;
static bool is_making;

void *__wrap_malloc(size_t n)
{
    if (is_making && n == SCRATCH_BYTES) return scratches[scratches_used++];
    void *at = __real_malloc(n);
    blocks += at != NULL;
    return at;
}

void *__wrap_calloc(size_t n, size_t size)
{
    void *at = __real_calloc(n, size);
    blocks += at != NULL;
    return at;
}

void *__wrap_realloc(void *at, size_t n)
{
    void *grown = __real_realloc(at, n);
    blocks += at == NULL && grown != NULL;
    return grown;
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    void *at = __real_aligned_alloc(align, n);
    blocks += at != NULL;
    return at;
}

void __wrap_free(void *at)
{
    if (at == scratch_first || at == scratch_second) return;
    blocks -= at != NULL;
    __real_free(at);
}

long rig_blocks(void)
{
    return blocks;
}

/* --- descriptors: nobody waits for them */

int __real_close(int fd);
int __wrap_eventfd(unsigned count, int flags);
int __wrap_epoll_create1(int flags);
int __wrap_timerfd_create(int clock, int flags);
int __wrap_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *e);
int __wrap_close(int fd);

int __wrap_eventfd(unsigned count, int flags)
{
    (void)count, (void)flags;
    return DESCRIPTORS + descriptors++;
}

int __wrap_epoll_create1(int flags)
{
    return __wrap_eventfd(0, flags);
}

int __wrap_timerfd_create(int clock, int flags)
{
    (void)clock;
    return __wrap_eventfd(0, flags);
}

int __wrap_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *e)
{
    (void)op, (void)e;
    CHECK(epoll_fd >= DESCRIPTORS && fd >= DESCRIPTORS);
    return 0;
}

int __wrap_close(int fd)
{
    return fd >= DESCRIPTORS ? 0 : __real_close(fd);
}

/* --- random numbers and time, the same in every run: base/rng.c is left out by the linker */

uint64_t rng_u64(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return random_state ^ random_state >> 29;
}

void rng_fill(void *at, size_t n)
{
    uint8_t *to = at;
    for (size_t i = 0; i < n; i++) to[i] = (uint8_t)(rng_u64() >> 40);
}

static uint64_t mono_ms(void *ctx)
{
    (void)ctx;
    return now_ms;
}

static uint64_t wall_ms(void *ctx)
{
    (void)ctx;
    return now_ms + (uint64_t)WALL_AHEAD_MS * 1000;
}

static const struct clock clock_of_rig = { mono_ms, wall_ms, NULL };

uint64_t rig_now_ms(void)
{
    return now_ms;
}

const struct config *rig_config(void)
{
    return &config;
}

/* --- the network */

static enum err link_watch(struct transport *t, int epoll_fd, int op, struct epoll_event *e)
{
    struct link *l = &links[t->fd];
    l->epoll_fd = op == EPOLL_CTL_DEL ? -1 : epoll_fd;
    l->watched = op == EPOLL_CTL_DEL ? 0 : e->events;
    if (op != EPOLL_CTL_DEL) l->id = e->data.u64;
    l->watches++;
    return ERR_OK;
}

static enum err link_read(struct transport *t, void *at, size_t size, size_t *got)
{
    struct link *l = &links[t->fd];
    *got = 0;
    if (l->broken) return ERR_CLOSED;
    if (l->shakes > 0) {
        now_ms += l->shake_ms;
        t->needs = --l->shakes > 0 ? TRANSPORT_SHAKES : 0;
        return ERR_AGAIN;
    }
    t->needs = l->reads_by_room && l->room == 0 ? TRANSPORT_WANTS_WRITE : 0;
    if (t->needs != 0) return ERR_AGAIN;
    size_t n = l->in_end - l->in_at;
    if (n == 0) return l->finished ? ERR_CLOSED : ERR_AGAIN;
    if (n > size) n = size;
    memcpy(at, l->in + l->in_at, n);
    l->in_at += n;
    if (l->in_at == l->in_end) l->in_at = l->in_end = 0;
    *got = n;
    return ERR_OK;
}

static enum err link_write(struct transport *t, struct iovec *parts, int count, size_t *wrote)
{
    struct link *l = &links[t->fd];
    *wrote = 0;
    CHECK(!l->ended);
    if (l->broken) return ERR_CLOSED;
    l->writes++;
    if (l->room == 0) return ERR_AGAIN;
    for (int i = 0; i < count && l->room != 0; i++) {
        size_t n = parts[i].iov_len;
        if (l->room > 0 && n > (size_t)l->room) n = (size_t)l->room;
        if (l->room > 0) l->room -= (int)n;
        *wrote += n;
        ears.got((unsigned)t->fd, bytes_of(parts[i].iov_base, n));
    }
    return ERR_OK;
}

static void link_end(struct transport *t)
{
    struct link *l = &links[t->fd];
    if (l->ended || l->broken) return;
    l->ended = true;
    ears.ended((unsigned)t->fd);
}

static bool link_facts(const struct transport *t, struct transport_facts *out)
{
    *out = links[t->fd].facts;
    return links[t->fd].has_facts;
}

static void link_patience(struct transport *t, uint32_t ms)
{
    links[t->fd].patience_ms = ms;
}

static void link_probe(struct transport *t, const struct transport_probe *p)
{
    links[t->fd].probe = *p;
}

static void link_close(struct transport *t)
{
    struct link *l = &links[t->fd];
    free(t->from);
    t->from = NULL;
    CHECK(l->used);
    CHECK(l->epoll_fd == -1);
    l->used = false;
    ears.closed((unsigned)t->fd);
}

static const struct transport_ops link_ops = { .name = "fuzz",
                                               .watch = link_watch,
                                               .read = link_read,
                                               .write = link_write,
                                               .facts = link_facts,
                                               .patience = link_patience,
                                               .probe = link_probe,
                                               .end = link_end,
                                               .close = link_close };

static struct net_address come_from;

void rig_come_from(const struct net_address *a)
{
    come_from = *a;
}

void rig_set_facts(unsigned link, const struct transport_facts *f)
{
    links[link].facts = *f;
    links[link].has_facts = true;
}

struct transport_probe rig_probe(unsigned link)
{
    return links[link].probe;
}

uint32_t rig_patience(unsigned link)
{
    return links[link].patience_ms;
}

static const struct transport_ops bare_ops = { .name = "bare",
                                               .is_bare = true,
                                               .watch = link_watch,
                                               .read = link_read,
                                               .write = link_write,
                                               .end = link_end,
                                               .close = link_close };

static int open_link(unsigned shard, const struct transport_ops *ops, unsigned shakes, unsigned shake_ms)
{
    int i = 0;
    while (i < links_max && links[i].used) i++;
    if (i == links_max) return -1;
    struct link *l = &links[i];
    memset(l, 0, offsetof(struct link, in));
    l->used = true;
    l->room = LINK_ALL_ROOM;
    l->epoll_fd = -1;
    l->shakes = shakes;
    l->shake_ms = shake_ms;
    struct transport t = { .ops = ops, .fd = i, .needs = shakes > 0 ? TRANSPORT_SHAKES : 0 };
    l->patience_ms = UINT32_MAX;
    if (come_from.kind != ADDRESS_NONE) {
        t.from = malloc(sizeof *t.from);
        CHECK(t.from != NULL);
        *t.from = come_from;
    }
    CHECK(gauge_take(&open_links, UINT32_MAX));
    struct shard *sh = all->at[shard % all->count];
    sh->now_ms = now_ms; /* as in a turn */
    conn_begin(sh, &t, &listener);
    return i;
}

int rig_open(unsigned shard)
{
    return open_link(shard, &link_ops, 0, 0);
}

int rig_open_bare(unsigned shard)
{
    return open_link(shard, &bare_ops, 0, 0);
}

unsigned rig_watches(unsigned link)
{
    return links[link].watches;
}

int rig_open_shaking(unsigned shard, unsigned steps, unsigned step_ms)
{
    return open_link(shard, &link_ops, steps, step_ms);
}

unsigned rig_shakes(unsigned link)
{
    return links[link].shakes;
}

unsigned rig_writes(unsigned link)
{
    return links[link].writes;
}

bool rig_is_open(unsigned link)
{
    return links[link].used;
}

bool rig_send(unsigned link, struct bytes b)
{
    struct link *l = &links[link];
    if (!l->used || l->finished || l->broken || b.len > sizeof l->in - l->in_end) return false;
    memcpy(l->in + l->in_end, b.at, b.len);
    l->in_end += b.len;
    return true;
}

size_t rig_unread(unsigned link)
{
    return links[link].in_end - links[link].in_at;
}

void rig_finish(unsigned link)
{
    links[link].finished = true;
}

void rig_break(unsigned link)
{
    links[link].broken = true;
}

void rig_room(unsigned link, int bytes)
{
    links[link].room = bytes;
}

void rig_read_by_room(unsigned link)
{
    links[link].reads_by_room = true;
}

/* What epoll would say of it. */
static uint32_t events_of(const struct link *l)
{
    uint32_t is = 0;
    if (!l->used || l->epoll_fd < 0) return 0;
    if (l->in_end > l->in_at || l->finished || l->broken) is |= EPOLLIN;
    if (l->room != 0) is |= EPOLLOUT;
    is &= l->watched;
    if (l->broken) is |= EPOLLHUP;
    return is;
}

static struct conn *conn_of(const struct link *l)
{
    if (!l->used || l->epoll_fd < 0) return NULL;
    for (unsigned i = 0; i < all->count; i++)
        if (all->at[i]->epoll_fd == l->epoll_fd) return conn_find(all->at[i], l->id);
    return NULL;
}

bool rig_is_read(unsigned link)
{
    const struct conn *c = conn_of(&links[link]);
    return c != NULL && c->paused == 0 && c->state != CONN_ENDING;
}

/* --- the journal, behind a gate that keeps what it gets in order */

static struct store_mem *mem;
static struct journal real_journal;
static struct store real_store;
static struct mail *held_first, **held_last;
static bool is_held;

static void hold(struct mail *m)
{
    m->next = NULL;
    *held_last = m;
    held_last = &m->next;
}

static void gate_submit(void *impl, struct outbox *commands)
{
    struct mail *oldest_first = NULL, *next;
    (void)impl;
    for (struct mail *m = commands->newest; m != NULL; m = next) {
        next = m->next;
        m->next = oldest_first;
        oldest_first = m;
    }
    *commands = (struct outbox){ 0 };
    for (struct mail *m = oldest_first; m != NULL; m = next) {
        next = m->next;
        hold(m);
    }
}

static void gate_page(void *impl, struct store_page *p)
{
    (void)impl;
    p->request.kind = KIND_PAGE;
    hold(&p->request);
}

static void gate_ids(void *impl, struct store_ids *p)
{
    (void)impl;
    p->request.kind = KIND_IDS;
    hold(&p->request);
}

static const struct journal_ops gate_journal = { .name = "gate", .submit = gate_submit };
static const struct store_ops gate_store = { .name = "gate", .page = gate_page, .ids = gate_ids };

static void pass(struct mail *m)
{
    struct outbox o = { 0 };
    switch (m->kind) {
    case KIND_PAGE: store_page(&real_store, CONTAINER(m, struct store_page, request)); break;
    case KIND_IDS: store_ids(&real_store, CONTAINER(m, struct store_ids, request)); break;
    default:
        outbox_put(&o, m);
        journal_submit(&real_journal, &o);
        break;
    }
}

void rig_journal_release(unsigned count)
{
    for (; count > 0 && held_first != NULL; count--) {
        struct mail *m = held_first;
        held_first = m->next;
        if (held_first == NULL) held_last = &held_first;
        pass(m);
    }
    while (store_mem_step(mem)) continue;
}

void rig_journal_hold(bool holds)
{
    is_held = holds;
}

static void store_begin(void)
{
    struct store_mem_conf c = {
        .sink = shards_sink(all),
        .limits = { .messages_max = config.max_queued_messages,
                    .policy = (enum backlog_policy)config.max_queued_policy },
        .clock = &clock_of_rig,
    };
    enum err rc = store_mem_new(&mem, &c);
    CHECK(rc == ERR_OK);
    real_journal = store_mem_journal(mem);
    real_store = store_mem_store(mem);
    held_first = NULL;
    held_last = &held_first;
    is_held = false;
    struct journal journal = { &gate_journal, NULL };
    struct store store = { &gate_store, NULL };
    shards_prepare(all, &journal, &store, &(struct shards_past){ 0 });
}

/* --- turns */

void rig_wear_ids(unsigned shard)
{
    struct shard *sh = all->at[shard % all->count];
    for (uint32_t i = 0; i < sh->slots_count; i++) sh->slots[i].generation = UINT32_MAX;
}

void rig_turn(unsigned shard)
{
    struct epoll_event events[RIG_LINKS_MAX];
    struct shard *sh = all->at[shard % all->count];
    int count = 0;
    for (int i = 0; i < links_max; i++) {
        if (links[i].epoll_fd != sh->epoll_fd) continue;
        uint32_t is = events_of(&links[i]);
        if (is != 0) events[count++] = (struct epoll_event){ .events = is, .data.u64 = links[i].id };
    }
    epoch_quiet(all->epoch, sh->index);
    shard_turn(sh, events, count);
    if (!is_held) rig_journal_release(UINT32_MAX);
}

static bool has_work(struct shard *sh)
{
    if (!mailbox_empty(&sh->mailbox) || shard_has_more(sh)) return true;
    for (int i = 0; i < links_max; i++)
        if (links[i].epoll_fd == sh->epoll_fd && events_of(&links[i]) != 0) return true;
    return false;
}

void rig_turn_all(void)
{
    enum { ROUNDS = 3 };
    for (int round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < all->count; i++)
            if (round == 0 || has_work(all->at[i])) rig_turn(i);
}

void rig_settle(void)
{
    unsigned turns = 0;
    is_held = false;
    rig_journal_release(UINT32_MAX);
    for (unsigned quiet = 0; quiet < all->count;) {
        quiet = 0;
        for (unsigned i = 0; i < all->count; i++) {
            if (has_work(all->at[i]))
                rig_turn(i);
            else
                quiet++;
        }
        CHECK(++turns < RESTS_MAX);
    }
}

void rig_advance(uint64_t ms)
{
    now_ms += ms;
}

int64_t rig_metric(enum metric m)
{
    return metrics_sum(metrics, m);
}

void rig_set_hooks(struct hooks *hooks)
{
    door.hooks = hooks;
}

struct hook_broker rig_broker(void)
{
    return shards_hook_broker(all);
}

bool rig_is_drained(unsigned link)
{
    const struct conn *c = conn_of(&links[link]);
    const struct session *s = c == NULL || c->state != CONN_OPEN ? NULL : c->session;
    return s == NULL || (s->unacked == 0 && s->tail == s->sent && s->feed == FEED_LIVE);
}

/* --- birth */

/* An index of nothing, to compare with what is left at the end. */
static void measure_index(void)
{
    struct subs *index;
    if (blocks_of_index > 0) return;
    struct subs_conf conf = { .shards = all->count, .seed = all->seed, .epoch = all->epoch };
    long before = blocks;
    enum err rc = subs_new(&index, &conf);
    CHECK(rc == ERR_OK);
    blocks_of_index = blocks - before;
    subs_free(&index);
}

void rig_begin(const struct rig_conf *conf)
{
    static struct config defaults;
    if (defaults.connect_timeout_s == 0) config_init(&defaults);
    config = defaults;
    conf->options(&config, conf->ctx);
    config.persistent_client_expiration = LONGEST_EXPIRY_S;
    now_ms = START_MS;
    random_state = 1;
    descriptors = 0;
    ears = conf->ears;
    CHECK(conf->links <= RIG_LINKS_MAX);
    links_max = conf->links > 0 ? (int)conf->links : RIG_LINKS;
    blocks_at_begin = blocks;
    heap_bytes = 0;
    enum err rc = metrics_new(&metrics, conf->shards + 1);
    CHECK(rc == ERR_OK);
    config.default_listener.max_topic_alias = RIG_TOPIC_ALIASES;
    door = (struct shards_door){
        .config = &config.default_listener, .hooks = conf->hooks, .access = conf->access, .number = 1
    };
    view = (struct shards_view){ &config, &door, 1 };
    struct shards_conf of_shards = {
        .count = conf->shards, .view = &view, .metrics = metrics, .clock = &clock_of_rig
    };
    scratches_used = 0;
    is_making = true;
    rc = shards_new(&all, &of_shards);
    is_making = false;
    CHECK(rc == ERR_OK);
    measure_index();
    store_begin();
    queues_at_begin = store_mem_queues(mem);
    rc = shards_sys(all, "fuzz", "memory");
    CHECK(rc == ERR_OK);
}

void rig_reload(struct hooks *hooks)
{
    door.hooks = hooks;
}

/* --- the end: is it as it was? */

static bool is_shard_empty(const struct shard *sh)
{
    bool is_empty = sh->by_id.count == 0 && sh->by_no.count == 0 && sh->orphans == 0;
    is_empty &= list_empty(&sh->credit_waiters) && list_empty(&sh->fencing) && list_empty(&sh->fence_next);
    is_empty &= sh->barrier_open == 0 && sh->acking == NULL && list_empty(&sh->dirty) && sh->dead == NULL;
    is_empty &= sh->ready == NULL && outbox_empty(&sh->to_journal);
    is_empty &= !shard_has_more(sh);
    const struct shares *groups = &sh->shares;
    is_empty &= groups->by_text.count == 0 && groups->by_no.count == 0 && groups->members.count == 0;
    is_empty &= list_empty(&groups->dirty) && list_empty(&groups->ended);
    is_empty &= list_empty(&sh->reads.queues) && sh->reads.waiting == 0 && list_empty(&sh->kicks);
    for (unsigned to = 0; to < sh->all->count; to++) is_empty &= sh->credit[to].used_bytes == 0;
    return is_empty;
}

static void check_gauges(void)
{
    CHECK(metrics_sum(metrics, METRIC_connections_open) == 0);
    CHECK(metrics_sum(metrics, METRIC_sessions) == 0);
    CHECK(metrics_sum(metrics, METRIC_sessions_persistent) == 0);
    CHECK(metrics_sum(metrics, METRIC_subscriptions) == 0);
    CHECK(metrics_sum(metrics, METRIC_shared_subscriptions) == 0);
}

/* Retained messages have no end of their own: they go here. */
static void check_retained(void)
{
    int64_t gauge = metrics_sum(metrics, METRIC_retained_messages);
    if (config.sys_interval > 0) return; /* the broker's own are not counted */
    for (unsigned i = 0; i < all->count; i++) gauge -= retained_count(all->at[i]->retained);
    CHECK(gauge == 0);
}

static void index_drop(void)
{
    long before = blocks;
    subs_free(&all->subs);
    CHECK(before - blocks == blocks_of_index); /* it was empty */
}

static void expire_all(void)
{
    enum { ROUNDS = 4 };
    for (int i = 0; i < links_max; i++)
        if (links[i].used) rig_break((unsigned)i);
    for (int i = 0; i < ROUNDS; i++) {
        rig_settle();
        rig_advance((uint64_t)LONGEST_EXPIRY_S * 1000 + 1000);
        for (unsigned shard = 0; shard < all->count; shard++) rig_turn(shard);
    }
    rig_settle();
}

void rig_end(void)
{
    expire_all();
    for (unsigned i = 0; i < all->count; i++) epoch_quiet(all->epoch, i);
    for (unsigned i = 0; i < all->count; i++) {
        epoch_quiet(all->epoch, i);
        CHECK(is_shard_empty(all->at[i]));
    }
    for (int i = 0; i < links_max; i++) CHECK(!links[i].used);
    CHECK(open_links.count == 0);
    CHECK(gauge_is_zero(&all->plugins.count) && tally_get(&all->plugins.bytes) == 0);
    CHECK(held_first == NULL);
    check_gauges();
    check_retained();
    CHECK(store_mem_queues(mem) == queues_at_begin);
    store_mem_free(&mem);
    index_drop();
    for (unsigned i = 0; i < all->count; i++) epoch_offline(all->epoch, i);
    shards_free(&all);
    metrics_free(&metrics);
    CHECK(blocks == blocks_at_begin);
}
