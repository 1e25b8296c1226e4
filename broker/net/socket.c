/* SPDX-License-Identifier: Apache-2.0 */
#include "net/transport.h"
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

/* What Linux knows of a TCP connection, and does for it. A socket of this machine has none of that: each call
 * fails, and nothing is known. */

enum { STATE_CLOSED = 7, STATE_CLOSE_WAIT = 8 }; /* tcpi_state */

bool socket_facts(const struct transport *t, struct transport_facts *out)
{
    struct tcp_info i = { 0 };
    socklen_t bytes = sizeof i;
    *out = (struct transport_facts){ 0 };
    if (getsockopt(t->fd, IPPROTO_TCP, TCP_INFO, &i, &bytes) != 0) return false;
    if (bytes < offsetof(struct tcp_info, tcpi_notsent_bytes) + sizeof i.tcpi_notsent_bytes) return false;
    out->unanswered_bytes = i.tcpi_unacked * i.tcpi_snd_mss + i.tcpi_notsent_bytes;
    if (i.tcpi_unacked > 0 && out->unanswered_bytes == 0) out->unanswered_bytes = 1;
    out->is_full = i.tcpi_unacked == 0 && i.tcpi_notsent_bytes > 0;
    out->round_trip_ms = i.tcpi_rtt / 1000;
    out->sent_ms = i.tcpi_last_data_sent;
    out->ack_ms = i.tcpi_last_ack_recv;
    out->probes = i.tcpi_probes;
    out->is_over = i.tcpi_state == STATE_CLOSED;
    out->has_finished = i.tcpi_state == STATE_CLOSE_WAIT;
    return true;
}

void socket_patience(struct transport *t, uint32_t ms)
{
    setsockopt(t->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
}

void socket_probe(struct transport *t, const struct transport_probe *p)
{
    int on = p->idle_s > 0, idle = p->idle_s, again = p->again_s, most = p->most;
    if (on) {
        setsockopt(t->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
        setsockopt(t->fd, IPPROTO_TCP, TCP_KEEPINTVL, &again, sizeof again);
        setsockopt(t->fd, IPPROTO_TCP, TCP_KEEPCNT, &most, sizeof most);
    }
    setsockopt(t->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}
