# SPDX-License-Identifier: Apache-2.0
"""What clients can do to a broker, as loads: `abuse` measures how others fare meanwhile, tests/e2e/test_abuse.py that it
stays within bounds. A load is set up once; then each call of its step() does some more of it."""
import contextlib
import os
import re
import select
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import kit  # noqa: E402

BLOCK = 64 * 1024
LOADS = {}


WEBSOCKETS = "listener 0 127.0.0.1\nprotocol websockets"


def load(name, doc, conf=""):
    """conf: what the broker is configured with besides."""
    def note(make):
        make.title, make.doc, make.conf = name, doc, conf
        LOADS[name] = make
        return make
    return note


# --- packets


def connect(client_id, version=kit.V5, clean=True, will=None, props=b"", keepalive=0):
    flags = (2 if clean else 0) | (4 if will else 0)
    body = kit.text("MQTT") + bytes([version, flags]) + struct.pack(">H", keepalive)
    body += kit.var_int(len(props)) + props if version == kit.V5 else b""
    body += kit.text(client_id)
    if will:
        body += (b"\0" if version == kit.V5 else b"") + kit.text(will[0]) + kit.text(will[1])
    return kit.packet(kit.CONNECT, 0, body)


def publish(topic, payload=b"", qos=0, packet_id=0, retain=False, props=b""):
    body = kit.text(topic) + (struct.pack(">H", packet_id) if qos else b"")
    return kit.packet(kit.PUBLISH, qos << 1 | retain, body + kit.var_int(len(props)) + props + payload)


def subscribe(filters, qos=0, packet_id=1):
    return kit.packet(kit.SUBSCRIBE, 2, struct.pack(">HB", packet_id, 0) +
                      b"".join(kit.text(f) + bytes([qos]) for f in filters))


def unsubscribe(filters, packet_id=1):
    return kit.packet(kit.UNSUBSCRIBE, 2, struct.pack(">HB", packet_id, 0) + b"".join(kit.text(f) for f in filters))


def user_property(name, value):
    return b"\x26" + kit.text(name) + kit.text(value)


# --- connections that never wait


def dial(port):
    s = socket.socket()
    s.connect(("127.0.0.1", port))
    return s


def hang_up(s):
    """With a reset: nothing of it stays in the kernel."""
    with contextlib.suppress(OSError):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


class Crowd:
    """Clients that send what their iterator gives, as fast as it goes, and throw away what they get. What the broker
    closes begins again if there is a way to."""

    def __init__(self, port):
        self.port, self.epoll, self.peers, self.sent = port, select.epoll(), {}, 0

    def join(self, first, blocks=None, reads=True, again=None, receive_buffer=None):
        s = socket.socket()
        if receive_buffer:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        s.connect(("127.0.0.1", self.port))
        s.sendall(first)
        s.setblocking(False)
        self.peers[s.fileno()] = [s, blocks, b"", again]
        events = (select.EPOLLIN if reads else 0) | (select.EPOLLOUT if blocks is not None else 0)
        self.epoll.register(s.fileno(), events)
        return s

    def _write(self, fd, peer):
        if not peer[2]:
            peer[2] = next(peer[1], None)
            if peer[2] is None:
                peer[2] = b""
                self.epoll.modify(fd, select.EPOLLIN)
                return
        n = peer[0].send(peer[2])
        self.sent += n
        peer[2] = peer[2][n:]

    def _lost(self, fd):
        s, _, _, again = self.peers.pop(fd)
        self.epoll.unregister(fd)
        hang_up(s)
        if again is not None:
            with contextlib.suppress(OSError):
                again()

    def step(self):
        for fd, events in self.epoll.poll(0.01):
            peer = self.peers[fd]
            try:
                if events & select.EPOLLIN and not peer[0].recv(1 << 20):
                    raise ConnectionResetError
                if events & select.EPOLLOUT:
                    self._write(fd, peer)
                if events & (select.EPOLLERR | select.EPOLLHUP):
                    raise ConnectionResetError
            except BlockingIOError:
                pass
            except OSError:
                self._lost(fd)

    def close(self):
        for s, *_ in self.peers.values():
            hang_up(s)
        self.epoll.close()


