/* SPDX-License-Identifier: Apache-2.0 */
#include "hook/hook.h"
#include "base/list.h"
#include <stdlib.h>

void hooks_unref(struct hooks **owner)
{
    struct hooks *h = *owner;
    *owner = NULL;
    if (h != NULL && ref_drop(&h->ref)) h->ops->destroy(h);
}

void hook_ask_init(struct hook_ask *a, enum hook_about about, struct hooks *hooks, struct hook_client *client)
{
    *a = (struct hook_ask){ .about = (uint8_t)about, .hooks = hooks_ref(hooks) };
    if (client != NULL) a->client = hook_client_ref(client);
    ref_init(&a->ref, 1);
}

bool hooks_ask(struct hook_ask *a)
{
    return a->hooks->ops->ask(a->hooks, a);
}

static void free_answer(struct hook_ask *a)
{
    free(a->reason);
    if (a->about == HOOK_PUBLISH || a->about == HOOK_WILL) {
        struct hook_publish *p = CONTAINER(a, struct hook_publish, ask);
        for (size_t i = 0; i < sizeof p->changed / sizeof p->changed[0]; i++) free(p->changed[i]);
    }
    if (a->about == HOOK_AUTH_START || a->about == HOOK_AUTH_AGAIN || a->about == HOOK_AUTH_MORE)
        free((void *)(uintptr_t)CONTAINER(a, struct hook_auth, ask)->answer.at);
}

void hook_ask_unref(struct hook_ask **owner)
{
    struct hook_ask *a = *owner;
    *owner = NULL;
    if (a == NULL || !ref_drop(&a->ref)) return;
    free_answer(a);
    if (a->client != NULL) hook_client_unref(&a->client);
    hooks_unref(&a->hooks);
    a->destroy(a);
}
