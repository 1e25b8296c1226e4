#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A peer around paho's client for Python; what it understands is said in peers.py."""
import sys
import threading

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

NAMES = {"ct": "ContentType", "rt": "ResponseTopic", "cd": "CorrelationData", "mei": "MessageExpiryInterval",
         "pfi": "PayloadFormatIndicator", "alias": "TopicAlias", "sid": "SubscriptionIdentifier",
         "expiry": "SessionExpiryInterval", "rm": "ReceiveMaximum", "delay": "WillDelayInterval",
         "up": "UserProperty"}
lock = threading.Lock()


def say(line):
    with lock:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def properties(kind, words, keys):
    props = Properties(kind)
    for key, value in words:
        if key not in keys:
            continue
        if key == "up":
            props.UserProperty = tuple(value.split(":", 1))
        elif key == "cd":
            props.CorrelationData = bytes.fromhex(value)
        else:
            setattr(props, NAMES[key], value if key in ("ct", "rt") else int(value))
    return props


def shown(props):
    out = ""
    for key, name in NAMES.items():
        value = getattr(props, name, None)
        if value is None:
            continue
        for v in value if isinstance(value, list) else [value]:
            out += f" {key}={v.hex() if key == 'cd' else ':'.join(v) if key == 'up' else v}"
    return out


class Peer:
    def __init__(self):
        self.client, self.version, self.answers = None, 4, threading.Semaphore(0)

    def connect(self, o, words):
        self.version = int(o.get("version", 4))
        clean = bool(int(o.get("clean", 1)))
        more = {} if self.version == 5 else {"clean_session": clean}
        scheme, host, port = o["uri"].replace("//", "").split(":")
        transport = "tcp" if scheme == "tcp" else "websockets"
        c = self.client = paho.Client(o["id"], protocol=self.version, transport=transport, **more)
        if "ca" in o:
            c.tls_set(o["ca"])
        c.max_queued_messages_set(0)
        c.max_inflight_messages_set(10)
        c.reconnect_delay_set(0.01, 0.01)
        c.on_connect, c.on_disconnect = self.on_connect, lambda *_: say("lost")
        c.on_message = self.on_message
        c.on_publish = lambda c, u, mid: say(f"sent id={mid}")
        c.on_subscribe = self.on_subscribe
        c.on_unsubscribe = self.on_unsubscribe
        if "will" in o:
            will = {"properties": properties(PacketTypes.WILLMESSAGE, words, ("delay",))} if self.version == 5 else {}
            c.will_set(o["will"], bytes.fromhex(o["payload"]), int(o["qos"]), bool(int(o["retain"])), **will)
        options = {}
        if self.version == 5:
            # Only the first connection begins anew.
            options = {"clean_start": paho.MQTT_CLEAN_START_FIRST_ONLY if clean else False,
                       "properties": properties(PacketTypes.CONNECT, words, ("expiry", "rm"))}
        while True:  # a connection that was cut before CONNACK
            try:
                c.connect(host, int(port), 30, **options)
                break
            except OSError:
                pass
        c.loop_start()
        self.answers.acquire()

    def on_connect(self, client, user, flags, rc, *_):
        code = getattr(rc, "value", rc)
        say(f"connected present={flags['session present']}" if code == 0 else f"refused rc={code}")
        self.answers.release()
        self.on_connect = None
        client.on_connect = lambda c, u, f, rc, *_: say(f"connected present={f['session present']}")

    def on_message(self, client, user, m):
        props = shown(m.properties) if self.version == 5 else ""
        say(f"message topic={m.topic} qos={m.qos} retain={int(m.retain)} dup={int(m.dup)} "
            f"payload={m.payload.hex()}{props}")

    def on_subscribe(self, client, user, mid, granted, *_):
        say(f"subscribed qos={getattr(granted[0], 'value', granted[0])}")
        self.answers.release()

    def on_unsubscribe(self, client, user, mid, *more):
        codes = more[1] if len(more) > 1 else 0
        code = codes[0] if isinstance(codes, list) else codes
        say(f"unsubscribed rc={getattr(code, 'value', code)}")
        self.answers.release()

    def subscribe(self, o, words):
        if self.version == 5:
            how = SubscribeOptions(int(o["qos"]), bool(int(o.get("nl", 0))), bool(int(o.get("rap", 0))),
                                   int(o.get("rh", 0)))
            self.client.subscribe(o["filter"], options=how,
                                  properties=properties(PacketTypes.SUBSCRIBE, words, ("sid",)))
        else:
            self.client.subscribe(o["filter"], int(o["qos"]))
        self.answers.acquire()

    def unsubscribe(self, o, words):
        self.client.unsubscribe(o["filter"])
        self.answers.acquire()

    def publish(self, o, words):
        more = {}
        if self.version == 5:
            more["properties"] = properties(PacketTypes.PUBLISH, words, ("ct", "rt", "cd", "mei", "pfi", "alias", "up"))
        info = self.client.publish(o["topic"], bytes.fromhex(o["payload"]), int(o["qos"]),
                                   bool(int(o.get("retain", 0))), **more)
        say(f"accepted id={info.mid}")

    def leave(self, o, words):
        self.client.on_disconnect = None
        self.client.disconnect()
        self.client.loop_stop()
        say("left")


def main():
    peer = Peer()
    for line in sys.stdin:
        verb, *rest = line.rstrip("\n").split(" ")
        words = [tuple(w.split("=", 1)) for w in rest]
        getattr(peer, verb)(dict(words), words)


main()
