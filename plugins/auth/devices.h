/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devices - which connections an account has, by classes of devices, and who goes or stays out when there is
 * one too many.
 *
 * Thread:  the caller's lock.
 * Memory:  a device is the caller's struct, in until devices_leave; a group of an account and a class lives
 *          as long as it has devices.
 * Limits:  those that are asked for.
 * Errors:  ERR_FULL: refused; ERR_NOMEM.
 * Tests:   tests/unit/test_auth_plugin_devices.c
 */
#ifndef AUTH_DEVICES_H
#define AUTH_DEVICES_H

#include "accounts/accounts.h"
#include "base/list.h"

struct devices;
struct device_group;

/* Of those with one client id the newest counts, if it is not going. When it leaves before the one that it
 * took over from, that one has not been taken over, and counts again. */
struct device {
    struct list link;             /* of its group: of those who stay, or of those who go */
    struct device_group *group;   /* NULL: not in */
    struct device *older, *newer; /* of the same client id; NULL: none */
    const char *client_id;        /* the caller's */
    uint64_t hash;                /* of the group and the client id */
    bool is_going;                /* it has been told to */
};

struct device_place {
    struct bytes account;
    const char *class, *client_id;
    uint32_t connections; /* 0: any number */
    enum limit_policy policy;
};

enum err devices_new(struct devices **out);
void devices_free(struct devices **owner); /* when all have left */

/* Comes in, last of its group, in the place of the one with the same client id. Those that must go are
 * marked, and `go` is called for each. A failed call changes nothing. */
enum err devices_enter(struct devices *d, struct device *dev, const struct device_place *place,
                       void (*go)(struct device *dev));

/* No effect on one that is not in. */
void devices_leave(struct devices *d, struct device *dev);

/* --- classes */

struct device_class {
    struct account_limit limit; /* its name, how many, what then */
    char pattern[256];
};

/* Of "NAME CONNECTIONS POLICY PATTERN". */
bool device_class_read(struct device_class *c, const char *text);

/* Does text fit a pattern with * and ?. */
bool device_pattern_fits(const char *pattern, const char *text);

#endif
