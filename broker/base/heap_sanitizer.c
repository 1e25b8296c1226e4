/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

/* Of the sanitizers' runtime; its header does not come with every compiler. */
extern size_t __sanitizer_get_current_allocated_bytes(void);

uint64_t heap_used(void)
{
    return __sanitizer_get_current_allocated_bytes();
}
