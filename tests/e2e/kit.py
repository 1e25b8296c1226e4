# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: a broker process of their own, a small MQTT client that does only what it is
told, and mosquitto's clients.

Nothing here waits for time to pass: every wait is for an event, and WAIT_S bounds it only so that a failure ends.
By hand:  LONGLINKD=build/asan/bin/longlinkd tests/e2e/test_start.py
"""
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

WAIT_S = 300
V311, V5 = 4, 5
CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = 8, 9, 10, 11
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14

SANITIZER_OPTIONS = {
    # Freed memory goes back at once, so that what a process holds says what the broker holds.
    "ASAN_OPTIONS": "quarantine_size_mb=1:allocator_release_to_os_interval_ms=0:abort_on_error=0",
}

# Lines for every broker's configuration, to run the tests with other options: LONGLINK_TEST_CONF='shards 2'
MORE_CONF = os.environ.get("LONGLINK_TEST_CONF", "")

MIB = 1 << 20
# A sanitizer keeps notes about memory: what a bound on resident memory must be multiplied by.
MEMORY_FACTOR = {"thread": 6, "address": 2}.get(os.environ.get("LONGLINK_SANITIZE", ""), 1)


def program():
    path = os.environ.get("LONGLINKD")
    if not path or not os.access(path, os.X_OK):
        sys.exit("LONGLINKD does not name a program: LONGLINKD=build/release/bin/longlinkd " + sys.argv[0])
    return path


def free_port():
    """A port that was free a moment ago, for what cannot take port 0. Not one of those that the kernel gives to who
    asks for any: nobody else comes upon it meanwhile."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        first = int(f.read().split()[0])
    while True:
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("", random.randrange(first // 2, first) if first > 4096 else 0))
            return s.getsockname()[1]


def wait_until(holds, what, wait_s=WAIT_S):
    """Asks again and again: for what no event announces."""
    ends = time.monotonic() + wait_s
    while not holds():
        if time.monotonic() > ends:
            raise AssertionError(f"not within {wait_s} s: {what}")
        time.sleep(0.02)


def wait_file(path, pattern, wait_s=WAIT_S):
    """Gives the match of pattern in a file that grows."""
    found = []

    def look():
        with contextlib.suppress(FileNotFoundError), open(path, errors="replace") as f:
            found[:] = [m for m in [re.search(pattern, f.read(), re.M)] if m]
        return bool(found)

    wait_until(look, f"'{pattern}' in {path}", wait_s)
    return found[0]


class Broker:
    """A longlinkd of one's own on a free port. conf: further lines of its configuration. prefix: a command that
    becomes the broker."""

    def __init__(self, conf="", listener="listener 0 127.0.0.1", allow="allow_anonymous true", flags=(), cwd=None,
                 prefix=(), env=()):
        self.dir = cwd or tempfile.mkdtemp(prefix="longlink-e2e.")
        self.conf = os.path.join(self.dir, "conf")
        self.log = os.path.join(self.dir, "log")
        with open(self.conf, "w") as f:
            keeps = "" if re.search(r"^(durability|persistence)", conf, re.M) else "persistence false"
            f.write(f"{listener}\n{allow}\nuser root\n{keeps}\n{conf}\n{MORE_CONF}\n")
        self.log_file = open(self.log, "wb")
        command = [*prefix, program(), "-c", self.conf, *map(str, flags)]
        env = {**SANITIZER_OPTIONS, **os.environ, **dict(env)}
        self.process = subprocess.Popen(command, stderr=self.log_file, env=env)
        self.port, self.is_over = 0, False

    def ready(self):
        def is_ready():
            if self.process.poll() is not None:
                raise AssertionError(f"longlinkd ended with {self.process.returncode}:\n{self.text()}")
            return " broker-ready " in self.text()

        wait_until(is_ready, "broker-ready in the log")
        self.port = int(re.search(r" listener-open .*port=(\d+)", self.text()).group(1))
        return self

    def text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def text_since(self, before):
        """What the log says since it had so many bytes."""
        with open(self.log, errors="replace") as f:
            f.seek(before)
            return f.read()

    def reload(self):
        """SIGHUP, and until it has ended, well or not; gives what the log says of it."""
        before = os.path.getsize(self.log)
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: re.search(r" reload-\w+ .*\n", self.text_since(before)), "the end of a reload in the log")
        return self.text_since(before)

    def metrics(self):
        """All of them, as of now: SIGUSR2 writes them into the log."""
        before = os.path.getsize(self.log)
        self.process.send_signal(signal.SIGUSR2)

        def rows():
            return dict(re.findall(r' metric name="(\w+)" value=(\d+)\n', self.text_since(before)))

        # The last row of metrics.def ends the list.
        wait_until(lambda: "sessions_expired_total" in rows(), "the metrics in the log")
        return {name: int(value) for name, value in rows().items()}

    def metric(self, name):
        return self.metrics()[name]

    def wait_metric(self, name, holds, wait_s=WAIT_S):
        wait_until(lambda: holds(self.metric(name)), f"metric {name}", wait_s)

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self):
        """SIGTERM; the exit status, which says also whether a sanitizer had something to say."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("longlinkd did not end after SIGTERM") from None
        finally:
            self.log_file.close()

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Test(unittest.TestCase):
    maxDiff = 2000

    def broker(self, conf="", **more):
        """A broker that is ready; at the test's end it must stop in good order."""
        b = Broker(conf, **more)
        self.addCleanup(b.remove)
        self.addCleanup(self.stop_well, b)
        return b.ready()

    def kill(self, b):
        """kill -9."""
        b.is_over = True
        b.process.kill()
        b.process.wait()
        b.log_file.close()

    def stop_well(self, b):
        if b.is_over:
            return
        status = b.stop()
        if status != 0:
            raise AssertionError(f"longlinkd ended with {status}:\n{b.text()[-6000:]}")

    def client(self, broker, client_id="", **more):
        """A Client that is connected."""
        c = Client(broker.port, **{k: more.pop(k) for k in ("receive_buffer",) if k in more})
        self.addCleanup(c.close)
        c.join(client_id, **more)
        return c


