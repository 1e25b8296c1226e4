/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "session/session_int.h"
#include <stdlib.h>

/*
 * What holds the entries of a session, [head, tail). While they are few, one block that grows by copying;
 * then blocks of RING_BLOCK, which come and go with the entries in them. So whatever the length of a queue,
 * one more costs a few microseconds at most: a message may go to thousands of sessions, whose queues are as
 * long as each other's.
 *
 *        blocks[i / RING_BLOCK % blocks_room][i % block_room]
 *
 * With one block, blocks points to `block`, and its room is a power of two below RING_BLOCK or that. With
 * more, those from head's on to the one before tail exist, rounded to whole blocks.
 */
enum { BLOCK_MIN = 4, BLOCK_KEPT = 32, BLOCKS_MIN = 4 };

static bool has_many(const struct session *s)
{
    return s->blocks != NULL && s->blocks != &s->block;
}

/* The index of head's block's first entry. */
static uint32_t begin_of(const struct session *s)
{
    return s->head - s->head % RING_BLOCK;
}

static struct session_entry **block_of(const struct session *s, uint32_t index)
{
    return &s->blocks[index / RING_BLOCK & (s->blocks_room - 1)];
}

/* A larger copy, from index 0 on. */
static bool grow_block(struct session *s)
{
    uint32_t used = s->tail - s->head, room = s->block_room == 0 ? BLOCK_MIN : s->block_room * 2u;
    if (room > RING_BLOCK) room = RING_BLOCK;
    struct session_entry *block = malloc(room * sizeof *block);
    if (block == NULL) return false;
    for (uint32_t i = 0; i < used; i++) block[i] = *session_at(s, s->head + i);
    free(s->block);
    s->block = block;
    s->blocks = &s->block;
    s->blocks_room = 1;
    s->block_room = (uint16_t)room;
    s->sent -= s->head;
    s->head = 0;
    s->tail = used;
    return true;
}

/* Room for more of them, in the same order. The one block of a session that had one begins with its head. */
static bool grow_blocks(struct session *s)
{
    uint32_t room = has_many(s) ? s->blocks_room * 2 : BLOCKS_MIN;
    struct session_entry **blocks = malloc(room * sizeof(struct session_entry *));
    if (blocks == NULL) return false;
    for (uint32_t i = begin_of(s); i != s->tail; i += RING_BLOCK)
        blocks[i / RING_BLOCK & (room - 1)] = *block_of(s, i);
    if (has_many(s)) free(s->blocks);
    s->block = NULL;
    s->blocks = blocks;
    s->blocks_room = room;
    return true;
}

static bool add_block(struct session *s)
{
    DCHECK(s->tail % RING_BLOCK == 0);
    bool is_full = s->tail - begin_of(s) == s->blocks_room * RING_BLOCK;
    if ((is_full || !has_many(s)) && !grow_blocks(s)) return false;
    struct session_entry *block = malloc(RING_BLOCK * sizeof *block);
    if (block == NULL) return false;
    *block_of(s, s->tail) = block;
    return true;
}

bool session_ring_room(struct session *s)
{
    if (has_many(s)) return s->tail % RING_BLOCK != 0 || add_block(s);
    if (s->tail - s->head < s->block_room) return true;
    if (s->block_room < RING_BLOCK || s->head % RING_BLOCK != 0) return grow_block(s) && session_ring_room(s);
    return add_block(s);
}

static void drop_block(struct session *s, uint32_t index)
{
    if (index % RING_BLOCK != 0 || !has_many(s)) return;
    struct session_entry **block = block_of(s, index);
    free(*block);
    *block = NULL;
}

void session_ring_drop_first(struct session *s)
{
    session_let_go(s, session_at(s, s->head));
    s->head++;
    drop_block(s, s->head - RING_BLOCK);
    if (s->head == s->tail && (has_many(s) || s->block_room > BLOCK_KEPT)) session_ring_free(s);
}

void session_ring_drop_last(struct session *s)
{
    s->tail--;
    session_let_go(s, session_at(s, s->tail));
    drop_block(s, s->tail);
}

void session_ring_free(struct session *s)
{
    while (s->head != s->tail) session_ring_drop_last(s);
    if (has_many(s)) {
        if (s->tail % RING_BLOCK != 0) free(*block_of(s, s->tail));
        free(s->blocks);
    }
    free(s->block);
    s->block = NULL;
    s->blocks = NULL;
    s->blocks_room = s->head = s->sent = s->tail = 0;
    s->block_room = 0;
}
