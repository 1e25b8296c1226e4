/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "kit/test.h"
#include "unit/cluster_wire_kit.h"
#include <stdlib.h>
#include <string.h>

static struct wire_out out;
static struct wire_scratch scratch;

/* Types and variants, one after the other. */
enum { FRAMES = KIT_FRAME_TYPES * KIT_VARIANTS, RECORDS = KIT_RECORD_KINDS * KIT_VARIANTS };

static struct zab_frame frame_at(int i)
{
    return kit_frame((uint8_t)(1 + i / KIT_VARIANTS), i % KIT_VARIANTS);
}

static struct zab_record record_at(int i)
{
    return kit_record((uint8_t)(1 + i / KIT_VARIANTS), i % KIT_VARIANTS);
}

static struct kit_blob encoded(const struct zab_frame *f)
{
    CHECK_INT(ERR_OK, wire_frame_encode(&out, f));
    return kit_blob(&out);
}

static struct kit_blob encoded_record(const struct zab_record *r)
{
    CHECK_INT(ERR_OK, wire_record_encode(&out, r));
    return kit_blob(&out);
}

static enum wire_rc frame_rc(struct kit_blob b)
{
    struct zab_frame f;

    return wire_frame_decode(kit_bytes(b), &f, &scratch);
}

static enum wire_rc record_rc(struct kit_blob b)
{
    struct zab_record r;

    return wire_record_decode(kit_bytes(b), &r, &scratch);
}

static enum wire_rc note_rc(struct kit_blob b)
{
    struct zab_note n;

    return wire_note_decode(kit_bytes(b), &n);
}

static void put(uint8_t *at, uint64_t v, unsigned bytes)
{
    for (unsigned i = bytes; i > 0; i--, v >>= 8) at[i - 1] = (uint8_t)v;
}

/* A frame of our own that has been changed in one place is refused so. */
static void check_changed(const struct zab_frame *f, size_t at, uint64_t v, unsigned bytes, enum wire_rc want)
{
    struct kit_blob b = encoded(f);

    put(b.at + at, v, bytes);
    CHECK_INT(want, frame_rc(b));
    kit_blob_fini(&b);
}

static void check_record_changed(const struct zab_record *r, size_t at, uint8_t v, enum wire_rc want)
{
    struct kit_blob b = encoded_record(r);

    b.at[at] = v;
    CHECK_INT(want, record_rc(b));
    kit_blob_fini(&b);
}

/* --- there and back */

TEST(frames_of_each_type_come_back_as_they_were)
{
    for (int i = 0; i < FRAMES; i++) {
        struct zab_frame f = frame_at(i), got;
        struct kit_blob b = encoded(&f);
        uint32_t size;

        CHECK_INT(WIRE_OK, wire_size(kit_bytes(b), &size));
        CHECK_INT(b.len, size);
        CHECK_INT(WIRE_OK, wire_frame_decode(kit_bytes(b), &got, &scratch));
        CHECK_TRUE(kit_frames_equal(&f, &got));
        kit_blob_fini(&b);
    }
}

TEST(records_of_each_kind_come_back_as_they_were)
{
    for (int i = 0; i < RECORDS; i++) {
        struct zab_record r = record_at(i), got;
        struct kit_blob b = encoded_record(&r);

        CHECK_INT(WIRE_OK, wire_record_decode(kit_bytes(b), &got, &scratch));
        CHECK_TRUE(kit_records_equal(&r, &got));
        kit_blob_fini(&b);
    }
}

TEST(notes_come_back_as_they_were)
{
    for (int v = 0; v < KIT_VARIANTS; v++) {
        struct zab_note n = kit_note(v), got;
        uint8_t at[WIRE_NOTE_BYTES];
        uint32_t size;

        CHECK_INT(ERR_OK, wire_note_encode(at, &n));
        struct kit_blob b = kit_blob_of(at, sizeof at);
        CHECK_INT(WIRE_OK, wire_size(kit_bytes(b), &size));
        CHECK_INT(sizeof at, size);
        CHECK_INT(WIRE_OK, wire_note_decode(kit_bytes(b), &got));
        CHECK_TRUE(n.state == got.state && n.leader == got.leader && n.group == got.group);
        CHECK_TRUE(n.epoch == got.epoch && n.zxid == got.zxid && n.round == got.round);
        kit_blob_fini(&b);
    }
}

