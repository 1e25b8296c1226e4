/* SPDX-License-Identifier: Apache-2.0 */
#include "store_sqlite/backup_int.h"
#include "wal/crc32c.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FORMAT_LINE "longlink-backup 1\n"
#define CRC_WORD    "crc32c "

enum { CRC_LINE_BYTES = sizeof CRC_WORD - 1 + 8 + 1 };

enum err manifest_add(struct manifest *m, const struct manifest_file *file)
{
    if (m->count == m->room) {
        size_t room = m->room == 0 ? 16 : m->room * 2;
        struct manifest_file *more = realloc(m->files, room * sizeof *more);
        if (more == NULL) return ERR_NOMEM;
        m->files = more;
        m->room = room;
    }
    m->files[m->count++] = *file;
    return ERR_OK;
}

void manifest_fini(struct manifest *m)
{
    free(m->files);
    *m = (struct manifest){ 0 };
}

/* --- writing */

static void print_lines(const struct manifest *m, FILE *to)
{
    char when[32] = "";
    time_t now = time(NULL);
    struct tm utc;

    if (gmtime_r(&now, &utc) != NULL) strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    fprintf(to, FORMAT_LINE "version %s\ntime %s\nboot_no %" PRIu64 "\nposition %" PRIu64 "\n",
            LONGLINK_VERSION, when, m->boot_no, m->position);
    for (size_t i = 0; i < m->count; i++)
        fprintf(to, "file %s %" PRIu64 " %08" PRIx32 "\n", m->files[i].name, m->files[i].bytes,
                m->files[i].crc);
}

enum err manifest_write(const struct manifest *m, const struct folder *f, char *text)
{
    char *lines = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&lines, &len);

    if (to == NULL) return folder_fail(f, "write", BACKUP_MANIFEST_NAME, text);
    print_lines(m, to);
    fflush(to);
    fprintf(to, CRC_WORD "%08" PRIx32 "\n", crc32c(0, lines, len));
    fclose(to);
    enum err rc = folder_write(f, BACKUP_MANIFEST_NAME BACKUP_NEW_SUFFIX, lines, text);
    free(lines);
    return rc == ERR_OK ? folder_rename(f, BACKUP_MANIFEST_NAME, text) : rc;
}

/* --- reading */

static bool is_hex(const char *at, size_t n)
{
    return strspn(at, "0123456789abcdef") >= n;
}

/* Names of a store's files and no others: a name must not lead out of the directory. */
static bool is_file_name(const char *name)
{
    return strcmp(name, BACKUP_DB_NAME) == 0 ||
           (strlen(name) == 20 && is_hex(name, 16) && strcmp(name + 16, ".wal") == 0);
}

static enum err read_line(struct manifest *m, const char *line)
{
    struct manifest_file file = { 0 };
    char word[16];

    if (sscanf(line, "%15s", word) != 1) return ERR_SYNTAX;
    if (strcmp(word, "boot_no") == 0)
        return sscanf(line, "%*s %" SCNu64, &m->boot_no) == 1 ? ERR_OK : ERR_SYNTAX;
    if (strcmp(word, "position") == 0)
        return sscanf(line, "%*s %" SCNu64, &m->position) == 1 ? ERR_OK : ERR_SYNTAX;
    if (strcmp(word, "file") != 0) return ERR_OK;
    if (sscanf(line, "%*s %31s %" SCNu64 " %" SCNx32, file.name, &file.bytes, &file.crc) != 3)
        return ERR_SYNTAX;
    return is_file_name(file.name) ? manifest_add(m, &file) : ERR_SYNTAX;
}

static bool has_db(const struct manifest *m)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->files[i].name, BACKUP_DB_NAME) == 0) return true;
    return false;
}

/* Changes the text: the lines become strings. */
static enum err read_lines(struct manifest *m, char *at, size_t len)
{
    uint32_t crc;

    if (len < CRC_LINE_BYTES || strlen(at) != len) return ERR_SYNTAX;
    char *end = at + len - CRC_LINE_BYTES;
    if (sscanf(end, CRC_WORD "%" SCNx32, &crc) != 1 || crc != crc32c(0, at, (size_t)(end - at)))
        return ERR_SYNTAX;
    if (strncmp(at, FORMAT_LINE, sizeof FORMAT_LINE - 1) != 0) return ERR_UNKNOWN;
    enum err rc = ERR_OK;
    for (char *line = at; rc == ERR_OK && line < end;) {
        char *next = strchr(line, '\n'); /* the last line has one, so all have */
        *next = '\0';
        rc = read_line(m, line);
        line = next + 1;
    }
    return rc == ERR_OK && !has_db(m) ? ERR_SYNTAX : rc;
}

static enum err explain(enum err rc, const struct folder *f, char *text)
{
    if (rc == ERR_SYNTAX)
        snprintf(text, BACKUP_TEXT_BYTES, "%.400s/" BACKUP_MANIFEST_NAME " is damaged: use another backup",
                 f->path);
    if (rc == ERR_UNKNOWN)
        snprintf(text, BACKUP_TEXT_BYTES,
                 "%.400s/" BACKUP_MANIFEST_NAME
                 " is of another version than 1: use the longlink that wrote it",
                 f->path);
    if (rc == ERR_NOMEM) snprintf(text, BACKUP_TEXT_BYTES, "out of memory");
    return rc;
}

enum err manifest_read(struct manifest *m, const struct folder *f, char *text)
{
    *m = (struct manifest){ 0 };
    int fd = openat(f->fd, BACKUP_MANIFEST_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        snprintf(text, BACKUP_TEXT_BYTES,
                 "%.400s has no " BACKUP_MANIFEST_NAME ": it is no backup, or one that was not completed",
                 f->path);
        return ERR_NOTFOUND;
    }
    if (fd < 0) return folder_fail(f, "open", BACKUP_MANIFEST_NAME, text);
    char *lines = calloc(1, MANIFEST_BYTES_MAX + 1);
    ssize_t len = lines != NULL ? read(fd, lines, MANIFEST_BYTES_MAX) : 0;
    enum err rc = ERR_OK;
    if (len < 0) rc = folder_fail(f, "read", BACKUP_MANIFEST_NAME, text);
    if (rc == ERR_OK) rc = explain(lines == NULL ? ERR_NOMEM : read_lines(m, lines, (size_t)len), f, text);
    close(fd);
    free(lines);
    if (rc != ERR_OK) manifest_fini(m);
    return rc;
}
