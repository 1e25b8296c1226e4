#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""WebSocket listeners of the process: who may come in, what is said to who may not, and that what is above stays whole.
The protocol itself is tested in tests/unit/test_ws.c, MQTT over it in tests/conformance."""
import base64
import contextlib
import hashlib
import os
import signal
import socket
import struct
import tempfile

import kit
from edge_kit import pki

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BINARY, CLOSE, PING, PONG = 2, 8, 9, 10


def request(*lines, version="HTTP/1.1", key="dGhlIHNhbXBsZSBub25jZQ=="):
    head = [f"GET /mqtt {version}", "Host: localhost", "Upgrade: websocket", "Connection: keep-alive, Upgrade",
            f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: mqtt", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n"


def frame(payload, opcode=BINARY, fin=True):
    key = os.urandom(4)
    n = len(payload)
    size = bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n) if n < 65536 else \
        b"\xff" + struct.pack(">Q", n)
    masked = bytes(b ^ key[i % 4] for i, b in enumerate(payload))
    return bytes([opcode | (0x80 if fin else 0)]) + size + key + masked


class WebSocket:
    """A socket whose recv and sendall are those of MQTT's bytes. What else comes is kept in `control`."""

    def __init__(self, sock, *lines):
        self.sock, self.raw, self.control = sock, b"", []
        sock.sendall(request(*lines))
        while b"\r\n\r\n" not in self.raw:
            self.more()
        head, self.raw = self.raw.split(b"\r\n\r\n", 1)
        accept = base64.b64encode(hashlib.sha1(("dGhlIHNhbXBsZSBub25jZQ==" + GUID).encode()).digest()).decode()
        assert head.startswith(b"HTTP/1.1 101 ") and f"Sec-WebSocket-Accept: {accept}" in head.decode(), head

    def more(self):
        got = self.sock.recv(65536)
        if not got:
            raise kit.Closed("the broker has closed")
        self.raw += got

    def recv(self, _=0):
        while True:
            while len(self.raw) < 2:
                try:
                    self.more()
                except kit.Closed:
                    return b""
            n, at = self.raw[1], 2
            if n >= 126:
                at += 2 if n == 126 else 8
                while len(self.raw) < at:
                    self.more()
                n = int.from_bytes(self.raw[2:at], "big")
            while len(self.raw) < at + n:
                self.more()
            opcode, payload, self.raw = self.raw[0] & 15, self.raw[at:at + n], self.raw[at + n:]
            if opcode == BINARY:
                return payload
            self.control.append((opcode, payload))

    def sendall(self, data):
        self.sock.sendall(frame(data))

    def __getattr__(self, name):
        return getattr(self.sock, name)


class WsClient(kit.Client):
    def __init__(self, port, context=None, lines=()):
        super().__init__(port)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.socket = WebSocket(self.socket, *lines)


class Test(kit.Test):
    def ws_broker(self, options="", conf="", **more):
        return self.broker(conf, listener=f"listener 0 127.0.0.1\nprotocol websockets\n{options}", **more)

    def ws_client(self, broker, client_id="", **more):
        c = WsClient(broker.port, **{k: more.pop(k) for k in ("context", "lines") if k in more})
        self.addCleanup(c.close)
        c.join(client_id, **more)
        return c

    def answer(self, broker, data):
        """All that the broker says until it closes."""
        with socket.create_connection(("127.0.0.1", broker.port)) as s:
            s.settimeout(kit.WAIT_S)
            s.sendall(data)
            said = b""
            with contextlib.suppress(ConnectionResetError):
                while True:
                    got = s.recv(65536)
                    if not got:
                        break
                    said += got
            return said.decode(errors="replace")

    def refused(self, broker, data, status, why):
        self.assertRegex(self.answer(broker, data), f"^HTTP/1.1 {status} ")
        kit.wait_file(broker.log, f' peer-transport .*transport="websocket" reason=".*{why}')


