/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin - what plugins ask of the shards: publish, kick, forget (hook/broker.h).
 *
 *   any thread -> mailbox of shard 0 -> published there, or passed on to the shard of its client
 *                                    -> kicked there, passed on, or, by user name, copied to all shards
 *
 * One shard first, for all of it: what a thread asks is done in the order in which it was asked. A message
 * counts until it is delivered, or until the journal has it.
 *
 * Thread:  shards_hook_broker's functions on any; the rest on a shard's.
 * Memory:  a word of a plugin is copied, and freed by the shard that has done it.
 * Limits:  PLUGIN_PUBLISHES_MAX words and PLUGIN_PUBLISH_BYTES_MAX bytes under way; none above memory_limit.
 * Errors:  ERR_FULL above them, counted; ERR_SYNTAX, ERR_NOMEM, ERR_CLOSED.
 * Tests:   tests/unit/test_shard_plugin_publish.c
 */
#ifndef SHARD_PLUGIN_H
#define SHARD_PLUGIN_H

#include "base/err.h"
#include "base/gauge.h"
#include "base/list.h"
#include "base/tally.h"
#include "base/word.h"
#include <stdbool.h>
#include <stddef.h>

struct command;
struct hook_kick;
struct hook_message;
struct hook_presence;
struct session;
struct shard;
struct shards;

/* All shards'. */
struct plugin_words {
    struct gauge count;            /* under way */
    struct tally bytes;            /* the same */
    struct tally refused, counted; /* the second: of the first, those that the metric has */
    struct tally forgotten;        /* how often verdicts were to be forgotten */
    struct shared_word is_closed;
};

/* May so many bytes more be under way? Then they are. ERR_FULL, ERR_CLOSED. */
enum err plugin_word_begin(struct shards *s, size_t bytes);
void plugin_word_end(struct shard *sh, size_t bytes);

enum err plugin_publish(void *shards, const struct hook_message *m);
enum err plugin_kick(void *shards, const struct hook_kick *k);
/* presence.c */
enum err plugin_presence(void *shards, struct hook_presence *q);
/* What verdicts.c remembers holds no more. */
void plugin_forget(void *shards);

/* Of a plugin's message: then plugin_published. */
bool plugin_has_published(const struct command *cmd);
void plugin_published(struct shard *sh, const struct command *cmd);

/* Goes on with kicks by user name: some connections a turn. */
void plugin_kick_turn(struct shard *sh);
void plugin_kicks_fini(struct shard *sh);

#endif
