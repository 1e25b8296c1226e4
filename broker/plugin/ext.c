/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What longlink_plugin.h's functions keep for a plugin, a step and a client. There are none yet.
 */
#include "plugin/plugin_int.h"

enum err plugin_ext_start(struct plugin *p)
{
    (void)p;
    return ERR_OK;
}

void plugin_ext_step_end(struct plugin_step *s)
{
    (void)s;
}

void plugin_ext_gone(struct plugin *p, struct plugin_known *k)
{
    (void)p;
    (void)k;
}

void plugin_ext_end(struct plugin *p)
{
    (void)p;
}

void plugin_ext_figures(struct plugin *p, plugins_each_figure *each, void *ctx)
{
    (void)p;
    (void)each;
    (void)ctx;
}

void plugin_ext_mail(struct plugin *p, struct mail *mail)
{
    (void)p;
    (void)mail;
}
