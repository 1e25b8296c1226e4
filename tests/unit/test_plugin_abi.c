/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "plugin/abi5_int.h"
#include <stdlib.h>
#include <string.h>

/* --- properties */

static void free_bytes(struct bytes *b)
{
    free((void *)(uintptr_t)b->at);
    *b = (struct bytes){ 0 };
}

/* Every property that a PUBLISH may have, user properties twice. */
static const uint8_t whole[] = "\x01\x01"
                               "\x02\x00\x00\x01\x00"
                               "\x03\x00\x04text"
                               "\x08\x00\x03r/t"
                               "\x09\x00\x03"
                               "a\0b"
                               "\x0b\x81\x01"
                               "\x23\x00\x05"
                               "\x26\x00\x01k\x00\x01v"
                               "\x26\x00\x01k\x00\x00";
static const struct bytes whole_block = { whole, sizeof whole - 1 };

/* What is a plugin's of them. */
static const uint8_t shown[] = "\x01\x01"
                               "\x03\x00\x04text"
                               "\x08\x00\x03r/t"
                               "\x09\x00\x03"
                               "a\0b"
                               "\x26\x00\x01k\x00\x01v"
                               "\x26\x00\x01k\x00\x00";

TEST(a_plugin_sees_properties_but_those_of_a_connection_and_the_expiry)
{
    mosquitto_property *list;
    struct bytes block;
    unsigned left_out;
    CHECK_INT(ERR_OK, plugin_properties_read(&list, whole_block));
    CHECK_INT(ERR_OK, plugin_properties_write(&block, list, &left_out));
    CHECK_INT(0, left_out);
    CHECK_TRUE(bytes_equal(bytes_of(shown, sizeof shown - 1), block));
    CHECK_TRUE(plugin_properties_same(list, whole_block));
    free_bytes(&block);
    mosquitto_property_free_all(&list);
}

TEST(a_block_cut_inside_a_property_is_none)
{
    size_t whole_ones = 0;
    for (size_t n = 0; n < whole_block.len; n++) {
        uint8_t *exact = malloc(n > 0 ? n : 1);
        memcpy(exact, whole, n);
        mosquitto_property *list;
        enum err rc = plugin_properties_read(&list, bytes_of(exact, n));
        if (rc == ERR_OK) whole_ones++;
        if (rc != ERR_OK) CHECK_TRUE(list == NULL);
        mosquitto_property_free_all(&list);
        free(exact);
    }
    CHECK_INT(9, whole_ones); /* 0 to 8 properties of the nine */
}

TEST(a_changed_list_keeps_the_expiry_that_a_plugin_does_not_see)
{
    mosquitto_property *list;
    struct bytes block;
    unsigned left_out;
    static const uint8_t want[] = "\x26\x00\x01k\x00\x01v"
                                  "\x02\x00\x00\x01\x00";
    CHECK_INT(ERR_OK, plugin_properties_read(&list, (struct bytes){ 0 }));
    CHECK_TRUE(list == NULL);
    mosquitto_property_add_string_pair(&list, 0x26, "k", "v");
    CHECK_TRUE(!plugin_properties_same(list, whole_block));
    CHECK_INT(ERR_OK, plugin_properties_change(&block, list, whole_block, &left_out));
    CHECK_TRUE(bytes_equal(bytes_of(want, sizeof want - 1), block));
    free_bytes(&block);

    mosquitto_property_add_int32(&list, 0x02, 7); /* its own one counts */
    CHECK_INT(ERR_OK, plugin_properties_change(&block, list, whole_block, &left_out));
    CHECK_INT(7 + 5, block.len);
    CHECK_INT(7, block.at[11]);
    free_bytes(&block);
    mosquitto_property_free_all(&list);
}

TEST(what_a_publish_may_not_have_is_left_out_and_counted)
{
    mosquitto_property *list = NULL;
    struct bytes block;
    unsigned left_out;
    mosquitto_property_add_string(&list, 0x1f, "a reason");
    mosquitto_property_add_string(&list, 0x03, "one");
    mosquitto_property_add_string(&list, 0x03, "two");
    mosquitto_property_add_byte(&list, 0x01, 2);
    CHECK_INT(ERR_OK, plugin_properties_write(&block, list, &left_out));
    CHECK_INT(3, left_out);
    CHECK_TRUE(bytes_equal(bytes_of("\x03\x00\x03one", 6), block));
    free_bytes(&block);
    mosquitto_property_free_all(&list);
}

/* --- events */

static struct plugin *new_plugin(void)
{
    struct plugin *p = calloc(1, sizeof *p);
    lock_init(&p->lock, LOCK_RANK_PLUGIN);
    return p;
}

static void free_plugin(struct plugin *p)
{
    lock_fini(&p->lock);
    free(p);
}

