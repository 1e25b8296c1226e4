/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/delayed.h"
#include "shard/shard_int.h"
#include "shard/subscribe.h"
#include "topic/topic.h"
#include <stdlib.h>

/* Boot: what the store remembers takes its place in the shards, before their threads run. */

static enum err restore_session(void *ctx, const struct restore_session *r)
{
    struct shards *all = ctx;
    struct shard *sh = all->at[shard_of_client(all, r->client_id)];
    return sessions_restore(sh, r);
}

static struct session *find(struct shards *all, struct shard **sh, uint64_t session_no)
{
    for (unsigned i = 0; i < all->count; i++) {
        struct session *s = sessions_find_no(all->at[i], session_no);
        *sh = all->at[i];
        if (s != NULL) return s;
    }
    return NULL;
}

/* Bits of a SUBSCRIBE's options byte (section 3.8.3.1). */
enum { OPTIONS_QOS = 3, OPTIONS_NO_LOCAL = 4, OPTIONS_AS_PUBLISHED = 8 };

static enum err restore_subscription(void *ctx, const struct restore_subscription *r)
{
    struct shards *all = ctx;
    struct shard *sh;
    struct bytes group, rest;
    struct session *s = find(all, &sh, r->session_no);
    /* A filter that was refused stands in its packet too. */
    if (s == NULL || !topic_filter_valid(r->filter)) return ERR_OK;
    struct subscribe_wish wish = {
        .options = { .qos = r->options & OPTIONS_QOS,
                     .no_local = (r->options & OPTIONS_NO_LOCAL) != 0,
                     .retain_as_published = (r->options & OPTIONS_AS_PUBLISHED) != 0 },
        .id = r->id,
    };
    if (topic_share_split(r->filter, &group, &rest)) return shares_restore(sh, s, r->filter, &wish);
    epoch_online(all->epoch, sh->index);
    enum err rc = subscribe_add(sh, s, r->filter, &wish);
    epoch_offline(all->epoch, sh->index);
    return rc;
}

static enum err restore_group(void *ctx, uint64_t group_no, struct bytes text)
{
    struct shards *all = ctx;
    return group_restore(all->at[shard_of_client(all, text)], group_no, text);
}

static enum err restore_retained(void *ctx, struct msg *m, uint64_t version)
{
    struct shards *all = ctx;
    struct shard *sh = all->at[shard_of_topic(all, subs_hash(all->subs, msg_topic(m)))];
    return retain_keep(sh, m, version);
}

static enum err restore_inbound(void *ctx, uint64_t session_no, uint16_t id)
{
    struct shard *sh;
    struct session *s = find(ctx, &sh, session_no);
    return s == NULL ? ERR_OK : session_inbound_add(s, id, INBOUND_RECEIVED);
}

static enum err restore_keepalive(void *ctx, const struct keepalive_row *row)
{
    return ways_restore(ctx, row);
}

static enum err restore_delayed(void *ctx, uint64_t seq, uint64_t due_ms)
{
    return delayed_restore(ctx, seq, due_ms);
}

struct restore_sink shards_restore(struct shards *s)
{
    return (struct restore_sink){
        .session = restore_session,
        .group = restore_group,
        .subscription = restore_subscription,
        .retained = restore_retained,
        .inbound = restore_inbound,
        .delayed = restore_delayed,
        .keepalive = restore_keepalive,
        .ctx = s,
    };
}
