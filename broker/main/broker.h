/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker - everything wired together, started and stopped in order. Owns no logic.
 *
 * Thread:  main.
 * Memory:  takes configurations, which are of malloc.
 * Limits:  CONFIG_LISTENERS_MAX listeners.
 * Errors:  what is wrong is in the log (and on stderr before there is one); nothing is left half started.
 * Tests:   tests/e2e
 */
#ifndef MAIN_BROKER_H
#define MAIN_BROKER_H

#include "base/err.h"
#include "config/config.h"
#include "log/log.h"

struct broker;

/* Warnings among the notes go into the log. */
enum err broker_start(struct broker **out, struct config *config, const struct config_notes *notes);

/* Takes the configuration. Could a broker start with the files that it names? What is wrong is on stderr. */
enum err broker_try(struct config *config);

/* Another configuration, read again: what may change while running changes, all of it or, when anything is
 * wrong with it or was with reading it, nothing. The notes go into the log. */
enum err broker_reload(struct broker *b, struct config *config, const struct config_notes *notes);

/* Tells every client, makes what was acknowledged durable, and frees everything. */
void broker_stop(struct broker **owner);

/* Has every event loop turned since the call before this one? If not the log says so. */
bool broker_is_alive(struct broker *b);

/* All metrics into the log. */
void broker_print_metrics(struct broker *b);

#endif
