#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A plugin that does what it must not (tests/plugins/hostile.c) does not take the broker down, and others do not
notice: under a sanitizer, for each deed, in each callback. What each function answers then: test_plugin_abuse.py.
"""
import contextlib
import os
import shutil
import struct
import sys
import tempfile
import threading

import kit

FOLDER = os.environ.get("LONGLINK_TEST_PLUGINS", "")
DEEDS = ("unregister", "register nonsense", "publish nonsense", "publish properties", "kick", "keep",
         "use kept", "set usernames", "memory", "write log", "start thread", "everything")
CODES = (-2147483648, -5, -1, 1, 6, 11, 12, 13, 17, 99, 255, 2147483647)
CONTROL = "$CONTROL/hostile/v1"
# What asks for more memory than there can be gets none, as without a sanitizer.
ENV = {"ASAN_OPTIONS": kit.SANITIZER_OPTIONS["ASAN_OPTIONS"] + ":allocator_may_return_null=1",
       "TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", "") + " allocator_may_return_null=1"}
LOGIN, ACL, MESSAGE, CONTROLS, TICK, RELOAD, DISCONNECT = 3, 2, 7, 6, 9, 1, 10


class Hostile(kit.Test):
    def start(self, *options, more="", **flags):
        self.dir = tempfile.mkdtemp(prefix="longlink-e2e.")
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.out = f"{self.dir}/out"
        lines = [f"plugin {FOLDER}/hostile.so", f"plugin_opt_out {self.out}", *options, more]
        self.b = self.broker("\n".join(lines), env=ENV.items(), **flags)
        self.others = [self.client(self.b, f"other {i}", user="other") for i in range(2)]
        for other in self.others:
            self.assertEqual(other.subscribe("quiet/#", 1), 1)
        self.said = 0

    def done(self, event, deed):
        kit.wait_file(self.out, f"^{event} {deed}$")

    def others_do_not_notice(self):
        """They publish, receive, and ping."""
        self.said += 1
        payload = b"%d" % self.said
        for other in self.others:
            other.send(other.publish_bytes("quiet/x", payload, 1))
        for other in self.others:
            got, acknowledged = [], False
            while len(got) < len(self.others) or not acknowledged:
                p = other.receive()
                acknowledged = acknowledged or p.kind == kit.PUBACK
                if p.kind == kit.PUBLISH:
                    m = kit.Message(p, kit.V5)
                    other.send(kit.packet(kit.PUBACK, 0, struct.pack(">H", m.id)))
                    got.append(m.payload)
            self.assertEqual(got, [payload] * len(self.others))
            other.ping()
        self.client(self.b, "newcomer", user="other").leave()

    def actor(self, name="actor", user="actor", answer=True, **more):
        c = kit.Client(self.b.port)
        self.addCleanup(c.close)
        with contextlib.suppress(kit.Closed):
            c.join(name, user=user, answer=answer, **more)
        return c

    def settles(self, c):
        """Until the broker has heard what was sent, or has ended the connection."""
        with contextlib.suppress(kit.Closed, OSError):
            c.send(kit.packet(kit.PINGREQ, 0, b""))
            while c.receive().kind != kit.PINGRESP:
                pass
        c.close()

    # --- deeds

    def test_in_a_login(self):
        self.start()
        for deed in (*DEEDS, "register many", "set bad username", "set huge username", "set no username"):
            with self.subTest(deed):
                c = self.actor(user="do " + deed)
                self.done(LOGIN, deed)
                self.settles(c)
                self.others_do_not_notice()

    def publishing(self, event, topic, deeds, payload=None):
        self.start()
        for deed in deeds:
            for qos in (0, 1, 2):
                with self.subTest(deed, qos=qos):
                    c = self.actor()
                    c.send(c.publish_bytes(topic + (deed if payload is None else ""), deed.encode(), qos))
                    self.done(event, deed)
                    self.settles(c)
                    os.truncate(self.out, 0)
            self.others_do_not_notice()

    def test_in_a_check(self):
        self.publishing(ACL, "acl/", DEEDS)

    def test_in_a_message(self):
        self.publishing(MESSAGE, "message/", (*DEEDS, *["change message"] * 12))

    def test_in_a_command(self):
        self.publishing(CONTROLS, CONTROL, DEEDS, payload=True)

    def test_in_the_checks_of_subscriptions_and_deliveries(self):
        self.start()
        for deed in DEEDS:
            with self.subTest(deed):
                c = self.actor()
                body = b"".join(kit.text(f"acl/{deed}") + b"\1" for _ in range(3))
                c.send(kit.packet(kit.SUBSCRIBE, 2, b"\0\1\0" + body))
                self.done(ACL, deed)
                with contextlib.suppress(OSError):
                    c.send(kit.packet(kit.UNSUBSCRIBE, 2, b"\0\2\0" + kit.text(f"acl/{deed}")))
                    c.send(c.publish_bytes(f"acl/{deed}", b"x", 1))
                self.settles(c)
                os.truncate(self.out, 0)
            self.others_do_not_notice()

    def test_when_a_client_is_gone(self):
        self.start()
        for deed in DEEDS:
            with self.subTest(deed):
                self.actor(user="gone " + deed, will=("quiet-not/will", "x")).close()
                self.done(DISCONNECT, deed)
                self.others_do_not_notice()

    def test_in_init_reload_tick_and_cleanup(self):
        for i in range(2):
            self.start(*(f"plugin_opt_{at} everything" for at in ("init", "reload", "tick", "cleanup")))
            self.done(0, "everything")
            self.done(TICK, "everything")
            self.b.reload()
            self.done(RELOAD, "everything")
            self.others_do_not_notice()
            os.truncate(self.out, 0)
            self.b.is_over = True
            self.assertEqual(self.b.stop(), 0, self.b.text()[-6000:])
            self.done(0, "everything")

    # --- results

    def test_results_that_mean_nothing_are_denials(self):
        self.start()
        for code in CODES:
            with self.subTest(code):
                self.is_refused(f"do code {code}")
                c = self.actor()
                self.assertNotIn(c.subscribe(f"acl/code {code}"), (0, 1, 2))
                for topic in (f"acl/code {code}", f"message/code {code}", CONTROL):
                    for qos in (0, 1, 2):
                        c = self.actor()
                        c.send(c.publish_bytes(topic, b"code %d" % code, qos))
                        self.settles(c)
                self.others_do_not_notice()

    def is_refused(self, user):
        """By a CONNACK, or without a word."""
        c = self.actor(user=user, answer=False)
        said = c.expect_closed()
        self.assertNotIn(0, [p.body[1] for p in said if p.kind == kit.CONNACK], said)

    # --- clients that are kept for too long

    def test_pointers_that_were_kept_are_nobodys_when_their_clients_are_gone(self):
        self.start()
        for i in range(100):
            self.actor(f"kept {i}", user="do keep").close()
        self.sends_command("use kept")
        self.sends_command("start thread")
        for i in range(100):
            self.actor(f"kept {i}", user="do use kept").close()
        self.sends_command("use kept")
        self.others_do_not_notice()

    def sends_command(self, deed):
        c = self.actor("commander")
        c.publish(CONTROL, deed.encode(), 1)
        self.done(CONTROLS, deed)
        c.close()
        os.truncate(self.out, 0)

    # --- all at once

    def test_many_clients_at_once_while_it_publishes_from_a_thread_of_its_own(self):
        self.start(more="shards 4")

        finished = []

        def work(i):
            for deed in DEEDS:
                c = self.actor(f"worker {i}", user="do " + deed)
                with contextlib.suppress(OSError, kit.Closed):
                    for topic in ("acl/" + deed, "message/" + deed):
                        c.send(c.publish_bytes(topic, b"x", i % 3))
                self.settles(c)
            finished.append(i)

        workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        self.assertEqual(sorted(finished), list(range(len(workers))))
        self.others_do_not_notice()

    # --- one that never comes back

    def test_one_that_hangs_in_a_login_holds_up_nobody_who_is_in(self):
        self.start(more="plugin_timeout 1")
        for _ in range(2):
            self.is_refused("do hang")
        kit.wait_file(self.b.log, r" plugin-stuck .*hostile")
        for other in self.others:
            other.ping()
        self.b.is_over = True
        self.assertEqual(self.b.stop(), 0, self.b.text()[-6000:])

    # --- the log

    def test_what_it_writes_is_one_line_of_its_own(self):
        self.start()
        self.sends_command("write log")
        kit.wait_file(self.b.log, r"forged=1.*\n")  # the log has a thread of its own
        lines = [line for line in self.b.text().splitlines() if "forged=1" in line]
        self.assertEqual([line for line in lines if ' plugin="hostile" ' not in line], [])


if __name__ == "__main__":
    if not os.path.exists(f"{FOLDER}/hostile.so"):
        sys.exit("LONGLINK_TEST_PLUGINS does not name a folder with hostile.so")
    kit.main()
