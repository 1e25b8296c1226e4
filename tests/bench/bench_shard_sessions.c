/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/epoch.h"
#include "shard/shard_int.h"
#include "shard/turn_int.h"
#include "store/store_mem.h"
#include "unit/one_door.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/*
 * What a client costs the core: two shards without threads, and connections whose network is memory. Clients
 * connect, each subscribes to an inbox of its own, one message of QoS 1 goes to each and is acknowledged, and
 * they leave. bench_sessions prints for each number of clients nanoseconds of one operation, and bytes that
 * malloc has given out for one client (resident ones beside them): nothing may grow with the number.
 */
enum { SHARDS = 2, AT_ONCE = 128, OUT_ROOM = 64, PACKET_ROOM = 96 };

/* The client's end. */
struct wire {
    uint64_t id; /* the connection's */
    uint32_t got, in_left;
    uint8_t shard;
    bool is_gone, is_closed;
    uint8_t in[PACKET_ROOM];
};

struct bench {
    struct config config;
    struct one_door door;
    struct gauge open;
    struct shards_listener listener;
    struct log *log;
    struct metrics *metrics;
    struct shards *shards;
    struct store_mem *mem;
    struct wire *wires; /* of the clients, and of the publisher behind them */
    unsigned clients;
};

static struct bench b;

static struct wire *wire_of(const struct transport *t)
{
    return t->state;
}

static enum err wire_watch(struct transport *t, int epoll_fd, int op, struct epoll_event *e)
{
    (void)epoll_fd;
    if (op != EPOLL_CTL_DEL) wire_of(t)->id = e->data.u64;
    return ERR_OK;
}

static enum err wire_read(struct transport *t, void *at, size_t size, size_t *got)
{
    struct wire *w = wire_of(t);
    CHECK(size >= w->in_left);
    *got = w->in_left;
    memcpy(at, w->in, w->in_left);
    w->in_left = 0;
    return *got > 0 ? ERR_OK : w->is_gone ? ERR_CLOSED : ERR_AGAIN;
}

/* A PUBLISH of QoS 1 is the last of what comes at once, and is answered. */
static void answer(struct wire *w, const uint8_t *at, size_t n)
{
    if (n < 4 || at[0] != 0x32) return;
    size_t id = 4 + (size_t)(at[2] << 8 | at[3]);
    CHECK(id + 2 <= n && w->in_left == 0);
    memcpy(w->in, (uint8_t[]){ 0x40, 2, at[id], at[id + 1] }, 4);
    w->in_left = 4;
}

static enum err wire_write(struct transport *t, struct iovec *parts, int count, size_t *wrote)
{
    struct wire *w = wire_of(t);
    *wrote = 0;
    for (int i = 0; i < count; i++) {
        *wrote += parts[i].iov_len;
        w->got += (uint32_t)parts[i].iov_len;
        answer(w, parts[i].iov_base, parts[i].iov_len);
    }
    return ERR_OK;
}

static void wire_end(struct transport *t)
{
    wire_of(t)->is_gone = true;
}

static void wire_close(struct transport *t)
{
    wire_of(t)->is_closed = true;
}

static const struct transport_ops wire_ops = { .name = "wire",
                                               .watch = wire_watch,
                                               .read = wire_read,
                                               .write = wire_write,
                                               .end = wire_end,
                                               .close = wire_close };

/* --- turns */

static void turn(unsigned shard, const struct epoll_event *events, int count)
{
    epoch_quiet(b.shards->epoch, shard);
    shard_turn(b.shards->at[shard], events, count);
}

static bool has_work(void)
{
    bool has = store_mem_step(b.mem);
    for (unsigned i = 0; i < SHARDS; i++)
        has |= !mailbox_empty(&b.shards->at[i]->mailbox) || shard_has_more(b.shards->at[i]);
    return has;
}

