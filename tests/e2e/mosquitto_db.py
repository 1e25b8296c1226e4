# SPDX-License-Identifier: Apache-2.0
"""A mosquitto that keeps its state in a file, and such files made by hand."""
import os
import struct

import kit
import mosquitto_kit

FOREVER = 0xFFFFFFFF


class Mosquitto(mosquitto_kit.Mosquitto):
    """Ready once it is made. save() ends it; then the file is complete."""

    def __init__(self, conf=""):
        super().__init__()
        self.conf = (f"allow_anonymous true\npersistence true\npersistence_location {self.dir}/\n"
                     f"max_queued_messages 0\n{conf}")
        self.file = os.path.join(self.dir, "mosquitto.db")
        self.ready()

    def save(self):
        self.end()
        return self.file


def head(version=6):
    return b"\0\xb5\0mosquitto db" + struct.pack(">II", 0, version)


def chunk(kind, body):
    return struct.pack(">II", kind, len(body)) + body


def config(clean_end=True, id_bytes=8):
    return chunk(1, struct.pack("=QBB6x", 100, clean_end, id_bytes))


def message(number, topic, payload, qos=1, retain=False, expires=0, source="", username="", props=b""):
    """props: without their length."""
    topic, payload = (x if isinstance(x, bytes) else x.encode() for x in (topic, payload))
    fixed = struct.pack("=Qq", number, expires) + struct.pack(
        ">IHHHHHBB", len(payload), 0, len(source), len(username), len(topic), 1883, qos, retain)
    tail = kit.var_int(len(props)) + props if props else b""
    return chunk(2, fixed + source.encode() + username.encode() + topic + payload + tail)


QUEUED, WAITS_FOR_PUBACK, WAITS_FOR_PUBREC, RESEND_PUBREL, WAITS_FOR_PUBREL, WAITS_FOR_PUBCOMP = 11, 3, 5, 6, 7, 9


def entry(client, number, qos=1, state=QUEUED, packet_id=0, retain=False, dup=False, out=True):
    fixed = struct.pack("=Q", number) + struct.pack(
        ">HHBBBB", packet_id, len(client), qos, state, retain << 4 | dup, out)
    return chunk(3, fixed + client.encode())


def retain(number):
    return chunk(4, struct.pack("=Q", number))


def subscription(client, topic_filter, options=1, number=0):
    fixed = struct.pack(">IHHBBH", number, len(client), len(topic_filter), options & 3, options & ~3, 0)
    return chunk(5, fixed + client.encode() + topic_filter.encode())


def client(name, interval=FOREVER, expires=0, username="", version=6):
    fixed = struct.pack("=q", expires) + struct.pack(">IHH", interval, 7, len(name))
    if version >= 6:
        fixed += struct.pack(">HHI", 1883, len(username), 0)
    return chunk(6, fixed + name.encode() + username.encode())


def write(path, *chunks, version=6):
    with open(path, "wb") as f:
        f.write(head(version) + b"".join(chunks))
    return path
