/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "wal/crc32c.h"
#include <string.h>

TEST(the_checksum_is_castagnolis)
{
    uint8_t zeros[32] = { 0 }, ones[32];
    memset(ones, 0xff, sizeof ones);
    CHECK_INT(0, crc32c(0, "", 0));
    CHECK_INT(0xe3069283u, crc32c(0, "123456789", 9));
    CHECK_INT(0x8a9136aau, crc32c(0, zeros, sizeof zeros)); /* RFC 3720, B.4 */
    CHECK_INT(0x62a8ab43u, crc32c(0, ones, sizeof ones));
}

TEST(the_table_and_the_instruction_agree_at_every_length_and_place)
{
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * i + 3);
    for (size_t from = 0; from < 9; from++)
        for (size_t n = 0; n + from <= sizeof bytes; n++)
            CHECK_INT(crc32c_by_table(17, bytes + from, n), crc32c(17, bytes + from, n));
}

TEST(a_checksum_goes_on_where_it_was_cut)
{
    const char text[] = "a batch, a record, a segment";
    for (size_t n = 0; n < sizeof text; n++)
        CHECK_INT(crc32c(0, text, sizeof text), crc32c(crc32c(0, text, n), text + n, sizeof text - n));
}