TEST(payloads_are_lent_and_not_copied)
{
    struct zab_frame f = kit_frame(ZAB_PROPOSAL, KIT_EXTREME), got;

    CHECK_INT(ERR_OK, wire_frame_encode(&out, &f));
    CHECK_TRUE(out.payload.at == f.proposal.entry.payload.at);
    struct kit_blob b = kit_blob(&out);
    CHECK_INT(WIRE_OK, wire_frame_decode(kit_bytes(b), &got, &scratch));
    CHECK_TRUE(got.proposal.entry.payload.at == b.at + b.len - got.proposal.entry.payload.len);
    kit_blob_fini(&b);
}

TEST(the_bytes_of_a_proposal_and_a_record_are_these)
{
    static const uint8_t proposal[] = {
        0,   0,   0,   53, 1, 8, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9, /* head */
        0,   0,   5,   0,  0, 0, 0, 3,                                        /* commit */
        0,   0,   5,   0,  0, 0, 0, 4, 0, 0, 5, 0, 0, 0, 0, 6,                /* first, last */
        0,   0,   5,   0,  0, 0, 0, 3, 1,                                     /* prev, kind */
        'a', 'b', 'c',                                                        /* payload */
    };
    static const uint8_t checkpoint[] = {
        1, 6,  0, 0, 0, 7, 0, 0, 0, 8, 0, 2, 1, 0, 0, 5,   0,   0,
        0, 0,  3,                                                    /* epochs, leader, relearn, zxid */
        0, 16, 0, 0, 0, 0, 0, 0, 0, 9, 1, 0, 2, 1, 3, 'h', ':', '1', /* members */
    };
    struct zab_members m = { .version = 9, .count = 1, .at = { { .id = 2, .role = ZAB_VOTER } } };
    struct zab_record r = { .kind = ZAB_RECORD_CHECKPOINT,
                            .must_relearn = true,
                            .epoch = 7,
                            .accepted = 8,
                            .leader = 2,
                            .zxid = zab_zxid(5, 3),
                            .members = &m };
    struct zab_frame f = { .type = ZAB_PROPOSAL, .group = 2, .epoch = 5, .zxid = 9 };

    f.proposal.commit = zab_zxid(5, 3);
    f.proposal.entry = (struct zab_entry){ .first = zab_zxid(5, 4),
                                           .last = zab_zxid(5, 6),
                                           .prev = zab_zxid(5, 3),
                                           .kind = ZAB_DATA,
                                           .payload = bytes_of("abc", 3) };
    memcpy(m.at[0].address, "h:1", 4);
    struct kit_blob b = encoded(&f), c = encoded_record(&r);
    CHECK_TRUE(bytes_equal(kit_bytes(b), bytes_of(proposal, sizeof proposal)));
    CHECK_TRUE(bytes_equal(kit_bytes(c), bytes_of(checkpoint, sizeof checkpoint)));
    kit_blob_fini(&b);
    kit_blob_fini(&c);
}

/* --- cut, changed, longer */

TEST(a_frame_cut_at_any_byte_is_refused_and_its_size_is_known_from_six_bytes)
{
    for (int i = 0; i < FRAMES; i++) {
        struct zab_frame f = frame_at(i);
        struct kit_blob whole = encoded(&f);
        uint32_t size, step = whole.len > 8192 ? 4093 : 1;

        for (uint32_t n = 0; n < whole.len; n += n < 64 ? 1 : step) {
            struct kit_blob b = kit_blob_of(whole.at, n);
            CHECK_INT(n < WIRE_PEEK_BYTES ? WIRE_MORE : WIRE_OK, wire_size(kit_bytes(b), &size));
            CHECK_INT(n < WIRE_PEEK_BYTES ? 0 : whole.len, size);
            CHECK_INT(n < WIRE_PEEK_BYTES ? WIRE_MORE : WIRE_CUT, frame_rc(b));
            kit_blob_fini(&b);
        }
        kit_blob_fini(&whole);
    }
}

