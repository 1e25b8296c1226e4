/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of packets, as a connection sees it. The first byte says how large a packet may be. */
#include "base/check.h"
#include "fuzz/any_packet.h"
#include "fuzz/fuzz.h"

/* A packet that is whole is, when cut, never refused and never whole. */
static void check_cut(struct bytes in, uint32_t size_max, uint32_t total, size_t n)
{
    struct frame f;

    if (n >= total) return;
    CHECK(frame_split(bytes_of(in.at, n), size_max, &f) == MQTT_RC_OK);
    CHECK(f.total == 0);
    CHECK(f.want == 0 || f.want == total);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    uint32_t size_max = 1u << data[0] % 29;
    struct bytes left = bytes_of(data + 1, size - 1);
    struct frame f;

    while (frame_split(left, size_max, &f) == MQTT_RC_OK && f.total > 0) {
        CHECK(f.total <= size_max && f.total <= left.len);
        CHECK(f.body.at + f.body.len == left.at + f.total);
        for (size_t n = 0; n < 6; n++) check_cut(left, size_max, f.total, n);
        check_cut(left, size_max, f.total, f.total - 1);
        any_try(&f);
        left = bytes_of(left.at + f.total, left.len - f.total);
    }
    return 0;
}
