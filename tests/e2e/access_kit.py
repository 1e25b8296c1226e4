# SPDX-License-Identifier: Apache-2.0
"""Brokers with a password file and an ACL file: ours, and beside it mosquitto, which says what is right."""
import base64
import hashlib
import os
import tempfile

import kit
from mosquitto_kit import Mosquitto


def hash_7(password, iterations=101):
    """As mosquitto_passwd writes it."""
    salt = os.urandom(12)
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations, 64)
    return f"$7${iterations}${base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}"


def hash_6(password):
    salt = os.urandom(12)
    made = hashlib.sha512(password.encode() + salt).digest()
    return f"$6${base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}"


class Test(kit.Test):
    def file(self, text, mode=0o600):
        fd, path = tempfile.mkstemp(prefix="longlink-e2e.")
        self.addCleanup(os.unlink, path)
        with os.fdopen(fd, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def rewrite(self, path, text):
        with open(path + ".new", "w") as f:
            f.write(text)
        os.chmod(path + ".new", 0o600)
        os.rename(path + ".new", path)

    def access(self, passwords=None, rules=None, anonymous=False, conf="", **more):
        """Our broker. Gives it with the paths of both files in .passwords and .rules."""
        paths = [None if text is None else self.file(text) for text in (passwords, rules)]
        lines = [f"{name} {path}\n" for name, path in zip(("password_file", "acl_file"), paths) if path]
        b = self.broker("".join(lines) + conf, allow=f"allow_anonymous {str(anonymous).lower()}", **more)
        b.passwords, b.rules = paths
        return b

    def both(self, passwords=None, rules=None, anonymous=False, conf=""):
        """(ours, mosquitto) with the same files. One shard: what one client publishes another has before a ping's
        answer, as with mosquitto."""
        ours = self.access(passwords, rules, anonymous, "shards 1\n" + conf)
        lines = [f"{name} {path}\n" for name, path in (("password_file", ours.passwords), ("acl_file", ours.rules)) if path]
        m = Mosquitto(f"allow_anonymous {str(anonymous).lower()}\n" + "".join(lines) + conf)
        m.ready()
        self.addCleanup(m.stop)
        return ours, m

    def reload(self, b):
        self.assertIn(" reload-done ", b.reload())

    def try_join(self, b, client_id="c", **more):
        """A client, and the reason code of its CONNACK; None: closed without one."""
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        try:
            return c, c.join(client_id, **more)[1]
        except kit.Closed:
            return c, None