/* The length says that it is all, but the body is not whole, or goes on. */
TEST(a_body_of_another_length_than_its_type_has_is_refused)
{
    for (int i = 0; i < FRAMES; i++) {
        struct zab_frame f = frame_at(i);
        bool has_payload = f.type == ZAB_PROPOSAL || f.type == ZAB_SNAP_CHUNK;
        struct kit_blob whole = encoded(&f);

        for (uint32_t n = WIRE_HEAD_BYTES; n < whole.len && !has_payload; n++) {
            struct kit_blob b = kit_blob_of(whole.at, n);
            put(b.at, n - 4, 4);
            CHECK_TRUE(frame_rc(b) != WIRE_OK);
            kit_blob_fini(&b);
        }
        uint8_t *longer = calloc(1, whole.len + 1);
        CHECK(longer != NULL);
        memcpy(longer, whole.at, whole.len);
        struct kit_blob b = { longer, whole.len + 1 };
        CHECK_INT(WIRE_TRAILS, frame_rc(b));
        put(b.at, whole.len - 3, 4);
        int v = i % KIT_VARIANTS;
        bool may_be_longer = has_payload && (v == KIT_MIXED || (v == KIT_SMALL && f.type == ZAB_SNAP_CHUNK));
        CHECK_TRUE((frame_rc(b) == WIRE_OK) == may_be_longer);
        kit_blob_fini(&b);
        kit_blob_fini(&whole);
    }
}

/* What is decoded has one encoding. */
static void check_canonical_frame(struct kit_blob b)
{
    struct zab_frame got;

    if (wire_frame_decode(kit_bytes(b), &got, &scratch) != WIRE_OK) return;
    CHECK_INT(ERR_OK, wire_frame_encode(&out, &got));
    CHECK_INT(b.len, wire_out_bytes(&out));
    CHECK_TRUE(memcmp(out.at, b.at, out.len) == 0);
}

static void check_canonical_record(struct kit_blob b)
{
    struct zab_record got;

    if (wire_record_decode(kit_bytes(b), &got, &scratch) != WIRE_OK) return;
    CHECK_INT(ERR_OK, wire_record_encode(&out, &got));
    CHECK_INT(b.len, wire_out_bytes(&out));
    CHECK_TRUE(memcmp(out.at, b.at, out.len) == 0);
}

static void change_each_byte(struct kit_blob b, void (*check)(struct kit_blob b))
{
    uint32_t heads = b.len < 700 ? b.len : 128;

    for (uint32_t at = 0; at < heads; at++)
        for (unsigned x = 1; x < 256; x += at < 64 ? 1 : 37) {
            b.at[at] ^= (uint8_t)x;
            check(b);
            b.at[at] ^= (uint8_t)x;
        }
}

TEST(a_frame_with_any_byte_changed_is_refused_or_is_another_frame)
{
    for (int i = 0; i < FRAMES; i++) {
        struct zab_frame f = frame_at(i);
        struct kit_blob b = encoded(&f);

        change_each_byte(b, check_canonical_frame);
        kit_blob_fini(&b);
    }
}

TEST(a_record_cut_or_changed_at_any_byte_is_refused_or_is_another_record)
{
    for (int i = 0; i < RECORDS; i++) {
        struct zab_record r = record_at(i);
        struct kit_blob whole = encoded_record(&r);
        uint32_t shortest = r.kind == ZAB_RECORD_ENTRY ? 2 + WIRE_ENTRY_BYTES : whole.len;

        for (uint32_t n = 0; n < shortest && i % KIT_VARIANTS != KIT_EXTREME; n++) {
            struct kit_blob b = kit_blob_of(whole.at, n);
            CHECK_INT(WIRE_CUT, record_rc(b));
            kit_blob_fini(&b);
        }
        change_each_byte(whole, check_canonical_record);
        kit_blob_fini(&whole);
    }
}

TEST(a_record_that_goes_on_is_refused_but_for_a_longer_payload)
{
    for (int i = 0; i < RECORDS; i++) {
        struct zab_record r = record_at(i);
        struct kit_blob whole = encoded_record(&r);
        uint8_t *longer = calloc(1, whole.len + 1);

        CHECK(longer != NULL);
        memcpy(longer, whole.at, whole.len);
        struct kit_blob b = { longer, whole.len + 1 };
        enum wire_rc rc = record_rc(b);
        if (r.kind != ZAB_RECORD_ENTRY)
            CHECK_INT(WIRE_TRAILS, rc);
        else
            CHECK_INT(i == KIT_SMALL ? WIRE_ORDER : i == KIT_MIXED ? WIRE_OK : WIRE_LENGTH, rc);
        kit_blob_fini(&b);
        kit_blob_fini(&whole);
    }
}

