/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection begins. Magic, version and their place are for all versions to come. */
#include "wire/wire_int.h"

static const uint8_t magic[] = { 'L', 'L', 'Z', 'B' };

enum { FLAG_SECRET = 1, ANSWER_MAX = WIRE_TOO_MANY };

void wire_hello_encode(uint8_t out[WIRE_HELLO_BYTES], const struct wire_hello *h)
{
    struct wr w = { .at = out, .left = WIRE_HELLO_BYTES };

    wr_bytes(&w, bytes_of(magic, sizeof magic));
    wr_u8(&w, h->version);
    wr_u8(&w, h->plane);
    wr_u8(&w, h->answer);
    wr_u8(&w, h->has_secret ? FLAG_SECRET : 0);
    wr_u16(&w, h->from);
    wr_u16(&w, h->to);
    wire_wr_u64(&w, h->cluster);
    wr_bytes(&w, bytes_of(h->nonce, sizeof h->nonce));
}

static enum wire_rc begins(struct bytes from, struct wire_hello *out)
{
    size_t n = from.len < sizeof magic ? from.len : sizeof magic;

    if (n > 0 && memcmp(from.at, magic, n) != 0) return WIRE_MAGIC;
    if (from.len <= sizeof magic) return WIRE_MORE;
    out->version = from.at[sizeof magic];
    if (out->version != WIRE_VERSION) return WIRE_ALIEN;
    return from.len < WIRE_HELLO_BYTES ? WIRE_MORE : WIRE_OK;
}

enum wire_rc wire_hello_decode(struct bytes from, struct wire_hello *out)
{
    *out = (struct wire_hello){ 0 };
    enum wire_rc rc = begins(from, out);

    if (rc != WIRE_OK) return rc;
    if (from.len > WIRE_HELLO_BYTES) return WIRE_TRAILS;
    struct rd r = { from.at + sizeof magic + 1, from.len - sizeof magic - 1, false };
    out->plane = rd_u8(&r);
    out->answer = rd_u8(&r);
    uint8_t flags = rd_u8(&r);
    out->has_secret = flags == FLAG_SECRET;
    out->from = rd_u16(&r);
    out->to = rd_u16(&r);
    out->cluster = wire_rd_u64(&r);
    memcpy(out->nonce, r.at, sizeof out->nonce);
    if (flags > FLAG_SECRET) return WIRE_FLAGS;
    if (out->plane != WIRE_PEER && out->plane != WIRE_ELECTION) return WIRE_VALUE;
    return out->answer <= ANSWER_MAX && out->from > 0 ? WIRE_OK : WIRE_VALUE;
}

void wire_proof_encode(uint8_t out[WIRE_PROOF_BYTES], const struct wire_proof *p)
{
    out[0] = p->answer;
    memcpy(out + 1, p->mac, sizeof p->mac);
}

enum wire_rc wire_proof_decode(struct bytes from, struct wire_proof *out)
{
    *out = (struct wire_proof){ 0 };
    if (from.len < WIRE_PROOF_BYTES) return WIRE_MORE;
    if (from.len > WIRE_PROOF_BYTES) return WIRE_TRAILS;
    out->answer = from.at[0];
    memcpy(out->mac, from.at + 1, sizeof out->mac);
    return out->answer <= ANSWER_MAX ? WIRE_OK : WIRE_VALUE;
}
