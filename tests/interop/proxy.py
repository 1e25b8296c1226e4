# SPDX-License-Identifier: Apache-2.0
"""A network between a client and a broker that breaks at chosen packets."""
import socket
import threading

import kit

UP, DOWN = "up", "down"  # to the broker, to the client
LOST, HALF, CAME = "lost", "half", "came"  # the packet, when the connection breaks


class Cut:
    """The connection breaks at the nth packet of a kind in one direction."""

    def __init__(self, way, kind, nth=1, fate=LOST):
        self.way, self.kind, self.nth, self.fate = way, kind, nth, fate

    def __repr__(self):
        return f"Cut({self.way}, {self.kind}, {self.nth}, {self.fate})"


class Connection:
    def __init__(self, proxy, client, broker, cut):
        self.proxy, self.ends, self.cut, self.is_cut = proxy, {DOWN: client, UP: broker}, cut, False
        self.count = 0
        self.threads = [threading.Thread(target=self.pump, args=(way,), daemon=True) for way in (UP, DOWN)]
        for t in self.threads:
            t.start()

    def pump(self, way):
        source, buffer = self.ends[DOWN if way == UP else UP], bytearray()
        try:
            while data := source.recv(1 << 16):
                buffer += data
                for p in packets(buffer):
                    self.forward(way, p)
        except OSError:
            pass
        self.finish()

    def forward(self, way, p):
        """After the cut what comes is read and goes nowhere: a reset would take what the other side has not read."""
        with self.proxy.lock:
            if self.is_cut:
                return
            cut = self.cut
            if cut and cut.way == way and cut.kind == p[0] >> 4:
                self.count += 1
            is_it = cut and self.count == cut.nth and cut.way == way and cut.kind == p[0] >> 4
            if is_it:
                self.is_cut = True
                self.proxy.made.append(cut)
        if not is_it or cut.fate == CAME:
            self.ends[way].sendall(p)
        elif cut.fate == HALF:
            self.ends[way].sendall(p[:len(p) // 2])
        if is_it:
            self.finish()

    def finish(self):
        """Both sides see the end, and close; their own ends then end the threads."""
        for end in self.ends.values():
            try:
                end.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def close(self):
        for end in self.ends.values():
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for t in self.threads:
            t.join()
        for end in self.ends.values():
            end.close()


def packets(buffer):
    """Takes the whole packets from the front of a buffer."""
    out = []
    while len(buffer) >= 2:
        size, shift, at = 0, 0, 1
        while at < len(buffer):
            size |= (buffer[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if buffer[at - 1] < 128:
                break
        else:
            break
        if len(buffer) < at + size:
            break
        out.append(bytes(buffer[:at + size]))
        del buffer[:at + size]
    return out


class Proxy:
    """cuts: one for each connection, in this order; later connections last, or with `hold` are closed at once. `made`
    has those that were made."""

    def __init__(self, port, cuts=()):
        self.to, self.lock = port, threading.Lock()
        self.cuts, self.made, self.connections, self.hold = list(cuts), [], [], False
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            if self.hold and not self.left():
                client.close()
                continue
            try:
                broker = socket.create_connection(("127.0.0.1", self.to), kit.WAIT_S)
            except OSError:
                client.close()
                continue
            broker.settimeout(None)
            for s in (client, broker):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                # A connection that ended before its cut leaves it to the next.
                left = [c for c in self.cuts if c not in self.made]
                self.connections.append(Connection(self, client, broker, left[0] if left else None))

    def left(self):
        with self.lock:
            return [c for c in self.cuts if c not in self.made]

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        for c in self.connections:
            c.close()