static void end_step(struct plugin_step *s)
{
    plugin_event_end(s);
    free(s->result.reason);
    free_bytes(&s->result.answer);
    for (size_t i = 0; i < 3; i++) free_bytes(&s->result.changed[i]);
}

static struct plugin_step message(struct plugin *p)
{
    return (struct plugin_step){ .plugin = p,
                                 .event = MOSQ_EVT_MESSAGE,
                                 .topic = bytes_of_text("a/topic"),
                                 .payload = bytes_of_text("payload"),
                                 .qos = 1 };
}

TEST(what_a_result_means_depends_on_the_event)
{
    static const struct {
        int event, rc;
        enum hook_verdict verdict;
        uint8_t code;
        bool is_over;
    } rows[] = {
        { MOSQ_EVT_ACL_CHECK, MOSQ_ERR_SUCCESS, HOOK_ALLOW, 0, true },
        { MOSQ_EVT_ACL_CHECK, MOSQ_ERR_ACL_DENIED, HOOK_DENY, 0, true },
        { MOSQ_EVT_ACL_CHECK, MOSQ_ERR_PLUGIN_DEFER, HOOK_DEFER, 0, false },
        { MOSQ_EVT_ACL_CHECK, MOSQ_ERR_UNKNOWN, HOOK_DENY, 0, true },
        { MOSQ_EVT_ACL_CHECK, 99, HOOK_DENY, 0, true },
        { MOSQ_EVT_ACL_CHECK, -1, HOOK_DENY, 0, true },
        { MOSQ_EVT_BASIC_AUTH, MOSQ_ERR_SUCCESS, HOOK_ALLOW, 0, true },
        { MOSQ_EVT_BASIC_AUTH, MOSQ_ERR_AUTH, HOOK_DENY, 0, true },
        { MOSQ_EVT_BASIC_AUTH, MOSQ_ERR_PLUGIN_DEFER, HOOK_DEFER, 0, false },
        { MOSQ_EVT_BASIC_AUTH, MOSQ_ERR_AUTH_CONTINUE, HOOK_DENY, 0, true },
        { MOSQ_EVT_EXT_AUTH_START, MOSQ_ERR_AUTH_CONTINUE, HOOK_MORE, 0, true },
        { MOSQ_EVT_EXT_AUTH_START, MOSQ_ERR_NOT_SUPPORTED, HOOK_DENY, 0x8c, true },
        { MOSQ_EVT_EXT_AUTH_CONTINUE, MOSQ_ERR_AUTH, HOOK_DENY, 0, true },
        { MOSQ_EVT_EXT_AUTH_CONTINUE, MOSQ_ERR_PLUGIN_DEFER, HOOK_DEFER, 0, false },
        { MOSQ_EVT_CONTROL, MOSQ_ERR_SUCCESS, HOOK_ALLOW, 0, true },
        { MOSQ_EVT_CONTROL, MOSQ_ERR_PLUGIN_DEFER, HOOK_END, 0, true },
        { MOSQ_EVT_MESSAGE, MOSQ_ERR_SUCCESS, HOOK_DEFER, 0, false },
        { MOSQ_EVT_MESSAGE, MOSQ_ERR_ACL_DENIED, HOOK_DENY, 0, true },
        { MOSQ_EVT_MESSAGE, -6, HOOK_DENY, 0x97, true },
        { MOSQ_EVT_MESSAGE, MOSQ_ERR_PLUGIN_DEFER, HOOK_END, 0, true },
        { MOSQ_EVT_PSK_KEY, MOSQ_ERR_SUCCESS, HOOK_ALLOW, 0, true },
        { MOSQ_EVT_PSK_KEY, MOSQ_ERR_PLUGIN_DEFER, HOOK_DEFER, 0, false },
        { MOSQ_EVT_PSK_KEY, MOSQ_ERR_NOMEM, HOOK_DENY, 0, true },
        { MOSQ_EVT_DISCONNECT, MOSQ_ERR_NOMEM, HOOK_DEFER, 0, false },
    };
    struct plugin *p = new_plugin();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct plugin_step s = message(p);
        s.event = rows[i].event;
        CHECK_TRUE(plugin_event_make(&s));
        CHECK_INT(rows[i].is_over, plugin_event_take(&s, rows[i].rc));
        CHECK_INT(rows[i].verdict, s.result.verdict);
        CHECK_INT(rows[i].code, s.result.code);
        end_step(&s);
    }
    free_plugin(p);
}

TEST(a_message_that_no_callback_changes_is_the_same)
{
    struct plugin *p = new_plugin();
    struct plugin_step s = message(p);
    s.block = whole_block;
    CHECK_TRUE(plugin_event_make(&s));
    assert_string_equal("a/topic", s.event_data.message.topic);
    CHECK_INT(7, s.event_data.message.payloadlen);
    CHECK_TRUE(!plugin_event_take(&s, MOSQ_ERR_SUCCESS));
    CHECK_TRUE(!s.result.has[0] && !s.result.has[1] && !s.result.has[2] && !s.result.retain);
    end_step(&s);
    free_plugin(p);
}

