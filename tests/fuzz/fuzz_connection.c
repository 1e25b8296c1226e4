/* SPDX-License-Identifier: Apache-2.0 */
/* Whole connections for libFuzzer: see README.md. */
#include "fuzz/fuzz.h"
#include "fuzz/script.h"
#include "fuzz/script_mutate.h"

/* libFuzzer's own, which knows nothing of steps, and what it asks for. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    script_run(data, size);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed)
{
    enum { ITS_OWN = 8 }; /* one of so many */
    if (seed % ITS_OWN == 0) return LLVMFuzzerMutate(data, size, room);
    return script_mutate(data, size, room, seed);
}
