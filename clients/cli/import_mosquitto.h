/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_mosquitto - longlink import-mosquitto: a mosquitto.db becomes a store that longlinkd starts on.
 *
 * Thread:  one, and the store's three.
 * Memory:  the whole file, and what import_plan.h needs.
 * Limits:  see import_plan.h.
 * Errors:  the exit status: 0 good, 1 failed, 2 wrong usage; stderr says why.
 * Tests:   tests/e2e/test_import.py
 */
#ifndef CLI_IMPORT_MOSQUITTO_H
#define CLI_IMPORT_MOSQUITTO_H

int import_mosquitto_main(int argc, char *const *argv);
void import_mosquitto_help(void);

#endif
