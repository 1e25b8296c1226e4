/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a step is for the ABI: its event_data, and what a callback's result means. Nothing is translated yet:
 * a callback sees event_data of zeros, and whatever it returns defers.
 */
#include "plugin/step_int.h"

bool plugin_event_make(struct plugin_step *s)
{
    (void)s;
    return true;
}

bool plugin_event_take(struct plugin_step *s, int rc)
{
    (void)rc;
    s->result.verdict = HOOK_DEFER;
    return false;
}

void plugin_event_end(struct plugin_step *s)
{
    (void)s;
}
