/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"
#include "config/config_int.h"
#include <string.h>

void config_init(struct config *c)
{
    memset(c, 0, offsetof(struct config, listeners));
    options_init(c, CONFIG_SCOPE_GLOBAL);
    options_init(&c->security, CONFIG_SCOPE_SECURITY);
    listener_init(&c->default_listener);
    c->log_types = 1u << 0 | 1u << 1 | 1u << 2 | 1u << 3; /* all but debug */
    snprintf(c->log_dests[0].sink, sizeof c->log_dests[0].sink, "stderr");
    c->log_dests_count = 1;
}

static void unknown(const struct place *p, const char *name)
{
    const char *near = known_nearest(name);
    if (near != NULL)
        note_error(p, name, "is not known; did you mean '%s'?", near);
    else
        note_error(p, name, "is not known; longlinkd.conf(5) lists what is");
}

static bool is_id(const struct option *o, enum config_id id)
{
    return o->scope == CONFIG_SCOPE_GLOBAL && o->id == (unsigned)id;
}

/* As in mosquitto, some options of the default listener call it into being. */
static void call_default(const struct place *p, const struct option *o)
{
    struct config *c = p->config;
    bool is_security = o->scope == CONFIG_SCOPE_SECURITY || is_id(o, CONFIG_ID_plugin);
    bool is_its_own = o->scope == CONFIG_SCOPE_LISTENER || (is_security && c->per_listener_settings);
    if (!is_its_own || p->listener != &c->default_listener || !listener_is_called_by(o->name)) return;
    c->default_listener_is_used = true;
    place_print(p, c->default_listener.origin);
}

/* Who may connect was said before it was said for whom: mosquitto refuses that, too. */
static bool comes_too_late(const struct place *p, const struct option *o, const char *value)
{
    if (!is_id(o, CONFIG_ID_per_listener_settings)) return false;
    bool is_late = p->config->plugins_count > 0;
    for (unsigned i = 0; i < CONFIG_SECURITY_OPTIONS_COUNT; i++)
        is_late = is_late || p->config->security.origins[i].file != 0;
    if (!is_late || strcmp(value, "false") == 0) return false;
    note_refusal(p, o->name, value, "comes too late; allowed: before every option about who may connect");
    return true;
}

/* mosquitto refuses this one, too: believed to part clients, it would part nobody. */
static bool comes_too_early(const struct place *p, const struct option *o, const char *value)
{
    bool is_mount_point = o->scope == CONFIG_SCOPE_LISTENER && o->id == CONFIG_LISTENER_mount_point;
    if (!is_mount_point || p->listener != &p->config->default_listener) return false;
    note_refusal(p, o->name, value, "stands before the first listener line; allowed: after one");
    return true;
}

static void option_set_origin(const struct place *p, const struct option *o)
{
    struct config_origin at = place_origin(p);
    void *base = option_base(p, o);
    switch (o->scope) {
    case CONFIG_SCOPE_LISTENER: ((struct config_listener *)base)->origins[o->id] = at; break;
    case CONFIG_SCOPE_SECURITY: ((struct config_security *)base)->origins[o->id] = at; break;
    default: p->config->origins[o->id] = at; break;
    }
}

static bool option_run(struct place *p, const struct option *o, const char *value)
{
    if (comes_too_late(p, o, value) || comes_too_early(p, o, value)) return false;
    bool ok = o->type == CONFIG_TYPE_directive ? o->run(p, value) : value_set(p, o, value);
    /* Even a wrong listener line begins a section: what follows is not the previous listener's. */
    if (is_id(o, CONFIG_ID_listener)) p->listener = &p->config->listeners[p->config->listeners_count - 1];
    if (is_id(o, CONFIG_ID_plugin)) p->plugin = ok ? &p->config->plugins[p->config->plugins_count - 1] : NULL;
    if (!ok) return false;
    option_set_origin(p, o);
    call_default(p, o);
    return true;
}

/* As in mosquitto, what has one word may have a comment behind it; a text goes to the end of its line. */
static bool may_have_comment(const struct option *o)
{
    if (o->type != CONFIG_TYPE_directive) return !value_is_text(o);
    return o->id == CONFIG_ID_listener || o->id == CONFIG_ID_port || o->id == CONFIG_ID_log_type;
}

static size_t comment_at(const char *value)
{
    size_t at = strcspn(value, "#");
    while (value[at] == '#' && at > 0 && value[at - 1] != ' ' && value[at - 1] != '\t')
        at += 1 + strcspn(value + at + 1, "#");
    while (at > 0 && (value[at - 1] == ' ' || value[at - 1] == '\t')) at--;
    return at;
}

static bool option_run_word(struct place *p, const struct option *o, const char *value)
{
    char word[CONFIG_LINE_BYTES_MAX + 1];
    size_t n = comment_at(value);
    snprintf(word, sizeof word, "%.*s", n < sizeof word ? (int)n : (int)sizeof word - 1, value);
    return option_run(p, o, word);
}

bool option_apply(struct place *p, const char *name, const char *value)
{
    const struct option *o = plugin_opt_row(name);
    if (o == NULL) o = option_find(known_name(name));
    p->name = name;
    if (o != NULL) return may_have_comment(o) ? option_run_word(p, o, value) : option_run(p, o, value);
    if (!known_elsewhere(p, name, value)) unknown(p, name);
    return false;
}

enum err config_set(struct config *c, const char *name, const char *value, const char *origin,
                    struct config_notes *notes)
{
    size_t before = notes->errors;
    struct place p = { .config = c, .notes = notes, .file = origin, .listener = &c->default_listener };
    option_apply(&p, name, value);
    return notes->errors == before ? ERR_OK : ERR_SYNTAX;
}

enum err config_override_port(struct config *c, const char *value, struct config_notes *notes)
{
    struct place p = { .config = c, .notes = notes, .file = "-p" };
    uint64_t port;
    if (!value_number(value, &port) || port > UINT16_MAX) {
        note_value(&p, "port", value, "a port from 0 to 65535");
        return ERR_SYNTAX;
    }
    if (c->ports_count == CONFIG_PORTS_MAX) {
        note_error(&p, "port", "is one too many; allowed: %d ports", CONFIG_PORTS_MAX);
        return ERR_SYNTAX;
    }
    c->ports[c->ports_count++] = (uint16_t)port;
    return ERR_OK;
}

const char *config_durability_word(enum config_durability d)
{
    static const char *const words[] = { "memory", "os", "disk" };
    return words[d];
}
