/* SPDX-License-Identifier: Apache-2.0 */
/* CONNECT and CONNACK: the first byte says which, what follows is the body. */
#include "fuzz/any_packet.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum packet_type types[] = { PACKET_CONNECT, PACKET_CONNACK };

    if (size == 0) return 0;
    any_try_body(types[data[0] % (sizeof types / sizeof *types)], 0, bytes_of(data + 1, size - 1));
    return 0;
}
