/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hook - what shards ask of plugins. Who loads them, and how they see it, is behind struct hooks_ops.
 *
 * A question visits, one after the other, the plugins of a door that have registered for what it is about,
 * until one decides, and comes back as mail. When all defer, the answer is HOOK_DEFER, or its own fallback.
 *
 *   shard: hooks_ask -> plugin 1 --(defers)--> plugin 2 --(decides)--> shard: mail with ask->kind
 *
 * Questions of one shard reach a plugin in their order; answers may come back in another one.
 *
 * Thread:  a shard asks; plugins answer on their own threads, or, when they say that they may be called
 *          so, at once on the shard's. A question is nobody else's from hooks_ask until it is back.
 * Memory:  a question is counted: the host may still read it after the answer, when a callback was too
 *          slow. The asker sets `destroy`, for when nobody has it any more. A client is counted.
 * Limits:  the host's queue for each plugin: above it a question of HOOK_LOGIN or HOOK_AUTH_* is HOOK_BUSY.
 * Errors:  in the verdict.
 * Tests:   tests/unit/test_hook.c
 */
#ifndef HOOK_HOOK_H
#define HOOK_HOOK_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/mailbox.h"
#include "base/ref.h"
#include "hook/client.h"
#include "msg/msg.h"

/* What a plugin registers for; bits of hooks_wants. */
enum hook_event {
    HOOK_EVENT_ACL = 1,
    HOOK_EVENT_LOGIN = 2,
    HOOK_EVENT_AUTH = 4,
    HOOK_EVENT_CONTROL = 8,
    HOOK_EVENT_MESSAGE = 16,
    HOOK_EVENT_PSK = 32,
    HOOK_EVENT_DISCONNECT = 64,
    HOOK_EVENT_CONNECTED = 128
};

enum hook_about {
    HOOK_LOGIN,       /* struct hook_login: user name and password */
    HOOK_PUBLISH,     /* struct hook_publish: may it; then CONTROL, for $CONTROL/, or MESSAGE */
    HOOK_WILL,        /* struct hook_publish: may it; nothing more */
    HOOK_SUBSCRIBE,   /* struct hook_filters */
    HOOK_UNSUBSCRIBE, /* struct hook_filters */
    HOOK_READ,        /* struct hook_reads: deliveries to any clients of one door's plugins */
    HOOK_AUTH_START,  /* struct hook_auth; a method, perhaps an unknown one */
    HOOK_AUTH_AGAIN,  /* the same, of a client that is in */
    HOOK_AUTH_MORE,   /* the next step of it */
    HOOK_PSK,         /* struct hook_psk */
    HOOK_CONNECTED, /* struct hook_connected: CONNACK says success. These two are told, and come not back: */
    HOOK_GONE       /* struct hook_gone: the client is never mentioned again. hooks_ask takes them */
};

enum hook_verdict {
    HOOK_DEFER, /* nobody has decided; the first, so that 0 is "not answered" */
    HOOK_ALLOW,
    HOOK_DENY, /* with `code` */
    HOOK_MORE, /* HOOK_AUTH_*: the client is to send another AUTH */
    HOOK_END,  /* HOOK_PUBLISH: a callback has failed otherwise: the connection is to end */
    HOOK_LATE, /* a callback took longer than plugin_timeout */
    HOOK_BUSY  /* a plugin has too much to do */
};

struct hooks;

struct hook_ask {
    struct mail mail;           /* on its way to a plugin, between plugins, and back */
    struct mailbox *to;         /* back */
    uint32_t kind;              /* of the mail that comes back */
    uint8_t about;              /* enum hook_about */
    struct hooks *hooks;        /* whose plugins; kept alive by the question */
    struct hook_client *client; /* NULL: HOOK_READ, and HOOK_PSK; a reference */
    struct ref ref;
    void (*destroy)(struct hook_ask *a); /* called by the last hook_ask_unref, on any thread */

