/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer around paho's MQTTAsync: calls that return at once, the library's own reconnects, persistence in
 * files.
 */
#include "interop/peer.h"

#include <MQTTAsync.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static MQTTAsync client;
static MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
static MQTTProperties connect_props = MQTTProperties_initializer;
static MQTTProperties will_props = MQTTProperties_initializer;
static int version;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_connected, was_connected; /* guarded by mutex */
static unsigned answers; /* to connect, subscribe, unsubscribe and disconnect; guarded by mutex */

static void answered(void)
{
    pthread_mutex_lock(&mutex);
    answers++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void wait_answer(void)
{
    static unsigned seen;

    pthread_mutex_lock(&mutex);
    while (answers == seen) pthread_cond_wait(&changed, &mutex);
    seen++;
    pthread_mutex_unlock(&mutex);
}

static void refused(int code)
{
    say("refused rc=%d", code);
    answered();
}

static void set_connected(bool to)
{
    pthread_mutex_lock(&mutex);
    is_connected = to;
    if (to && !was_connected) answers++; /* to the order */
    was_connected = was_connected || to;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void *reconnect(void *unused)
{
    (void)unused;
    while (true) {
        struct timespec until;
        pthread_mutex_lock(&mutex);
        while (!is_connected) {
            /* What was asked for may be lost as well, when one connection ends before the library has said
             * that. */
            pthread_mutex_unlock(&mutex);
            MQTTAsync_reconnect(client);
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_sec += 2;
            pthread_mutex_lock(&mutex);
            if (!is_connected) pthread_cond_timedwait(&changed, &mutex, &until);
        }
        while (is_connected) pthread_cond_wait(&changed, &mutex);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

/* --- callbacks */

static void on_lost(void *context, char *cause)
{
    (void)context;
    (void)cause;
    say("lost");
    set_connected(false);
}

static int on_message(void *context, char *topic, int topic_size, MQTTAsync_message *m)
{
    (void)context;
    (void)topic_size;
    say_message(&(struct heard){ .topic = topic,
                                 .qos = m->qos,
                                 .retained = m->retained,
                                 .dup = m->dup,
                                 .payload = m->payload,
                                 .size = m->payloadlen,
                                 .props = &m->properties });
    MQTTAsync_freeMessage(&m);
    MQTTAsync_free(topic);
    return 1;
}

static void on_delivered(void *context, MQTTAsync_token token)
{
    (void)context;
    say("sent id=%d", token);
}

static void on_connected(void *context, MQTTAsync_successData *data)
{
    (void)context;
    say("connected present=%d", data->alt.connect.sessionPresent);
    set_connected(true);
}

static void on_connected5(void *context, MQTTAsync_successData5 *data)
{
    (void)context;
    say("connected present=%d", data->alt.connect.sessionPresent);
    set_connected(true);
}

static void on_refused(void *context, MQTTAsync_failureData *data)
{
    (void)context;
    refused(data->code);
}

static void on_refused5(void *context, MQTTAsync_failureData5 *data)
{
    (void)context;
    refused(data->reasonCode != 0 ? (int)data->reasonCode : data->code);
}

static void on_connect_failed(void *context, MQTTAsync_failureData *data)
{
    if (!was_connected) on_refused(context, data);
}

static void on_connect_failed5(void *context, MQTTAsync_failureData5 *data)
{
    if (!was_connected) on_refused5(context, data);
}

static void on_subscribed(void *context, MQTTAsync_successData *data)
{
    (void)context;
    say("subscribed qos=%d", data->alt.qos);
    answered();
}

static void on_subscribed5(void *context, MQTTAsync_successData5 *data)
{
    (void)context;
    say("subscribed qos=%d", (int)data->reasonCode);
    answered();
}

static void on_unsubscribed(void *context, MQTTAsync_successData *data)
{
    (void)context;
    (void)data;
    say("unsubscribed rc=0");
    answered();
}

static void on_unsubscribed5(void *context, MQTTAsync_successData5 *data)
{
    (void)context;
    say("unsubscribed rc=%d", (int)data->reasonCode);
    answered();
}

static void on_left(void *context, MQTTAsync_successData *data)
{
    (void)context;
    (void)data;
    answered();
}

static void on_left5(void *context, MQTTAsync_successData5 *data)
{
    (void)context;
    (void)data;
    answered();
}

/* --- orders */

static void set_will(const struct order *o, MQTTAsync_connectOptions *options)
{
    if (order_nth(o, "will", 0) == NULL) return;
    will.topicName = strdup(order_text(o, "will", ""));
    will.payload.data = order_bytes(o, "payload", &will.payload.len);
    will.qos = order_number(o, "qos", 0);
    will.retained = order_number(o, "retain", 0);
    order_will_props(o, &will_props);
    options->will = &will;
    if (version == MQTTVERSION_5) options->willProperties = &will_props;
}

static void set_version(const struct order *o, MQTTAsync_connectOptions *options)
{
    static const MQTTAsync_connectOptions v3 = MQTTAsync_connectOptions_initializer;
    static const MQTTAsync_connectOptions v5 = MQTTAsync_connectOptions_initializer5;

    if (version == MQTTVERSION_5) {
        *options = v5;
        options->cleanstart = order_number(o, "clean", 1);
        order_connect_props(o, &connect_props);
        options->connectProperties = &connect_props;
        options->onSuccess5 = on_connected5;
        options->onFailure5 = on_connect_failed5;
    } else {
        *options = v3;
        options->cleansession = order_number(o, "clean", 1);
        options->onSuccess = on_connected;
        options->onFailure = on_connect_failed;
    }
    options->MQTTVersion = version;
}

static void do_connect(const struct order *o)
{
    MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
    MQTTAsync_connectOptions options;
    pthread_t thread;
    const char *folder = order_nth(o, "folder", 0);

    version = order_number(o, "version", MQTTVERSION_3_1_1);
    create.MQTTVersion = version;
    create.sendWhileDisconnected = 1;
    create.maxBufferedMessages = 100000;
    must(MQTTAsync_createWithOptions(&client, order_text(o, "uri", ""), order_text(o, "id", ""),
                                     folder != NULL ? MQTTCLIENT_PERSISTENCE_DEFAULT
                                                    : MQTTCLIENT_PERSISTENCE_NONE,
                                     (void *)(size_t)folder, &create),
         "create");
    must(MQTTAsync_setCallbacks(client, NULL, on_lost, on_message, on_delivered), "setCallbacks");
    set_version(o, &options);
    set_will(o, &options);
    options.keepAliveInterval = 30;
    options.maxInflight = 10;
    must(MQTTAsync_connect(client, &options), "connect");
    wait_answer();
    must(pthread_create(&thread, NULL, reconnect, NULL), "pthread_create");
}

static MQTTAsync_responseOptions ask(MQTTAsync_onSuccess *done, MQTTAsync_onSuccess5 *done5)
{
    MQTTAsync_responseOptions r = MQTTAsync_responseOptions_initializer;

    if (version == MQTTVERSION_5) {
        r.onSuccess5 = done5;
        r.onFailure5 = on_refused5;
    } else {
        r.onSuccess = done;
        r.onFailure = on_refused;
    }
    return r;
}

static void do_subscribe(const struct order *o)
{
    MQTTAsync_responseOptions r = ask(on_subscribed, on_subscribed5);

    if (version == MQTTVERSION_5) {
        r.subscribeOptions.noLocal = (unsigned char)order_number(o, "nl", 0);
        r.subscribeOptions.retainAsPublished = (unsigned char)order_number(o, "rap", 0);
        r.subscribeOptions.retainHandling = (unsigned char)order_number(o, "rh", 0);
        order_subscribe_props(o, &r.properties);
    }
    must(MQTTAsync_subscribe(client, order_text(o, "filter", ""), order_number(o, "qos", 0), &r),
         "subscribe");
    wait_answer();
    MQTTProperties_free(&r.properties);
}

static void do_unsubscribe(const struct order *o)
{
    MQTTAsync_responseOptions r = ask(on_unsubscribed, on_unsubscribed5);

    must(MQTTAsync_unsubscribe(client, order_text(o, "filter", ""), &r), "unsubscribe");
    wait_answer();
}

static void do_publish(const struct order *o)
{
    MQTTAsync_message m = MQTTAsync_message_initializer;
    MQTTAsync_responseOptions r = ask(NULL, NULL);

    m.payload = order_bytes(o, "payload", &m.payloadlen);
    m.qos = order_number(o, "qos", 0);
    m.retained = order_number(o, "retain", 0);
    if (version == MQTTVERSION_5) order_publish_props(o, &m.properties);
    must(MQTTAsync_sendMessage(client, order_text(o, "topic", ""), &m, &r), "sendMessage");
    say("accepted id=%d", r.token);
    if (m.qos == 0) say("sent id=%d", r.token);
    free(m.payload);
    MQTTProperties_free(&m.properties);
}

static void do_pending(void)
{
    MQTTAsync_token *tokens = NULL;
    int n = 0;

    must(MQTTAsync_getPendingTokens(client, &tokens), "getPendingTokens");
    while (tokens != NULL && tokens[n] >= 0) n++;
    MQTTAsync_free(tokens);
    say("pending n=%d", n);
}

static void do_leave(void)
{
    MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;

    options.timeout = 10000;
    if (version == MQTTVERSION_5)
        options.onSuccess5 = on_left5;
    else
        options.onSuccess = on_left;
    must(MQTTAsync_disconnect(client, &options), "disconnect");
    wait_answer();
    say("left");
}

int main(void)
{
    struct order o = { 0 };

    while (order_read(&o)) {
        if (order_is(&o, "connect"))
            do_connect(&o);
        else if (order_is(&o, "subscribe"))
            do_subscribe(&o);
        else if (order_is(&o, "unsubscribe"))
            do_unsubscribe(&o);
        else if (order_is(&o, "publish"))
            do_publish(&o);
        else if (order_is(&o, "pending"))
            do_pending();
        else if (order_is(&o, "leave"))
            do_leave();
        else
            must(1, o.words[0]);
    }
    order_free(&o);
    return 0;
}
