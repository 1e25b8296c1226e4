/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin of a version of mosquitto's interface that there is not yet. */
int mosquitto_plugin_version(int count, const int *versions);

__attribute__((visibility("default"))) int mosquitto_plugin_version(int count, const int *versions)
{
    (void)count;
    (void)versions;
    return 99;
}
