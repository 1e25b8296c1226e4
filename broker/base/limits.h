/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits - every bound that is not an option, with its reason.
 *
 * Thread:  none; constants.
 * Memory:  none.
 * Limits:  all.
 * Errors:  relations between limits are static asserts.
 * Tests:   the build.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#include <assert.h>
#include <stdint.h>

enum {
    /* MQTT 5.0 section 2.1.4: a variable byte integer of four bytes, and the fixed header before it. */
    PACKET_BYTES_MAX = 268435455 + 5,

    /* Before a CONNECT is complete a peer has shown nothing: it may make us hold this much. */
    CONNECT_BYTES_MAX = 512 * 1024,

    /* One read of a socket. Larger: fewer calls under load; the block is one for each shard. */
    SCRATCH_BYTES = 128 * 1024,

    /* Questions for retained messages that a shard answers in one turn, see RETAINED_VISITS_MAX. */
    RETAINED_ASKS_A_TURN = 8,

    /* Handshakes of TLS in one turn of the loop; one of them is done whatever it takes. The others' messages
     * wait so long at most: less than they notice, and enough for more handshakes than clients ask for. */
    SHAKE_MS_A_TURN = 2,

    /* An output chunk: about 40 small PUBLISHes. */
    OUT_CHUNK_BYTES = 4096,
    OUT_SMALL_BYTES = 120,  /* with malloc's own 8 two lines of the cache */
    OUT_CHUNKS_KEPT = 1024, /* free chunks that a shard keeps */

    /* A payload from here on is sent from the message itself instead of being copied. */
    PAYLOAD_SHARED_BYTES = 1024,

    /* A packet up to this size is built once for all receivers of a version, and copied. */
    FAN_PACKET_BYTES_MAX = 2048,

    /* Output waiting for one slow receiver: QoS 0 is dropped above the first, and above the second nothing
     * more of QoS 1 is put on its way: its window closes. */
    OUT_BYTES_QOS0_MAX = 16 * 1024 * 1024,
    OUT_BYTES_QOS1_MAX = 1024 * 1024,

    /* Output of messages to many that waits on a shard for its turn to be written: above it who publishes
     * such is not read. Half of what one receiver may have waiting, so that nothing is dropped for it; for
     * 500 receivers 200 small messages to each write, and some 10 ms until it has gone. */
    LATE_BYTES_MAX = 8 * 1024 * 1024,

    /* Above this a client asks and does not take the answers: it is read again when it has taken half. */
    OUT_BYTES_READ_MAX = 32 * 1024 * 1024,

    /* Messages that wait in RAM for one clean session whose window is full. More are dropped and counted. */
    CLEAN_QUEUE_BYTES_MAX = 64 * 1024 * 1024,

    /* A persistent session's messages in RAM beyond its window; the others wait in the store. */
    TAIL_ENTRIES_MAX = 1024,
    PAGE_ENTRIES_MAX = 256,           /* rows of one page read from the store, */
    PAGE_BYTES_MAX = 4 * 1024 * 1024, /* and their messages: large ones come in smaller pages, one at least */
    IDS_ENTRIES_MAX = 4096,           /* the same without their messages: some milliseconds, 128 KiB */

    /* PUBLISH bytes under way from one shard to another before its sources are no longer read. A delivery
     * counts as many bytes as can be copied meanwhile: so what is under way takes some 10 ms at most, however
     * many receivers it has, and others' messages come behind no more than that. */
    CREDIT_BYTES_MAX = 8 * 1024 * 1024,
    CREDIT_BYTES_A_DELIVERY = 1024,

    /* PUBLISHes of one connection that wait for the journal before it is no longer read. */
    ACKS_WAITING_MAX = 1024,
    JOURNAL_BYTES_MAX = 8 * 1024 * 1024, /* the same in bytes, and whatever their QoS */

    /* Topics that a client has given aliases to: one more ends its connection. 16 of the longest. */
    ALIAS_IN_BYTES_MAX = 1024 * 1024,

    /* Aliases that we give one client, if it takes so many, and the longest topic that gets one: 34 KiB. */
    ALIAS_OUT_MAX = 32,
    ALIAS_TOPIC_BYTES_MAX = 1024,

    /* SUBSCRIBEs and UNSUBSCRIBEs of one connection that wait for their answer: more, and it is not read. */
    JOBS_WAITING_MAX = 64,

    /* The same of one session, with those whose connection is gone and that still put retained messages into
     * its queue. They end by themselves; until then one more SUBSCRIBE ends its connection. */
    JOBS_SESSION_MAX = 2 * JOBS_WAITING_MAX,

    /* Retained copies of one session that are on their way through the journal, or stand in its queue and
     * are to be skipped there because something newer went before. At the limit its SUBSCRIBEs wait with
     * the next copy: for the journal, or until the client has taken what stands before those in the queue. */
    COPIES_MAX = 1024,

    /* Topics of which a session remembers, while retained messages are read for it, what came live. More are
     * as many as publishers like, so then all notes are thrown away, and whoever had use for them reads its
     * page again (session/fence.c). 1024 come within one reading only above a million a second. */
    NOTED_TOPICS_MAX = 1024,

    /* Topics that one question for retained messages looks at, matching or not: well below a millisecond.
     * The next question goes on there. */
    RETAINED_VISITS_MAX = 512,

