/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zab-load - keeps so many writes under way to a zab-node, and says how many a second were acknowledged.
 *
 *   zab-load PORT IN_FLIGHT BYTES WARM_SECONDS SECONDS
 */
#include "bench/zab/stats.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD_BYTES = 13,
    REPLY_BYTES = 24,
    BUFFER_BYTES = 1024 * 1024,
    BYTES_MAX = 65536,
    IN_FLIGHT_MAX = 65536
};

static uint8_t out[BUFFER_BYTES], in[BUFFER_BYTES];
static uint64_t sent_us[IN_FLIGHT_MAX];

static void put(uint8_t *at, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) at[i] = (uint8_t)(v >> 8 * (n - 1 - i));
}

static uint64_t get(const uint8_t *at, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) v = v << 8 | at[i];
    return v;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    return fd;
}

static bool send_all(int fd, size_t n)
{
    size_t at = 0;

    while (at < n) {
        ssize_t got = send(fd, out + at, n - at, MSG_NOSIGNAL);
        if (got <= 0) return false;
        at += (size_t)got;
    }
    return true;
}

/* So many more, in one call. */
static bool send_some(int fd, unsigned count, unsigned bytes, unsigned in_flight)
{
    static uint64_t next;
    size_t frame = HEAD_BYTES + bytes, len = 0;
    uint64_t now = now_us();

    for (unsigned i = 0; i < count; i++) {
        if (len + frame > BUFFER_BYTES) {
            if (!send_all(fd, len)) return false;
            len = 0;
        }
        memset(out + len, 'x', frame);
        put(out + len, frame - 4, 4);
        out[len + 4] = 1;
        put(out + len + 5, next, 8);
        put(out + len + HEAD_BYTES, next, 8);
        sent_us[next++ % in_flight] = now;
        len += frame;
    }
    return send_all(fd, len);
}

/* Counts the answers in the buffer; the bytes that are left stay. */
static unsigned take_answers(struct stats *s, size_t *len, unsigned in_flight)
{
    unsigned count = 0;
    size_t at = 0;
    uint64_t now = now_us();

    for (; *len - at >= REPLY_BYTES; at += REPLY_BYTES, count++) {
        if (in[at + HEAD_BYTES] == 0)
            stats_add(s, sent_us[get(in + at + 5, 8) % in_flight], now);
        else
            s->failed++;
    }
    memmove(in, in + at, *len - at);
    *len -= at;
    return count;
}

int main(int argc, char **argv)
{
    struct stats s;
    size_t len = 0;

    if (argc != 6) {
        fprintf(stderr, "usage: zab-load PORT IN_FLIGHT BYTES WARM_SECONDS SECONDS\n");
        return 2;
    }
    unsigned in_flight = (unsigned)strtoul(argv[2], NULL, 10), bytes = (unsigned)strtoul(argv[3], NULL, 10);
    double seconds = strtod(argv[5], NULL);
    int fd = connect_to((uint16_t)strtoul(argv[1], NULL, 10));
    if (fd < 0 || in_flight == 0 || in_flight > IN_FLIGHT_MAX || bytes < 8 || bytes > BYTES_MAX) return 2;

    stats_init(&s, strtod(argv[4], NULL), seconds);
    bool goes_on = send_some(fd, in_flight, bytes, in_flight);
    while (goes_on && now_us() < s.ends_us) {
        ssize_t got = recv(fd, in + len, sizeof in - len, 0);
        goes_on = got > 0;
        if (goes_on) len += (size_t)got;
        unsigned answered = take_answers(&s, &len, in_flight);
        if (goes_on && answered > 0) goes_on = send_some(fd, answered, bytes, in_flight);
    }
    close(fd);
    stats_print(&s, seconds);
    return goes_on ? 0 : 1;
}