/* --- each rule */

TEST(a_length_beyond_what_the_type_can_have_is_refused_before_the_frame_is_there)
{
    static const struct {
        uint32_t length;
        uint8_t type;
        enum wire_rc want;
    } rows[] = {
        { 16, ZAB_COMMIT, WIRE_LENGTH },
        { 17, ZAB_COMMIT, WIRE_OK },
        { 18, ZAB_COMMIT, WIRE_LENGTH },
        { 17 + 33, ZAB_PROPOSAL, WIRE_OK },
        { 17 + 32, ZAB_PROPOSAL, WIRE_LENGTH },
        { 17 + 33 + ZAB_PAYLOAD_BYTES_MAX, ZAB_PROPOSAL, WIRE_OK },
        { 18 + 33 + ZAB_PAYLOAD_BYTES_MAX, ZAB_PROPOSAL, WIRE_LENGTH },
        { 17 + 8 + ZAB_SNAP_CHUNK_BYTES_MAX, ZAB_SNAP_CHUNK, WIRE_OK },
        { 18 + 8 + ZAB_SNAP_CHUNK_BYTES_MAX, ZAB_SNAP_CHUNK, WIRE_LENGTH },
        { 17 + 8 + 2 + ZAB_MEMBERS_BYTES_MAX, ZAB_SNAP_BEGIN, WIRE_OK },
        { 18 + 8 + 2 + ZAB_MEMBERS_BYTES_MAX, ZAB_SNAP_BEGIN, WIRE_LENGTH },
        { 17 + 23 + 8 * ZAB_ENDS_MAX, ZAB_ACKEPOCH, WIRE_OK },
        { 18 + 23 + 8 * ZAB_ENDS_MAX, ZAB_ACKEPOCH, WIRE_LENGTH },
        { 17 + 11, WIRE_NOTE_TYPE, WIRE_OK },
        { 17 + 12, WIRE_NOTE_TYPE, WIRE_LENGTH },
        { UINT32_MAX, ZAB_PROPOSAL, WIRE_LENGTH },
        { 17, 0, WIRE_TYPE },
        { 17, ZAB_PONG + 1, WIRE_TYPE },
        { 17, 255, WIRE_TYPE },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t at[WIRE_PEEK_BYTES] = { [4] = WIRE_VERSION, [5] = rows[i].type };
        uint32_t size;
        put(at, rows[i].length, 4);
        CHECK_INT(rows[i].want, wire_size(bytes_of(at, sizeof at), &size));
        CHECK_INT(rows[i].want == WIRE_OK ? rows[i].length + 4 : 0, size);
    }
}

TEST(four_bytes_tell_that_a_length_is_none_and_the_fifth_another_version)
{
    static const uint8_t text[] = { 'G', 'E', 'T', ' ' };
    static const uint8_t alien[] = { 0, 0, 0, 17, WIRE_VERSION + 1 };
    uint32_t size;

    CHECK_INT(WIRE_LENGTH, wire_size(bytes_of(text, sizeof text), &size));
    CHECK_INT(WIRE_ALIEN, wire_size(bytes_of(alien, sizeof alien), &size));
    CHECK_INT(WIRE_MORE, wire_size(bytes_of(alien, 4), &size));
}

TEST(another_version_an_unknown_flag_and_an_epoch_too_large_are_refused_by_name)
{
    struct zab_frame f = kit_frame(ZAB_COMMIT, KIT_MIXED);

    check_changed(&f, 4, 2, 1, WIRE_ALIEN);
    check_changed(&f, 5, 99, 1, WIRE_TYPE);
    check_changed(&f, 6, 1, 1, WIRE_FLAGS);
    check_changed(&f, 9, ZAB_EPOCH_MAX + 1, 4, WIRE_VALUE);
    check_changed(&f, 0, 18, 4, WIRE_LENGTH);
}

