# SPDX-License-Identifier: Apache-2.0
"""A NAT in user space: a TCP proxy that forgets a connection on which nothing went for `timeout_s`, or when it is told.

What it does then with what comes on the connection:

    silent   swallows it; both sides still believe in it
    rst      answers both with RST
    moves    as when a NAT gives the client another port, of which the broker knows nothing: the client gets RST, and
             the broker's side stays open and silent

It ends TCP, so the broker's kernel is answered for as long as the proxy lives: what it shows is what happens above TCP.
For what happens in TCP see netns_kit.py.
"""
import contextlib
import select
import socket
import struct
import threading
import time


def reset(s):
    """Closes it with RST."""
    with contextlib.suppress(OSError):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


class NatProxy:
    def __init__(self, port, kind="silent", timeout_s=None):
        self.to, self.kind, self.timeout_s = ("127.0.0.1", port), kind, timeout_s
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.epoch, self.deaths = 0, 0  # connections of an earlier epoch are forgotten
        self.changed = threading.Condition()
        self.stopping = False
        threading.Thread(target=self._accept, daemon=True).start()

    def forget(self):
        """All connections that there are now."""
        with self.changed:
            self.epoch += 1

    def wait_deaths(self, n, wait_s):
        """Until something has come on so many connections that were forgotten."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.deaths >= n, wait_s):
                raise AssertionError(f"{self.deaths} forgotten connections were used, not {n}")

    def close(self):
        self.stopping = True
        self.listener.close()

    def _accept(self):
        while not self.stopping:
            try:
                client, _ = self.listener.accept()
                broker = socket.create_connection(self.to)
            except OSError:
                continue
            for s in (client, broker):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._carry, args=(client, broker), daemon=True).start()

    def _is_forgotten(self, epoch, used):
        return epoch != self.epoch or (self.timeout_s is not None and time.monotonic() - used > self.timeout_s)

    def _carry(self, client, broker):
        epoch, used = self.epoch, time.monotonic()
        other = {client: broker, broker: client}
        with contextlib.suppress(OSError, ValueError):
            while True:
                for s in select.select(list(other), [], [])[0]:
                    data = s.recv(65536)
                    if not data:
                        return self._end(client, broker)
                    if self._is_forgotten(epoch, used):
                        return self._forgotten(client, broker)
                    used = time.monotonic()
                    other[s].sendall(data)
        return self._end(client, broker)

    @staticmethod
    def _end(client, broker):
        client.close()
        broker.close()

    def _forgotten(self, client, broker):
        with self.changed:
            self.deaths += 1
            self.changed.notify_all()
        if self.kind != "silent":
            reset(client)
        if self.kind == "rst":
            reset(broker)
        left = [s for s in (client, broker) if s.fileno() >= 0]
        with contextlib.suppress(OSError, ValueError):
            while left:  # what comes is swallowed, until that side gives it up
                for s in select.select(left, [], [])[0]:
                    if not s.recv(65536):
                        s.close()
                        left.remove(s)
