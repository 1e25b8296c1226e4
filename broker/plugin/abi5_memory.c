/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin's memory. The broker's malloc counts, so plugins' memory is part of memory_limit's sum; on any
 * thread.
 */
#include "plugin/abi5_int.h"
#include <stdlib.h>
#include <string.h>

void *mosquitto_calloc(size_t nmemb, size_t size)
{
    return calloc(nmemb, size);
}

void mosquitto_free(void *mem)
{
    free(mem);
}

void *mosquitto_malloc(size_t size)
{
    return malloc(size);
}

void *mosquitto_realloc(void *ptr, size_t size)
{
    return realloc(ptr, size);
}

char *mosquitto_strdup(const char *s)
{
    return s == NULL ? NULL : strdup(s);
}
