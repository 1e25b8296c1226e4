/* SPDX-License-Identifier: Apache-2.0 */
/* The request that opens a WebSocket connection. The first byte says how long it may be. */
#include "base/check.h"
#include "fuzz/fuzz.h"
#include "net/ws_http.h"
#include <stdlib.h>

static void check_answer(const struct ws_answer *a)
{
    CHECK(a->bytes > 16 && a->bytes < sizeof a->text);
    CHECK(memcmp(a->text, "HTTP/1.1 ", 9) == 0);
    CHECK((a->why == NULL) == (memcmp(a->text + 9, "101 ", 4) == 0));
    CHECK(memmem(a->text, a->bytes, "\r\n\r\n", 4) != NULL);
    /* Nothing of the request gets into the answer but what was chosen of our own words. */
    for (size_t i = 0; i < a->bytes; i++)
        CHECK(a->text[i] >= ' ' || a->text[i] == '\r' || a->text[i] == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct ws_rules_conf conf = { .bytes_max = 64u << data[0] % 8,
                                  .origins = data[0] > 127 ? "https://a" : NULL };
    struct bytes in = bytes_of(data + 1, size - 1), wrong;
    struct ws_rules *rules;
    struct ws_answer whole, cut;

    CHECK(ws_rules_new(&rules, &conf, &wrong) == ERR_OK);
    size_t used = ws_http_answer(rules, in, 0, &whole), n = 0, seen = 0, taken = 0;
    CHECK(used <= in.len);
    if (used > 0) check_answer(&whole);
    /* Byte for byte it comes to the same, and at the latest when it does so at once. */
    for (; taken == 0 && n < in.len; seen = n)
        taken = ws_http_answer(rules, bytes_of(in.at, ++n), seen, &cut);
    CHECK((taken > 0) == (used > 0));
    if (taken > 0) {
        check_answer(&cut);
        CHECK(whole.why != NULL || (cut.why == NULL && taken == used && cut.bytes == whole.bytes));
    }
    ws_rules_unref(&rules);
    return 0;
}
