/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doors_access - the password and ACL file of each door of a view that is being made.
 *
 * Thread:  main.
 * Memory:  the door has a reference; doors with the same files share one snapshot.
 * Limits:  those of access/access.h.
 * Errors:  what is wrong with which file, in the log.
 * Tests:   tests/e2e/test_access.py
 */
#ifndef MAIN_DOORS_ACCESS_H
#define MAIN_DOORS_ACCESS_H

#include "shard/shard.h"

/* Reads the files of door->config; others are doors of the same view: those that have both
 * config and access already may share theirs. */
enum err door_access_open(struct shards_door *door, const struct shards_door *others, size_t count,
                          struct log *log);

#endif