def for_ever(*blocks):
    """Gathered, so that a send is worth its call."""
    whole = []
    for b in blocks:
        if whole and len(whole[-1]) + len(b) <= BLOCK:
            whole[-1] += b
        else:
            whole.append(b)
    if len(whole) == 1 and len(whole[0]) < BLOCK // 2:
        whole[0] *= BLOCK // len(whole[0])
    while True:
        yield from map(memoryview, whole)


def flood(port, count, blocks, first=b"", version_props=b""):
    """So many clients, each for ever."""
    crowd = Crowd(port)
    for i in range(count):
        def join(i=i):
            crowd.join(connect(f"flood{i}", props=version_props) + first, for_ever(*blocks(i)), again=join)
        join()
    return crowd


class Steps:
    """A load that is a function."""

    def __init__(self, step, close=lambda: None):
        self.step, self.close = step, close


# --- the loads. scale: 1 is what is measured


@load("silent", "15,000 connections: half without a CONNECT, half idle; each says a byte a minute", "connect_timeout_s 3600")
def silent(port, scale):
    crowd = Crowd(port)
    count = int(15000 * scale)
    ping = [0]
    sockets = [crowd.join(connect(f"idle{i}") if i % 2 else b"\x10") for i in range(count)]

    def step():
        for _ in range(max(1, count // 600)):  # a tenth of a second's share
            with contextlib.suppress(OSError):
                sockets[ping[0] % count].send(b"\xc0" if ping[0] // count % 2 == 0 else b"\0")
            ping[0] += 1
        crowd.step()
    return Steps(step, crowd.close)


@load("subscribe", "one client takes 100,000 filters and gives them up again, for ever")
def subscribes(port, scale):
    count, each = int(100000 * scale), 1000
    names = [[f"bomb/{i}/{j}/x" for j in range(each)] for i in range(max(1, count // each))]
    return flood(port, 1, lambda _: [subscribe(n) for n in names] + [unsubscribe(n) for n in names])


@load("subscribe-deep", "200 clients take and give up filters of 200 levels")
def subscribes_deep(port, scale):
    def blocks(i):
        names = [f"{i}/{j}" + "/a" * 198 for j in range(100)]
        return [subscribe(names), unsubscribe(names)]
    return flood(port, max(1, int(200 * scale)), blocks)


@load("alias", "100 clients change 10 topic aliases of 60,000 bytes for ever")
def aliases(port, scale):
    def blocks(i):
        return [publish(chr(97 + j % 26) * 60000 + str(j), props=b"\x23" + struct.pack(">H", 1 + j % 10))
                for j in range(20)]
    return flood(port, max(1, int(100 * scale)), blocks)


@load("wildcards", "4,096 filters of + and names, and a publisher whose topics match all of them")
def wildcards(port, scale):
    levels = 12 if scale == 1 else 6
    filters = ["/".join("+" if i >> k & 1 else "a" for k in range(levels)) for i in range(1 << levels)]
    crowd = Crowd(port)
    crowd.join(connect("all") + b"".join(subscribe(filters[i:i + 100]) for i in range(0, len(filters), 100)))
    crowd.join(connect("source"), for_ever(publish("/".join("a" * levels), b"x")))
    return crowd


@load("wildcards-many", "1,000 clients with +/+/... of every depth, and a publisher of deep topics")
def wildcards_many(port, scale):
    crowd = Crowd(port)
    for i in range(max(2, int(1000 * scale))):
        crowd.join(connect(f"w{i}") + subscribe(["/".join("+" * (1 + i % 50)) + "/#"]))
    crowd.join(connect("source"), for_ever(publish("/".join("a" * 60), b"x")))
    return crowd


@load("retained", "a million retained topics, and subscribers of # that read all of them")
def retained(port, scale):
    crowd = Crowd(port)
    count = int(1000000 * scale)
    fill = (b"".join(publish(f"r/{i // 1000}/{j}", b"x" * 20, retain=True) for j in range(i, i + 500))
            for i in range(0, count, 500))
    crowd.join(connect("source"), (memoryview(b) for b in fill))
    for i in range(4):
        crowd.join(connect(f"reader{i}"), for_ever(subscribe(["r/#"]) + unsubscribe(["r/#"])))
    return crowd


@load("retained-never", "200,000 retained topics, and filters that look at all and match none")
def retained_never(port, scale):
    crowd = Crowd(port)
    count = int(200000 * scale)
    fill = (b"".join(publish(f"r/{j}/x", b"x", retain=True) for j in range(i, i + 500))
            for i in range(0, count, 500))
    crowd.join(connect("source"), (memoryview(b) for b in fill))
    for i in range(8):
        crowd.join(connect(f"reader{i}"), for_ever(subscribe(["r/+/never"])))
    return crowd


@load("wills", "10,000 clients with wills die at once, and come again")
def wills(port, scale):
    count = int(10000 * scale)
    crowd = Crowd(port)
    crowd.join(connect("heir") + subscribe(["will/#"]))

    def storm():
        dying = []
        for i in range(count):
            with contextlib.suppress(OSError):
                dying.append(dial(port))
                dying[-1].sendall(connect(f"mortal{i}", will=(f"will/{i}", b"x" * 100)))
        for s in dying:
            s.settimeout(5)
            with contextlib.suppress(OSError):
                s.recv(100)
        for s in dying:
            hang_up(s)
        crowd.step()
    return Steps(storm, crowd.close)


@load("pings", "50 clients say nothing but PINGREQ")
def pings(port, scale):
    return flood(port, max(1, int(50 * scale)), lambda i: [b"\xc0\0"])


@load("pings-deaf", "50 clients say PINGREQ and read no answer")
def pings_deaf(port, scale):
    crowd = Crowd(port)
    for i in range(max(2, int(50 * scale))):
        crowd.join(connect(f"deaf{i}"), for_ever(b"\xc0\0"), reads=False, receive_buffer=8192)
    return crowd


@load("unsubscribes", "20 clients give up what they never had")
def unsubscribes(port, scale):
    names = [f"never/{j}" for j in range(100)]
    return flood(port, max(1, int(20 * scale)), lambda i: [unsubscribe(names)])


@load("churn", "clients connect, subscribe, and are gone")
def churn(port, scale):
    count = [0]

    def step():
        batch = []
        for _ in range(50):
            count[0] += 1
            with contextlib.suppress(OSError):
                batch.append(dial(port))
                batch[-1].sendall(connect(f"churn{count[0]}") + subscribe(["churn/#"]))
        for s in batch:
            hang_up(s)
    return Steps(step)


@load("takeover", "two hosts use one client id, for ever")
def takeover(port, scale):
    held = []

    def step():
        for _ in range(50):
            with contextlib.suppress(OSError):
                s = dial(port)
                s.sendall(connect("same", clean=False, props=b"\x11\0\0\0\x3c"))
                held.append(s)
        while len(held) > 50:
            hang_up(held.pop(0))
    return Steps(step, lambda: [hang_up(s) for s in held])


@load("shared", "200 clients join and leave groups of shared subscriptions")
def shared(port, scale):
    def blocks(i):
        names = [f"$share/g{j}/s/+" for j in range(50)]
        return [subscribe(names), unsubscribe(names)]
    return flood(port, max(2, int(200 * scale)), blocks)


@load("delayed", "more messages to be published in an hour than are taken", "max_delayed_messages 50000")
def delayed(port, scale):
    payload = b"x" * 100
    return flood(port, max(1, int(10 * scale)), lambda i: [publish(f"$delayed/3600/d/{i}", payload)])


@load("properties", "20 clients publish messages with 60,000 bytes of user properties")
def properties(port, scale):
    props = b"".join(user_property(f"k{i}", "v" * 50) for i in range(1000))
    return flood(port, max(1, int(20 * scale)), lambda i: [publish("p", b"x", props=props)])


@load("qos2-open", "100 clients begin QoS 2 as often as they may and never go on with it")
def qos2_open(port, scale):
    crowd = Crowd(port)

    def blocks():
        packet_id = 0
        while True:
            packet_id = packet_id % 1000 + 1
            yield memoryview(publish("q", b"x" * 1000, 2, packet_id))
    for i in range(max(1, int(100 * scale))):
        def join(i=i):
            crowd.join(connect(f"q{i}"), blocks(), again=join)
        join()
    return crowd


@load("never-acked", "100 clients that acknowledge nothing of what they are sent", "max_inflight_messages 0")
def never_acked(port, scale):
    crowd = Crowd(port)
    for i in range(max(2, int(100 * scale))):
        crowd.join(connect(f"mute{i}", props=b"\x21\xff\xff") + subscribe(["mute"], 1))
    ids = [publish("mute", b"x" * 1000, 1, 1 + i % 500) for i in range(500)]
    crowd.join(connect("source"), for_ever(*ids))
    return crowd


@load("slow-readers", "50 clients subscribe to a flood and read nothing of it")
def slow_readers(port, scale):
    crowd = Crowd(port)
    for i in range(max(2, int(50 * scale))):
        crowd.join(connect(f"slow{i}") + subscribe(["flood"]), reads=False, receive_buffer=8192)
    crowd.join(connect("source"), for_ever(publish("flood", b"x" * 4000)))
    return crowd


@load("publishes", "20 clients publish QoS 0 to nobody as fast as it goes")
def publishes(port, scale):
    return flood(port, max(1, int(20 * scale)), lambda i: [publish(f"nobody/{i}", b"x" * 50)])


@load("fan-out", "a publisher of 64 KiB messages to 200 receivers")
def fan_out(port, scale):
    crowd = Crowd(port)
    for i in range(max(2, int(200 * scale))):
        crowd.join(connect(f"r{i}") + subscribe(["fan"]))
    crowd.join(connect("source"), for_ever(publish("fan", b"x" * 65000)))
    return crowd


@load("pieces", "500 clients send packets of 1 MiB that never end, 100 bytes at a time", "max_packet_size 2000000")
def pieces(port, scale):
    crowd = Crowd(port)
    head = bytes([kit.PUBLISH << 4]) + kit.var_int(1 << 20) + kit.text("t")

    def blocks():
        yield memoryview(head)
        for _ in range((1 << 20) // 100 - 1):
            yield memoryview(b"x" * 100)
    for i in range(max(2, int(500 * scale))):
        crowd.join(connect(f"piece{i}"), blocks())
    return crowd


@load("garbage", "50 clients send what is no MQTT, and come again")
def garbage(port, scale):
    crowd = Crowd(port)
    for i in range(max(2, int(50 * scale))):
        def join(i=i):
            crowd.join(b"", for_ever(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"), again=join)
        join()
    return crowd


@load("ws-fragments", "20 WebSocket clients send one message in fragments of a byte, or of none, for ever",
      WEBSOCKETS)
def ws_fragments(port, scale):
    def frame(first, payload):
        return bytes([first, 0x80 | len(payload)]) + bytes(4) + payload  # masked, with zeros

    crowd = Crowd(port)
    hello = (b"GET /mqtt HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
             b"Sec-WebSocket-Protocol: mqtt\r\n\r\n")
    ping = frame(0, b"\xc0") + frame(0, b"\0")
    for i in range(max(2, int(20 * scale))):
        def join(i=i):
            first = frame(0x82, connect(f"ws{i}")) if i % 2 else frame(0x02, connect(f"ws{i}"))
            more = ping + frame(0, b"") * 20 if i % 2 == 0 else frame(0x89, b"ping") * 20
            crowd.join(hello + first, for_ever(more), again=join)
        join()
    return crowd


def port_of(name, broker):
    """Of the listener that the load is for: the one that its configuration adds, or the first."""
    ports = re.findall(r" listener-open .*port=(\d+)", broker.text())
    return int(ports[1 if LOADS[name].conf == WEBSOCKETS else 0])


def start(name, port, scale=1):
    """The load: step() does some more, close() ends it."""
    return LOADS[name](port, scale)
