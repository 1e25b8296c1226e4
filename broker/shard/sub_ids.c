/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/shard_int.h"
#include "shard/subscribe.h"
#include "topic/topic.h"
#include <stdlib.h>

/* Subscription identifiers (MQTT 5.0 section 3.8.2.1.2). They are looked up when a message is sent, among
 * what its client has subscribed to then: nothing of them stands in a queue. */

static bool room_for(struct shard *sh, size_t count)
{
    if (count <= sh->sub_ids_room) return true;
    uint32_t *grown = realloc(sh->sub_ids, count * sizeof *grown);
    if (grown == NULL) return false;
    sh->sub_ids = grown;
    sh->sub_ids_room = count;
    return true;
}

/* What stands in a session's own queue and matches none of its own subscriptions came by a shared one: QoS 2
 * does (share_feed.c). */
static bool find_shared(struct shard *sh, const struct session *s, const struct msg *m, uint32_t *count)
{
    struct bytes name, filter;
    size_t at = 0;
    const struct map *members = &s->shared->members;
    for (const struct membership *ms = map_next(members, &at); ms != NULL; ms = map_next(members, &at)) {
        topic_share_split(membership_text(ms), &name, &filter);
        if (ms->id == 0 || !topic_matches(filter, msg_topic(m))) continue;
        if (!room_for(sh, *count + 1)) return false;
        sh->sub_ids[(*count)++] = ms->id;
    }
    return true;
}

bool sub_ids_find(struct shard *sh, const struct session *s, const struct msg *m, uint32_t *count)
{
    *count = 0;
    bool is_own = false;
    bool may_be_shared = m->qos == 2 && s->persistent && s->shared->identified > 0;
    if (s->identified == 0 && !may_be_shared) return true;
    struct subs_found *found = m == sh->found_msg ? &sh->found : &sh->sub_ids_found;
    if (m != sh->found_msg && subs_find(sh->all->subs, msg_topic(m), found) != ERR_OK) return false;
    if (!room_for(sh, found->count)) return false;
    for (size_t i = 0; i < found->count; i++) {
        const struct sub *sub = subscription_find(sh, s, subs_text(found->filters[i]));
        if (sub == NULL || (sub->options.no_local && m->from_session == s->session_no)) continue;
        is_own = true;
        if (sub->id != 0) sh->sub_ids[(*count)++] = sub->id;
    }
    return is_own || !may_be_shared || find_shared(sh, s, m, count);
}
