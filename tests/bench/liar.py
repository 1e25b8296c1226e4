# SPDX-License-Identifier: Apache-2.0
"""A broker of MQTT 3.1.1 that loses, repeats and swaps deliveries on purpose, to see what a generator makes of it.

Of the deliveries to one topic, counted from 1: each whose number is in `loses` is not made, each in `repeats` is made
twice, and each in `late` is made after the next one. The first `busy` CONNECTs are told: server unavailable.
"""
import contextlib
import socket
import struct
import threading

QOS_0, QOS_1 = 0x30, 0x32


class Liar(threading.Thread):
    """Use it with `with`: it ends then."""

    def __init__(self, loses=(), repeats=(), late=(), busy=0):
        super().__init__(daemon=True)
        self.loses, self.repeats, self.late = set(loses), set(repeats), set(late)
        self.busy = busy  # so many CONNECTs are told to come later
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pid = None
        self.lock = threading.Lock()
        self.readers = {}  # topic: connections
        self.counts = {}   # topic: deliveries
        self.held = {}     # topic: what comes late

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.join()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with contextlib.suppress(ConnectionError), client, client.makefile("rb") as packets:
            while True:
                head = packets.read(1)
                if not head or head[0] >> 4 == 14:
                    return
                with self.lock:
                    self.take(client, head[0], packets.read(self.length(packets)))

    @staticmethod
    def length(packets):
        value = shift = 0
        while True:
            byte = packets.read(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def take(self, client, head, body):
        kind = head >> 4
        if kind == 1:
            client.sendall(b"\x20\2\0" + (b"\3" if self.busy > 0 else b"\0"))
            self.busy -= 1
        elif kind == 8:
            topic = body[4:4 + struct.unpack_from(">H", body, 2)[0]]
            if topic.startswith(b"$share/"):  # a group of one
                topic = topic.split(b"/", 2)[2]
            self.readers.setdefault(topic, []).append(client)
            client.sendall(b"\x90\3" + body[:2] + body[-1:])
        elif kind == 12:
            client.sendall(b"\xd0\0")
        elif kind == 3:
            self.publish(client, head, body)

    def publish(self, client, head, body):
        topic_end = 2 + struct.unpack_from(">H", body, 0)[0]
        if head & 2:
            client.sendall(b"\x40\2" + body[topic_end:topic_end + 2])
        number = self.counts[body[2:topic_end]] = self.counts.get(body[2:topic_end], 0) + 1
        packet = bytes([head, len(body)]) + body
        held = self.held.pop(body[2:topic_end], b"")
        if number in self.late:
            self.held[body[2:topic_end]] = packet
            packet = b""
        if number in self.loses:
            packet = b""
        if number in self.repeats:
            packet += packet
        for reader in self.readers.get(body[2:topic_end], []):
            reader.sendall(packet + held)