TEST(bools_are_0_or_1)
{
    struct zab_frame info = kit_frame(ZAB_FOLLOWERINFO, KIT_MIXED), ack = kit_frame(ZAB_ACKEPOCH, KIT_MIXED);
    struct zab_record r = kit_record(ZAB_RECORD_CHECKPOINT, KIT_MIXED);

    check_changed(&info, WIRE_HEAD_BYTES, 0, 1, WIRE_OK);
    check_changed(&info, WIRE_HEAD_BYTES, 2, 1, WIRE_VALUE);
    check_changed(&ack, WIRE_HEAD_BYTES + 4, 255, 1, WIRE_VALUE);
    check_record_changed(&r, 2 + 10, 2, WIRE_VALUE);
}

TEST(ends_are_few_and_ascend)
{
    struct zab_frame f = kit_frame(ZAB_ACKEPOCH, KIT_MIXED);
    enum { COUNT = WIRE_HEAD_BYTES + 21, FIRST = COUNT + 2 };

    check_changed(&f, COUNT, 2, 2, WIRE_TRAILS);
    check_changed(&f, COUNT, 4, 2, WIRE_CUT);
    check_changed(&f, COUNT, ZAB_ENDS_MAX + 1, 2, WIRE_VALUE);
    check_changed(&f, COUNT, UINT16_MAX, 2, WIRE_VALUE);
    check_changed(&f, FIRST + 8, zab_zxid(ZAB_EPOCH_MAX - 2, 5), 8, WIRE_ORDER);
    check_changed(&f, FIRST, zab_zxid(ZAB_EPOCH_MAX, 0), 8, WIRE_ORDER);
    check_changed(&f, WIRE_HEAD_BYTES, ZAB_EPOCH_MAX + 1, 4, WIRE_VALUE);
    check_changed(&f, WIRE_HEAD_BYTES + 13, zab_zxid(6, 91), 8, WIRE_ORDER); /* begins after its end */
}

TEST(an_entry_whose_positions_contradict_is_refused)
{
    enum { FIRST = WIRE_HEAD_BYTES + 8, LAST = FIRST + 8, PREV = LAST + 8, KIND = PREV + 8 };
    struct zab_frame f = kit_frame(ZAB_PROPOSAL, KIT_MIXED), start = kit_frame(ZAB_PROPOSAL, KIT_SMALL);
    uint64_t first = f.proposal.entry.first;

    check_changed(&f, LAST, first - 1, 8, WIRE_ORDER);
    check_changed(&f, LAST, first, 8, WIRE_OK);
    check_changed(&f, LAST, zab_zxid(8, 0), 8, WIRE_ORDER);
    check_changed(&f, PREV, first, 8, WIRE_ORDER);
    check_changed(&f, PREV, first - 2, 8, WIRE_ORDER);
    check_changed(&f, PREV, zab_zxid(6, 1), 8, WIRE_ORDER);
    check_changed(&f, KIND, 0, 1, WIRE_VALUE);
    check_changed(&f, KIND, 4, 1, WIRE_VALUE);
    check_changed(&f, KIND, ZAB_EPOCH_START, 1, WIRE_ORDER);
    check_changed(&start, KIND, ZAB_DATA, 1, WIRE_ORDER);
    check_changed(&start, LAST, zab_zxid(1, 1), 8, WIRE_ORDER);
    check_changed(&start, PREV, zab_zxid(1, 0), 8, WIRE_ORDER);
    check_changed(&start, PREV, zab_zxid(0, 77), 8, WIRE_OK);
    start.proposal.entry.payload.len = 3;
    CHECK_INT(ERR_RANGE, wire_frame_encode(&out, &start));
}

TEST(a_chunk_does_not_reach_beyond_the_largest_offset)
{
    struct zab_frame f = kit_frame(ZAB_SNAP_CHUNK, KIT_MIXED);

    check_changed(&f, WIRE_HEAD_BYTES, UINT64_MAX - 3, 8, WIRE_OK);
    check_changed(&f, WIRE_HEAD_BYTES, UINT64_MAX - 2, 8, WIRE_ORDER);
}

