/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz - the entry of a fuzz target. Built twice: with libFuzzer (LONGLINK_FUZZ), and with replay.c, which
 * runs the corpus and a fixed number of mutations of it in every test run.
 *
 * Thread:  one.
 * Memory:  borrows data, a heap block of exactly that size.
 * Limits:  none.
 * Errors:  aborts when the code under test breaks a promise.
 * Tests:   none; it is one.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
