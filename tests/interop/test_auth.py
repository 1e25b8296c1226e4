#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""MQTT.js and longlink_auth.so: a token as its password, and SCRAM-SHA-256 by its handleAuth.

    LONGLINKD=build/asan/bin/longlinkd tests/interop/test_auth.py
"""
import json
import os
import subprocess

import peers
import kit
import auth_kit
from auth_kit import NOT_AUTHORIZED, PASSWORD, SECRET, token, tool


class Auth(auth_kit.Test):
    def setUp(self):
        peers.command("mqttjs")  # skips without it

    def login(self, b, **how):
        """The lines that it says."""
        how = {"uri": f"mqtt://127.0.0.1:{b.port}", "topic": "home/anna/x", **how}
        script = os.path.join(peers.HERE, "login_mqttjs.js")
        done = subprocess.run(["node", script, json.dumps(how)], capture_output=True, text=True, timeout=kit.WAIT_S,
                              env={**os.environ, "MQTTJS": peers.MQTTJS})
        self.assertEqual(done.stderr, "")
        return done.stdout.splitlines()

    def test_scram(self):
        path = self.database("anna")
        tool("accounts", path, "allow", "both", "home/%u/#")
        b = self.auth(accounts_db=path)
        who = {"scram": True, "username": "anna", "password": PASSWORD, "id": "js"}
        self.assertEqual(self.login(b, **who), ["in signed", "published"])
        self.assertEqual(self.login(b, **who, topic="home/bob/x"), ["in signed", f"denied {NOT_AUTHORIZED}"])
        self.assertEqual(self.login(b, **{**who, "password": "wrong"}), [f"refused {NOT_AUTHORIZED}"])
        self.assertEqual(self.login(b, **{**who, "username": "bob"}), [f"refused {NOT_AUTHORIZED}"])

    def test_a_token(self):
        b = self.auth(jwt_secret_file=self.file(SECRET))
        acl = {"publish": "home/%u/x"}
        for version in (4, 5):
            who = {"username": "js", "id": "js", "version": version}
            self.assertEqual(self.login(b, password=token(sub="anna", acl=acl), **who), ["in", "published"])
            refused = "refused 5" if version == 4 else f"refused {NOT_AUTHORIZED}"
            self.assertEqual(self.login(b, password=token(sub="anna", lives_s=-100), **who), [refused])


if __name__ == "__main__":
    kit.main()
