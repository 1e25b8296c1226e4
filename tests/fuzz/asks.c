/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/asks.h"
#include "base/check.h"
#include "fuzz/client.h"
#include "fuzz/shard_rig.h"
#include "fuzz/world.h"
#include "hook/hook.h"
#include <string.h>

enum { ASKS_MAX = 512, GONE_MAX = 512, DOORS = 2, CACHE_S = 10 };

static struct hooks sets[DOORS]; /* before and after a reload */
static struct hook_ask *waiting[ASKS_MAX];
static struct hook_client *gone[GONE_MAX];
static unsigned waiting_count, gone_count;
static uint32_t wanted;
static bool is_on, at_once, is_over;

/* --- what they promise, and are promised */

static void check_here(const struct hook_client *c)
{
    for (unsigned i = 0; i < gone_count; i++) CHECK(gone[i] != c);
}

static void check_ask(struct hook_ask *a)
{
    if (a->client != NULL) check_here(a->client);
    if (a->about != HOOK_READ) return;
    struct hook_reads *q = (struct hook_reads *)(void *)a;
    CHECK(q->count > 0);
    for (size_t i = 0; i < q->count; i++) check_here(q->item(q, i)->client);
}

static void note_gone(struct hook_client *c)
{
    if (!is_over && gone_count < GONE_MAX) gone[gone_count++] = hook_client_ref(c);
}

/* It may lose its connection for what they say, and then it has not said good-bye. */
static void excuse(const char *id)
{
    int who = id != NULL ? world_who(bytes_of_text(id)) : -1;
    for (unsigned i = 0; i < RIG_LINKS; i++) {
        struct client *c = client_of(i);
        if (!c->is_used || (id != NULL && c->who != who && c->who >= 0)) continue;
        c->may_end = true;
        c->says_goodbye = false;
    }
}

/* --- answers */

static enum hook_verdict verdict_of(uint8_t about, uint8_t choice)
{
    static const uint8_t any[] = { HOOK_ALLOW, HOOK_ALLOW, HOOK_ALLOW, HOOK_ALLOW, HOOK_ALLOW, HOOK_ALLOW,
                                   HOOK_ALLOW, HOOK_ALLOW, HOOK_ALLOW, HOOK_ALLOW, HOOK_DENY,  HOOK_DENY,
                                   HOOK_DEFER, HOOK_LATE,  HOOK_END,   HOOK_BUSY };
    enum hook_verdict v = (enum hook_verdict)any[choice % sizeof any];
    bool is_auth = about == HOOK_AUTH_START || about == HOOK_AUTH_AGAIN || about == HOOK_AUTH_MORE;
    if (v == HOOK_END && is_auth) return HOOK_MORE;
    if (v == HOOK_END && about != HOOK_PUBLISH) return HOOK_DENY;
    if (v == HOOK_BUSY && about != HOOK_LOGIN && !is_auth) return HOOK_LATE;
    return v;
}

static void give_filters(struct hook_filters *q, uint8_t choice)
{
    for (size_t i = 0; i < q->count; i++) {
        enum hook_verdict v = verdict_of(HOOK_SUBSCRIBE, (uint8_t)(choice + i * (choice >> 4)));
        q->at[i].verdict = v == HOOK_DEFER ? (uint8_t)q->fallback : (uint8_t)v;
    }
}

static void give_reads(struct hook_reads *q, uint8_t choice)
{
    for (size_t i = 0; i < q->count; i++) {
        struct hook_read *r = q->item(q, i);
        enum hook_verdict v = verdict_of(HOOK_READ, (uint8_t)(choice + i * (choice >> 4)));
        r->verdict = v == HOOK_DEFER ? r->fallback : (uint8_t)v;
    }
}

static void give(struct hook_ask *a, uint8_t choice)
{
    a->verdict = (uint8_t)verdict_of(a->about, choice);
    a->code = (choice & 0x80) != 0 ? 0x97 : 0;
    switch (a->about) {
    case HOOK_READ: give_reads((struct hook_reads *)(void *)a, choice); return;
    case HOOK_SUBSCRIBE:
    case HOOK_UNSUBSCRIBE: give_filters((struct hook_filters *)(void *)a, choice); break;
    case HOOK_PUBLISH:
    case HOOK_WILL: {
        struct hook_publish *q = (struct hook_publish *)(void *)a;
        if (a->verdict == HOOK_DEFER) a->verdict = (uint8_t)(q->asks_acl ? q->fallback : HOOK_ALLOW);
        break;
    }
    default: break;
    }
    if (a->verdict != HOOK_ALLOW) excuse(hook_client_id(a->client));
}

