/* SPDX-License-Identifier: Apache-2.0 */
/*
 * banned - calls that do not compile here. Forced into every file by the build.
 *
 * Thread:  none; declarations only.
 * Memory:  none.
 * Limits:  none.
 * Errors:  a use is a compile error that names the call.
 * Tests:   every build.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <alloca.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The C library may have some as macros, and only a plain name can be poisoned. */
#undef alloca
#undef sprintf
#undef vsprintf
#undef strcpy
#undef strcat
#undef strtok
#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets atoi atol alloca

#endif
