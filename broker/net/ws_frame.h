/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_frame - WebSocket frames out of bytes, and the heads of frames to be sent (RFC 6455 section 5). By
 * libwslay's frames, each call from a block that the thread has for it: between two reads a connection keeps
 * the 14 bytes of ws_cut and nothing of the library's.
 *
 *   reading:  ws_framer_begin, then ws_framer_next until it gives no frame
 *
 * What is left of a frame that is cut inside its payload is read later behind a head made for just that: the
 * same opcode, the length that is left, the key turned by what has gone.
 *
 * Thread:  any; a framer is its thread's, and used up before the call of a transport returns.
 * Memory:  4 KiB for a thread, until it ends. A piece is lent until the next call.
 * Limits:  none: a frame is handed out as it comes, whatever length it says.
 * Errors:  ERR_NOMEM; ERR_SYNTAX for a head that is none, a control frame in fragments or above 125 bytes.
 * Tests:   tests/unit/test_ws_frame.c, tests/fuzz/fuzz_ws.c
 */
#ifndef NET_WS_FRAME_H
#define NET_WS_FRAME_H

#include "base/bytes.h"
#include "base/err.h"

enum { WS_HEAD_BYTES_MAX = 14, WS_CONTROL_BYTES_MAX = 125 };

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8, /* from here on control frames */
    WS_PING = 9,
    WS_PONG = 10
};

enum ws_status {
    WS_STATUS_NORMAL = 1000,
    WS_STATUS_PROTOCOL = 1002,
    WS_STATUS_NOT_BINARY = 1003,
    WS_STATUS_NOT_UTF8 = 1007
};

/* Where a stream was cut: all zero is between two frames. */
struct ws_cut {
    uint8_t head[WS_HEAD_BYTES_MAX]; /* to be read before what comes next */
    uint8_t head_bytes;
    bool is_inside; /* the frame has been handed out in part */
};

/* A frame, or a part of one. */
struct ws_piece {
    uint8_t opcode, rsv;
    bool is_final; /* of its message */
    bool is_masked;
    bool begins, ends; /* the frame */
    struct bytes data;
};

struct ws_framer;

/* The thread's; NULL without memory. To be asked for again after each pass. */
struct ws_framer *ws_framer_get(void);

/* Goes on where `cut` says, with the n bytes that came, and takes the mask off them where they lie. They may
 * be written over up to what pieces have been handed out, while it goes on. */
void ws_framer_begin(struct ws_framer *f, struct ws_cut *cut, uint8_t *at, size_t n);
/* ERR_AGAIN: nothing is left, and `cut` says where the next bytes go on. */
enum err ws_framer_next(struct ws_framer *f, struct ws_piece *out);
/* Leaves before ERR_AGAIN; the stream cannot be gone on with. */
void ws_framer_leave(struct ws_framer *f);

/* The head of a whole message of so many bytes, not masked. Gives its size; 0 without memory. */
size_t ws_frame_head(uint8_t head[WS_HEAD_BYTES_MAX], enum ws_opcode opcode, uint64_t bytes);

/* What a peer's Close is to be answered with: the status it gives, or WS_STATUS_NORMAL. False: it is not well
 * formed, and *status says in which way. */
bool ws_close_read(struct bytes payload, uint16_t *status);

#endif
