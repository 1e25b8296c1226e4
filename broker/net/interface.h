/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interface - the addresses of a network interface, for a listener that is bound to one.
 *
 * Thread:  any.
 * Memory:  none is kept.
 * Limits:  none.
 * Errors:  ERR_SYS with errno: ENODEV, it has no address of the family; EADDRNOTAVAIL, it has others than the
 *          one that is wanted.
 * Tests:   tests/unit/test_net.c
 */
#ifndef NET_INTERFACE_H
#define NET_INTERFACE_H

#include "base/err.h"
#include <netinet/in.h>

/* Any address becomes the interface's first one of its family; another one has to be one of the interface's.
 * The port stays. */
enum err interface_narrow(const char *name, struct sockaddr *address);

#endif
