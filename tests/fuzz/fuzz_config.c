/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration file. Whatever it holds is answered with notes; and what a good one became, printed and
 * read again, is the same. */
#include "base/check.h"
#include "config/config.h"
#include "config/print.h"
#include "fuzz/fuzz.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Too large for a stack; a run touches little of it. */
static struct config first, second;

static bool read_bytes(struct config *c, struct config_notes *notes, const void *bytes, size_t size)
{
    char path[32];
    int fd = memfd_create("configuration", MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK(write(fd, bytes, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    config_init(c);
    config_notes_init(notes);
    enum err rc = config_read_file(c, path, notes);
    CHECK((rc == ERR_OK) == (notes->errors == 0));
    if (rc == ERR_OK) rc = config_finish(c, notes);
    CHECK((rc == ERR_OK) == (notes->errors == 0));
    close(fd);
    return rc == ERR_OK;
}

/* Without the origins: they are other lines when it is read again. The caller frees it. */
static char *printed(const struct config *c)
{
    char *text = NULL, *to;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    CHECK(f != NULL);
    config_print_effective(c, f);
    fclose(f);
    to = text;
    for (char *line = text, *end; *line != '\0'; line = end) {
        end = strchr(line, '\n') + 1;
        char *origin = end;
        while (strncmp(origin, "  # ", 4) != 0) origin--;
        size_t n = (size_t)(origin - line);
        memmove(to, line, n);
        to += n;
        *to++ = '\n';
    }
    *to = '\0';
    return text;
}

static void read_again(const struct config *c)
{
    struct config_notes notes;
    char *text = printed(c);
    CHECK(read_bytes(&second, &notes, text, strlen(text)));
    config_notes_fini(&notes);
    char *again = printed(&second);
    CHECK(strcmp(text, again) == 0);
    free(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char folder[] = "include_dir"; /* would read files that are no part of the input */
    struct config_notes notes;
    if (memmem(data, size, folder, sizeof folder - 1) != NULL) return 0;
    if (read_bytes(&first, &notes, data, size)) read_again(&first);
    config_notes_fini(&notes);
    return 0;
}
