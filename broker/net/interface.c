/* SPDX-License-Identifier: Apache-2.0 */
#include "net/interface.h"
#include <errno.h>
#include <ifaddrs.h>
#include <stdbool.h>
#include <string.h>

static bool is_any(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET) return ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr == 0;
    return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

static bool is_same(const struct sockaddr *a, const struct sockaddr *b)
{
    if (a->sa_family == AF_INET)
        return ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
    return IN6_ARE_ADDR_EQUAL(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
                              &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr);
}

/* An address of IPv6 that is the link's own needs the scope, too. */
static void take(struct sockaddr *to, const struct sockaddr *from)
{
    if (to->sa_family == AF_INET) {
        ((struct sockaddr_in *)(void *)to)->sin_addr =
            ((const struct sockaddr_in *)(const void *)from)->sin_addr;
        return;
    }
    const struct sockaddr_in6 *f = (const struct sockaddr_in6 *)(const void *)from;
    struct sockaddr_in6 *t = (struct sockaddr_in6 *)(void *)to;
    t->sin6_addr = f->sin6_addr;
    t->sin6_scope_id = f->sin6_scope_id;
}

static int narrow(const struct ifaddrs *all, const char *name, struct sockaddr *address)
{
    int why = ENODEV;
    for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != address->sa_family) continue;
        if (strcmp(i->ifa_name, name) != 0) continue;
        why = EADDRNOTAVAIL;
        if (!is_any(address) && !is_same(address, i->ifa_addr)) continue;
        take(address, i->ifa_addr);
        return 0;
    }
    return why;
}

enum err interface_narrow(const char *name, struct sockaddr *address)
{
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0) return ERR_SYS;
    int why = narrow(all, name, address);
    freeifaddrs(all);
    errno = why;
    return why == 0 ? ERR_OK : ERR_SYS;
}
