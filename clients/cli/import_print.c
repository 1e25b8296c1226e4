/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/import_plan.h"
#include <inttypes.h>

/* What an operator is to know before the clients come back. */

static void print_skipped(const struct import_plan *p, FILE *to)
{
    static const char *const texts[] = {
#define SKIP(name, what, why) what ": " why,
#include "cli/import_skips.def"
#undef SKIP
    };
    for (int i = 0; i < IMPORT_SKIPS; i++)
        if (p->counts.skipped[i] > 0)
            fprintf(to, "skipped: %" PRIu64 " %s\n", p->counts.skipped[i], texts[i]);
}

static void print_states(const struct import_counts *c, FILE *to)
{
    if (c->sent_again > 0)
        fprintf(to,
                "note: %" PRIu64
                " queued messages had been sent and not acknowledged: they are sent again, with "
                "DUP\n",
                c->sent_again);
    if (c->released > 0)
        fprintf(to,
                "note: %" PRIu64
                " queued messages of QoS 2 have been received: only PUBREL is sent for them\n",
                c->released);
    if (c->inbound > 0)
        fprintf(to,
                "note: %" PRIu64
                " messages of QoS 2 from clients were not released: they are delivered, and their "
                "packet ids known until PUBREL\n",
                c->inbound);
    if (c->usernames > 0)
        fprintf(to,
                "note: %" PRIu64 " sessions have a user name there: it is not kept, clients say theirs when "
                "they connect\n",
                c->usernames);
}

void import_print(const struct import_plan *p, FILE *to)
{
    const struct import_counts *c = &p->counts;
    fprintf(to, "sessions:          %" PRIu64 "\n", c->sessions);
    fprintf(to, "subscriptions:     %" PRIu64 "\n", c->subscriptions);
    fprintf(to, "queued messages:   %" PRIu64 "\n", c->queued);
    fprintf(to, "retained messages: %" PRIu64 "\n", c->retained);
    print_skipped(p, to);
    print_states(c, to);
    fprintf(to,
            "note: mosquitto keeps neither wills nor shared subscriptions in its file: clients bring them "
            "again\n");
    if (!p->is_clean_end)
        fprintf(to,
                "warning: the file was written while mosquitto ran: what it did afterwards is not in it\n");
}