    /* A publisher's own id of a message (user property mid): a longer one is not de-duplicated. It and the
     * limits of how many are kept are the same on every node, whatever its configuration. One costs its bytes
     * and so much more, a client id with any the same. */
    MID_BYTES_MAX = 128,
    MID_COST_BYTES = 128,
    MIDS_OF_CLIENT_MAX = 10000,
    MIDS_BYTES_MAX = 256 * 1024 * 1024,

    /* Shared subscriptions. What a member has at once: enough to hide the way there and back, and little
     * enough to be shared out evenly. A group has no more than so many given: they are what an
     * acknowledgement lists. QoS 0 is dropped above its own bound, for it cannot wait. */
    SHARE_CREDIT_MAX = 64,
    SHARE_OUT_MAX = 4096,
    SHARE_OUT_QOS0_MAX = 1024,
    SHARE_MEMBERS_MAX = 4096, /* of one group */
    SHARE_HELD_MAX = 64,      /* that only members without room may have, before others no longer pass them */

    /* Delayed messages on their way through the journal to who gets them. More, and the others wait. */
    DELAYED_MOVES_MAX = 1024,
    DELAYED_MOVES_BYTES_MAX = 8 * 1024 * 1024,

    /* Client addresses that limits are counted for: about 32 MiB. More than any but an attack has; those
     * beyond share one entry. */
    ADDRESSES_MAX = 262144,

    /* Of a packet that is not whole yet so much must come within so many seconds, whatever the keepalive:
     * else it holds memory for nothing. A modem of 9600 baud takes 4 seconds for it. So much of one counts as
     * a sign of life, as a whole packet does. */
    PART_BYTES_MIN = 4096,
    PART_S_MAX = 60,

    SHARDS_MAX = 256,
    SUBSCRIPTIONS_MAX = 100000, /* of one session */
    PACKET_ID_MAX = 65535,

    /* Packet ids to a client. Those of QoS 1, and of QoS 2 in clean sessions, go round; what a shared
     * subscription lends has a range of its own; a persistent session's QoS 2 message has the id that its
     * place in the queue says, so that a later process gives it the same. */
    ID_ROUND_MAX = 16383, /* from 1 */
    ID_SHARED_FIRST = 16384,
    ID_SHARED_MAX = 32767,
    ID_EXACT_FIRST = 32768,
    ID_EXACT_COUNT = 32768,

    /* Plugins, all listeners together: each has a thread, and a bit in a word of 64. */
    PLUGINS_MAX = 32,

    /* Passwords that wait for a worker. One takes a millisecond, or as long as the operator has chosen for
     * his hashes: above this a client is told to come again instead of waiting for its own time-out. */
    LOGINS_WAITING_MAX = 1024,

    /* Handshakes of one shard that wait for a plugin to say what their key is. Each holds some 20 KiB; those
     * above are refused. */
    PSK_WAITING_MAX = 1024,

    /* Deliveries that plugins are asked about by one question: few hand-overs, and what stands behind waits
     * for some 256 checks at most. And deliveries of QoS 0 that wait on a shard before more are dropped: some
     * 30 MiB without their messages, a second of a fast plugin. */
    READS_A_VECTOR = 256,
    READS_WAITING_MAX = 262144,

    /* Verdicts of plugins that are remembered for one client (acl_cache_seconds); one more, and all go. */
    VERDICTS_OF_CLIENT_MAX = 64,

    /* Messages of plugins on their way from their threads to a shard. */
    PLUGIN_PUBLISHES_MAX = 10000,
    PLUGIN_PUBLISH_BYTES_MAX = 64 * 1024 * 1024,

    /* Connections that a kick by user name looks at in one turn: some 0.1 ms. */
    KICK_LOOKS_A_TURN = 4096,

    /* Packets of one connection that wait for plugins: enough to hide the way there and back. More, or more
     * than one that are so large together, and it is not read. */
    HOOKED_PACKETS_MAX = 64,
    HOOKED_BYTES_MAX = 256 * 1024,

    /* QoS 2 messages on their way to one client: looked for one after the other, in 512 bytes. */
    QOS2_OUT_MAX = 128,
};

static_assert(OUT_BYTES_QOS1_MAX < OUT_BYTES_QOS0_MAX, "QoS 1 must stop before QoS 0 is dropped");
static_assert(LATE_BYTES_MAX <= OUT_BYTES_QOS0_MAX / 2, "what waits for its turn must not be dropped");
static_assert(OUT_BYTES_QOS0_MAX < OUT_BYTES_READ_MAX,
              "messages alone must not stop a client's acknowledgements");
static_assert(CONNECT_BYTES_MAX > 65535 * 5,
              "client id, will, user name and password at their longest must fit");
static_assert(PAGE_ENTRIES_MAX <= TAIL_ENTRIES_MAX, "a page must fit into the tail");
static_assert(MIDS_OF_CLIENT_MAX * (MID_COST_BYTES + MID_BYTES_MAX) < MIDS_BYTES_MAX / 16,
              "the ids of one client must not push out all others'");
static_assert(ALIAS_IN_BYTES_MAX > 10 * 65535, "the aliases of max_topic_alias's default must fit");
static_assert(ID_EXACT_FIRST + ID_EXACT_COUNT - 1 == PACKET_ID_MAX, "the ranges of packet ids must fill up");
static_assert(SCRATCH_BYTES > OUT_CHUNK_BYTES, "a read is larger than a chunk");

#endif
