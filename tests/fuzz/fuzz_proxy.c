/* SPDX-License-Identifier: Apache-2.0 */
/* A PROXY header, as it comes first on a connection. The first byte says which versions are taken. */
#include "base/check.h"
#include "fuzz/fuzz.h"
#include "net/proxy.h"

static void check_whole(struct bytes in, const struct proxy_header *h)
{
    CHECK(h->bytes >= PROXY_FIRST_BYTES);
    CHECK(h->bytes <= in.len || in.len >= PROXY_SEEN_BYTES);
    CHECK(h->is_told == (h->from.kind != ADDRESS_NONE));
    if (h->name.at != NULL) CHECK(h->name.at + h->name.len <= in.at + in.len);
    char text[ADDRESS_TEXT_BYTES];
    address_print(&h->from, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    unsigned versions = data[0] % 4;
    struct bytes in = bytes_of(data + 1, size - 1);
    struct proxy_header h, cut;
    const char *why = NULL;

    enum err rc = proxy_parse(in, versions, &h, &why);
    CHECK(rc == ERR_OK || rc == ERR_AGAIN || (rc == ERR_SYNTAX && why != NULL));
    if (rc != ERR_OK) return 0;
    check_whole(in, &h);
    /* What is whole is, when cut, never refused and never whole; and what follows it changes nothing. */
    size_t needed = h.bytes < PROXY_SEEN_BYTES ? h.bytes : (size_t)PROXY_SEEN_BYTES;
    for (size_t n = needed < 20 ? 0 : needed - 20; n < needed; n++)
        CHECK(proxy_parse(bytes_of(in.at, n), versions, &cut, &why) == ERR_AGAIN);
    CHECK(proxy_parse(bytes_of(in.at, needed), versions, &cut, &why) == ERR_OK);
    CHECK(cut.bytes == h.bytes && cut.is_told == h.is_told);
    return 0;
}
