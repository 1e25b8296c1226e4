/* SPDX-License-Identifier: Apache-2.0 */
#include "net/address.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

void address_from_sockaddr(struct net_address *out, const struct sockaddr_storage *from)
{
    *out = (struct net_address){ .kind = ADDRESS_NONE };
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
        *out = (struct net_address){ .kind = ADDRESS_V4, .port = ntohs(v4->sin_port) };
        memcpy(out->bytes, &v4->sin_addr, 4);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
        bool is_v4 = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
        *out = (struct net_address){ .kind = is_v4 ? ADDRESS_V4 : ADDRESS_V6, .port = ntohs(v6->sin6_port) };
        memcpy(out->bytes, v6->sin6_addr.s6_addr + (is_v4 ? 12 : 0), is_v4 ? 4 : 16);
    }
}

static void from_local(struct net_address *out, int fd)
{
    struct ucred peer = { 0 };
    socklen_t n = sizeof peer;
    *out = (struct net_address){ .kind = ADDRESS_LOCAL };
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0)
        memcpy(out->bytes, &peer.pid, sizeof peer.pid);
}

void transport_address(const struct transport *t, struct net_address *out)
{
    struct sockaddr_storage a = { 0 };
    socklen_t n = sizeof a;
    if (t->from != NULL) {
        *out = *t->from;
        return;
    }
    *out = (struct net_address){ .kind = ADDRESS_NONE };
    if (getpeername(t->fd, (struct sockaddr *)&a, &n) != 0) return;
    if (a.ss_family == AF_UNIX)
        from_local(out, t->fd);
    else
        address_from_sockaddr(out, &a);
}

void address_print(const struct net_address *a, char text[ADDRESS_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "";
    pid_t pid;
    switch (a->kind) {
    case ADDRESS_LOCAL:
        memcpy(&pid, a->bytes, sizeof pid);
        snprintf(text, ADDRESS_TEXT_BYTES, "local:%d", (int)pid);
        break;
    case ADDRESS_V4:
        inet_ntop(AF_INET, a->bytes, host, sizeof host);
        snprintf(text, ADDRESS_TEXT_BYTES, "%s:%u", host, a->port);
        break;
    case ADDRESS_V6:
        inet_ntop(AF_INET6, a->bytes, host, sizeof host);
        snprintf(text, ADDRESS_TEXT_BYTES, "[%s]:%u", host, a->port);
        break;
    default: snprintf(text, ADDRESS_TEXT_BYTES, "?"); break;
    }
}

void address_print_host(const struct net_address *a, char text[ADDRESS_TEXT_BYTES])
{
    text[0] = '\0';
    if (a->kind == ADDRESS_V4) inet_ntop(AF_INET, a->bytes, text, ADDRESS_TEXT_BYTES);
    if (a->kind == ADDRESS_V6) inet_ntop(AF_INET6, a->bytes, text, ADDRESS_TEXT_BYTES);
}

void transport_peer(const struct transport *t, char text[ADDRESS_TEXT_BYTES])
{
    struct net_address a;
    transport_address(t, &a);
    address_print(&a, text);
}
