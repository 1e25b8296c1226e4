/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer around paho's MQTTClient: calls that wait, callbacks, persistence in files.
 *
 * MQTTClient does not reconnect by itself: a thread does it, as an application would. Orders are carried out
 * by main's thread; one that finds no connection waits for the next.
 */
#include "interop/peer.h"

#include <MQTTClient.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static MQTTClient client;
static MQTTClient_connectOptions options;
static MQTTClient_willOptions will = MQTTClient_willOptions_initializer;
static MQTTProperties connect_props = MQTTProperties_initializer;
static MQTTProperties will_props = MQTTProperties_initializer;
static int version;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static enum state { NEW, CONNECTED, LOST, LEFT } state; /* guarded by mutex */
static unsigned losses;                                 /* the same */

static void set_state(enum state to)
{
    pthread_mutex_lock(&mutex);
    state = to;
    losses += to == LOST;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

/* Unless it was lost again, which may be known before a connect has returned. */
static void set_connected(unsigned losses_before)
{
    pthread_mutex_lock(&mutex);
    if (losses == losses_before) state = CONNECTED;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static unsigned losses_now(void)
{
    pthread_mutex_lock(&mutex);
    unsigned now = losses;
    pthread_mutex_unlock(&mutex);
    return now;
}

static void wait_for(enum state what)
{
    pthread_mutex_lock(&mutex);
    while (state != what) pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

/* --- callbacks */

static void on_lost(void *context, char *cause)
{
    (void)context;
    (void)cause;
    say("lost");
    set_state(LOST);
}

static int on_message(void *context, char *topic, int topic_size, MQTTClient_message *m)
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
    MQTTClient_freeMessage(&m);
    MQTTClient_free(topic);
    return 1;
}

static void on_delivered(void *context, MQTTClient_deliveryToken token)
{
    (void)context;
    say("sent id=%d", token);
}

/* For version 5 this is called instead. */
static void on_published(void *context, int token, int type, MQTTProperties *props, enum MQTTReasonCodes rc)
{
    (void)context;
    (void)type;
    (void)props;
    say("sent id=%d rc=%d", token, (int)rc);
}

/* --- connections */

static int try_connect(void)
{
    unsigned before = losses_now();
    int rc = 0, present = 0;

    if (version == MQTTVERSION_5) {
        MQTTResponse r =
            MQTTClient_connect5(client, &options, &connect_props, state == NEW ? &will_props : NULL);
        rc = (int)r.reasonCode;
        present = -1; /* which the library does not say */
        MQTTResponse_free(r);
    } else {
        rc = MQTTClient_connect(client, &options);
        present = options.returned.sessionPresent;
    }
    if (rc == 0) {
        say("connected present=%d", present);
        set_connected(before);
    }
    return rc;
}

static void *reconnect(void *unused)
{
    (void)unused;
    while (true) {
        wait_for(LOST);
        options.cleansession = 0; /* only the first connection begins anew */
        options.cleanstart = 0;
        if (try_connect() != 0) nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    }
    return NULL;
}

static void set_options(const struct order *o)
{
    static const MQTTClient_connectOptions v3 = MQTTClient_connectOptions_initializer;
    static const MQTTClient_connectOptions v5 = MQTTClient_connectOptions_initializer5;

    options = version == MQTTVERSION_5 ? v5 : v3;
    options.MQTTVersion = version;
    options.keepAliveInterval = 30;
    options.reliable = 0;
    options.maxInflightMessages = 10;
    if (version == MQTTVERSION_5)
        options.cleanstart = order_number(o, "clean", 1);
    else
        options.cleansession = order_number(o, "clean", 1);
    order_connect_props(o, &connect_props);
    if (order_nth(o, "will", 0) == NULL) return;
    will.topicName = strdup(order_text(o, "will", ""));
    will.payload.data = order_bytes(o, "payload", &will.payload.len);
    will.qos = order_number(o, "qos", 0);
    will.retained = order_number(o, "retain", 0);
    order_will_props(o, &will_props);
    options.will = &will;
}

static void do_connect(const struct order *o)
{
    MQTTClient_createOptions create = MQTTClient_createOptions_initializer;
    const char *folder = order_nth(o, "folder", 0);
    pthread_t thread;

    version = order_number(o, "version", MQTTVERSION_3_1_1);
    create.MQTTVersion = version;
    must(MQTTClient_createWithOptions(&client, order_text(o, "uri", ""), order_text(o, "id", ""),
                                      folder != NULL ? MQTTCLIENT_PERSISTENCE_DEFAULT
                                                     : MQTTCLIENT_PERSISTENCE_NONE,
                                      (void *)(size_t)folder, &create),
         "create");
    must(MQTTClient_setCallbacks(client, NULL, on_lost, on_message,
                                 version == MQTTVERSION_5 ? NULL : on_delivered),
         "setCallbacks");
    if (version == MQTTVERSION_5) must(MQTTClient_setPublished(client, NULL, on_published), "setPublished");
    set_options(o);
    while (true) {
        int rc = try_connect();
        if (rc == 0) break;
        if (rc > 0) { /* the broker's own word; else the connection was lost */
            say("refused rc=%d", rc);
            return;
        }
    }
    must(pthread_create(&thread, NULL, reconnect, NULL), "pthread_create");
}

/* --- orders */

static void do_subscribe(const struct order *o)
{
    const char *filter = order_text(o, "filter", "");
    MQTTProperties props = MQTTProperties_initializer;
    MQTTSubscribe_options sub = MQTTSubscribe_options_initializer;
    int rc = order_number(o, "qos", 0);

    if (version == MQTTVERSION_5) {
        sub.noLocal = (unsigned char)order_number(o, "nl", 0);
        sub.retainAsPublished = (unsigned char)order_number(o, "rap", 0);
        sub.retainHandling = (unsigned char)order_number(o, "rh", 0);
        order_subscribe_props(o, &props);
        MQTTResponse r = MQTTClient_subscribe5(client, filter, rc, &sub, &props);
        rc = (int)r.reasonCode;
        MQTTResponse_free(r);
        MQTTProperties_free(&props);
    } else {
        /* 0: as it was asked for; else the only positive word is 0x80. */
        int said = MQTTClient_subscribe(client, filter, rc);
        if (said != 0) rc = said;
    }
    say("subscribed qos=%d", rc);
}

static void do_unsubscribe(const struct order *o)
{
    const char *filter = order_text(o, "filter", "");

    if (version == MQTTVERSION_5) {
        MQTTResponse r = MQTTClient_unsubscribe5(client, filter, NULL);
        say("unsubscribed rc=%d", (int)r.reasonCode);
        MQTTResponse_free(r);
    } else {
        say("unsubscribed rc=%d", MQTTClient_unsubscribe(client, filter));
    }
}

static void do_publish(const struct order *o)
{
    MQTTClient_message m = MQTTClient_message_initializer;
    MQTTClient_deliveryToken token = 0;
    int rc = MQTTCLIENT_DISCONNECTED;

    /* Without a connection nothing is taken; with one that breaks meanwhile it is, and sent again by the
     * library. */
    m.payload = order_bytes(o, "payload", &m.payloadlen);
    m.qos = order_number(o, "qos", 0);
    m.retained = order_number(o, "retain", 0);
    if (version == MQTTVERSION_5) order_publish_props(o, &m.properties);
    while (rc == MQTTCLIENT_DISCONNECTED || (rc == MQTTCLIENT_FAILURE && m.qos > 0)) {
        wait_for(CONNECTED);
        if (version == MQTTVERSION_5) {
            MQTTResponse r = MQTTClient_publishMessage5(client, order_text(o, "topic", ""), &m, &token);
            rc = (int)r.reasonCode;
            MQTTResponse_free(r);
        } else {
            rc = MQTTClient_publishMessage(client, order_text(o, "topic", ""), &m, &token);
        }
        if (rc != 0) nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
    }
    must(rc, "publish");
    say("accepted id=%d", token);
    if (m.qos == 0) say("sent id=%d", token);
    free(m.payload);
    MQTTProperties_free(&m.properties);
}

static void do_pending(void)
{
    MQTTClient_deliveryToken *tokens = NULL;
    int n = 0;

    must(MQTTClient_getPendingDeliveryTokens(client, &tokens), "getPendingDeliveryTokens");
    while (tokens != NULL && tokens[n] >= 0) n++;
    MQTTClient_free(tokens);
    say("pending n=%d", n);
}

static void do_leave(void)
{
    set_state(LEFT);
    MQTTClient_disconnect(client, 10000);
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