TEST(members_that_are_none_are_refused)
{
    struct zab_frame f = kit_frame(ZAB_SNAP_BEGIN, KIT_MIXED);
    struct zab_record r = kit_record(ZAB_RECORD_INSTALL, KIT_MIXED);

    check_changed(&f, WIRE_HEAD_BYTES + 8, UINT16_MAX, 2, WIRE_CUT);
    check_changed(&f, WIRE_HEAD_BYTES + 8, 0, 2, WIRE_MEMBERS);
    check_changed(&f, WIRE_HEAD_BYTES + 8 + 2 + 8, 77, 1, WIRE_MEMBERS);
    check_record_changed(&r, 2 + 8 + 2 + 8, 0, WIRE_MEMBERS);
}

TEST(a_record_of_another_version_or_kind_is_refused_by_name)
{
    struct zab_record r = kit_record(ZAB_RECORD_CURRENT, KIT_MIXED);

    check_record_changed(&r, 0, 2, WIRE_ALIEN);
    check_record_changed(&r, 1, 0, WIRE_TYPE);
    check_record_changed(&r, 1, ZAB_RECORD_RELEARN + 1, WIRE_TYPE);
    check_record_changed(&r, 1, ZAB_RECORD_RELEARN, WIRE_TRAILS);
    check_record_changed(&r, 2, 1, WIRE_VALUE); /* an epoch of 25 bits */
    r = kit_record(ZAB_RECORD_CHECKPOINT, KIT_MIXED);
    check_record_changed(&r, 6, 1, WIRE_VALUE);
}

TEST(notes_and_frames_do_not_pass_for_each_other_and_states_are_four)
{
    struct zab_note n = kit_note(KIT_MIXED);
    struct zab_frame f = kit_frame(ZAB_PONG, KIT_MIXED);
    uint8_t at[WIRE_NOTE_BYTES];

    CHECK_INT(ERR_OK, wire_note_encode(at, &n));
    struct kit_blob b = kit_blob_of(at, sizeof at), c = encoded(&f);
    CHECK_INT(WIRE_TYPE, frame_rc(b));
    CHECK_INT(WIRE_TYPE, note_rc(c));
    b.at[WIRE_HEAD_BYTES] = ZAB_NOTE_OBSERVING + 1;
    CHECK_INT(WIRE_VALUE, note_rc(b));
    b.at[6] = 128;
    CHECK_INT(WIRE_FLAGS, note_rc(b));
    for (b.len = 0; b.len < WIRE_NOTE_BYTES; b.len++) CHECK_TRUE(note_rc(b) != WIRE_OK);
    kit_blob_fini(&b);
    kit_blob_fini(&c);
}

/* --- our own values */

TEST(what_decoding_would_refuse_is_not_encoded)
{
    struct zab_frame f = kit_frame(ZAB_COMMIT, KIT_MIXED);
    struct zab_note n = kit_note(KIT_MIXED);
    struct zab_members none = { .version = 1 };
    uint8_t at[WIRE_NOTE_BYTES];

    f.type = 0;
    CHECK_INT(ERR_RANGE, wire_frame_encode(&out, &f));
    f.type = WIRE_NOTE_TYPE;
    CHECK_INT(ERR_RANGE, wire_frame_encode(&out, &f));
    f = kit_frame(ZAB_COMMIT, KIT_MIXED);
    f.epoch = ZAB_EPOCH_MAX + 1;
    CHECK_INT(ERR_RANGE, wire_frame_encode(&out, &f));
    f = kit_frame(ZAB_PROPOSAL, KIT_EXTREME);
    f.proposal.entry.payload.len++;
    CHECK_INT(ERR_RANGE, wire_frame_encode(&out, &f));
    f = kit_frame(ZAB_SNAP_CHUNK, KIT_EXTREME);
    f.chunk.data.len++;
    CHECK_INT(ERR_RANGE, wire_frame_encode(&out, &f));
    f = kit_frame(ZAB_ACKEPOCH, KIT_EXTREME);
    f.ack_epoch.ends_count++;
    CHECK_INT(ERR_RANGE, wire_frame_encode(&out, &f));
    f = kit_frame(ZAB_SNAP_BEGIN, KIT_EXTREME);
    f.snap.members = &none;
    CHECK_INT(ERR_RANGE, wire_frame_encode(&out, &f));
    f.snap.members = NULL;
    CHECK_INT(ERR_RANGE, wire_frame_encode(&out, &f));
    CHECK_INT(0, wire_out_bytes(&out));
    n.state = ZAB_NOTE_OBSERVING + 1;
    CHECK_INT(ERR_RANGE, wire_note_encode(at, &n));
    n = kit_note(KIT_MIXED);
    n.epoch = ZAB_EPOCH_MAX + 1;
    CHECK_INT(ERR_RANGE, wire_note_encode(at, &n));
}

