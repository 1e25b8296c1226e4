/* SPDX-License-Identifier: Apache-2.0 */
/*
 * people - who is in: by which account, until when, with how many devices; and who has to go.
 *
 * Thread:  any; a lock, which is held for some instructions, but for people_review.
 * Memory:  a person is counted. It is made when its client is first asked about and leaves when that is gone.
 * Limits:  those of devices.h.
 * Errors:  ERR_FULL: the account has as many devices as it may; ERR_CLOSED: the client has gone meanwhile;
 *          ERR_NOMEM.
 * Tests:   tests/unit/test_auth_plugin_people.c
 */
#ifndef AUTH_PEOPLE_H
#define AUTH_PEOPLE_H

#include "auth/devices.h"
#include "auth/world.h"
#include "base/ref.h"
#include "wheel/wheel.h"

struct people;
struct scram;

/* MQTT 5 reason codes of DISCONNECT. */
enum people_end { PEOPLE_NOT_ALLOWED = 0x87, PEOPLE_TOO_MANY = 0x97, PEOPLE_EXPIRED = 0xA0 };

struct people_ops {
    void (*end)(void *client, enum people_end why); /* asynchronous, on any thread */
    void (*forget)(void *client);                   /* the reference goes */
};

struct person {
    struct ref ref;
    struct people *people;
    void *client; /* a reference of the host's */
    char *client_id;

    /* Set once, by people_enter, before anybody is told that the client is in. */
    bool is_in;
    enum source source;
    char *account; /* NULL: it has no name */
    struct grants *grants;

    /* The lock's. */
    bool is_gone;
    struct list link;
    struct device device;
    struct wheel_timer timer;
    struct person *next; /* of those to end: of whoever is telling the host */
    bool is_ending;      /* it is one of them */

    struct scram *scram; /* an exchange under way; the asker's */
};

enum err people_new(struct people **out, const struct people_ops *ops, uint64_t now_ms);
void people_unref(struct people **owner); /* the others are its persons' */

/* Takes the host's reference, also on failure. Gives one reference. */
enum err person_new(struct person **out, struct people *p, void *client, const char *client_id);
struct person *person_ref(struct person *q);
void person_unref(struct person **owner);

struct person_entry {
    enum source source;
    const char *account; /* NULL: none */
    const char *class;   /* NULL: it is not counted */
    struct account_limit limit;
    struct grants **grants; /* taken when all is well; NULL: none */
    uint64_t expires_ms;    /* of now_ms's clock; 0: never */
};
enum err people_enter(struct person *q, const struct person_entry *e);

/* Its client is gone. Once. */
void people_gone(struct person *q);

/* Ends those whose time is over. */
void people_tick(struct people *p, uint64_t now_ms);

/* Ends those who are allowed no longer. Gives how many. */
size_t people_review(struct people *p, const struct world *w);

#endif
