/* SPDX-License-Identifier: Apache-2.0 */
/* A core's birth, and its way back from the log. */
#include <stdlib.h>

#include "base/check.h"
#include "zab/calls_int.h"

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static void conf_fill(struct zab_conf *c)
{
    c->tick_ms = or_default(c->tick_ms, 100);
    c->init_ticks = or_default(c->init_ticks, 50);
    c->sync_ticks = or_default(c->sync_ticks, 5);
    c->finalize_ms = or_default(c->finalize_ms, 200);
    c->note_max_ms = or_default(c->note_max_ms, 1000);
    c->lease_ms = or_default(c->lease_ms, 1000);
    c->drift_per_mille = or_default(c->drift_per_mille, 50);
    c->window_entries = or_default(c->window_entries, 1024);
    c->window_bytes = or_default(c->window_bytes, 8 * 1024 * 1024);
    if (c->counter_max == 0) c->counter_max = zab_counter_max;
}

static bool conf_is_valid(const struct zab_conf *c)
{
    return c->id != 0 && zab_members_are_valid(&c->members) && c->counter_max <= zab_counter_max &&
           c->window_entries >= 2 && (c->window_entries & (c->window_entries - 1)) == 0 &&
           c->window_bytes >= 2 * ZAB_MEMBERS_BYTES_MAX && c->note_max_ms >= 1;
}

enum err zab_new(struct zab **out, const struct zab_conf *conf)
{
    struct zab *z = calloc(1, sizeof *z);
    enum err rc = z != NULL ? ERR_OK : ERR_NOMEM;

    if (rc == ERR_OK) {
        z->conf = *conf;
        conf_fill(&z->conf);
        rc = conf_is_valid(&z->conf) ? history_init(&z->h, &z->conf) : ERR_RANGE;
    }
    if (rc == ERR_OK) {
        z->random = conf->seed + conf->id;
        z->peers[SELF].id = conf->id;
        members_adopt(z, &z->conf.members);
    } else {
        zab_free(&z);
    }
    *out = z;
    return rc;
}

void zab_free(struct zab **owner)
{
    struct zab *z = *owner;

    *owner = NULL;
    if (z == NULL) return;
    history_fini(&z->h);
    free(z);
}

/* Logs are purged a segment at a time, and what is left of a segment may begin with anything: of what was
 * before it nothing is known but where it ended. */
static bool has_entries(const struct zab *z)
{
    return z->h.begin < z->h.last;
}

static enum err restore_entry(struct zab *z, const struct zab_entry *e)
{
    if (!has_entries(z) && e->prev > z->h.last) history_reset(z, e->prev);
    if (!history_follows(z->h.last, e)) return ERR_SYNTAX;
    if (!history_keep(z, e, 0)) return ERR_SYNTAX;
    history_stored(z);
    members_note(z, e);
    return ERR_OK;
}

static enum err restore_trunc(struct zab *z, uint64_t to)
{
    bool is_known = to >= z->h.begin && to <= z->h.last;

    if (to > z->h.last && has_entries(z)) return ERR_SYNTAX;
    history_truncate(z, to);
    if (!is_known) history_reset(z, to);
    return ERR_OK;
}

static void restore_accepted(struct zab *z, uint32_t epoch, uint16_t leader)
{
    if (epoch < z->accepted) return;
    z->accepted = epoch;
    z->accepted_leader = leader;
}

static enum err restore_checkpoint(struct zab *z, const struct zab_record *r)
{
    restore_accepted(z, r->accepted, r->leader);
    if (r->epoch > z->current) z->current = r->epoch;
    z->must_relearn = r->must_relearn;
    if (r->zxid > z->h.last) history_reset(z, r->zxid);
    if (r->members == NULL || !zab_members_are_valid(r->members)) return ERR_SYNTAX;
    if (r->members->version > z->members.version)
        members_adopt(z, r->members);
    else if (r->members->version > z->before.version && r->members->version < z->members.version)
        z->before = *r->members;
    return ERR_OK;
}

enum err zab_restore(struct zab *z, const struct zab_record *r)
{
    switch (r->kind) {
    case ZAB_RECORD_ENTRY: return restore_entry(z, &r->entry);
    case ZAB_RECORD_ACCEPTED: restore_accepted(z, r->epoch, r->leader); return ERR_OK;
    case ZAB_RECORD_CURRENT:
        if (r->epoch > z->current) z->current = r->epoch;
        z->must_relearn = false;
        return ERR_OK;
    case ZAB_RECORD_TRUNC: return restore_trunc(z, r->zxid);
    case ZAB_RECORD_INSTALL:
        if (r->members == NULL || !zab_members_are_valid(r->members)) return ERR_SYNTAX;
        history_reset(z, r->zxid);
        members_adopt(z, r->members->version > z->conf.members.version ? r->members : &z->conf.members);
        return ERR_OK;
    case ZAB_RECORD_CHECKPOINT: return restore_checkpoint(z, r);
    case ZAB_RECORD_RELEARN: z->must_relearn = true; return ERR_OK;
    default: return ERR_SYNTAX;
    }
}

/* A log without anything, of a node that is no voter of the list that it was given: it comes to a cluster
 * that is there already, and may have been in it once. Half of the history could make a voter of it again, of
 * a list that its promises of that time have helped to replace. */
static bool is_newcomer(const struct zab *z)
{
    return z->h.last == 0 && z->accepted == 0 && !is_voter(z, z->conf.id);
}

enum err zab_start(struct zab *z, uint64_t now_ms, struct zab_effects *out)
{
    out->count = 0;
    out->more = false;
    if (z->conf.applied > z->h.last || z->conf.applied < z->h.begin) return ERR_SYNTAX;
    z->out = out;
    z->now_ms = now_ms;
    z->is_started = true;
    z->h.stored = z->h.last;
    /* A log that lost records may have lost a promise: it was not below what it followed. */
    if (z->accepted < z->current || z->accepted < zab_epoch_of(z->h.last)) {
        struct zab_record r = { .kind = ZAB_RECORD_ACCEPTED };
        z->accepted = z->current > zab_epoch_of(z->h.last) ? z->current : zab_epoch_of(z->h.last);
        z->accepted_leader = 0;
        r.epoch = z->accepted;
        history_store(z, &r);
    }
    z->commit = z->delivered = z->applied = z->conf.applied;
    if ((z->conf.is_damaged || is_newcomer(z)) && !z->must_relearn) {
        struct zab_record r = { .kind = ZAB_RECORD_RELEARN };
        z->must_relearn = true;
        history_store(z, &r);
    }
    zab_emit(z, ZAB_MEMBERS)->members = &z->members;
    zab_look(z);
    return ERR_OK;
}

#ifdef ZAB_PLANTS
void zab_plant(struct zab *z, enum zab_plant plant)
{
    z->plant = plant;
}
#endif