# --- an MQTT client by hand


def text(s):
    b = s if isinstance(s, bytes) else s.encode()
    return struct.pack(">H", len(b)) + b


def var_int(n):
    out = b""
    while True:
        out += bytes([n & 127 | (128 if n > 127 else 0)])
        n >>= 7
        if n == 0:
            return out


def packet(kind, flags, body):
    return bytes([kind << 4 | flags]) + var_int(len(body)) + body


class Packet:
    def __init__(self, kind, flags, body):
        self.kind, self.flags, self.body = kind, flags, body

    def __repr__(self):
        return f"Packet({self.kind}, {self.flags}, {self.body[:60]!r}, {len(self.body)} bytes)"


class Message:
    """A PUBLISH that was received."""

    def __init__(self, p, version):
        self.qos, self.dup, self.retain = p.flags >> 1 & 3, bool(p.flags & 8), bool(p.flags & 1)
        n = struct.unpack_from(">H", p.body)[0]
        self.topic, at = p.body[2:2 + n].decode(), 2 + n
        self.id = struct.unpack_from(">H", p.body, at)[0] if self.qos else 0
        at += 2 if self.qos else 0
        if version == V5:
            size, shift = 0, 0
            while True:
                byte = p.body[at]
                at += 1
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            self.props = p.body[at:at + size]
            at += size
        self.payload = p.body[at:]


class Closed(Exception):
    """The broker closed the connection."""


