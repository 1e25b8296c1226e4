/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte says what the others are: a frame, a note, a record of the log, a hello, a proof. What is
 * decoded has one encoding: the same bytes come out. */
#include "base/check.h"
#include "fuzz/fuzz.h"
#include "wire/wire.h"
#include <string.h>

static struct wire_out out;
static struct wire_scratch scratch;

static void same(struct bytes in)
{
    CHECK(wire_out_bytes(&out) == in.len);
    CHECK(memcmp(out.at, in.at, out.len) == 0);
    CHECK(bytes_equal(out.payload, bytes_of(in.at + out.len, in.len - out.len)));
}

static void frame(struct bytes in)
{
    struct zab_frame f;
    uint32_t size;
    enum wire_rc told = wire_size(in, &size), rc = wire_frame_decode(in, &f, &scratch);

    CHECK(told == WIRE_OK ? size >= WIRE_HEAD_BYTES && size <= WIRE_FRAME_BYTES_MAX : size == 0);
    CHECK(told == WIRE_OK || rc == told);
    if (rc != WIRE_OK) return;
    CHECK(wire_frame_encode(&out, &f) == ERR_OK);
    same(in);
}

static void note(struct bytes in)
{
    struct zab_note n;
    uint8_t at[WIRE_NOTE_BYTES];

    if (wire_note_decode(in, &n) != WIRE_OK) return;
    CHECK(wire_note_encode(at, &n) == ERR_OK);
    CHECK(bytes_equal(in, bytes_of(at, sizeof at)));
}

static void record(struct bytes in)
{
    struct zab_record r;

    if (wire_record_decode(in, &r, &scratch) != WIRE_OK) return;
    CHECK(wire_record_encode(&out, &r) == ERR_OK);
    same(in);
}

static void hello(struct bytes in)
{
    struct wire_hello h;
    uint8_t at[WIRE_HELLO_BYTES];

    if (wire_hello_decode(in, &h) != WIRE_OK) return;
    wire_hello_encode(at, &h);
    CHECK(bytes_equal(in, bytes_of(at, sizeof at)));
}

static void proof(struct bytes in)
{
    struct wire_proof p;
    uint8_t at[WIRE_PROOF_BYTES];

    if (wire_proof_decode(in, &p) != WIRE_OK) return;
    wire_proof_encode(at, &p);
    CHECK(bytes_equal(in, bytes_of(at, sizeof at)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const kinds[])(struct bytes) = { frame, note, record, hello, proof };

    if (size == 0) return 0;
    kinds[data[0] % (sizeof kinds / sizeof *kinds)](bytes_of(data + 1, size - 1));
    return 0;
}
