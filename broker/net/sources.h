/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sources - which addresses are meant: a list of networks, single addresses, and `local`.
 *
 *   10.0.0.0/8 192.0.2.7 2001:db8::/32 local
 *
 * Thread:  any; never changed after it is made.
 * Memory:  a value.
 * Limits:  SOURCES_MAX entries.
 * Errors:  sources_parse: ERR_SYNTAX for what is none, ERR_FULL for too many; *wrong is the word.
 * Tests:   tests/unit/test_proxy.c
 */
#ifndef NET_SOURCES_H
#define NET_SOURCES_H

#include "base/bytes.h"
#include "net/address.h"

enum { SOURCES_MAX = 256 };

struct source {
    uint8_t kind; /* enum address_kind; LOCAL: all peers on this machine's sockets */
    uint8_t bits; /* of the prefix */
    uint8_t bytes[16];
};

struct sources {
    size_t count;
    struct source at[SOURCES_MAX];
};

/* Words between white space. *wrong: the word that is none. */
enum err sources_parse(struct sources *out, const char *text, struct bytes *wrong);

bool sources_have(const struct sources *s, const struct net_address *a);

#endif
