/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec - MQTT packets to structs and back. MQTT 3.1 (IBM 2010), 3.1.1 (OASIS 2014) and 5.0 (OASIS 2019).
 *
 * Decoding: frame_split() cuts one packet out of a stream, then <packet>_decode() reads its body. Strings
 * point into the packet; lists (filters, user properties) stay encoded and are walked with a _next().
 * Every decoder refuses what the standard calls malformed; what depends on the state of a connection
 * (packet ids in use, quotas, permissions) is the caller's.
 * Encoding: <packet>_encode() writes a whole packet at a wr cursor, which poisons itself when it is full.
 *
 * Thread:  any; no state.
 * Memory:  borrows the bytes; allocates nothing.
 * Limits:  a packet of at most size_max bytes, as the caller says.
 * Errors:  enum mqtt_rc: MQTT_RC_MALFORMED (0x81), MQTT_RC_PROTOCOL (0x82), or what the clause names.
 * Tests:   tests/unit/test_codec_*.c, tests/fuzz/fuzz_*.c
 */
#ifndef CODEC_CODEC_H
#define CODEC_CODEC_H

#include "base/bytes.h"
#include "codec/props.h"
#include "codec/rd.h"
#include "codec/reason.h"
#include "codec/wr.h"

enum mqtt_version { MQTT_V31 = 3, MQTT_V311 = 4, MQTT_V5 = 5 };

enum packet_type {
#define PACKET(name, value, flags, flags_mask, text) PACKET_##name = (value),
#include "codec/packets.def"
#undef PACKET
};

/* May this packet carry that reason code in v5? */
bool reason_fits(enum packet_type type, uint8_t code);

/* "CONNECT" and so on; "RESERVED" for a number that is none. */
const char *packet_name(enum packet_type type);

/* One packet of a stream. */
struct frame {
    enum packet_type type;
    uint8_t flags;     /* low four bits of the first byte */
    struct bytes body; /* after the fixed header */
    uint32_t total;    /* bytes of the whole packet; 0: more bytes are needed */
    uint32_t want;     /* when total is 0: the packet's whole size if known yet, else 0 */
};

/* Cuts the first packet off. Checks the reserved flags [MQTT-2.2.2-1], the length's encoding, that a ping is
 * empty, and size_max (MQTT_RC_PACKET_TOO_LARGE); does so as soon as the bytes seen so far tell. */
enum mqtt_rc frame_split(struct bytes in, uint32_t size_max, struct frame *out);
/* The same of a 3.1 client: a PUBREL, SUBSCRIBE or UNSUBSCRIBE that is sent again may have DUP. */
enum mqtt_rc frame_split_v31(struct bytes in, uint32_t size_max, struct frame *out);

struct will {
    struct bytes topic, payload;
    uint8_t qos;
    bool retain;
    struct props props; /* v5 will properties */
};

/* Section 3.1; MQTT 3.1 has another protocol name. version is set even when MQTT_RC_UNSUPPORTED_VERSION is
 * returned for it (level byte). An empty client id is the caller's to judge: CONNACK has an answer to it
 * [MQTT-3.1.3-8]. */
struct connect {
    uint8_t version; /* enum mqtt_version, or what the peer sent */
    bool clean_start, has_will, has_username, has_password;
    uint16_t keepalive_s;
    struct props props;
    struct bytes client_id, username, password;
    struct will will;
    struct bytes body; /* what it was read from */
};

struct connack {
    bool session_present;
    uint8_t code; /* as on the wire: a v5 reason, or an older return code */
    struct props props;
};

/* Section 3.3. props.block is the property block as it came, without its length. */
struct publish {
    struct bytes topic, payload;
    uint16_t id; /* 0 with QoS 0 */
    uint8_t qos;
    bool dup, retain;
    struct props props;
};

/* PUBACK, PUBREC, PUBREL, PUBCOMP: sections 3.4 to 3.7. */
struct ack {
    uint16_t id;
    uint8_t code; /* 0 for v3 */
    struct props props;
};

struct subscribe {
    uint16_t id;
    uint16_t count; /* of filters */
    struct props props;
    struct rd filters;
};

/* Section 3.8.3.1. v3 has qos alone. */
struct subscribe_filter {
    struct bytes filter;
    uint8_t qos;
    bool no_local, retain_as_published;
    uint8_t retain_handling;
};

struct unsubscribe {
    uint16_t id;
    uint16_t count;
    struct props props;
    struct rd filters;
};

