/* SPDX-License-Identifier: Apache-2.0 */
/* Prints libFuzzer's dictionary: one property each of props.def, and what else a packet holds. */
#include <stdio.h>
#include <string.h>

static const char *sample_of(const char *type)
{
    if (strcmp(type, "u8") == 0) return "\\x01";
    if (strcmp(type, "u16") == 0) return "\\x00\\x01";
    if (strcmp(type, "u32") == 0) return "\\x00\\x00\\x00\\x01";
    if (strcmp(type, "varint") == 0) return "\\x81\\x01";
    if (strcmp(type, "pairs") == 0) return "\\x00\\x01k\\x00\\x01v";
    return "\\x00\\x01t";
}

int main(void)
{
#define PROP(name, id, type, packets, low, high, doc)                                                        \
    printf("%s=\"\\x%02x%s\"\n", #name, (unsigned)(id), sample_of(#type));
#include "codec/props.def"
#undef PROP
    puts("protocol_v311=\"\\x00\\x04MQTT\\x04\"");
    puts("protocol_v5=\"\\x00\\x04MQTT\\x05\"");
    puts("protocol_v31=\"\\x00\\x06MQIsdp\\x03\"");
    puts("share=\"$share/g/\"");
    puts("length_max=\"\\xff\\xff\\xff\\x7f\"");
    puts("length_long=\"\\x80\\x00\"");
    puts("surrogate=\"\\xed\\xa0\\x80\"");
    puts("hash=\"/#\"");
    puts("plus=\"/+/\"");
    return 0;
}
