/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/shard_int.h"

/* Topics below $SYS, where only the broker publishes. */

bool sys_owns(struct bytes topic)
{
    static const char sys[] = "$SYS"; /* whatever follows: as mosquitto has it */
    size_t n = sizeof sys - 1;
    return topic.len >= n && bytes_equal(bytes_of(topic.at, n), bytes_of_text(sys));
}
