/* SPDX-License-Identifier: Apache-2.0 */
/* A mosquitto.db: whatever it is, it is read or refused with a text, and the commands made of it are ones
 * that a journal takes: as records they say the same. */
#include "base/check.h"
#include "cli/import_plan.h"
#include "fuzz/fuzz.h"
#include "store/record.h"
#include "topic/topic.h"
#include <stdlib.h>

struct taken {
    uint64_t position, claims, enqueued;
};

static void check_record(const struct command *c)
{
    size_t bytes = record_size(c);
    uint8_t *at = malloc(bytes);
    struct command *again;
    CHECK(at != NULL);
    record_encode(c, at);
    CHECK(record_decode(bytes_of(at, bytes), &again) == ERR_OK);
    CHECK(record_size(again) == bytes);
    CHECK(again->session_no == c->session_no && again->targets_count == c->targets_count);
    command_unref(&again);
    free(at);
}

static void check_message(const struct command *c)
{
    CHECK(topic_name_valid(msg_topic(c->msg)));
    CHECK(c->targets_count > 0 || c->msg->retain || c->in_id != 0);
    for (uint32_t i = 0; i < c->targets_count; i++) {
        CHECK(c->targets[i].qos <= 2);
        CHECK(c->targets[i].session_no != 0);
        for (uint32_t k = 0; k < i; k++) CHECK(c->targets[i].session_no != c->targets[k].session_no);
    }
}

static enum err put(void *ctx, struct command *c)
{
    struct taken *t = ctx;
    CHECK(c != NULL);
    c->position = ++t->position;
    check_record(c);
    if (c->kind == COMMAND_ENQUEUE) {
        check_message(c);
        t->enqueued += c->in_id == 0 ? c->targets_count : 0;
    }
    for (uint32_t i = 0; i < c->ack.open_count; i++) {
        CHECK(c->ack.open[i] > 0 && c->ack.open[i] < t->position);
        CHECK(i == 0 || c->ack.open[i] > c->ack.open[i - 1]);
    }
    t->claims += c->kind == COMMAND_CLAIM;
    import_done(c);
    command_unref(&c);
    return ERR_OK;
}

static enum err wait(void *ctx)
{
    (void)ctx;
    return ERR_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct import_plan plan;
    struct taken taken = { 0 };
    struct import_target to = { put, wait, &taken, UINT64_C(1) << 32, 7 };
    enum err rc = import_read(&plan, bytes_of(data, size), 1700000000);
    CHECK((rc == ERR_OK) == (plan.db.text[0] == '\0'));
    if (rc == ERR_OK) {
        CHECK(import_put(&plan, &to) == ERR_OK);
        CHECK(taken.claims == plan.counts.sessions);
        CHECK(taken.enqueued == plan.counts.queued);
    }
    import_fini(&plan);
    return 0;
}
