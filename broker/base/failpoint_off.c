/* SPDX-License-Identifier: Apache-2.0 */
#include "base/failpoint.h"
#include <stdio.h>

/* Whoever sets it expects to see this process die: better not at all than never. */
enum err failpoints_arm(const char *variable)
{
    if (variable == NULL) return ERR_OK;
    fputs(FAILPOINT_VARIABLE " is set, and this program has no failpoints: unset it, or build with "
                             "-DLONGLINK_FAILPOINTS=ON\n",
          stderr);
    return ERR_SYNTAX;
}
