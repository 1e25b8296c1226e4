/* SPDX-License-Identifier: Apache-2.0 */
#include "main/files.h"
#include "net/listener.h"
#include <sys/resource.h>

enum {
    OWN = 96,      /* the log, the store, its segments and tables, copies, files that are read again */
    OF_A_SHARD = 2 /* its loop and its mailbox */
};

static uint64_t raise_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0) return UINT32_MAX;
    rlim_t before = l.rlim_cur;
    l.rlim_cur = l.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &l) == 0 ? l.rlim_cur : before;
}

struct files files_raise(unsigned shards, size_t listeners)
{
    struct files f = { .limit = raise_limit() };
    uint64_t own = OWN + (uint64_t)shards * OF_A_SHARD + listeners * LISTENER_FDS_MAX;
    uint64_t left = f.limit > 2 * own ? f.limit - own : f.limit / 2;
    f.connections = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
    return f;
}