TEST(ends_that_do_not_ascend_or_are_too_large_are_not_encoded)
{
    struct zab_end ends[] = { { 4, 9 }, { 5, 0 } };
    struct zab_frame f = kit_frame(ZAB_ACKEPOCH, KIT_SMALL);

    f.ack_epoch.ends = ends;
    f.ack_epoch.ends_count = 2;
    CHECK_INT(ERR_OK, wire_frame_encode(&out, &f));
    ends[1].counter = zab_counter_max + 1;
    CHECK_INT(ERR_RANGE, wire_frame_encode(&out, &f));
    ends[1] = (struct zab_end){ ZAB_EPOCH_MAX + 1, 0 };
    CHECK_INT(ERR_RANGE, wire_frame_encode(&out, &f));
    ends[1] = ends[0];
    CHECK_INT(ERR_RANGE, wire_frame_encode(&out, &f));
}

TEST(records_that_decoding_would_refuse_are_not_encoded)
{
    struct zab_record r = { .kind = ZAB_RECORD_CURRENT, .epoch = ZAB_EPOCH_MAX + 1 };

    CHECK_INT(ERR_RANGE, wire_record_encode(&out, &r));
    r = (struct zab_record){ .kind = ZAB_RECORD_RELEARN + 1 };
    CHECK_INT(ERR_RANGE, wire_record_encode(&out, &r));
    r = (struct zab_record){ .kind = ZAB_RECORD_INSTALL };
    CHECK_INT(ERR_RANGE, wire_record_encode(&out, &r));
    r = (struct zab_record){ .kind = ZAB_RECORD_CHECKPOINT, .accepted = ZAB_EPOCH_MAX + 1 };
    CHECK_INT(ERR_RANGE, wire_record_encode(&out, &r));
    r = kit_record(ZAB_RECORD_ENTRY, KIT_MIXED);
    r.entry.prev = r.entry.first;
    CHECK_INT(ERR_RANGE, wire_record_encode(&out, &r));
    CHECK_INT(0, wire_out_bytes(&out));
}

TEST(a_copy_into_too_small_a_buffer_says_so)
{
    struct zab_frame f = kit_frame(ZAB_SNAP_CHUNK, KIT_MIXED);
    uint8_t at[64];

    CHECK_INT(ERR_OK, wire_frame_encode(&out, &f));
    CHECK_INT(0, wire_out_copy(&out, at, wire_out_bytes(&out) - 1));
    CHECK_INT(0, wire_out_copy(&out, at, out.len - 1));
    CHECK_INT(wire_out_bytes(&out), wire_out_copy(&out, at, wire_out_bytes(&out)));
}

/* --- hellos and proofs */

static struct wire_hello hello(void)
{
    struct wire_hello h = { .version = WIRE_VERSION,
                            .plane = WIRE_ELECTION,
                            .answer = WIRE_OTHER_CLUSTER,
                            .has_secret = true,
                            .from = 0x0102,
                            .to = 0x0304,
                            .cluster = 0x1112131415161718 };

    for (int i = 0; i < WIRE_NONCE_BYTES; i++) h.nonce[i] = (uint8_t)(100 + i);
    return h;
}