class Client:
    """Sends and receives when it is told to, and never by itself. receive_buffer: SO_RCVBUF, small for a reader that
    is to be slow. source: the address that it comes from. host: where the broker is."""

    def __init__(self, port, receive_buffer=None, source=None, host="127.0.0.1"):
        is_path = isinstance(port, str)  # of a Unix socket
        self.socket = socket.socket(socket.AF_UNIX if is_path else socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.socket.bind((source, 0))
        self.socket.settimeout(WAIT_S)
        self.socket.connect(port if is_path else (host, port))
        if not is_path:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.version, self.buffer, self.at, self.next_id = V5, bytearray(), 0, 0
        self.early = []  # messages that came before a SUBACK

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    # receiving

    def _fill(self, n):
        while len(self.buffer) - self.at < n:
            if self.at > 1 << 20:
                del self.buffer[:self.at]
                self.at = 0
            try:
                got = self.socket.recv(1 << 18)
            except ConnectionResetError:
                got = b""
            if not got:
                raise Closed
            self.buffer += got

    def receive(self):
        self._fill(2)
        size, shift, i = 0, 0, 1
        while True:
            self._fill(i + 1)
            byte = self.buffer[self.at + i]
            size |= (byte & 127) << shift
            shift, i = shift + 7, i + 1
            if byte < 128:
                break
        first = self.buffer[self.at]
        self._fill(i + size)
        body = bytes(self.buffer[self.at + i:self.at + i + size])
        self.at += i + size
        return Packet(first >> 4, first & 15, body)

    def expect(self, kind):
        p = self.early.pop(0) if kind == PUBLISH and self.early else self.receive()
        if p.kind != kind:
            raise AssertionError(f"expected a packet of type {kind}, got {p!r}")
        return p

    def message(self, acknowledge=True):
        m = Message(self.expect(PUBLISH), self.version)
        if m.qos and acknowledge:
            self.send(packet(PUBACK, 0, struct.pack(">H", m.id)))
        return m

    def expect_closed(self):
        """Everything up to the close; the packets before it."""
        packets = []
        try:
            while True:
                packets.append(self.receive())
        except Closed:
            return packets

    # sending

    def join(self, client_id="", version=V5, clean=True, keepalive=0, expiry=None, will=None, receive_max=None,
             answer=True, user=None, password=None, will_delay=0):
        """will: (topic, payload). Gives (session present, reason code)."""
        self.version = version
        flags = (2 if clean else 0) | (4 if will else 0)
        flags |= (0 if user is None else 0x80) | (0 if password is None else 0x40)
        props = b""
        if expiry is not None:
            props += b"\x11" + struct.pack(">I", expiry)
        if receive_max is not None:
            props += b"\x21" + struct.pack(">H", receive_max)
        body = text("MQTT") + bytes([version, flags]) + struct.pack(">H", keepalive)
        body += var_int(len(props)) + props if version == V5 else b""
        body += text(client_id)
        if will:
            delay = b"\x18" + struct.pack(">I", will_delay) if will_delay else b""
            body += var_int(len(delay)) + delay if version == V5 else b""
            body += text(will[0]) + text(will[1])
        body += b"".join(text(s) for s in (user, password) if s is not None)
        self.send(packet(CONNECT, 0, body))
        if not answer:
            return None
        p = self.expect(CONNACK)
        return bool(p.body[0] & 1), p.body[1]

    def _id(self):
        self.next_id = self.next_id % 65535 + 1
        return self.next_id

    def _empty_props(self):
        return b"\0" if self.version == V5 else b""

    def subscribe(self, topic, qos=0):
        """What matches may come before the SUBACK (section 3.8.4): that is kept for `message`."""
        self.send(packet(SUBSCRIBE, 2, struct.pack(">H", self._id()) + self._empty_props() + text(topic) +
                         bytes([qos])))
        while (p := self.receive()).kind == PUBLISH:
            self.early.append(p)
        if p.kind != SUBACK:
            raise AssertionError(f"expected a SUBACK, got {p!r}")
        return p.body[-1]

    def publish_bytes(self, topic, payload, qos=0, retain=False):
        body = text(topic) + (struct.pack(">H", self._id()) if qos else b"") + self._empty_props() + payload
        return packet(PUBLISH, qos << 1 | retain, body)

    def publish(self, topic, payload, qos=0, retain=False):
        """With QoS 1 waits for the PUBACK. Gives its reason code."""
        self.send(self.publish_bytes(topic, payload, qos, retain))
        if qos == 0:
            return 0
        body = self.expect(PUBACK).body
        return body[2] if len(body) > 2 else 0

    def publish_all(self, topic, payloads, window=500):
        """QoS 1, with up to `window` unacknowledged."""
        waiting = 0
        for payload in payloads:
            self.send(self.publish_bytes(topic, payload, 1))
            waiting += 1
            if waiting == window:
                while waiting:
                    self.expect(PUBACK)
                    waiting -= 1
        for _ in range(waiting):
            self.expect(PUBACK)

    def ping(self):
        self.send(packet(PINGREQ, 0, b""))
        self.expect(PINGRESP)

    def catch_up(self):
        """What was on its way to this client when others had their PUBACKs; the messages, unacknowledged. A ping may
        overtake what comes from another shard, which looks at its clients before its mail: so there are two."""
        messages, pongs = [Message(p, self.version) for p in self.early], 0
        self.early.clear()
        self.send(packet(PINGREQ, 0, b""))
        while pongs < 2:
            p = self.receive()
            if p.kind == PINGRESP:
                pongs += 1
                if pongs == 1:
                    self.send(packet(PINGREQ, 0, b""))
            if p.kind == PUBLISH:
                messages.append(Message(p, self.version))
        return messages

    def leave(self):
        self.send(packet(DISCONNECT, 0, b""))
        self.close()


# --- mosquitto's clients


def have(*programs):
    return all(shutil.which(p) for p in programs)


def run(*command, status=0, stdin=None):
    """Runs a program to its end; its output. It must end with the status."""
    done = subprocess.run([str(c) for c in command], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=WAIT_S, check=False)
    if done.returncode != status:
        raise AssertionError(f"{command} ended with {done.returncode}, not {status}:\n{done.stdout.decode()}")
    return done.stdout.decode()


class Running:
    """A mosquitto_sub or alike in the background, started with -d: `wait` for what it says."""

    def __init__(self, *command):
        command = [str(c) for c in command]
        self.lines, self.ended, self.changed = [], False, threading.Condition()
        self.process = subprocess.Popen(["stdbuf", "-oL", *command], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, word):
        with self.changed:
            if not self.changed.wait_for(lambda: any(word in l for l in self.lines) or self.ended, WAIT_S):
                raise AssertionError(f"'{word}' is not in {self.lines}")
            if not any(word in l for l in self.lines):
                raise AssertionError(f"ended without '{word}': {self.lines}")
        return self

    def end(self):
        """Waits for its own end; what it printed but for -d's chatter."""
        self.process.wait(WAIT_S)
        with self.changed:
            self.changed.wait_for(lambda: self.ended, WAIT_S)
        self.process.stdout.close()
        return [l for l in self.lines if not re.match(r"Client \S+ (sending|received) |Subscribed ", l)]

    def stop(self):
        """Kills it: what SIGTERM does in mosquitto's clients takes a lock that they may hold just then, for ever. Its
        lines are whole, and its connection is closed."""
        self.process.kill()
        return self.end()


def sub(broker, *flags):
    return ["mosquitto_sub", "-h", "127.0.0.1", "-p", broker.port, "-W", WAIT_S, *flags]


def pub(broker, *flags):
    return run("mosquitto_pub", "-h", "127.0.0.1", "-p", broker.port, *flags)


# --- paho


def paho():
    try:
        import paho.mqtt.client as client
    except ImportError:
        raise unittest.SkipTest("python3-paho-mqtt is not installed") from None
    return client


class Paho:
    """paho's client with its own thread; events gathered for `wait`."""

    def __init__(self, broker, client_id, version=V311, clean=True, expiry=None, will=None):
        client = paho()
        self.version, self.events = version, threading.Condition()
        self.messages, self.connected, self.subscribed, self.published = [], [], [], set()
        self.disconnected = []
        kind = client.MQTTv5 if version == V5 else client.MQTTv311
        only_v3 = {} if version == V5 else {"clean_session": clean}
        self.mqtt = client.Client(client_id, protocol=kind, **only_v3)
        self.mqtt.max_queued_messages_set(0)
        self.mqtt.on_connect = lambda c, u, flags, rc, *p: self._add(self.connected, (flags, rc))
        self.mqtt.on_message = lambda c, u, m: self._add(self.messages, m)
        self.mqtt.on_subscribe = lambda c, u, mid, granted, *p: self._add(self.subscribed, granted)
        self.mqtt.on_disconnect = lambda c, u, rc, *p: self._add(self.disconnected, rc)
        if will:
            self.mqtt.will_set(*will)
        more = {}
        if version == V5:
            more["clean_start"] = clean
            if expiry is not None:
                from paho.mqtt.packettypes import PacketTypes
                from paho.mqtt.properties import Properties
                more["properties"] = Properties(PacketTypes.CONNECT)
                more["properties"].SessionExpiryInterval = expiry
        self.mqtt.connect("127.0.0.1", broker.port, 60, **more)
        self.mqtt.loop_start()
        self.wait(lambda: self.connected, "CONNACK")

    def _add(self, to, what):
        with self.events:
            to.append(what)
            self.events.notify_all()

    def wait(self, holds, what):
        with self.events:
            if not self.events.wait_for(holds, WAIT_S):
                raise AssertionError(f"paho did not get: {what}")
        return self

    def session_present(self):
        return bool(self.connected[0][0]["session present"])

    def subscribe(self, topic, qos):
        self.mqtt.subscribe(topic, qos)
        return self.wait(lambda: self.subscribed, "SUBACK")

    def publish(self, topic, payload, qos=1, retain=False):
        info = self.mqtt.publish(topic, payload, qos, retain)
        info.wait_for_publish(WAIT_S)
        if not info.is_published():
            raise AssertionError("paho's publish was not acknowledged")

    def payloads(self):
        with self.events:
            return [m.payload for m in self.messages]

    def stop(self):
        """Says DISCONNECT and ends."""
        self.mqtt.disconnect()
        self.mqtt.loop_stop()

    def lose(self):
        """The network goes away under it: no DISCONNECT."""
        self.mqtt.loop_stop()  # ends paho's thread, not the connection
        self.mqtt.socket().close()


def main():
    program()
    unittest.main(verbosity=2)