TEST(what_callbacks_change_one_after_the_other_is_the_result)
{
    struct plugin *p = new_plugin();
    struct plugin_step s = message(p);
    CHECK_TRUE(plugin_event_make(&s));
    struct mosquitto_evt_message *e = &s.event_data.message;
    e->topic = strdup("first");
    e->payload = strdup("x");
    e->payloadlen = 1;
    e->retain = true;
    CHECK_TRUE(!plugin_event_take(&s, MOSQ_ERR_SUCCESS));
    e->topic = strdup("second");
    e->payload = NULL;
    mosquitto_property_add_string(&e->properties, 0x03, "type");
    CHECK_TRUE(!plugin_event_take(&s, MOSQ_ERR_SUCCESS));
    CHECK_TRUE(s.result.has[0] && bytes_equal(bytes_of_text("second"), s.result.changed[0]));
    CHECK_TRUE(s.result.has[1] && s.result.changed[1].len == 0);
    CHECK_TRUE(s.result.has[2] && bytes_equal(bytes_of("\x03\x00\x04type", 7), s.result.changed[2]));
    CHECK_TRUE(s.result.retain);
    end_step(&s);
    free_plugin(p);
}

TEST(a_message_with_a_topic_that_is_none_is_refused)
{
    static const char *const bad[] = { "", "a/+", "#", "\xff", NULL };
    struct plugin *p = new_plugin();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct plugin_step s = message(p);
        CHECK_TRUE(plugin_event_make(&s));
        s.event_data.message.topic = bad[i] == NULL ? NULL : strdup(bad[i]);
        CHECK_TRUE(plugin_event_take(&s, MOSQ_ERR_SUCCESS));
        CHECK_INT(HOOK_DENY, s.result.verdict);
        CHECK_INT(0x90, s.result.code);
        end_step(&s);
    }
    free_plugin(p);
}

TEST(a_payload_of_an_impossible_length_is_never_read)
{
    struct plugin *p = new_plugin();
    struct plugin_step s = message(p);
    CHECK_TRUE(plugin_event_make(&s));
    s.event_data.message.payloadlen = 8; /* one more than there is */
    CHECK_TRUE(!plugin_event_take(&s, MOSQ_ERR_SUCCESS));
    CHECK_INT(7, s.event_data.message.payloadlen);
    CHECK_TRUE(!s.result.has[1]);
    s.event_data.message.payload = strdup("x");
    s.event_data.message.payloadlen = (uint32_t)-1;
    CHECK_TRUE(plugin_event_take(&s, MOSQ_ERR_SUCCESS));
    CHECK_INT(HOOK_DENY, s.result.verdict);
    CHECK_INT(0x83, s.result.code);
    end_step(&s);
    free_plugin(p);
}

TEST(a_callback_may_shorten_a_payload_where_it_is)
{
    struct plugin *p = new_plugin();
    struct plugin_step s = message(p);
    CHECK_TRUE(plugin_event_make(&s));
    memcpy(s.event_data.message.payload, "cut", 3);
    s.event_data.message.payloadlen = 3;
    CHECK_TRUE(!plugin_event_take(&s, MOSQ_ERR_SUCCESS));
    CHECK_TRUE(s.result.has[1] && bytes_equal(bytes_of_text("cut"), s.result.changed[1]));
    end_step(&s);
    free_plugin(p);
}

TEST(a_denial_takes_its_code_and_text_along)
{
    struct plugin *p = new_plugin();
    struct plugin_step s = message(p);
    CHECK_TRUE(plugin_event_make(&s));
    s.event_data.message.reason_code = 0x99;
    s.event_data.message.reason_string = strdup("because");
    CHECK_TRUE(plugin_event_take(&s, MOSQ_ERR_ACL_DENIED));
    CHECK_INT(0x99, s.result.code);
    assert_string_equal("because", s.result.reason);
    end_step(&s);
    free_plugin(p);
}

TEST(an_answer_counts_only_with_a_verdict_that_has_one)
{
    struct plugin *p = new_plugin();
    struct plugin_step s = { .plugin = p, .event = MOSQ_EVT_EXT_AUTH_START, .method = "M" };
    CHECK_TRUE(plugin_event_make(&s));
    CHECK_TRUE(s.event_data.extended_auth.data_in == NULL);
    s.event_data.extended_auth.data_out = strdup("no");
    s.event_data.extended_auth.data_out_len = 2;
    CHECK_TRUE(!plugin_event_take(&s, MOSQ_ERR_PLUGIN_DEFER));
    CHECK_TRUE(s.result.answer.at == NULL && s.event_data.extended_auth.data_out == NULL);
    s.event_data.extended_auth.data_out = strdup("yes");
    s.event_data.extended_auth.data_out_len = 3;
    CHECK_TRUE(plugin_event_take(&s, MOSQ_ERR_AUTH_CONTINUE));
    CHECK_TRUE(bytes_equal(bytes_of_text("yes"), s.result.answer));
    end_step(&s);
    free_plugin(p);
}

