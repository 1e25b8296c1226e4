/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared - what groups of shared subscriptions have given to a session (share/share.h), until it goes home.
 *
 *   session_shared_give -> waiting -> session_shared_next: PUBLISH -> PUBACK, or PUBREC, PUBREL, PUBCOMP ->
 * home
 *
 * All of it is volatile: it goes home with the connection. QoS 1 is handed back then, for another member. QoS
 * 2 is given in this way only to clean sessions, and dies with them once it has been sent [MQTT-4.8.2-5]. To
 * a persistent session it comes as an entry of its own queue; what is kept of it here is the group's note
 * that this is one more that the member has.
 *
 * Thread:  the session's shard.
 * Memory:  a block of the session's from its first share on; entries are lent by their group; a list of those
 *          that go home is emptied by the caller.
 * Limits:  the members' credit: SHARE_CREDIT_MAX for each share of the session. On their way to the client
 *          they count against its window like other messages.
 * Errors:  ERR_NOMEM from session_shared_open only.
 * Tests:   tests/unit/test_shared.c
 */
#ifndef SESSION_SHARED_H
#define SESSION_SHARED_H

#include "base/check.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "share/share.h"

struct session;

struct session_shared {
    struct map members; /* the shard's: its shares, by the hash of their text */
    struct list sent, waiting, moved, home;
    uint32_t identified; /* the shard's: members with a subscription identifier */
    uint32_t sent_count;
    uint16_t last_id;
};

/* Of a session that has no shares: to be read, never written. session.shared is this one or its own. */
extern const struct session_shared session_shared_none;
/* Its own, to be written, as who has joined a group has. */
static inline struct session_shared *session_shared_own(const struct session_shared *h)
{
    DCHECK(h != &session_shared_none);
    return (struct session_shared *)(uintptr_t)h;
}
/* Makes it if there is none: for one who joins a group. */
enum err session_shared_open(struct session *s);

/* A packet id that only these have? */
bool session_shared_has_id(uint16_t id);

/* QoS 1 or 2. The session is on line. */
void session_shared_give(struct session *s, struct share_entry *e);

/* It stands in the session's own queue, as entry e->moved_seq. */
void session_shared_moved(struct session *s, struct share_entry *e);

/* The next one to send, if the window allows: has its packet id then. */
struct share_entry *session_shared_next(struct session *s);

/* It cannot be sent (expired, too large for the client): finished. */
void session_shared_skip(struct session *s, struct share_entry *e);

/* The one with this packet id, if it is this message and unanswered; or NULL. */
struct share_entry *session_shared_sent(const struct session *s, uint16_t id, const struct msg *m);

/* Its client may not have it: QoS 1 goes home for another member, QoS 2 is finished. It was not sent. */
void session_shared_refuse(struct session *s, struct share_entry *e);

/* PUBACK. False: no such packet id is on its way. */
bool session_shared_puback(struct session *s, uint16_t id);

enum shared_reply {
    SHARED_UNKNOWN, /* no such packet id, or of another QoS */
    SHARED_DONE,
    SHARED_RELEASE, /* PUBREL is to be sent, perhaps once more */
};
enum shared_reply session_shared_pubrec(struct session *s, uint16_t id, bool refused);
enum shared_reply session_shared_pubcomp(struct session *s, uint16_t id);

/* What is for this member of a group, and has not been sent, goes back [MQTT-3.10.4-2]. */
void session_shared_leave(struct session *s, const void *to);

/* The next one to go home; is_back is set. NULL: none. */
struct share_entry *session_shared_home(struct session *s);

#endif