class Messages(Test):
    # option: protocol
    def test_messages_go_between_websocket_and_tcp(self):
        b = self.broker("", listener="listener 0 127.0.0.1\nprotocol websockets\nlistener 0 127.0.0.1")
        kit.wait_until(lambda: b.text().count(" listener-open ") == 2, "two listeners")
        ports = [int(line.rsplit("=", 1)[1]) for line in b.text().splitlines() if " listener-open " in line]
        far = WsClient(ports[0])
        near = kit.Client(ports[1])
        for c, name in ((far, "far"), (near, "near")):
            self.addCleanup(c.close)
            c.join(name)
            c.subscribe(f"to/{name}", 1)
        large = os.urandom(700000)
        near.publish("to/far", large, 1)
        self.assertEqual(far.message().payload, large)
        far.publish("to/near", large, 1)
        self.assertEqual(near.message().payload, large)

    def test_wss_carries_messages(self):
        b = self.ws_broker(pki().server.lines())
        c = self.ws_client(b, "c", context=pki().trust())
        c.subscribe("t", 1)
        c.publish("t", b"x" * 100000)
        self.assertEqual(c.message().payload, b"x" * 100000)
        self.assertEqual(b.metric("tls_handshakes_total"), 1)

    def test_an_end_by_us_is_a_disconnect_and_then_a_close(self):
        b = self.ws_broker()
        c = self.ws_client(b, "c", version=kit.V5)
        b.process.terminate()
        self.assertEqual(c.expect(kit.DISCONNECT).body[0], 0x8B)
        self.assertEqual(c.socket.recv(), b"")
        self.assertEqual(c.socket.control, [(CLOSE, struct.pack(">H", 1000))])

    def test_a_client_that_closes_without_disconnect_leaves_its_will(self):
        b = self.ws_broker()
        heir = self.ws_client(b, "heir")
        heir.subscribe("will", 0)
        c = self.ws_client(b, "c", will=("will", b"gone"))
        c.socket.sock.sendall(frame(struct.pack(">H", 1001), CLOSE))
        self.assertEqual(heir.message().payload, b"gone")

    def test_a_mistake_is_told_and_logged_and_the_others_stay(self):
        b = self.ws_broker()
        other = self.ws_client(b, "other")
        c = self.ws_client(b, "c")
        c.socket.sock.sendall(frame(b"text", 1))
        self.assertEqual(c.socket.recv(), b"")
        self.assertEqual(c.socket.control, [(CLOSE, struct.pack(">H", 1003))])
        kit.wait_file(b.log, ' peer-transport .*reason="a message is text"')
        b.wait_metric("transport_errors_total", lambda n: n == 1)
        other.ping()

    def test_a_flood_of_empty_fragments_and_pings_is_held_by_nothing(self):
        b = self.ws_broker()
        c, other = self.ws_client(b, "c"), self.ws_client(b, "other")
        c.socket.sock.sendall(frame(b"", BINARY, False))
        before = b.resident_bytes()
        flood = (frame(b"", 0, False) * 500 + frame(b"ping", PING)) * 100
        for _ in range(5):
            c.socket.sock.sendall(flood)
            other.ping()
        c.socket.sock.sendall(frame(b"", 0, True))
        c.ping()
        self.assertLess(b.resident_bytes() - before, 8 * kit.MIB * kit.MEMORY_FACTOR)


    def test_a_client_of_another_shard_may_have_output_under_way_when_it_says_who_it_is(self):
        # Answers to pings have filled its socket, and it takes them together with its CONNECT.
        with tempfile.TemporaryDirectory() as d:
            b = self.broker("shards 2", listener=f"listener 0 {d}/socket\nprotocol websockets")
            for i in range(8):
                c = WsClient(f"{d}/socket")
                self.addCleanup(c.close)
                ws = c.socket
                for _ in range(600):
                    ws.sock.sendall(frame(b"x" * 100, PING))
                b.metrics()  # it has read them
                b.process.send_signal(signal.SIGSTOP)
                ws.sock.settimeout(0)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        ws.more()
                ws.sock.settimeout(kit.WAIT_S)
                c.join(f"c{i}", answer=False)
                b.process.send_signal(signal.SIGCONT)
                self.assertEqual(c.expect(kit.CONNACK).body[1], 0)
                c.ping()


class Handshake(Test):
    def test_who_does_not_speak_it_is_told_what_is_here(self):
        b = self.ws_broker()
        self.refused(b, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426, "only WebSocket")
        said = self.answer(b, request().replace(b"Version: 13", b"Version: 8"))
        self.assertRegex(said, "(?s)^HTTP/1.1 426 .*\r\nSec-WebSocket-Version: 13\r\n")
        b.wait_metric("transport_errors_total", lambda n: n == 2)

    def test_mqtt_on_this_listener_is_closed_at_once(self):
        b = self.ws_broker()
        self.refused(b, kit.packet(kit.CONNECT, 0, kit.text("MQTT") + b"\4\2\0\x3c" + kit.text("x")), 400, "not that of an HTTP")

    # option: websockets_origin
    def test_pages_of_other_origins_are_refused(self):
        b = self.ws_broker("websockets_origin https://example.com\nwebsockets_origin http://localhost:8080")
        self.refused(b, request("Origin: https://example.org"), 403, "Origin is not one of websockets_origin")
        for origin in ("https://example.com", "http://localhost:8080"):
            self.ws_client(b, lines=[f"Origin: {origin}"])
        self.ws_client(b)  # no page

    def test_what_is_no_origin_is_an_error_at_start(self):
        b = kit.Broker("", listener="listener 0 127.0.0.1\nprotocol websockets\nwebsockets_origin example.com/")
        self.addCleanup(b.remove)
        self.assertNotEqual(b.process.wait(kit.WAIT_S), 0)
        b.log_file.close()
        self.assertRegex(b.text(), "websockets_origin: 'example.com/' is no origin; allowed")

    # option: websockets_headers_size
    def test_a_request_that_is_too_long_is_refused(self):
        b = self.ws_broker(conf="websockets_headers_size 600")
        self.ws_client(b, lines=["Cookie: " + "x" * 300])
        self.refused(b, request("Cookie: " + "x" * 600), 431, "longer than websockets_headers_size")

    def test_a_reload_changes_what_is_allowed_for_who_comes_then(self):
        b = self.ws_broker("websockets_origin https://a")
        c = self.ws_client(b, "c", lines=["Origin: https://a"])
        with open(b.conf) as f:
            text = f.read()
        with open(b.conf, "w") as f:
            f.write(text.replace("https://a", "https://b"))
        self.assertIn(" reload-done ", b.reload())
        self.refused(b, request("Origin: https://a"), 403, "Origin")
        self.ws_client(b, "d", lines=["Origin: https://b"])
        c.ping()


if __name__ == "__main__":
    kit.main()
