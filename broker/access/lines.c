/* SPDX-License-Identifier: Apache-2.0 */
#include "access/access_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files, lines, words; and what is wrong with which of them. */

static void say(const struct place *p, char text[ACCESS_TEXT_BYTES], const char *format, va_list args)
{
    int n = snprintf(text, ACCESS_TEXT_BYTES, "%.400s:%zu: ", p->file, p->line);
    vsnprintf(text + n, ACCESS_TEXT_BYTES - (size_t)n, format, args);
}

void access_warn(struct place *p, const char *format, ...)
{
    char text[ACCESS_TEXT_BYTES];
    va_list args;
    if (p->notes->warn == NULL || p->warnings++ >= ACCESS_WARNINGS_MAX) return;
    va_start(args, format);
    say(p, text, format, args);
    va_end(args);
    p->notes->warn(p->notes->ctx, text);
}

void access_end(struct place *p)
{
    char text[ACCESS_TEXT_BYTES];
    if (p->warnings <= ACCESS_WARNINGS_MAX) return;
    snprintf(text, sizeof text, "%.400s: and %zu warnings more", p->file, p->warnings - ACCESS_WARNINGS_MAX);
    p->notes->warn(p->notes->ctx, text);
}

enum err access_error(struct place *p, enum err rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(p, p->notes->error, format, args);
    va_end(args);
    return rc;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

struct bytes access_trim(struct bytes b)
{
    while (b.len > 0 && is_blank(b.at[0])) b = bytes_of(b.at + 1, b.len - 1);
    while (b.len > 0 && is_blank(b.at[b.len - 1])) b.len--;
    return b;
}

struct bytes access_word(struct bytes *rest)
{
    *rest = access_trim(*rest);
    size_t n = 0;
    while (n < rest->len && !is_blank(rest->at[n])) n++;
    struct bytes word = bytes_of(rest->at, n);
    *rest = access_trim(bytes_of(rest->at + n, rest->len - n));
    return word;
}

enum err access_line(struct place *p, struct bytes *rest, struct bytes *line)
{
    if (rest->len == 0) return ERR_NOTFOUND;
    const uint8_t *feed = memchr(rest->at, '\n', rest->len);
    size_t n = feed == NULL ? rest->len : (size_t)(feed - rest->at);
    size_t skip = feed == NULL ? n : n + 1;
    *line = bytes_of(rest->at, n);
    *rest = bytes_of(rest->at + skip, rest->len - skip);
    p->line++;
    if (n > ACCESS_LINE_BYTES_MAX)
        return access_error(p, ERR_FULL, "a line of %zu bytes; allowed: at most %d", n,
                            ACCESS_LINE_BYTES_MAX);
    while (line->len > 0 && is_blank(line->at[line->len - 1])) line->len--;
    if (n > 0 && memchr(line->at, '\0', line->len) != NULL)
        return access_error(p, ERR_SYNTAX, "a zero byte; allowed: text");
    return ERR_OK;
}

/* --- files */

static enum err failed(struct access_notes *notes, const char *path, const char *why)
{
    snprintf(notes->error, sizeof notes->error, "%.400s: cannot be read: %s", path, why);
    return ERR_SYS;
}

static enum err read_all(int fd, size_t size, struct bytes *out)
{
    uint8_t *at = malloc(size + 1);
    if (at == NULL) return ERR_NOMEM;
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(fd, at + got, size - got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            free(at);
            return ERR_SYS;
        }
        if (n == 0) break;
        got += (size_t)n;
    }
    *out = bytes_of(at, got);
    return ERR_OK;
}

static enum err read_open(int fd, const char *path, struct bytes *out, struct access_notes *notes)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return failed(notes, path, strerror(errno));
    if (!S_ISREG(st.st_mode)) return failed(notes, path, "it is no file");
    if (st.st_size > ACCESS_FILE_BYTES_MAX) {
        snprintf(notes->error, sizeof notes->error, "%.400s: %lld bytes; allowed: at most %d", path,
                 (long long)st.st_size, ACCESS_FILE_BYTES_MAX);
        return ERR_FULL;
    }
    enum err rc = read_all(fd, (size_t)st.st_size, out);
    return rc == ERR_SYS ? failed(notes, path, strerror(errno)) : rc;
}

enum err access_read_file(const char *path, struct bytes *out, struct access_notes *notes)
{
    *out = (struct bytes){ 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us */
    if (fd < 0) return failed(notes, path, strerror(errno));
    enum err rc = read_open(fd, path, out, notes);
    close(fd);
    return rc;
}
