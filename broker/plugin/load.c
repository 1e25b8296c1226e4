/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin's code. Its names are its own (RTLD_LOCAL): two plugins that have a function of the same name do
 * not get in each other's way.
 */
#include "plugin/plugin_int.h"
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

typedef int version_fn(int count, const int *versions);
typedef int init_fn(mosquitto_plugin_id_t *id, void **userdata, struct mosquitto_opt *opts, int count);
typedef int cleanup_fn(void *userdata, struct mosquitto_opt *opts, int count);

/* ISO C has no conversion from what dlsym gives to a function. */
union symbol {
    void *object;
    version_fn *version;
    init_fn *init;
    cleanup_fn *cleanup;
};

struct code {
    void *handle;
    union symbol version, init, cleanup;
};

static const char too_old[] = "it speaks version 2, 3 or 4 of mosquitto's interface (auth plugins), and "
                              "longlinkd speaks version 5: ask "
                              "its maker for a version for mosquitto 2, or use another plugin";

static union symbol find(void *handle, const char *name)
{
    return (union symbol){ .object = dlsym(handle, name) };
}

static enum err refuse(char text[PLUGIN_TEXT_BYTES], const char *why)
{
    snprintf(text, PLUGIN_TEXT_BYTES, "%s", why);
    return ERR_SYS;
}

static enum err check_version(const struct code *c, char text[PLUGIN_TEXT_BYTES])
{
    static const int spoken[] = { MOSQ_PLUGIN_VERSION };
    int version = c->version.version(1, spoken);
    if (version == MOSQ_PLUGIN_VERSION) return ERR_OK;
    if (version >= 2 && version <= MOSQ_AUTH_PLUGIN_VERSION) return refuse(text, too_old);
    snprintf(text, PLUGIN_TEXT_BYTES,
             "its mosquitto_plugin_version says %d, and longlinkd speaks version 5 of mosquitto's interface",
             version);
    return ERR_SYS;
}

static enum err check_symbols(const struct code *c, char text[PLUGIN_TEXT_BYTES])
{
    if (c->version.object == NULL && find(c->handle, "mosquitto_auth_plugin_version").object != NULL)
        return refuse(text, too_old);
    if (c->version.object == NULL)
        return refuse(text, "it has no function mosquitto_plugin_version: it is no plugin for mosquitto");
    enum err rc = check_version(c, text);
    if (rc != ERR_OK) return rc;
    if (c->init.object == NULL) return refuse(text, "it has no function mosquitto_plugin_init");
    if (c->cleanup.object == NULL) return refuse(text, "it has no function mosquitto_plugin_cleanup");
    return ERR_OK;
}

static enum err open_code(struct code *c, const char *path, char text[PLUGIN_TEXT_BYTES])
{
    *c = (struct code){ 0 };
    /* dlopen searches for a name without a slash, and its message for a file that is not there is odd. */
    if (strchr(path, '/') != NULL && access(path, R_OK) != 0) return refuse(text, strerror(errno));
    /* Its code stays for good: a thread that it has not ended may still be in it. */
    c->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (c->handle == NULL) return refuse(text, dlerror());
    c->version = find(c->handle, "mosquitto_plugin_version");
    c->init = find(c->handle, "mosquitto_plugin_init");
    c->cleanup = find(c->handle, "mosquitto_plugin_cleanup");
    enum err rc = check_symbols(c, text);
    if (rc != ERR_OK) dlclose(c->handle);
    if (rc != ERR_OK) c->handle = NULL;
    return rc;
}

enum err plugin_try(const char *path, char text[PLUGIN_TEXT_BYTES])
{
    struct code c;
    enum err rc = open_code(&c, path, text);
    if (rc == ERR_OK) dlclose(c.handle);
    return rc;
}

static enum err initialise(struct plugin *p, char text[PLUGIN_TEXT_BYTES])
{
    if (plugin_ext_start(p) != ERR_OK) return refuse(text, err_text(ERR_NOMEM));
    void *id = p;
    int rc = p->init(id, &p->userdata, p->opts->at, p->opts->count);
    if (rc == MOSQ_ERR_SUCCESS) return ERR_OK;
    snprintf(text, PLUGIN_TEXT_BYTES, "its mosquitto_plugin_init says %d (%s); look at its plugin_opt_ lines",
             rc, mosquitto_strerror(rc));
    plugin_ext_end(p);
    return ERR_SYS;
}

enum err plugin_load(struct plugin *p)
{
    char text[PLUGIN_TEXT_BYTES];
    struct code c;
    log_event(p->all->log, EVENT_PLUGIN_LOADING, LOG_STR("plugin", p->name), LOG_STR("path", p->path));
    enum err rc = open_code(&c, p->path, text);
    p->handle = c.handle;
    p->init = c.init.init;
    p->cleanup = c.cleanup.cleanup;
    if (rc == ERR_OK) rc = initialise(p, text);
    if (rc != ERR_OK)
        log_event(p->all->log, EVENT_PLUGIN_FAILED, LOG_STR("plugin", p->path), LOG_STR("set_at", p->set_at),
                  LOG_STR("error", text));
    else
        log_event(p->all->log, EVENT_PLUGIN_STARTED, LOG_STR("plugin", p->name));
    return rc;
}

void plugin_unload(struct plugin *p)
{
    if (p->handle != NULL) dlclose(p->handle);
    p->handle = NULL;
}

const char *plugin_event_name(int event)
{
    static const char *const names[PLUGIN_EVENTS_COUNT] = {
        [0] = "none",
        [MOSQ_EVT_RELOAD] = "reload",
        [MOSQ_EVT_ACL_CHECK] = "acl_check",
        [MOSQ_EVT_BASIC_AUTH] = "basic_auth",
        [MOSQ_EVT_EXT_AUTH_START] = "ext_auth_start",
        [MOSQ_EVT_EXT_AUTH_CONTINUE] = "ext_auth_continue",
        [MOSQ_EVT_CONTROL] = "control",
        [MOSQ_EVT_MESSAGE] = "message",
        [MOSQ_EVT_PSK_KEY] = "psk_key",
        [MOSQ_EVT_TICK] = "tick",
        [MOSQ_EVT_DISCONNECT] = "disconnect",
        [PLUGIN_EVT_CONNECT] = "connected",
        [PLUGIN_EVT_CLIENT_OFFLINE] = "client_offline",
    };
    bool is_known = event > 0 && event < PLUGIN_EVENTS_COUNT && names[event] != NULL;
    return names[is_known ? event : 0];
}