/* SUBACK and UNSUBACK. v3 UNSUBACK has no codes. */
struct suback {
    uint16_t id;
    struct props props;
    struct bytes codes;
};

/* DISCONNECT and AUTH. */
struct session_end {
    uint8_t code;
    struct props props;
};

/* Each takes frame.body (publish and the like also frame.flags) of a packet of its type. */
enum mqtt_rc connect_decode(struct bytes body, struct connect *out);
enum mqtt_rc connack_decode(struct bytes body, uint8_t version, struct connack *out);
enum mqtt_rc publish_decode(const struct frame *f, uint8_t version, struct publish *out);
enum mqtt_rc ack_decode(const struct frame *f, uint8_t version, struct ack *out);
enum mqtt_rc subscribe_decode(struct bytes body, uint8_t version, struct subscribe *out);
bool subscribe_next(struct subscribe *s, uint8_t version, struct subscribe_filter *out);
enum mqtt_rc unsubscribe_decode(struct bytes body, uint8_t version, struct unsubscribe *out);
bool unsubscribe_next(struct unsubscribe *u, struct bytes *filter);
enum mqtt_rc suback_decode(const struct frame *f, uint8_t version, struct suback *out);
/* type is PACKET_DISCONNECT or PACKET_AUTH. */
enum mqtt_rc session_end_decode(const struct frame *f, uint8_t version, struct session_end *out);

/* Each writes one whole packet. Properties are written for v5 only: those present in .props, in ascending
 * order of identifier, then props.user as it is. */
void connect_encode(struct wr *w, const struct connect *c);
void connack_encode(struct wr *w, uint8_t version, const struct connack *c);
uint32_t connack_size(uint8_t version, const struct connack *c); /* of the whole packet */
void publish_encode(struct wr *w, uint8_t version, const struct publish *p);
void ack_encode(struct wr *w, uint8_t version, enum packet_type type, const struct ack *a);
/* The same of one that says that all is well and no more, which is one packet in all versions. */
enum { ACK_BARE_BYTES = 4 };
void ack_bare_write(uint8_t at[ACK_BARE_BYTES], enum packet_type type, uint16_t id);
void subscribe_encode(struct wr *w, uint8_t version, uint16_t id, const struct subscribe_filter *filters,
                      size_t count);
void unsubscribe_encode(struct wr *w, uint8_t version, uint16_t id, const struct bytes *filters,
                        size_t count);
void suback_encode(struct wr *w, uint8_t version, const struct suback *s);
void unsuback_encode(struct wr *w, uint8_t version, const struct suback *s);
void session_end_encode(struct wr *w, uint8_t version, enum packet_type type, const struct session_end *e);
uint32_t session_end_size(uint8_t version, enum packet_type type, const struct session_end *e);
void ping_encode(struct wr *w, enum packet_type type);

/* What of a PUBLISH differs between receivers; topic, forwarded properties and payload are the message's. */
struct publish_head {
    struct bytes topic;   /* v5: empty when its alias is known */
    uint32_t block_bytes; /* v5: the message's forwarded properties, already encoded */
    uint32_t payload_bytes;
    uint16_t id; /* 0 with QoS 0 */
    uint8_t qos;
    bool dup, retain;
    bool has_expiry; /* v5: write a Message Expiry Interval of expiry_s */
    uint32_t expiry_s;
    uint16_t topic_alias; /* v5; 0: none */
    uint32_t ids_count;   /* v5: subscription identifiers */
    const uint32_t *ids;
};

/* Without subscription identifiers. */
enum { PUBLISH_HEAD_MAX = 1 + 4 + 2 + 65535 + 2 + 4 + 5 + 3 };

/* Size of the whole packet, fixed header included. */
uint32_t publish_head_size(uint8_t version, const struct publish_head *h);

/* Writes everything up to the forwarded properties; the caller appends those (v5), then the payload. */
void publish_head_encode(struct wr *w, uint8_t version, const struct publish_head *h);

/* Copies a v5 property block of a PUBLISH or a will to w without what is per hop or per receiver: topic
 * alias, message expiry, subscription identifiers, will delay. block must have been decoded before. */
void publish_forward_props(struct wr *w, struct bytes block);

/* The 3.1 or 3.1.1 CONNACK return code that says best what a v5 reason says (section 3.2.2.3). */
uint8_t connack_code_v3(enum mqtt_rc rc);

#endif
