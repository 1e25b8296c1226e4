/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/shard_int.h"

/* What the broker says of itself, as retained messages below $SYS, where nobody else publishes. */

bool sys_owns(struct bytes topic)
{
    static const char sys[] = "$SYS"; /* whatever follows: as mosquitto has it */
    size_t n = sizeof sys - 1;
    return topic.len >= n && bytes_equal(bytes_of(topic.at, n), bytes_of_text(sys));
}

enum err shards_sys(struct shards *s, const char *topic, const char *value)
{
    struct msg *m;
    struct msg_parts parts = {
        .topic = bytes_of_text(topic),
        .payload = bytes_of_text(value),
        .qos = 1,
        .retain = true,
    };
    struct shard *sh = s->at[shard_of_topic(s, subs_hash(s->subs, parts.topic))];
    enum err rc = msg_new(&m, &parts);
    if (rc != ERR_OK) return rc;
    rc = retained_set(sh->retained, m, 0); /* older than all that passes the journal */
    msg_unref(&m);
    return rc;
}
