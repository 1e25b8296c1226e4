/* SPDX-License-Identifier: Apache-2.0 */
#include "hook/auth.h"
#include <stdlib.h>

const struct auth_method *auth_find(const struct auth_methods *methods, struct bytes name)
{
    for (size_t i = 0; i < methods->count; i++)
        if (bytes_equal(bytes_of_text(methods->at[i].name), name)) return &methods->at[i];
    return NULL;
}

void auth_answer(struct auth_step *step, const struct auth_reply *reply)
{
    enum { NO_ROOM = 0x97 };
    uint8_t *copy = NULL;
    step->reply = *reply;
    step->reply.data = (struct bytes){ 0 };
    if (reply->data.len > 0) {
        copy = malloc(reply->data.len);
        if (copy == NULL) step->reply = (struct auth_reply){ .verdict = AUTH_FAILURE, .code = NO_ROOM };
    }
    if (copy != NULL) {
        memcpy(copy, reply->data.at, reply->data.len);
        step->reply.data = bytes_of(copy, reply->data.len);
    }
    mailbox_send(step->to, &step->mail);
}

void auth_reply_clear(struct auth_reply *reply)
{
    free((void *)(uintptr_t)reply->data.at);
    reply->data = (struct bytes){ 0 };
}
