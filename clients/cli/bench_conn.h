/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_conn - a connection of the load generator: bytes out in one write, bytes in with one read.
 *
 * Thread:  one owner. Events come from the owner's epoll, with the conn as data.
 * Memory:  output not yet taken by the kernel, and the cut packet at the end of a read; nothing when idle.
 * Limits:  none of its own.
 * Errors:  ERR_SYS with errno set; ERR_CLOSED by the peer; ERR_AGAIN: later. Out of memory ends the program.
 * Tests:   tests/bench/smoke.py
 */
#ifndef CLI_BENCH_CONN_H
#define CLI_BENCH_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/err.h"
#include "cli/bench_wire.h"
#include "cli/bench_ws.h"

enum conn_state { CONN_CLOSED, CONN_GREETING, CONN_SUBSCRIBING, CONN_READY, CONN_LEAVING };

struct conn_buffer {
    uint8_t *at;
    uint32_t start, len, room; /* the bytes at[start .. start + len) */
};

struct conn {
    struct bench_wire wire;
    enum conn_state state;
    bool is_publisher;
    bool write_blocked; /* waits for EPOLLOUT */
    bool is_watched;    /* by the epoll */
    bool listed;        /* on the worker's list of connections with output */
    uint16_t keepalive_s;
    bool retries;   /* opened_ns is of the first try */
    bool resumes;   /* a session that is there */
    uint32_t index; /* among the publishers, or among the subscribers */
    uint64_t opened_ns, ready_ns, sent_ns;
    struct conn_buffer out, in;
    struct bench_ws ws;
};

struct bench_target {
    struct sockaddr_storage address;
    socklen_t address_bytes;
    uint32_t sources; /* 0: leave the source address alone */
    bool is_websocket;
    struct ssl_ctx_st *tls; /* NULL: without */
    const char *host;
};

/* Looks the broker up. problem gets the reason in words. */
enum err bench_target_find(struct bench_target *t, const char *host, uint16_t port, char *problem,
                           size_t problem_bytes);

/* Starts to connect. The n-th client uses source n % sources. What goes wrong later is told by conn_flush(),
 * which has to be called: from then on the epoll knows the connection. */
enum err conn_open(struct conn *c, const struct bench_target *t, uint32_t n);
void conn_close(struct conn *c);

/* Room for n bytes at the end of the output; the caller fills all of them. */
uint8_t *conn_reserve(struct conn *c, uint32_t n);

/* One write of all output. ERR_AGAIN: some is left, and epoll will report when there is room. */
enum err conn_flush(struct conn *c, int epoll_fd);

/* One read into scratch, behind what conn_keep() kept. ERR_AGAIN: nothing to read. */
enum err conn_read(struct conn *c, uint8_t *scratch, size_t scratch_bytes, struct bytes *out);

/* Keeps a cut packet for the next read. */
void conn_keep(struct conn *c, struct bytes rest);

void conn_free_buffers(struct conn *c);

#endif
