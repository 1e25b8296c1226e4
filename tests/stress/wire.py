# SPDX-License-Identifier: Apache-2.0
"""MQTT 3.1.1 and 5.0 as far as the stress needs it. Shares nothing with the broker or the scenario runner."""
import struct

V311, V5 = 4, 5
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 8, 9
UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 10, 11, 12, 13, 14
TAKEN_OVER = 0x8E

EXPIRY_PROPERTY, RECEIVE_MAX_PROPERTY = 0x11, 0x21
PINGREQ_PACKET = b"\xc0\x00"


class Malformed(Exception):
    """What the broker sent is not MQTT."""


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def text(b):
    return struct.pack(">H", len(b)) + b


def packet(first, body):
    return bytes([first]) + varint(len(body)) + body


def connect(version, client_id, clean, expiry_s=0, receive_max=0, will=None):
    """will: topic and payload, QoS 1, published at once."""
    flags = (2 if clean else 0) | (4 | 1 << 3 if will else 0)
    body = text(b"MQTT") + bytes([version, flags]) + struct.pack(">H", 0)
    if version == V5:
        props = b""
        if expiry_s:
            props += struct.pack(">BI", EXPIRY_PROPERTY, expiry_s)
        if receive_max:
            props += struct.pack(">BH", RECEIVE_MAX_PROPERTY, receive_max)
        body += varint(len(props)) + props
    body += text(client_id)
    if will:
        body += (b"\x00" if version == V5 else b"") + text(will[0]) + text(will[1])
    return packet(CONNECT << 4, body)


def publish(version, topic, payload, packet_id, retain):
    body = text(topic) + struct.pack(">H", packet_id) + (b"\x00" if version == V5 else b"") + payload
    return packet(PUBLISH << 4 | 2 | retain, body)


def puback(packet_id):
    return struct.pack(">BBH", PUBACK << 4, 2, packet_id)


def subscribe(version, packet_id, filters):
    body = struct.pack(">H", packet_id) + (b"\x00" if version == V5 else b"")
    return packet(SUBSCRIBE << 4 | 2, body + b"".join(text(f) + b"\x01" for f in filters))


def unsubscribe(version, packet_id, filters):
    body = struct.pack(">H", packet_id) + (b"\x00" if version == V5 else b"")
    return packet(UNSUBSCRIBE << 4 | 2, body + b"".join(text(f) for f in filters))


def disconnect():
    return packet(DISCONNECT << 4, b"")


def read_varint(buf, at, end):
    """(value, next index); next index is 0 when it is not there as a whole."""
    value = shift = 0
    while at < end:
        byte = buf[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 21:
            raise Malformed("a length of more than four bytes")
    return 0, 0


def split(buf):
    """The whole packets at the front of buf as (first byte, start, end) of their bodies, and what they take."""
    at, end, found = 0, len(buf), []
    while end - at >= 2:
        length, body = read_varint(buf, at + 1, end)
        if body == 0 or end - body < length:
            break
        found.append((buf[at], body, body + length))
        at = body + length
    return found, at


def read_publish(version, first, body):
    """(topic, payload, qos, packet id, dup, retain)"""
    topic_len = body[0] << 8 | body[1]
    at = 2 + topic_len
    topic, qos, packet_id = body[2:at], first >> 1 & 3, 0
    if qos:
        packet_id = body[at] << 8 | body[at + 1]
        at += 2
    if version == V5:
        props, at = read_varint(body, at, len(body))
        at += props
    if at > len(body) or qos > 1:
        raise Malformed(f"a PUBLISH of {len(body)} bytes, QoS {qos}")
    return topic, body[at:], qos, packet_id, bool(first & 8), bool(first & 1)


def read_ack(version, kind, body):
    """(packet id, reason codes) of PUBACK, SUBACK, UNSUBACK."""
    packet_id = body[0] << 8 | body[1]
    rest = body[2:]
    if version == V5 and kind != PUBACK:
        props, at = read_varint(rest, 0, len(rest))
        rest = rest[at + props:]
    return packet_id, bytes(rest[:1] if kind == PUBACK else rest)


def matches(topic_filter, topic):
    f, t = topic_filter.split(b"/"), topic.split(b"/")
    for i, level in enumerate(f):
        if level == b"#":
            return True
        if i >= len(t) or level not in (b"+", t[i]):
            return False
    return len(f) == len(t)