    /* The host's, from ask to answer. */
    uint16_t at;
    uint8_t phase, walkers;
    uint32_t open;

    /* The answer. */
    uint8_t verdict; /* enum hook_verdict; for HOOK_READ and filters see each item */
    uint8_t code;    /* of HOOK_DENY: an MQTT 5 reason code, as 0x87 */
    char *reason;    /* a text for it; NULL: none; freed with the question */
};

struct hook_login {
    struct hook_ask ask;
    const char *username, *password; /* NULL: none; the asker's, until `destroy` */
};

/* Its topic and payload are the asker's until `destroy`. What a MESSAGE callback has changed stands in the
 * same fields afterwards, and is freed with the question, as `changed`. */
struct hook_publish {
    struct hook_ask ask;
    struct bytes topic, payload, block; /* the last: MQTT 5 properties without their length */
    uint8_t qos, version;
    bool retain;
    bool asks_acl;              /* else only the events behind it */
    enum hook_verdict fallback; /* for ACL, when all defer */
    void *changed[3];
};

struct hook_filter {
    struct bytes filter;
    uint8_t qos, verdict; /* the latter: enum hook_verdict */
};

struct hook_filters {
    struct hook_ask ask;
    enum hook_verdict fallback;
    size_t count;
    struct hook_filter *at; /* the asker's */
};

/* One delivery. */
struct hook_read {
    struct hook_client *client; /* a reference */
    struct msg *msg;            /* a reference */
    uint8_t qos;
    bool retain;
    uint8_t fallback, verdict; /* enum hook_verdict; HOOK_LATE: to be asked again */
};

struct hook_reads {
    struct hook_ask ask;
    size_t count;
    struct hook_read *(*item)(struct hook_reads *r, size_t i);
};

struct hook_auth {
    struct hook_ask ask;
    const char *method;
    struct bytes data;   /* the client's; the asker's */
    struct bytes answer; /* for the client; freed with the question */
};

struct hook_psk {
    struct hook_ask ask;
    const char *hint, *identity;
    char key[512]; /* hexadecimal; empty: none */
};

enum { HOOK_REASON_LOST = -1 }; /* the network went, without a word of either side */

struct hook_connected {
    struct hook_ask ask;
    bool session_present;
};

struct hook_gone {
    struct hook_ask ask;
    int reason;         /* an MQTT 5 reason code, or HOOK_REASON_LOST */
    bool was_in;        /* CONNACK said so; else it was only asked about */
    bool session_stays; /* without a connection */
};

/* --- from shards to plugins */

struct hooks_ops {
    /* Bits of enum hook_event that some plugin is registered for now. */
    uint32_t (*wants)(const struct hooks *h);
    /* Takes the question. True: it is answered already, and no mail comes. */
    bool (*ask)(struct hooks *h, struct hook_ask *a);
    /* Would `ask` about this event answer at once? */
    bool (*is_inline)(const struct hooks *h, enum hook_event e);
    void (*destroy)(struct hooks *h);
};

/* The plugins of a door, in order. Never changed; what they are registered for changes. */
struct hooks {
    const struct hooks_ops *ops;
    struct ref ref;
};

static inline struct hooks *hooks_ref(struct hooks *h)
{
    if (h != NULL) ref_add(&h->ref, 1);
    return h;
}
void hooks_unref(struct hooks **owner);

/* Does anybody care? False for NULL. */
static inline bool hooks_want(const struct hooks *h, uint32_t events)
{
    return h != NULL && (h->ops->wants(h) & events) != 0;
}

/* For the asker: sets up what all kinds have in common, with one reference, the asker's. The rest is zero. */
void hook_ask_init(struct hook_ask *a, enum hook_about about, struct hooks *hooks,
                   struct hook_client *client);
bool hooks_ask(struct hook_ask *a);

/* For both. Frees what the host has put into it, then calls `destroy`. */
void hook_ask_unref(struct hook_ask **owner);

#endif
