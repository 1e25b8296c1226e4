/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that options name: one that cannot be read is an error of its line, found by -t as by a start. What
 * is in them is for whoever reads them.
 */
#include "config/config_int.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* 0, or the errno. A pipe is not waited for. */
static int try(const char *path, bool is_folder)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (is_folder ? O_DIRECTORY : 0));
    if (fd < 0) return errno;
    char byte;
    int why = !is_folder && read(fd, &byte, 1) < 0 ? errno : 0; /* a directory is no file */
    close(fd);
    return why == EAGAIN ? 0 : why;
}

static void check(const struct place *p, const void *base, const struct option *o)
{
    const char *path = (const char *)base + o->at;
    bool is_folder = o->type == CONFIG_TYPE_folder;
    int why = path[0] == '\0' ? 0 : try(path, is_folder);
    if (why == 0) return;

    char origin[CONFIG_ORIGIN_BYTES], text[160];
    config_origin_print(p->config, option_origins(base, o->scope)[o->id], origin);
    struct place at = { .config = p->config, .notes = p->notes, .file = origin };
    snprintf(text, sizeof text, "cannot be read: %s; allowed: a %s that can", strerror(why),
             is_folder ? "directory" : "file");
    note_refusal(&at, o->name, path, text);
}

static void check_scope(const struct place *p, const void *base, enum config_scope scope)
{
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *o = &config_options[i];
        if (o->scope == scope && (o->type == CONFIG_TYPE_file || o->type == CONFIG_TYPE_folder))
            check(p, base, o);
    }
}

void readable_check(const struct place *p)
{
    const struct config *c = p->config;
    if (!c->per_listener_settings) check_scope(p, &c->security, CONFIG_SCOPE_SECURITY);
    for (size_t i = 0; i < c->listeners_count; i++) {
        if (c->per_listener_settings) check_scope(p, &c->listeners[i].security, CONFIG_SCOPE_SECURITY);
        check_scope(p, &c->listeners[i], CONFIG_SCOPE_LISTENER);
    }
}
