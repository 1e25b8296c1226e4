/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin without a beginning. */
int mosquitto_plugin_version(int count, const int *versions);

__attribute__((visibility("default"))) int mosquitto_plugin_version(int count, const int *versions)
{
    return count > 0 ? versions[0] : -1;
}
