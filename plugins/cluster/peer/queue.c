/* SPDX-License-Identifier: Apache-2.0 */
/* What waits to be written: a row of chunks. A few that are empty are kept. */
#include "peer/peer_int.h"
#include <stdlib.h>
#include <string.h>

static struct peer_chunk *chunk_new(struct peers *p)
{
    struct peer_chunk *k = p->chunks;

    if (k != NULL) {
        p->chunks = k->next;
        p->chunks_count--;
    } else {
        k = malloc(sizeof *k);
    }
    if (k != NULL) {
        k->next = NULL;
        k->begin = k->end = 0;
    }
    return k;
}

static void chunk_free(struct peers *p, struct peer_chunk *k)
{
    if (p->chunks_count == PEER_CHUNKS_KEPT) {
        free(k);
        return;
    }
    k->next = p->chunks;
    p->chunks = k;
    p->chunks_count++;
}

bool peer_queue_put(struct peers *p, struct peer_queue *q, struct bytes b)
{
    while (b.len > 0) {
        if (q->last == NULL || q->last->end == PEER_CHUNK_BYTES) {
            struct peer_chunk *k = chunk_new(p);
            if (k == NULL) return false;
            if (q->last != NULL)
                q->last->next = k;
            else
                q->first = k;
            q->last = k;
        }
        size_t room = PEER_CHUNK_BYTES - q->last->end, n = b.len < room ? b.len : room;
        memcpy(q->last->at + q->last->end, b.at, n);
        q->last->end += (uint32_t)n;
        q->bytes += n;
        b.at += n;
        b.len -= n;
    }
    return true;
}

int peer_queue_parts(const struct peer_queue *q, struct iovec parts[PEER_PARTS_MAX])
{
    int count = 0;

    for (struct peer_chunk *k = q->first; k != NULL && count < PEER_PARTS_MAX; k = k->next)
        parts[count++] = (struct iovec){ k->at + k->begin, k->end - k->begin };
    return count;
}

void peer_queue_drop(struct peers *p, struct peer_queue *q, size_t bytes)
{
    q->bytes -= bytes;
    while (q->first != NULL) {
        struct peer_chunk *k = q->first;
        size_t n = k->end - k->begin < bytes ? k->end - k->begin : bytes;
        k->begin += (uint32_t)n;
        bytes -= n;
        if (k->begin < k->end) return;
        q->first = k->next;
        if (q->first == NULL) q->last = NULL;
        chunk_free(p, k);
    }
}

void peer_queue_fini(struct peers *p, struct peer_queue *q)
{
    peer_queue_drop(p, q, q->bytes);
}

void peer_chunks_free(struct peers *p)
{
    while (p->chunks != NULL) {
        struct peer_chunk *k = p->chunks;
        p->chunks = k->next;
        free(k);
    }
}
