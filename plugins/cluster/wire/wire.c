/* SPDX-License-Identifier: Apache-2.0 */
/* What frames and records share: entries, members, and the words for what is wrong. */
#include "wire/wire_int.h"

static const char *const texts[] = {
    [WIRE_OK] = "well formed",
    [WIRE_MORE] = "not whole",
    [WIRE_LENGTH] = "a length that nothing of its type has",
    [WIRE_MAGIC] = "not a node of this broker",
    [WIRE_ALIEN] = "another version of the cluster's protocol",
    [WIRE_TYPE] = "an unknown type",
    [WIRE_FLAGS] = "an unknown flag",
    [WIRE_CUT] = "cut inside of a field",
    [WIRE_TRAILS] = "bytes after the last field",
    [WIRE_VALUE] = "a value out of range",
    [WIRE_ORDER] = "positions that contradict each other",
    [WIRE_MEMBERS] = "a list of members that is not well formed",
};

static const char *const answers[] = {
    [WIRE_WELCOME] = "welcome",
    [WIRE_OTHER_VERSION] = "it speaks another version of the cluster's protocol",
    [WIRE_OTHER_CLUSTER] = "it belongs to another cluster",
    [WIRE_OTHER_NODE] = "it has another id",
    [WIRE_OTHER_PLANE] = "its peer and election ports are exchanged",
    [WIRE_SMALLER_ID] = "the smaller id must not dial",
    [WIRE_WRONG_PROOF] = "its cluster secret is another one",
    [WIRE_WRONG_NAME] = "the certificate is of another node",
    [WIRE_TOO_MANY] = "too many nodes that are not configured",
};

const char *wire_rc_text(enum wire_rc rc)
{
    return (unsigned)rc < sizeof texts / sizeof *texts ? texts[rc] : "?";
}

const char *wire_answer_text(enum wire_answer a)
{
    return (unsigned)a < sizeof answers / sizeof *answers ? answers[a] : "?";
}

uint32_t wire_out_copy(const struct wire_out *o, uint8_t *at, uint32_t size)
{
    struct wr w = { .at = at, .left = size };

    wr_bytes(&w, bytes_of(o->at, o->len));
    wr_bytes(&w, o->payload);
    return w.bad ? 0 : wire_out_bytes(o);
}

bool wire_rd_bool(struct rd *r, enum wire_rc *rc)
{
    uint8_t v = rd_u8(r);

    if (v > 1) *rc = WIRE_VALUE;
    return v == 1;
}

void wire_rd_entry(struct rd *r, struct zab_entry *out)
{
    out->first = wire_rd_u64(r);
    out->last = wire_rd_u64(r);
    out->prev = wire_rd_u64(r);
    out->kind = rd_u8(r);
}

void wire_wr_entry(struct wr *w, const struct zab_entry *e)
{
    wire_wr_u64(w, e->first);
    wire_wr_u64(w, e->last);
    wire_wr_u64(w, e->prev);
    wr_u8(w, e->kind);
}

/* An epoch begins with counter 0, and with nothing else; after that each entry follows the one before it. */
enum wire_rc wire_entry_judge(const struct zab_entry *e)
{
    bool begins = zab_counter_of(e->first) == 0;

    if (e->kind < ZAB_DATA || e->kind > ZAB_CONFIG) return WIRE_VALUE;
    if (e->payload.len > ZAB_PAYLOAD_BYTES_MAX) return WIRE_LENGTH;
    if (begins != (e->kind == ZAB_EPOCH_START)) return WIRE_ORDER;
    if (begins && (e->last != e->first || e->payload.len != 2)) return WIRE_ORDER;
    if (e->first > e->last || e->prev >= e->first) return WIRE_ORDER;
    if (zab_epoch_of(e->first) != zab_epoch_of(e->last)) return WIRE_ORDER;
    return begins || e->prev == e->first - 1 ? WIRE_OK : WIRE_ORDER;
}

void wire_rd_members(struct rd *r, struct zab_members *out, enum wire_rc *rc)
{
    struct bytes b = rd_str(r);

    if (r->bad) return;
    if (b.len > ZAB_MEMBERS_BYTES_MAX || !zab_members_decode(b, out)) *rc = WIRE_MEMBERS;
}

void wire_wr_members(struct wr *w, const struct zab_members *m)
{
    struct wr len = *w;
    uint32_t n = 0;

    wr_u16(w, 0);
    if (!w->bad && m != NULL && zab_members_are_valid(m)) n = zab_members_encode(m, w->at, (uint32_t)w->left);
    if (n == 0 || n > ZAB_MEMBERS_BYTES_MAX) {
        w->bad = true;
        return;
    }
    wr_take(w, n);
    wr_u16(&len, (uint16_t)n);
}
