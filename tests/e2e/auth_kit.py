# SPDX-License-Identifier: Apache-2.0
"""Brokers with longlink_auth.so, its database, and tokens for it."""
import base64
import hashlib
import hmac
import json
import os
import struct
import time

import access_kit
import kit

PLUGIN = os.path.join(os.path.dirname(os.path.dirname(kit.program())), "lib", "longlink_auth.so")
SECRET = "0123456789abcdef0123456789abcdef"
PASSWORD = "open-sesame-7431"
NOT_AUTHORIZED, SERVER_UNAVAILABLE, QUOTA_EXCEEDED, MAXIMUM_CONNECT_TIME = 0x87, 0x88, 0x97, 0xA0
AUTH = 15


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(secret=SECRET, alg="HS256", lives_s=3600, **claims):
    """Signed by the secret, whatever alg says."""
    claims = {"exp": int(time.time()) + lives_s, **claims}
    text = b64(json.dumps({"alg": alg}).encode()) + "." + b64(json.dumps(claims).encode())
    return text + "." + b64(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())


def tool(*words, status=0, stdin=b""):
    return kit.run(os.path.join(os.path.dirname(kit.program()), "longlink"), *words, status=status, stdin=stdin)


class Test(access_kit.Test):
    def database(self, *accounts):
        """Of accounts with PASSWORD; its path."""
        path = self.file("")
        os.unlink(path)
        tool("passwd", "--db", "-c", "-I", "4096", "-b", path, "nobody", PASSWORD)
        tool("passwd", "--db", "-D", path, "nobody")
        for name in accounts:
            tool("passwd", "--db", "-I", "4096", "-b", path, name, PASSWORD)
        return path

    def auth(self, anonymous=False, conf="", listener="listener 0 127.0.0.1", **options):
        """A broker with the plugin. An option with a list is given once for each."""
        lines = [f"plugin {PLUGIN}"]
        for name, values in options.items():
            lines += [f"plugin_opt_{name} {v}" for v in (values if isinstance(values, list) else [values])]
        return self.access(anonymous=anonymous, conf="\n".join([conf, *lines, ""]), listener=listener)

    def come(self, b, client_id="", code=0, **more):
        """A client that tries to come in, and what it is told."""
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        self.assertEqual(c.join(client_id, **more)[1], code)
        return c

    def told_to_go(self, c, code):
        """A DISCONNECT with this reason, and the end."""
        last = [p for p in c.expect_closed() if p.kind == kit.DISCONNECT]
        self.assertEqual([p.body[0] for p in last], [code])


# --- SCRAM, the client's side

def connect_with(method, data, client_id=""):
    props = b"\x15" + kit.text(method) + b"\x16" + kit.text(data)
    body = kit.text("MQTT") + bytes([5, 2]) + struct.pack(">H", 0) + kit.var_int(len(props)) + props
    return kit.packet(kit.CONNECT, 0, body + kit.text(client_id))


def auth_with(method, data, code=0x18):
    props = b"\x15" + kit.text(method) + b"\x16" + kit.text(data)
    return kit.packet(AUTH, 0, bytes([code]) + kit.var_int(len(props)) + props)


def data_of(body):
    """The Authentication Data among properties."""
    at = body.index(b"\x16")
    n = struct.unpack_from(">H", body, at + 1)[0]
    return body[at + 3:at + 3 + n]


class Scram:
    METHOD = "SCRAM-SHA-256"

    def __init__(self, user, password):
        self.bare = f"n={user},r=fyko+d2lbbFgONRv9qkxdawL"
        self.password = password

    def first(self):
        return ("n,," + self.bare).encode()

    def final(self, challenge):
        challenge = challenge.decode()
        parts = dict(p.split("=", 1) for p in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(parts["s"]), int(parts["i"]))
        key = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
        without = "c=biws,r=" + parts["r"]
        signed = ",".join([self.bare, challenge, without]).encode()
        mask = hmac.new(hashlib.sha256(key).digest(), signed, hashlib.sha256).digest()
        proof = bytes(a ^ b for a, b in zip(key, mask))
        server = hmac.new(salted, b"Server Key", hashlib.sha256).digest()
        self.signature = b"v=" + base64.b64encode(hmac.new(server, signed, hashlib.sha256).digest())
        return f"{without},p={base64.b64encode(proof).decode()}".encode()
