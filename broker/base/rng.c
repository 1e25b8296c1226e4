/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"
#include "base/check.h"
#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

void rng_fill(void *at, size_t n)
{
    uint8_t *to = at;
    while (n > 0) {
        ssize_t got = getrandom(to, n, 0);
        CHECK(got > 0 || errno == EINTR);
        if (got <= 0) continue;
        to += got;
        n -= (size_t)got;
    }
}

uint64_t rng_u64(void)
{
    uint64_t v;
    rng_fill(&v, sizeof v);
    return v;
}
