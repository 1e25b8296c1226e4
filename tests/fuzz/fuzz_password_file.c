/* SPDX-License-Identifier: Apache-2.0 */
/* A password file. Whatever it is, it is read or refused with its place; and whom it knows has a name and a
 * colon at the front of a line. */
#include "access/access.h"
#include "base/check.h"
#include "fuzz/fuzz.h"

static void hear(void *ctx, const char *text)
{
    size_t *count = ctx;
    ++*count;
    CHECK(strncmp(text, "pw:", 3) == 0);
}

static void ask_about(const struct access *a, struct bytes line)
{
    const uint8_t *colon = line.len == 0 ? NULL : memchr(line.at, ':', line.len);
    if (colon == NULL) return;
    struct bytes name = bytes_of(line.at, (size_t)(colon - line.at));
    if (name.len == 0 || line.at[0] == '#') CHECK(!access_knows(a, name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct access *a;
    size_t warnings = 0;
    struct access_notes notes = { .warn = hear, .ctx = &warnings };
    struct access_source passwords = { "pw", bytes_of(data, size) }, rules = { 0 };
    enum err rc = access_parse(&a, &passwords, &rules, &notes);
    CHECK((rc == ERR_OK) == (a != NULL));
    CHECK(warnings <= ACCESS_WARNINGS_MAX + 1);
    if (rc != ERR_OK) {
        CHECK(strncmp(notes.error, "pw:", 3) == 0);
        CHECK(memchr(data, '\0', size) != NULL || size > ACCESS_LINE_BYTES_MAX);
        return 0;
    }
    CHECK(access_has_accounts(a) && !access_has_rules(a));
    for (size_t at = 0; at < size;) {
        const uint8_t *feed = memchr(data + at, '\n', size - at);
        size_t n = feed == NULL ? size - at : (size_t)(feed - data) - at;
        ask_about(a, bytes_of(data + at, n));
        at += n + 1;
    }
    access_unref(&a);
    return 0;
}
