/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/sys.h"
#include "shard/route.h"
#include "shard/shard_int.h"

/* What the broker says of itself, as retained messages below $SYS, where nobody else publishes: at the start
 * into the shards that own the topics, then by shard 0 once an interval. */

bool sys_owns(struct bytes topic)
{
    static const char sys[] = "$SYS"; /* whatever follows: as mosquitto has it */
    size_t n = sizeof sys - 1;
    return topic.len >= n && bytes_equal(bytes_of(topic.at, n), bytes_of_text(sys));
}

static enum err keep(struct shards *s, const char *topic, const char *text)
{
    struct msg *m;
    struct msg_parts parts = { .topic = bytes_of_text(topic),
                               .payload = bytes_of_text(text),
                               .retain = true };
    struct shard *sh = s->at[shard_of_topic(s, subs_hash(s->subs, parts.topic))];
    enum err rc = msg_new(&m, &parts);
    if (rc != ERR_OK) return rc;
    rc = retained_set(sh->retained, m, 0); /* older than all that passes the journal */
    msg_unref(&m);
    return rc;
}

struct first_words {
    struct shards *shards;
    enum err rc;
};

static void say_first(void *arg, const char *topic, const char *text)
{
    struct first_words *w = arg;
    if (w->rc == ERR_OK) w->rc = keep(w->shards, topic, text);
}

static void say_again(void *arg, const char *topic, const char *text)
{
    struct route_in in = { .topic = bytes_of_text(topic), .payload = bytes_of_text(text), .retain = true };
    route_own(arg, &in);
}

static void step(struct shard *sh, void (*say)(void *arg, const char *topic, const char *text), void *arg)
{
    struct sys_reading now;
    sys_read(&now, sh->all->conf.metrics);
    sys_step(&sh->sys, sh->now_ms, &now, say, arg);
    sh->alarm_ms[ALARM_SYS] = sh->now_ms + (uint64_t)sh->config->sys_interval * 1000;
}

static void begin(struct shard *sh, void (*say)(void *arg, const char *topic, const char *text), void *arg)
{
    say(arg, "$SYS/broker/version", sh->sys.version);
    say(arg, "$SYS/broker/durability", sh->sys.durability);
    step(sh, say, arg);
}

enum err shards_sys(struct shards *s, const char *version, const char *durability)
{
    struct shard *sh = s->at[0];
    sh->sys = (struct sys){ .started_ms = sh->now_ms, .version = version, .durability = durability };
    if (sh->config->sys_interval == 0) return ERR_OK;
    struct first_words w = { .shards = s };
    begin(sh, say_first, &w);
    return w.rc;
}

void sys_changed(struct shard *sh, uint32_t interval_before)
{
    uint32_t interval = sh->config->sys_interval;
    if (sh->index != 0 || interval == interval_before) return;
    if (interval == 0)
        sh->alarm_ms[ALARM_SYS] = 0;
    else if (sh->sys.has_begun)
        step(sh, say_again, sh);
    else
        begin(sh, say_again, sh);
}

void sys_alarm(struct shard *sh)
{
    step(sh, say_again, sh);
}