/* As epoll would: those of a shard who have input, or are gone. */
static int events_of(struct wire *first, unsigned count, unsigned shard, struct epoll_event *out)
{
    int n = 0;
    for (struct wire *w = first; w < first + count; w++) {
        bool has = w->in_left > 0 || w->is_gone;
        if (w->shard != shard || w->is_closed || !has) continue;
        out[n++] = (struct epoll_event){ .events = EPOLLIN, .data.u64 = w->id };
    }
    return n;
}

/* Until nobody has any. */
static void serve(struct wire *first, unsigned count)
{
    struct epoll_event events[AT_ONCE];
    for (int all = 1; all > 0 || has_work();) {
        all = 0;
        for (unsigned shard = 0; shard < SHARDS; shard++) {
            int n = events_of(first, count, shard, events);
            turn(shard, events, n);
            all += n;
        }
    }
}

/* --- what clients say */

/* One packet, of less than 128 bytes. */
static void set_length(struct wire *w)
{
    w->in[1] = (uint8_t)(w->in_left - 2);
}

static void put_text(struct wire *w, const char *text)
{
    size_t n = strlen(text);
    CHECK(w->in_left + 2 + n <= sizeof w->in);
    w->in[w->in_left++] = (uint8_t)(n >> 8);
    w->in[w->in_left++] = (uint8_t)n;
    memcpy(w->in + w->in_left, text, n);
    w->in_left += (uint32_t)n;
    set_length(w);
}

static void put(struct wire *w, const void *at, size_t n)
{
    CHECK(w->in_left + n <= sizeof w->in);
    memcpy(w->in + w->in_left, at, n);
    w->in_left += (uint32_t)n;
    set_length(w);
}

static void name(char *to, unsigned i, const char *before)
{
    snprintf(to, PACKET_ROOM, "%sdevice-%08u-fleet-1", before, i);
}

static void say_connect(unsigned i)
{
    char id[PACKET_ROOM];
    struct wire *w = &b.wires[i];
    name(id, i, "");
    *w = (struct wire){ .shard = (uint8_t)shard_of_client(b.shards, bytes_of_text(id)) };
    CHECK(gauge_take(&b.open, UINT32_MAX));
    struct transport t = { .ops = &wire_ops, .fd = -1, .state = w };
    conn_begin(b.shards->at[w->shard], &t, &b.listener);
    put(w, (uint8_t[]){ 0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x82, 0, 60 }, 12);
    put_text(w, id);
    put_text(w, "bench-user");
}

static void say_subscribe(unsigned i)
{
    char inbox[PACKET_ROOM];
    name(inbox, i, "inbox/");
    put(&b.wires[i], (uint8_t[]){ 0x82, 0, 0, 1 }, 4);
    put_text(&b.wires[i], inbox);
    put(&b.wires[i], (uint8_t[]){ 1 }, 1);
}

static void say_disconnect(unsigned i)
{
    put(&b.wires[i], (uint8_t[]){ 0xe0, 0 }, 2);
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* whatever else runs */
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Nanoseconds for one client; and that each has been answered with so many bytes since. */
static double each(void (*say)(unsigned i), uint32_t answer_bytes)
{
    double start = now_ns();
    for (unsigned from = 0; from < b.clients; from += AT_ONCE) {
        unsigned count = b.clients - from < AT_ONCE ? b.clients - from : AT_ONCE;
        for (unsigned i = from; i < from + count; i++) say(i);
        serve(&b.wires[from], count);
    }
    double took = now_ns() - start;
    for (unsigned i = 0; i < b.clients; i++) {
        CHECK(b.wires[i].got == answer_bytes);
        b.wires[i].got = 0;
    }
    return took / b.clients;
}

/* From one publisher, who has one on its way. */
static double publish_to_each(void)
{
    char inbox[PACKET_ROOM];
    struct wire *from = &b.wires[b.clients];
    unsigned i = b.clients;
    say_connect(i);
    serve(from, 1);
    double start = now_ns();
    for (i = 0; i < b.clients; i++) {
        name(inbox, i, "inbox/");
        put(from, (uint8_t[]){ 0x32, 0 }, 2);
        put_text(from, inbox);
        put(from, (uint8_t[]){ 0, 1, 'h', 'e', 'l', 'l', 'o' }, 7);
        serve(from, 1);
        serve(&b.wires[i], 1);
        CHECK(b.wires[i].got > 30);
        b.wires[i].got = 0;
    }
    double took = now_ns() - start;
    CHECK(from->got == 4 + 4 * b.clients);
    return took / b.clients;
}

/* --- all of it */

static double heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return (double)info.uordblks + (double)info.hblkhd;
}