TEST(what_is_empty_in_a_login_is_not_there_for_a_plugin)
{
    struct plugin *p = new_plugin();
    struct plugin_step s = { .plugin = p, .event = MOSQ_EVT_BASIC_AUTH, .username = "", .password = "x" };
    CHECK_TRUE(plugin_event_make(&s));
    CHECK_TRUE(s.event_data.basic_auth.username == NULL);
    assert_string_equal("x", s.event_data.basic_auth.password);
    end_step(&s);
    free_plugin(p);
}

TEST(a_key_counts_only_with_success)
{
    struct plugin *p = new_plugin();
    struct plugin_step s = { .plugin = p, .event = MOSQ_EVT_PSK_KEY, .identity = "me" };
    CHECK_TRUE(plugin_event_make(&s));
    memset(s.event_data.psk_key.key, 'a', (size_t)s.event_data.psk_key.max_key_len);
    CHECK_TRUE(plugin_event_take(&s, MOSQ_ERR_AUTH));
    CHECK_INT(0, s.result.key[0]);
    memset(s.event_data.psk_key.key, 'a', (size_t)s.event_data.psk_key.max_key_len);
    CHECK_TRUE(plugin_event_take(&s, MOSQ_ERR_SUCCESS));
    CHECK_INT(511, strlen(s.result.key));
    end_step(&s);
    free_plugin(p);
}

/* --- functions that may be called whatever happens */

TEST(nobody_is_answered_as_mosquitto_answers_null)
{
    int other = 0;
    const void *nobodies[] = { NULL, &other };
    for (size_t i = 0; i < 2; i++) {
        const struct mosquitto *c = nobodies[i];
        CHECK_TRUE(mosquitto_client_id(c) == NULL && mosquitto_client_username(c) == NULL);
        CHECK_TRUE(mosquitto_client_address(c) == NULL && mosquitto_client_certificate(c) == NULL);
        CHECK_TRUE(mosquitto_client_clean_session(c));
        CHECK_INT(-1, mosquitto_client_keepalive(c));
        CHECK_INT(mp_mqtt, mosquitto_client_protocol(c));
        CHECK_INT(0, mosquitto_client_protocol_version(c));
        CHECK_INT(0, mosquitto_client_sub_count(c));
        CHECK_INT(MOSQ_ERR_INVAL, mosquitto_set_username((void *)(uintptr_t)c, "x"));
    }
}

TEST(without_a_broker_nothing_is_done)
{
    CHECK_INT(MOSQ_ERR_NO_CONN, mosquitto_broker_publish_copy(NULL, "t", 0, NULL, 0, false, NULL));
    CHECK_INT(MOSQ_ERR_NO_CONN, mosquitto_kick_client_by_username(NULL, false));
    CHECK_INT(MOSQ_ERR_INVAL, mosquitto_callback_register(NULL, MOSQ_EVT_TICK, NULL, NULL, NULL));
    mosquitto_log_printf(MOSQ_LOG_ERR, "nobody hears %d", 1);
    CHECK_TRUE(mosquitto_strdup(NULL) == NULL);
}

TEST(a_message_that_is_none_is_not_published)
{
    mosquitto_property *list = NULL;
    mosquitto_property_add_string(&list, 0x1f, "a reason");
    static const char *const bad[] = { NULL, "", "t/+", "#", "\xff" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_INT(MOSQ_ERR_INVAL, mosquitto_broker_publish(NULL, bad[i], 0, NULL, 0, false, NULL));
    CHECK_INT(MOSQ_ERR_INVAL, mosquitto_broker_publish(NULL, "t", -1, NULL, 0, false, NULL));
    CHECK_INT(MOSQ_ERR_INVAL, mosquitto_broker_publish(NULL, "t", 1, NULL, 0, false, NULL));
    CHECK_INT(MOSQ_ERR_INVAL, mosquitto_broker_publish(NULL, "t", 0, NULL, 3, false, NULL));
    CHECK_INT(MOSQ_ERR_INVAL, mosquitto_broker_publish(NULL, "t", 0, NULL, -1, false, NULL));
    CHECK_INT(MOSQ_ERR_INVAL, mosquitto_broker_publish(NULL, "t", 0, NULL, 0, false, list));
    mosquitto_property_free_all(&list); /* still ours */
}
