/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/*
 * Clients of TLS for tls.py, and what brokers are measured against: a server that has nothing but SSL
 * objects.
 *
 *   bench_tls serve CERT KEY                     says its port; answers each CONNECT; holds what is open
 *   bench_tls shake PORT SECONDS full|resumed    handshakes, one after the other in each thread; says how
 * many bench_tls idle PORT COUNT                    connects MQTT clients, says "ready", and ends with its
 * input
 */
enum { THREADS = 4, EVENTS = 64 };

static const unsigned char connack[] = { 0x20, 2, 0, 0 };

/* --- serve */

static SSL_CTX *server_context(const char *cert, const char *key)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    CHECK(SSL_CTX_use_certificate_chain_file(ctx, cert) == 1);
    CHECK(SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    return ctx;
}

static int listen_free(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(bind(fd, (struct sockaddr *)&a, n) == 0);
    CHECK(listen(fd, SOMAXCONN) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&a, &n) == 0);
    printf("port %d\n", ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

static void accept_all(SSL_CTX *ctx, int from, int epoll)
{
    int fd, on = 1;
    while ((fd = accept4(from, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        SSL *ssl = SSL_new(ctx);
        SSL_set_fd(ssl, fd);
        SSL_set_accept_state(ssl);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = ssl };
        CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0);
    }
}

static void serve_one(SSL *ssl)
{
    char got[16384];
    ERR_clear_error();
    int n = SSL_read(ssl, got, sizeof got);
    if (n > 0) {
        SSL_write(ssl, connack, sizeof connack);
        return;
    }
    if (SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ) return;
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
}

static void serve(const char *cert, const char *key)
{
    SSL_CTX *ctx = server_context(cert, key);
    struct epoll_event events[EVENTS], e = { .events = EPOLLIN };
    int epoll = epoll_create1(0), from = listen_free();
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, from, &e) == 0);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++)
            if (events[i].data.ptr == NULL)
                accept_all(ctx, from, epoll);
            else
                serve_one(events[i].data.ptr);
    }
}

/* --- clients */

static int keep_session(SSL *ssl, SSL_SESSION *s)
{
    SSL_SESSION **kept = SSL_get_app_data(ssl);
    if (kept == NULL) return 0;
    SSL_SESSION_free(*kept);
    *kept = s;
    return 1;
}

static SSL_CTX *client_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    return ctx;
}

static SSL *dial(SSL_CTX *ctx, int port, SSL_SESSION *session)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    a.sin_port = htons((uint16_t)port);
    CHECK(connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    if (session != NULL) SSL_set_session(ssl, session);
    CHECK(SSL_connect(ssl) == 1);
    return ssl;
}

static void hang_up(SSL *ssl)
{
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
}

static void join(SSL *ssl, unsigned number)
{
    unsigned char packet[] = "\x10\x14\0\4MQTT\4\2\0\0\0\x08........", answer[sizeof connack];
    char id[9];
    snprintf(id, sizeof id, "%08u", number % 100000000);
    memcpy(packet + 14, id, 8);
    CHECK(SSL_write(ssl, packet, 22) == 22);
    CHECK(SSL_read(ssl, answer, sizeof answer) == sizeof answer);
    CHECK(memcmp(answer, connack, sizeof answer) == 0);
}

struct shaker {
    pthread_t thread;
    int port;
    double until;
    bool resumes;
    unsigned count, resumed;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The server closes when it has read the goodbye, so it has finished the handshake. */
static void shake_once(struct shaker *s, SSL_CTX *ctx, SSL_SESSION *session)
{
    char byte;
    SSL_SESSION *own = session == NULL ? NULL : SSL_SESSION_dup(session); /* one is good once */
    SSL *ssl = dial(ctx, s->port, own);
    SSL_SESSION_free(own);
    s->resumed += SSL_session_reused(ssl) == 1;
    SSL_shutdown(ssl);
    while (SSL_read(ssl, &byte, 1) > 0) continue;
    ERR_clear_error();
    hang_up(ssl);
    s->count++;
}

static void *shake(void *arg)
{
    struct shaker *s = arg;
    SSL_CTX *ctx = client_context();
    SSL_SESSION *session = NULL;
    SSL *first = dial(ctx, s->port, NULL);
    SSL_set_app_data(first, &session);
    join(first, (unsigned)(uintptr_t)s);
    if (session != NULL) SSL_set_shutdown(first, SSL_SENT_SHUTDOWN); /* or it could not be resumed */
    hang_up(first);
    CHECK(session != NULL);
    while (now_s() < s->until) shake_once(s, ctx, s->resumes ? session : NULL);
    SSL_SESSION_free(session);
    SSL_CTX_free(ctx);
    return NULL;
}

static void shake_all(int port, double seconds, bool resumes)
{
    struct shaker all[THREADS];
    unsigned count = 0, resumed = 0;
    double start = now_s();
    for (int i = 0; i < THREADS; i++) {
        all[i] = (struct shaker){ .port = port, .until = start + seconds, .resumes = resumes };
        CHECK(pthread_create(&all[i].thread, NULL, shake, &all[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(all[i].thread, NULL);
        count += all[i].count;
        resumed += all[i].resumed;
    }
    printf("%u %u %f\n", count, resumed, now_s() - start);
}

static void idle(int port, unsigned count)
{
    SSL_CTX *ctx = client_context();
    for (unsigned i = 0; i < count; i++) join(dial(ctx, port, NULL), i);
    printf("ready\n");
    fflush(stdout);
    while (getchar() != EOF) continue;
}

int main(int argc, char **argv)
{
    CHECK(argc >= 4);
    signal(SIGPIPE, SIG_IGN);
    int port = (int)strtol(argv[2], NULL, 10);
    if (strcmp(argv[1], "serve") == 0)
        serve(argv[2], argv[3]);
    else if (strcmp(argv[1], "shake") == 0)
        shake_all(port, strtod(argv[3], NULL), argc > 4 && strcmp(argv[4], "resumed") == 0);
    else
        idle(port, (unsigned)strtoul(argv[3], NULL, 10));
    return 0;
}