static double resident_bytes(void)
{
    unsigned long size, pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    CHECK(f != NULL && fscanf(f, "%lu %lu", &size, &pages) == 2);
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void begin(unsigned clients)
{
    b = (struct bench){ .clients = clients };
    config_init(&b.config);
    b.config.sys_interval = 0;
    b.config.default_listener.security.allow_anonymous = true;
    one_door_init(&b.door, &b.config);
    b.listener = (struct shards_listener){ .fd = -1, .open = &b.open };
    CHECK(metrics_new(&b.metrics, SHARDS + 1) == ERR_OK);
    struct shards_conf conf = {
        .count = SHARDS, .view = &b.door.view, .metrics = b.metrics, .clock = &clock_system
    };
    CHECK(shards_new(&b.shards, &conf) == ERR_OK);
    struct store_mem_conf mem = { .sink = shards_sink(b.shards), .clock = &clock_system };
    CHECK(store_mem_new(&b.mem, &mem) == ERR_OK);
    struct journal journal = store_mem_journal(b.mem);
    struct store store = store_mem_store(b.mem);
    shards_prepare(b.shards, &journal, &store, &(struct shards_past){ 0 });
    b.wires = malloc((clients + 1) * sizeof *b.wires);
    CHECK(b.wires != NULL);
    memset(b.wires, 1, (clients + 1) * sizeof *b.wires); /* resident before anything is measured */
    for (unsigned i = 0; i < SHARDS; i++) turn(i, NULL, 0);
}

static void end(void)
{
    b.wires[b.clients].is_gone = true;
    serve(&b.wires[b.clients], 1);
    for (unsigned i = 0; i < SHARDS; i++) epoch_offline(b.shards->epoch, i);
    store_mem_free(&b.mem);
    shards_free(&b.shards);
    one_door_fini(&b.door);
    metrics_free(&b.metrics);
    free(b.wires);
}

static void measure(unsigned clients)
{
    begin(clients);
    double heap = heap_bytes(), resident = resident_bytes();
    double connect = each(say_connect, 4);
    double bare = (heap_bytes() - heap) / clients, bare_resident = (resident_bytes() - resident) / clients;
    double subscribe = each(say_subscribe, 5);
    double inbox = (heap_bytes() - heap) / clients, inbox_resident = (resident_bytes() - resident) / clients;
    double message = publish_to_each();
    double after = (heap_bytes() - heap) / clients;
    double leave = each(say_disconnect, 0);
    printf("%8u clients: connect %5.0f ns, subscribe %5.0f ns, message %5.0f ns, leave %5.0f ns; bytes: "
           "connected "
           "%4.0f (%4.0f), with its inbox %4.0f (%4.0f), after a message %4.0f\n",
           clients, connect, subscribe, message, leave, bare, bare_resident, inbox, inbox_resident, after);
    end();
}

int main(int argc, char **argv)
{
    static const unsigned sizes[] = { 10000, 100000, 1000000 };
    if (argc > 1) {
        for (int i = 1; i < argc; i++) measure((unsigned)strtoul(argv[i], NULL, 10));
        return 0;
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) measure(sizes[i]);
    return 0;
}
