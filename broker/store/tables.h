/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tables - the persistent sessions and their queues in RAM: what applying a command changes and checks.
 *
 * A queue may have an older part that is elsewhere (folded): everything up to tables_folded(). Then the rows
 * here are the newer ones.
 *
 * A command comes twice: tables_admit when it is submitted, where limits are decided and written into it, and
 * tables_apply when it has its position, where nothing is chosen any more.
 *
 * Thread:  one: the journal's.
 * Memory:  a row for each message that is not elsewhere, with one reference to it; 16 bytes for each when
 *          there are limits; publishers' ids of messages, see store/mids.h.
 * Limits:  conf->limits for each queue.
 * Errors:  ERR_NOMEM from tables_new and tables_restore.
 * Tests:   tests/unit/test_tables.c, tests/contract/journal_*.c
 */
#ifndef STORE_TABLES_H
#define STORE_TABLES_H

#include "store/backlog.h"
#include "store/journal.h"
#include "store/mids.h"
#include "store/store.h"

struct tables;

struct tables_conf {
    struct backlog_limits limits;
};

enum err tables_new(struct tables **out, const struct tables_conf *conf);
void tables_free(struct tables **owner);

/* Before it is submitted, with its stamp: is its message there already? Then it is done, COMMAND_DUPLICATE,
 * but for a packet id: with one it goes on, without tables_admit. */
bool tables_has_mid(const struct tables *t, const struct command *c);

/* Before it is submitted. Marks targets that get nothing, and what must go for others. COMMAND_REFUSED: a
 * queue is full, and nothing changes (BACKLOG_REFUSE). Else tables_apply follows. */
enum command_result tables_admit(struct tables *t, struct command *c);

/* Applies a command that has its position: checks its fences, and appends to or shortens queues. Marks
 * targets whose session is gone. */
enum command_result tables_apply(struct tables *t, struct command *c);

/* Fills the rows of a page from what is here. */
void tables_page(const struct tables *t, struct store_page *p);
void tables_ids(const struct tables *t, struct store_ids *p);

size_t tables_count(const struct tables *t); /* of queues */

/* Is this row still waiting? */
bool tables_has(const struct tables *t, uint64_t session_no, uint64_t seq);

/* What is about to go elsewhere, told once for each fold: this row ... */
void tables_leave(struct tables *t, uint64_t session_no, uint64_t seq);

/* ... and, newest first, has this acknowledgement anything to finish there? Of the acknowledgements of a
 * session in one fold only the newest has: it says all that the others do. And none, when nothing is there.
 */
bool tables_ack_matters(struct tables *t, const struct command *c, uint64_t fold_no);

/* After acknowledgements and before any tables_leave of a fold: is one of these entries elsewhere, or about
 * to go there? */
bool tables_received_matters(const struct tables *t, const struct command *c);

/* Is the entry of a MOVE elsewhere? And the packet id of an ENQUEUE, does it go there now, or is it free
 * already? */
bool tables_move_matters(const struct tables *t, const struct command *c);
bool tables_in_id_leaves(struct tables *t, const struct command *c);

/* The rows up to a position are elsewhere now. */
void tables_fold(struct tables *t, uint64_t session_no, uint64_t upto);
uint64_t tables_folded(const struct tables *t, uint64_t session_no); /* 0: nothing is elsewhere */

/* The position of the CLAIM that made a session; 0: from before this process started; UINT64_MAX: there is
 * none. Rows up to there are those of an earlier one of the same number. */
uint64_t tables_since(const struct tables *t, uint64_t session_no);

/* A session or group from before this process started, with rows elsewhere up to a position. */
struct tables_session {
    uint64_t session_no, claim_no, folded;
    bool has_will;
};
enum err tables_restore(struct tables *t, const struct tables_session *s);

/* A packet id that the session's client has not released. */
enum err tables_restore_in_id(struct tables *t, uint64_t session_no, uint16_t id);

/* A publisher's id of a message; oldest first. */
enum err tables_restore_mid(struct tables *t, struct bytes client_id, struct bytes mid, uint64_t until_ms);

/* One of its entries elsewhere, in order of seq: needed where there are limits. */
enum err tables_restore_entry(struct tables *t, uint64_t session_no, struct backlog_entry e);

#endif
