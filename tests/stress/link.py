# SPDX-License-Identifier: Apache-2.0
"""Connections: raw sockets behind one epoll, output gathered and sometimes cut in the middle of a packet."""
import select
import socket
import struct

import wire

READ_BYTES = 256 * 1024
SOURCES = 200


class Hub:
    """All connections of a run."""

    def __init__(self, port, rng):
        self.port = port
        self.rng = rng
        self.epoll = select.epoll()
        self.links = {}
        self.dirty = set()
        self.opened = 0

    def open(self, owner, version):
        return Link(self, owner, version)

    def flush(self):
        dirty, self.dirty = self.dirty, set()
        for link in dirty:
            link.flush()

    def turn(self, timeout_s):
        """Sends what is there, and hands on what came. True if anything did."""
        self.flush()
        events = self.epoll.poll(timeout_s)
        for fd, what in events:
            link = self.links.get(fd)
            if link is None:
                continue
            if what & select.EPOLLOUT:
                self.dirty.add(link)
            if what & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                link.read()
        return bool(events)


class Link:
    """One connection. Its owner gets on_packet(link, kind, first, body) and on_close(link)."""

    def __init__(self, hub, owner, version):
        self.hub, self.owner, self.version = hub, owner, version
        hub.opened += 1
        self.number = hub.opened
        self.out, self.buf = bytearray(), bytearray()
        self.ignored = False  # taken over: what still comes may as well have been lost
        self.cut = False
        self.events = select.EPOLLIN
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.bind((f"127.0.0.{2 + self.number % SOURCES}", 0))
        self.sock.connect(("127.0.0.1", hub.port))
        self.sock.setblocking(False)
        hub.links[self.sock.fileno()] = self
        hub.epoll.register(self.sock.fileno(), self.events)

    @property
    def is_open(self):
        return self.sock is not None

    def send(self, data):
        self.out += data
        self.hub.dirty.add(self)

    def flush(self):
        if self.sock is None or not self.out:
            return
        size = len(self.out)
        # Now and then the rest waits a turn, so that the broker sees packets in pieces.
        self.cut = not self.cut and size > 1 and self.hub.rng.random() < 0.02
        if self.cut:
            size = self.hub.rng.randrange(1, size)
        try:
            sent = self.sock.send(memoryview(self.out)[:size])
        except BlockingIOError:
            sent = 0
        except OSError:
            self.gone()
            return
        del self.out[:sent]
        if self.cut:
            self.hub.dirty.add(self)
        self.watch(select.EPOLLIN | (select.EPOLLOUT if self.out and not self.cut else 0))

    def watch(self, events):
        if self.sock is not None and events != self.events:
            self.events = events
            self.hub.epoll.modify(self.sock.fileno(), events)

    def read(self):
        try:
            data = self.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.gone()
            return
        if self.ignored:
            return
        self.buf += data
        found, used = wire.split(self.buf)
        packets = [(first, bytes(self.buf[start:end])) for first, start, end in found]
        del self.buf[:used]
        for first, body in packets:
            if self.ignored or self.sock is None:
                return
            self.owner.on_packet(self, first >> 4, first, body)

    def gone(self):
        if self.sock is not None:
            self.release()
            self.owner.on_close(self)

    def release(self):
        self.hub.epoll.unregister(self.sock.fileno())
        del self.hub.links[self.sock.fileno()]
        self.hub.dirty.discard(self)
        self.sock.close()
        self.sock = None

    def close(self, reset=False):
        """Vanishes: what was not sent is lost, and with a reset what the broker has not read yet as well."""
        if self.sock is None:
            return
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.release()

    def half_open(self):
        """Still there, but deaf: nothing is read any more."""
        self.ignored = True
        self.watch(0)

    def hear(self):
        self.watch(select.EPOLLIN)
