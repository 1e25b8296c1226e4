/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin of version 4 of mosquitto's interface. */
int mosquitto_auth_plugin_version(void);

__attribute__((visibility("default"))) int mosquitto_auth_plugin_version(void)
{
    return 4;
}
