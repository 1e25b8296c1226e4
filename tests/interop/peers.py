# SPDX-License-Identifier: Apache-2.0
"""Real clients, each in a process of its own that is told what to do in lines, and answers in lines.

    client   paho C, MQTTClient        peer_client.c, peer.c
    async    paho C, MQTTAsync         peer_async.c, peer.c
    python   paho for Python           peer_python.py
    mqttjs   MQTT.js                   peer_mqttjs.js, and what tests/interop/install has installed

Orders (bytes in hexadecimal; properties by short names: ct rt cd mei pfi alias up=name:value, expiry rm, delay, sid):

    connect uri=tcp://127.0.0.1:1 [ca=FILE] id=ME version=5 clean=1 [folder=F] [will=T qos=1 retain=0 payload=00 delay=5]
    subscribe filter=F qos=2 [nl=1] [rap=1] [rh=2] [sid=7]          unsubscribe filter=F
    publish topic=T qos=2 retain=0 payload=00 [ct=text/plain] ...   pending     leave

Events: connected present=1 (-1: it does not say), lost, refused rc=135, subscribed qos=2, unsubscribed rc=0, accepted
id=4 (the client has the message), sent id=4 (it is acknowledged), message topic=T qos=2 retain=0 dup=0 payload=00 ...,
pending n=0, left.

A client that loses its connection comes back by itself, with what it has in memory or in its folder.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import kit  # noqa: E402

KINDS = "client", "async", "python", "mqttjs"
VERSIONS = {"client": (3, 4, 5), "async": (3, 4, 5), "python": (3, 4, 5), "mqttjs": (3, 4, 5)}
MQTTJS = os.environ.get("MQTTJS", os.path.join(HERE, "..", "..", "build", "mqttjs"))


def command(kind):
    """How a client of this kind is run. Skips the test when it is not there."""
    if kind in ("client", "async"):
        beside = os.environ.get("LONGLINK_PEERS", os.path.dirname(os.path.realpath(kit.program())))
        path = os.path.join(beside, f"peer_{kind}")
        if not os.access(path, os.X_OK):
            raise unittest.SkipTest(f"{path} is not built: libpaho-mqtt-dev is not installed")
        return [path]
    if kind == "python":
        kit.paho()
        return [sys.executable, "-B", os.path.join(HERE, "peer_python.py")]
    if not shutil.which("node") or not os.path.isdir(os.path.join(MQTTJS, "node_modules", "mqtt")):
        raise unittest.SkipTest(f"MQTT.js is not in {MQTTJS}: tests/interop/install")
    return ["node", os.path.join(HERE, "peer_mqttjs.js")]


class Event:
    def __init__(self, line):
        self.name, *rest = line.split(" ")
        self.words = [tuple(w.split("=", 1)) for w in rest]

    def __getitem__(self, key):
        return dict(self.words)[key]

    def all(self, key):
        return [v for k, v in self.words if k == key]

    @property
    def payload(self):
        return bytes.fromhex(self["payload"])

    def __repr__(self):
        return " ".join([self.name] + [f"{k}={v[:60]}" for k, v in self.words])


class Peer:
    """One process; kind: one of KINDS, version: 3, 4 or 5. folder: where paho C keeps what is under way."""

    def __init__(self, kind, version, client_id, folder=None):
        self.kind, self.version, self.client_id, self.folder = kind, version, client_id, folder
        self.events, self.changed, self.is_over = [], threading.Condition(), False
        self.said = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command(kind), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.said, text=True, env={**os.environ, "MQTTJS": MQTTJS})
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.events.append(Event(line.rstrip("\n")))
                self.changed.notify_all()
        with self.changed:
            self.is_over = True
            self.changed.notify_all()

    def tell(self, verb, **words):
        line = verb + "".join(f" {k}={v.hex() if isinstance(v, bytes) else v}" for k, vs in words.items()
                              for v in (vs if isinstance(vs, list) else [vs]))
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def named(self, name):
        with self.changed:
            return [e for e in self.events if e.name == name]

    def wait(self, name, count=1):
        """Until there have been so many events of this name; gives the last of them."""
        def there():
            return len([e for e in self.events if e.name == name]) >= count

        with self.changed:
            if not self.changed.wait_for(lambda: there() or self.is_over, kit.WAIT_S) or not there():
                self.said.seek(0)
                raise AssertionError(f"{self.kind} version {self.version} {self.client_id}: no {count}. '{name}' in "
                                     f"{self.events[-9:]}, {self.said.read()[-2000:]}")
        return self.named(name)[count - 1]

    def ask(self, verb, answer, **words):
        before = len(self.named(answer))
        self.tell(verb, **words)
        return self.wait(answer, before + 1)

    def connect(self, port, clean=True, scheme="tcp", **words):
        """clean=False: a session that lasts. scheme: also ws, or wss with ca=FILE, which not all clients can."""
        if self.folder and self.kind in ("client", "async"):
            words["folder"] = self.folder
        if self.version == kit.V5 and not clean:
            words.setdefault("expiry", 3600)
        return self.ask("connect", "connected", uri=f"{scheme}://127.0.0.1:{port}", id=self.client_id,
                        version=self.version, clean=int(clean), **words)

    def subscribe(self, topic_filter, qos, **words):
        return int(self.ask("subscribe", "subscribed", filter=topic_filter, qos=qos, **words)["qos"])

    def unsubscribe(self, topic_filter):
        return int(self.ask("unsubscribe", "unsubscribed", filter=topic_filter)["rc"])

    def publish(self, topic, payload, qos=0, retain=False, **words):
        """Does not wait."""
        self.tell("publish", topic=topic, qos=qos, retain=int(retain), payload=payload, **words)

    def messages(self):
        return self.named("message")

    def leave(self):
        self.ask("leave", "left")
        self.process.stdin.close()
        self.process.wait(kit.WAIT_S)
        self.said.close()

    def kill(self):
        """kill -9."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        with self.changed:
            self.changed.wait_for(lambda: self.is_over, kit.WAIT_S)
        for stream in (self.process.stdin, self.process.stdout, self.said):
            try:
                stream.close()
            except BrokenPipeError:
                pass
