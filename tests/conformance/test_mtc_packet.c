/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/mtc_line.h"
#include "kit/mtc_packet.h"
#include "kit/test.h"

/* The packet that these words make, or the complaint about them, as text. */
static void encode(char *out, size_t size, unsigned type, unsigned version, const char *text)
{
    struct fields words = { 0 }, none = { 0 };
    struct out bytes = { 0 };
    const char *wrong = line_parse(&words, text, &none);
    size_t len = 0;

    if (wrong == NULL) wrong = mtc_encode(&bytes, type, version, &words);
    out[0] = '\0';
    if (wrong != NULL) (void)snprintf(out, size, "%s", wrong);
    for (size_t i = 0; wrong == NULL && i < bytes.len && len + 3 < size; i++)
        len += (size_t)snprintf(out + len, size - len, i == 0 ? "%02x" : " %02x", bytes.at[i]);
    fields_clear(&words);
    out_clear(&bytes);
}

static void check_encode(unsigned type, unsigned version, const char *text, const char *want)
{
    char got[256];

    encode(got, sizeof got, type, version, text);
    assert_string_equal(got, want);
}

/* The fields of the packet, or the complaint about it. */
static void check_decode(unsigned version, const char *packet, size_t len, const char *want)
{
    struct fields fields = { 0 };
    char *got = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&got, &size);
    uint8_t *exact = malloc(len); /* so that a sanitizer sees a read beyond it */

    assert_non_null(to);
    assert_non_null(exact);
    memcpy(exact, packet, len);
    const char *wrong = mtc_decode(&fields, version, exact, len);
    if (wrong != NULL)
        fputs(wrong, to);
    else
        fields_print(&fields, to);
    (void)fclose(to);
    assert_string_equal(got, want);
    fields_clear(&fields);
    free(got);
    free(exact);
}

#define DECODES(version, packet, want) check_decode(version, packet, sizeof packet - 1, want)

TEST(packets_are_encoded_as_the_standard_draws_them)
{
    check_encode(MTC_CONNECT, 4, "id=ab", "10 0e 00 04 4d 51 54 54 04 02 00 3c 00 02 61 62");
    check_encode(MTC_CONNECT, 3, "id=ab", "10 10 00 06 4d 51 49 73 64 70 03 02 00 3c 00 02 61 62");
    check_encode(MTC_CONNECT, 5, "id= clean=0 keepalive=0 receive_maximum=1",
                 "10 10 00 04 4d 51 54 54 05 00 00 00 03 21 00 01 00 00");
    check_encode(MTC_PUBLISH, 4, "topic=a payload=b qos=1 id=0x102 retain=1", "33 06 00 01 61 01 02 62");
    check_encode(MTC_PUBLISH, 5, "topic=a user=k:v", "30 0b 00 01 61 07 26 00 01 6b 00 01 76");
    check_encode(MTC_SUBSCRIBE, 5, "id=1 filter=a qos=1 nl=1 filter=b rh=2",
                 "82 0b 00 01 00 00 01 61 05 00 01 62 20");
    check_encode(MTC_PUBACK, 5, "id=1", "40 02 00 01");
    check_encode(MTC_PUBACK, 5, "id=1 code=0x80", "40 03 00 01 80");
    check_encode(MTC_DISCONNECT, 5, "session_expiry=0", "e0 07 00 05 11 00 00 00 00");
}

TEST(what_only_5_0_has_is_left_out_of_3_1_1)
{
    check_encode(MTC_PUBLISH, 4, "topic=a content_type=x", "30 03 00 01 61");
    check_encode(MTC_DISCONNECT, 4, "code=4 session_expiry=0", "e0 00");
    check_encode(MTC_SUBSCRIBE, 4, "id=1 filter=a qos=1 nl=1", "82 06 00 01 00 01 61 01");
}

TEST(a_scenario_can_send_what_is_wrong)
{
    check_encode(MTC_PINGREQ, 5, "flags=1 tail=\\x00\\xff", "c1 02 00 ff");
    check_encode(MTC_PUBLISH, 5, "topic=a topic_alias=0 topic_alias=0",
                 "30 0a 00 01 61 06 23 00 00 23 00 00");
}

TEST(a_word_that_means_nothing_is_refused)
{
    check_encode(MTC_PUBLISH, 5, "topik=a", "a word of the line means nothing in this packet");
    check_encode(MTC_PUBLISH, 5, "topic=a qos=one", "a number was expected");
    check_encode(MTC_PUBLISH, 5, "topic=$a", "a variable has no value ($$ is a dollar)");
}

