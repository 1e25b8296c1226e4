/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addresses - what each client address has open at each listener, and how fast it comes.
 *
 * IPv6 addresses count by their first 64 bits, which is what one customer gets; all peers of one Unix socket
 * are one address. An entry lives as long as a connection of its own, and until what it has taken is paid
 * for.
 *
 *   address_enter ... address_leave                      none left -> idle -> (paid for) -> freed
 *
 * Thread:  any. Each entry is under one of ADDRESS_STRIPES locks, taken when a connection comes or goes.
 * Memory:  about 120 bytes an entry, its slot in the map included.
 * Limits:  entries_max. Beyond it, and without memory, addresses share one entry with its limits: those who
 *          are there already do not notice.
 * Errors:  ERR_FULL: the address has `connections` open; ERR_AGAIN: it comes too fast. Neither counts it.
 * Tests:   tests/unit/test_addresses.c, tests/e2e/test_guard.py
 */
#ifndef SHARD_ADDRESSES_H
#define SHARD_ADDRESSES_H

#include "base/err.h"
#include "net/address.h"

#define ADDRESS_NO_LIMIT UINT32_MAX /* no int, so no enum */

struct address_limits {
    uint32_t connections;  /* ADDRESS_NO_LIMIT: none */
    uint32_t connect_rate; /* a second; ADDRESS_NO_LIMIT: none */
};

struct addresses;
struct address;

enum err addresses_new(struct addresses **out, uint32_t entries_max, uint64_t seed);

/* Nobody uses it any more. */
void addresses_free(struct addresses **owner);

/* Who comes, and where: the number of a listener. */
struct address_from {
    const struct net_address *address;
    uint16_t listener;
    struct address_limits limits;
};

/* One connection more. Lends the entry until address_leave. */
enum err address_enter(struct addresses *t, const struct address_from *from, uint64_t now_ms,
                       struct address **out);
void address_leave(struct addresses *t, struct address **owner, uint64_t now_ms);

/* n bytes have come from it. Gives how many milliseconds who brought them must wait; with n 0, who would. */
uint64_t address_spend(struct address *a, uint32_t rate, uint32_t n, uint64_t now_ms);

/* What has come is paid for. */
void address_forgive(struct address *a);

/* Entries, the shared one not counted. */
uint32_t addresses_count(const struct addresses *t);

#endif