TEST(a_hello_comes_back_and_is_refused_when_cut_or_longer)
{
    struct wire_hello h = hello(), got;
    uint8_t at[WIRE_HELLO_BYTES + 1] = { 0 };

    wire_hello_encode(at, &h);
    CHECK_INT(WIRE_OK, wire_hello_decode(bytes_of(at, WIRE_HELLO_BYTES), &got));
    CHECK_TRUE(got.version == h.version && got.plane == h.plane && got.answer == h.answer);
    CHECK_TRUE(got.has_secret && got.from == h.from && got.to == h.to && got.cluster == h.cluster);
    CHECK_TRUE(memcmp(got.nonce, h.nonce, sizeof h.nonce) == 0);
    h.has_secret = false;
    wire_hello_encode(at, &h);
    CHECK_INT(WIRE_OK, wire_hello_decode(bytes_of(at, WIRE_HELLO_BYTES), &got));
    CHECK_TRUE(!got.has_secret);
    CHECK_INT(WIRE_TRAILS, wire_hello_decode(bytes_of(at, sizeof at), &got));
    for (uint32_t n = 0; n < WIRE_HELLO_BYTES; n++) {
        struct kit_blob b = kit_blob_of(at, n);
        CHECK_INT(WIRE_MORE, wire_hello_decode(kit_bytes(b), &got));
        kit_blob_fini(&b);
    }
}

TEST(a_hello_that_is_none_is_refused_at_its_first_wrong_byte)
{
    struct wire_hello h = hello(), got;
    uint8_t at[WIRE_HELLO_BYTES];

    wire_hello_encode(at, &h);
    for (uint32_t i = 0; i < 4; i++) {
        at[i] ^= 1;
        CHECK_INT(WIRE_MAGIC, wire_hello_decode(bytes_of(at, i + 1), &got));
        at[i] ^= 1;
    }
    at[4] = 9;
    CHECK_INT(WIRE_ALIEN, wire_hello_decode(bytes_of(at, 5), &got));
    CHECK_INT(9, got.version);
}

TEST(fields_of_a_hello_have_their_ranges)
{
    static const struct {
        uint8_t at, value;
        enum wire_rc want;
    } rows[] = {
        { 5, 0, WIRE_VALUE },          { 5, WIRE_PEER, WIRE_OK }, { 5, 3, WIRE_VALUE },
        { 6, WIRE_TOO_MANY, WIRE_OK }, { 6, 9, WIRE_VALUE },      { 7, 2, WIRE_FLAGS },
        { 7, 128, WIRE_FLAGS },
    };
    struct wire_hello h = hello(), got;
    uint8_t at[WIRE_HELLO_BYTES];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wire_hello_encode(at, &h);
        at[rows[i].at] = rows[i].value;
        CHECK_INT(rows[i].want, wire_hello_decode(bytes_of(at, sizeof at), &got));
    }
    h.from = 0;
    wire_hello_encode(at, &h);
    CHECK_INT(WIRE_VALUE, wire_hello_decode(bytes_of(at, sizeof at), &got));
}

TEST(a_proof_comes_back_and_is_refused_when_cut_longer_or_unknown)
{
    struct wire_proof p = { .answer = WIRE_WRONG_PROOF, .mac = { 1, 2, [WIRE_MAC_BYTES - 1] = 3 } }, got;
    uint8_t at[WIRE_PROOF_BYTES + 1] = { 0 };

    wire_proof_encode(at, &p);
    CHECK_INT(WIRE_OK, wire_proof_decode(bytes_of(at, WIRE_PROOF_BYTES), &got));
    CHECK_TRUE(got.answer == p.answer && memcmp(got.mac, p.mac, sizeof p.mac) == 0);
    CHECK_INT(WIRE_TRAILS, wire_proof_decode(bytes_of(at, sizeof at), &got));
    CHECK_INT(WIRE_MORE, wire_proof_decode(bytes_of(at, WIRE_PROOF_BYTES - 1), &got));
    at[0] = WIRE_TOO_MANY + 1;
    CHECK_INT(WIRE_VALUE, wire_proof_decode(bytes_of(at, WIRE_PROOF_BYTES), &got));
}

TEST(each_verdict_has_words_of_its_own)
{
    for (int i = WIRE_OK; i <= WIRE_MEMBERS; i++)
        for (int k = i + 1; k <= WIRE_MEMBERS + 1; k++)
            CHECK_TRUE(strcmp(wire_rc_text((enum wire_rc)i), wire_rc_text((enum wire_rc)k)) != 0);
    for (int i = WIRE_WELCOME; i <= WIRE_TOO_MANY; i++)
        for (int k = i + 1; k <= WIRE_TOO_MANY + 1; k++)
            CHECK_TRUE(strcmp(wire_answer_text((enum wire_answer)i), wire_answer_text((enum wire_answer)k)) !=
                       0);
}
