/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zookeeper-load - the same as zab-load for a ZooKeeper server, by its own C client: sets the data of a
 * hundred nodes, round and round.
 *
 *   zookeeper-load HOST:PORT IN_FLIGHT BYTES WARM_SECONDS SECONDS
 */
#define THREADED
#include "bench/zab/stats.h"
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

enum { NODES = 100, PATH_BYTES = 32, BYTES_MAX = 65536, SESSION_MS = 30000 };

static struct stats stats; /* the completion thread's, until the end */
static char paths[NODES][PATH_BYTES], data[BYTES_MAX];
static unsigned next_path, bytes;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int is_connected;
static zhandle_t *handle;

struct write_of {
    uint64_t sent_us;
};

static void watch(zhandle_t *zh, int type, int state, const char *path, void *arg)
{
    (void)zh, (void)path, (void)arg;
    pthread_mutex_lock(&lock);
    if (type == ZOO_SESSION_EVENT) is_connected = state == ZOO_CONNECTED_STATE;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void written(int rc, const struct Stat *stat, const void *arg);

static void send_one(struct write_of *w)
{
    w->sent_us = now_us();
    if (zoo_aset(handle, paths[next_path++ % NODES], data, (int)bytes, -1, written, w) != ZOK) stats.failed++;
}

static void written(int rc, const struct Stat *stat, const void *arg)
{
    struct write_of *w;
    uint64_t now = now_us();

    (void)stat;
    memcpy(&w, &arg, sizeof w); /* it is ours to write to */
    if (rc == ZOK)
        stats_add(&stats, w->sent_us, now);
    else
        stats.failed++;
    if (rc != ZCLOSING && now < stats.ends_us)
        send_one(w); /* also when the connection was lost: it comes back */
}

static void make_nodes(void)
{
    for (int i = 0; i < NODES; i++) {
        snprintf(paths[i], PATH_BYTES, "/bench%d", i);
        int rc = zoo_create(handle, paths[i], data, (int)bytes, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
        if (rc != ZOK && rc != ZNODEEXISTS) exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: zookeeper-load HOST:PORT IN_FLIGHT BYTES WARM_SECONDS SECONDS\n");
        return 2;
    }
    unsigned in_flight = (unsigned)strtoul(argv[2], NULL, 10);
    double warm = strtod(argv[4], NULL), seconds = strtod(argv[5], NULL);
    bytes = (unsigned)strtoul(argv[3], NULL, 10);
    struct write_of *all = calloc(in_flight, sizeof *all);
    if (all == NULL || bytes > BYTES_MAX) return 2;
    memset(data, 'x', sizeof data);
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    handle = zookeeper_init(argv[1], watch, SESSION_MS, NULL, NULL, 0);
    if (handle == NULL) return 1;
    pthread_mutex_lock(&lock);
    while (!is_connected) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    make_nodes();
    stats_init(&stats, warm, seconds);
    for (unsigned i = 0; i < in_flight; i++) send_one(&all[i]);
    usleep((useconds_t)((warm + seconds) * 1e6) + 200000);
    zookeeper_close(handle);
    stats_print(&stats, seconds);
    free(all);
    return stats.count > 0 ? 0 : 1;
}