TEST(values_have_quotes_escapes_and_repetition)
{
    check_encode(MTC_PUBLISH, 4, "topic=\"a b\" payload=3*x", "30 08 00 03 61 20 62 78 78 78");
    check_encode(MTC_PUBLISH, 4, "topic=$$a payload=\\\"\\\\", "30 06 00 02 24 61 22 5c");
}

TEST(packets_of_a_broker_are_taken_apart)
{
    DECODES(4, "\x20\x02\x01\x00", " session=1 code=0x00");
    DECODES(5, "\x20\x06\x00\x87\x03\x21\x00\x05", " session=0 code=0x87 receive_maximum=5");
    DECODES(4, "\x3b\x06\x00\x01t\x00\x07p", " dup=1 qos=1 retain=1 topic=t id=7 payload=p");
    DECODES(5, "\x30\x0b\x00\x01t\x07\x26\x00\x01k\x00\x01v",
            " dup=0 qos=0 retain=0 topic=t user=k:v payload=");
    DECODES(5, "\x40\x02\x00\x01", " id=1 code=0x00");
    DECODES(5, "\x90\x05\x00\x01\x00\x01\x9e", " id=1 code=0x01 code=0x9e");
    DECODES(4, "\xb0\x02\x00\x09", " id=9");
    DECODES(5, "\xe0\x00", " code=0x00");
}

TEST(a_broker_that_breaks_the_standard_is_caught)
{
    DECODES(4, "\x20\x02\x02\x00", "reserved acknowledge flags are set [MQTT-3.2.2-1]");
    DECODES(4, "\x20\x03\x00\x00\x00", "bytes are left over at its end");
    DECODES(5, "\x20\x02\x00\x00", "it ends inside a field");
    DECODES(5, "\x20\x06\x00\x00\x03\x23\x00\x05", "a property does not belong into this packet");
    DECODES(5, "\x20\x09\x00\x00\x06\x21\x00\x05\x21\x00\x05", "a property comes twice");
    DECODES(5, "\x20\x05\x00\x00\x02\x21\x00", "it ends inside a field");
    DECODES(5, "\x20\x06\x00\x00\x02\x21\x00\x05", "a property is longer than the properties");
    DECODES(4, "\x38\x03\x00\x01t", "DUP with QoS 0 [MQTT-3.3.1-2]");
    DECODES(4, "\x32\x05\x00\x01t\x00\x00", "packet identifier 0 [MQTT-2.2.1-3]");
    DECODES(4, "\xd1\x00", "reserved flags of the fixed header are wrong");
    DECODES(4, "\xe0\x00", "MQTT before 5.0 does not let a server send that");
    DECODES(5, "\xd0\x80\x00", "a variable byte integer is longer than it need be");
    DECODES(5, "\x90\x03\x00\x01\x00", "no reason code");
    DECODES(4, "\x20\x02\x00\x06", "the standard does not have this code in this packet");
    DECODES(4, "\x90\x03\x00\x01\x03", "the standard does not have this code in this packet");
    DECODES(5, "\x40\x03\x00\x01\x92", "the standard does not have this code in this packet");
    DECODES(5, "\x70\x03\x00\x01\x91", "the standard does not have this code in this packet");
    DECODES(5, "\x90\x04\x00\x01\x00\x11", "the standard does not have this code in this packet");
    DECODES(5, "\xb0\x04\x00\x01\x00\x01", "the standard does not have this code in this packet");
    DECODES(5, "\xe0\x01\x04", "the standard does not have this code in this packet");
    DECODES(5, "\xf0\x01\x19", "the standard does not have this code in this packet");
}

TEST(a_packet_is_cut_out_of_the_stream_when_it_is_whole)
{
    CHECK_INT(0, mtc_packet_len(NULL, 0));
    CHECK_INT(0, mtc_packet_len((const uint8_t *)"\x20", 1));
    CHECK_INT(0, mtc_packet_len((const uint8_t *)"\x20\x02\x00", 3));
    CHECK_INT(4, mtc_packet_len((const uint8_t *)"\x20\x02\x00\x00\xd0", 5));
    CHECK_INT(0, mtc_packet_len((const uint8_t *)"\x30\x80", 2));
    CHECK_INT(-1, mtc_packet_len((const uint8_t *)"\x30\xff\xff\xff\xff\x01", 6));
}
