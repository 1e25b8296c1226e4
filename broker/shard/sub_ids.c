/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/shard_int.h"
#include "shard/subscribe.h"
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

bool sub_ids_find(struct shard *sh, const struct session *s, const struct msg *m, uint32_t *count)
{
    *count = 0;
    if (s->identified == 0) return true;
    struct subs_found *found = &sh->sub_ids_found;
    if (subs_find(sh->all->subs, msg_topic(m), found) != ERR_OK) return false;
    if (!room_for(sh, found->count)) return false;
    for (size_t i = 0; i < found->count; i++) {
        const struct sub *sub = subscription_find(sh, s, subs_text(found->filters[i]));
        if (sub == NULL || sub->id == 0) continue;
        if (sub->options.no_local && m->from_session == s->session_no) continue;
        sh->sub_ids[(*count)++] = sub->id;
    }
    return true;
}
