/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address - who is at the other end: an address that can be compared, hashed and shown.
 *
 * Thread:  any.
 * Memory:  values.
 * Limits:  ADDRESS_TEXT_BYTES.
 * Errors:  an address that cannot be known is ADDRESS_NONE, shown as "?".
 * Tests:   tests/unit/test_net.c
 */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include "net/transport.h"
#include <netinet/in.h>
#include <sys/socket.h>

enum address_kind { ADDRESS_NONE, ADDRESS_LOCAL, ADDRESS_V4, ADDRESS_V6 };

enum { ADDRESS_TEXT_BYTES = INET6_ADDRSTRLEN + 10 };

struct net_address {
    uint8_t kind;
    uint16_t port;
    uint8_t bytes[16]; /* of V4 the first 4, of LOCAL the process id; all others 0 */
};

/* An IPv4 address inside of IPv6 is that IPv4 address. */
void address_from_sockaddr(struct net_address *out, const struct sockaddr_storage *from);

/* The client's: what a proxy has told, or the descriptor. */
void transport_address(const struct transport *t, struct net_address *out);

/* "1.2.3.4:5", "[::1]:5", "local:PID". */
void address_print(const struct net_address *a, char text[ADDRESS_TEXT_BYTES]);

/* The same without port: "1.2.3.4", "::1"; empty when there is none, as at a Unix socket. */
void address_print_host(const struct net_address *a, char text[ADDRESS_TEXT_BYTES]);

/* The client's, printed. */
void transport_peer(const struct transport *t, char text[ADDRESS_TEXT_BYTES]);

#endif
