/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire - the bytes of what the nodes of a cluster say to each other, and of what each writes into its log.
 *
 * Frames and notes stand in a stream: how long, version, type, and so on; docs/cluster-wire.md draws them.
 * Records are payloads of the log, which knows their length. Big-endian. Decoding is strict: what encoding
 * does not write is refused, and says which rule it broke.
 *
 * Thread:  any; no state.
 * Memory:  none. Decoded payloads lie in the input; ends and members in the caller's scratch.
 * Limits:  WIRE_*_MAX; each length and count is compared with its limit before it is used.
 * Errors:  enum wire_rc for bytes of others; ERR_RANGE for our own values that decoding would refuse.
 * Tests:   tests/unit/test_cluster_wire.c, tests/fuzz/fuzz_cluster_wire.c
 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include "base/err.h"
#include "zab/types.h"
#include "zab/zab.h"

enum {
    WIRE_VERSION = 1,
    WIRE_HEAD_BYTES = 21,  /* length 4, version 1, type 1, flags 1, group 2, epoch 4, zxid 8 */
    WIRE_PEEK_BYTES = 6,   /* tell how long a frame is, or that it is none */
    WIRE_ENTRY_BYTES = 25, /* of an entry, before its payload */
    WIRE_ENDS_BYTES_MAX = 2 + ZAB_ENDS_MAX * 8,
    WIRE_MEMBERS_BYTES_MAX = 2 + ZAB_MEMBERS_BYTES_MAX,
    /* Everything but the payload of an entry or a chunk; SNAP_BEGIN and CHECKPOINT are the longest. */
    WIRE_SMALL_BYTES_MAX = WIRE_HEAD_BYTES + 8 + WIRE_MEMBERS_BYTES_MAX,
    WIRE_FRAME_BYTES_MAX = WIRE_HEAD_BYTES + WIRE_ENTRY_BYTES + 8 + ZAB_PAYLOAD_BYTES_MAX,
    WIRE_RECORD_BYTES_MAX = 2 + WIRE_ENTRY_BYTES + ZAB_PAYLOAD_BYTES_MAX,
    WIRE_NOTE_TYPE = 64, /* in the place of a frame's type, on the election plane */
    WIRE_NOTE_BYTES = WIRE_HEAD_BYTES + 11,
    WIRE_NONCE_BYTES = 32,
    WIRE_MAC_BYTES = 32,
    WIRE_HELLO_BYTES = 20 + WIRE_NONCE_BYTES,
    WIRE_PROOF_BYTES = 1 + WIRE_MAC_BYTES,
};

enum wire_rc {
    WIRE_OK,
    WIRE_MORE,    /* the beginning of something: more bytes are needed to tell */
    WIRE_LENGTH,  /* shorter or longer than anything of its type */
    WIRE_MAGIC,   /* not one of us */
    WIRE_ALIEN,   /* another version */
    WIRE_TYPE,    /* no such type or kind */
    WIRE_FLAGS,   /* a flag that this version does not know */
    WIRE_CUT,     /* ends inside of a field */
    WIRE_TRAILS,  /* goes on after the last field */
    WIRE_VALUE,   /* a field has a value that its type does not have */
    WIRE_ORDER,   /* positions or epochs that contradict each other */
    WIRE_MEMBERS, /* not what zab_members_encode writes */
};

/* What is wrong, for a log line. */
const char *wire_rc_text(enum wire_rc rc);

/* Encoded: the first `len` bytes of `at`, then `payload`, which stays where it was. */
struct wire_out {
    uint32_t len;
    struct bytes payload;
    uint8_t at[WIRE_SMALL_BYTES_MAX];
};

static inline uint32_t wire_out_bytes(const struct wire_out *o)
{
    return o->len + (uint32_t)o->payload.len;
}

/* Both pieces in a row. Gives how many bytes; 0: size is too small. */
uint32_t wire_out_copy(const struct wire_out *o, uint8_t *at, uint32_t size);

/* For what decoded values point to. */
struct wire_scratch {
    struct zab_members members;
    struct zab_end ends[ZAB_ENDS_MAX];
};

/* --- frames and notes */

/* How long the frame or note is that begins with `from`, its length field included. WIRE_MORE: not known
 * before there are WIRE_PEEK_BYTES. Anything else: it is none. */
enum wire_rc wire_size(struct bytes from, uint32_t *size);

enum err wire_frame_encode(struct wire_out *out, const struct zab_frame *f);
enum wire_rc wire_frame_decode(struct bytes from, struct zab_frame *out, struct wire_scratch *scratch);

enum err wire_note_encode(uint8_t out[WIRE_NOTE_BYTES], const struct zab_note *n);
enum wire_rc wire_note_decode(struct bytes from, struct zab_note *out);

/* --- records of the log */

enum err wire_record_encode(struct wire_out *out, const struct zab_record *r);
enum wire_rc wire_record_decode(struct bytes from, struct zab_record *out, struct wire_scratch *scratch);

/* --- how a connection begins: a hello each way, then a proof each way */

enum wire_plane { WIRE_PEER = 1, WIRE_ELECTION = 2 };

/* What who was dialled says to it. */
enum wire_answer {
    WIRE_WELCOME = 0,
    WIRE_OTHER_VERSION = 1,
    WIRE_OTHER_CLUSTER = 2,
    WIRE_OTHER_NODE = 3,  /* it is not whom the dialler wants */
    WIRE_OTHER_PLANE = 4, /* the port is for the other one */
    WIRE_SMALLER_ID = 5,  /* the larger id dials */
    WIRE_WRONG_PROOF = 6, /* one side has no secret, or another one */
    WIRE_WRONG_NAME = 7,  /* the certificate is of somebody else */
    WIRE_TOO_MANY = 8,    /* nodes that are in nobody's configuration */
};

const char *wire_answer_text(enum wire_answer a);

struct wire_hello {
    uint8_t version;
    uint8_t plane;  /* enum wire_plane */
    uint8_t answer; /* enum wire_answer; of the dialler WIRE_WELCOME */
    bool has_secret;
    uint16_t from, to;
    uint64_t cluster;
    uint8_t nonce[WIRE_NONCE_BYTES];
};

struct wire_proof {
    uint8_t answer; /* enum wire_answer */
    uint8_t mac[WIRE_MAC_BYTES];
};

void wire_hello_encode(uint8_t out[WIRE_HELLO_BYTES], const struct wire_hello *h);
/* WIRE_MAGIC and WIRE_ALIEN as soon as the bytes tell; then out->version is the other one's. */
enum wire_rc wire_hello_decode(struct bytes from, struct wire_hello *out);
void wire_proof_encode(uint8_t out[WIRE_PROOF_BYTES], const struct wire_proof *p);
enum wire_rc wire_proof_decode(struct bytes from, struct wire_proof *out);

#endif