static void answer(unsigned i, uint8_t choice)
{
    struct hook_ask *a = waiting[i];
    memmove(&waiting[i], &waiting[i + 1], (--waiting_count - i) * sizeof(struct hook_ask *));
    give(a, choice);
    a->mail.kind = a->kind;
    mailbox_send(a->to, &a->mail);
}

/* --- questions */

static uint32_t wants(const struct hooks *h)
{
    CHECK(h == &sets[0] || h == &sets[1]);
    return wanted;
}

static bool ask(struct hooks *h, struct hook_ask *a)
{
    CHECK(h == a->hooks);
    check_ask(a);
    if (a->about == HOOK_GONE) note_gone(a->client);
    if (a->about == HOOK_GONE || a->about == HOOK_CONNECTED) {
        hook_ask_unref(&a);
        return false;
    }
    if (at_once || waiting_count == ASKS_MAX) {
        give(a, 0);
        return true;
    }
    waiting[waiting_count++] = a;
    return false;
}

static bool is_inline(const struct hooks *h, enum hook_event e)
{
    (void)h, (void)e;
    return at_once;
}

static void destroy(struct hooks *h)
{
    (void)h;
    CHECK(false); /* asks_begin has a reference */
}

static const struct hooks_ops ops = { wants, ask, is_inline, destroy };

/* --- a script's */

static void want(uint8_t choice)
{
    wanted = HOOK_EVENT_DISCONNECT | HOOK_EVENT_CONNECTED | HOOK_EVENT_AUTH;
    if ((choice & 1) != 0) wanted |= HOOK_EVENT_ACL;
    if ((choice & 2) != 0) wanted |= HOOK_EVENT_MESSAGE | HOOK_EVENT_CONTROL;
    if ((choice & 4) != 0) wanted |= HOOK_EVENT_LOGIN;
}

struct hooks *asks_begin(uint8_t choice)
{
    enum { ON = 13 };
    is_on = (choice & 15) == ON;
    at_once = is_over = false;
    waiting_count = gone_count = 0;
    if (!is_on) return NULL;
    for (unsigned i = 0; i < DOORS; i++) {
        sets[i] = (struct hooks){ .ops = &ops };
        ref_init(&sets[i].ref, 1);
    }
    want(choice >> 4);
    return &sets[0];
}

uint32_t asks_cache_s(uint8_t choice)
{
    return (choice & 0x80) != 0 ? CACHE_S : 0;
}

static void kick(const uint8_t *choice)
{
    static const char *const ids[] = { "a", "b", "c", "d" };
    struct hook_broker b = rig_broker();
    struct hook_kick k = { .with_will = (choice[0] & 1) != 0, .code = (choice[0] & 2) != 0 ? 0x98 : 0 };
    if ((choice[0] & 4) != 0) k.client_id = bytes_of_text(ids[choice[1] & 3]);
    excuse(NULL);
    b.kick(b.ctx, &k);
    for (unsigned i = 0; i < 2 * RIG_SHARDS_MAX; i++) rig_turn(i); /* it meets those who are there now */
}

bool asks_are_on(void)
{
    return is_on;
}

void asks_step(const uint8_t *choice)
{
    enum { ALL = 10, ALL_BACKWARDS, WANT, RELOAD, KICK, AT_ONCE, HOWS };
    struct hook_broker b = rig_broker();
    if (!is_on) return;
    switch (choice[0] % HOWS) {
    case ALL:
        while (waiting_count > 0) answer(0, choice[2]);
        break;
    case ALL_BACKWARDS:
        while (waiting_count > 0) answer(waiting_count - 1, choice[2]);
        break;
    case WANT: want(choice[1]); break;
    case RELOAD:
        rig_reload(choice[1] % 3 == 2 ? NULL : &sets[choice[1] % 3]);
        b.forget(b.ctx);
        break;
    case KICK: kick(choice + 1); break;
    case AT_ONCE: at_once = (choice[1] & 1) != 0; break;
    default:
        if (waiting_count > 0) answer(choice[1] % waiting_count, choice[2]);
        break;
    }
}

void asks_rest(void)
{
    at_once = true;
    do {
        while (waiting_count > 0) answer(0, 0);
        rig_settle();
    } while (waiting_count > 0);
}

void asks_end(void)
{
    is_over = true;
    while (gone_count > 0) hook_client_unref(&gone[--gone_count]);
}
