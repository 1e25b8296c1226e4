/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

const char *err_text(enum err e)
{
    switch (e) {
#define ERR(name, value, text)                                                                               \
    case ERR_##name:                                                                                         \
        return text;
#include "base/err.def"
#undef ERR
    }
    return "unknown error";
}
