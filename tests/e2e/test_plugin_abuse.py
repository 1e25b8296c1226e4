# SPDX-License-Identifier: Apache-2.0
"""A plugin that breaks the contract does not take the broker down, wherever the interface lets us prevent it."""
import os
import re
import tempfile

import kit
from kit import PUBACK, V311, V5

PLUGIN = os.environ.get("LONGLINK_TEST_PLUGINS", "") + "/abuse.so"


class Abuse(kit.Test):
    def setUp(self):
        handle, self.out = tempfile.mkstemp(prefix="longlink-e2e.")
        os.close(handle)
        self.addCleanup(os.unlink, self.out)
        self.b = self.broker(f"plugin {PLUGIN}\nplugin_opt_out {self.out}\n")

    def said(self):
        with open(self.out) as f:
            return f.read().splitlines()

    def asked(self, client, topic, payload=b"x"):
        """What the plugin says when a client publishes, and the code of the PUBACK."""
        before = len(self.said())
        code = client.publish(topic, payload, 1)
        return self.said()[before:], code

    def lives(self):
        """The broker does its work."""
        c = self.client(self.b, "lives")
        c.subscribe("lives", 1)
        c.send(c.publish_bytes("lives", b"yes", 1))
        kinds = sorted(c.receive().kind for _ in range(2))
        self.assertEqual([kit.PUBLISH, PUBACK], kinds)
        c.leave()

    def wait_log(self, pattern):
        return kit.wait_file(self.b.log, pattern)

    def test_a_pointer_that_was_kept_is_nobody(self):
        c, other = self.client(self.b, "short lived"), self.client(self.b, "other")  # both now: never at one address
        self.asked(c, "do/keep")
        c.leave()

        def is_nobody():
            return self.asked(other, "do/use")[0] == ["kept id=NULL user=NULL address=NULL version=0 subs=0: 0"]

        kit.wait_until(is_nobody, "the client to be gone for the plugin")
        self.assertEqual(["kept set_username: 3"], self.asked(other, "do/rename")[0])
        self.lives()

    def test_threads_of_its_own_may_publish_and_log_and_nothing_else(self):
        sub = self.client(self.b, "sub")
        sub.subscribe("from/#", 1)
        c = self.client(self.b, "c")
        lines, code = self.asked(c, "do/threads")
        self.assertEqual(0x10, code)
        self.assertEqual({"foreign register: 3": 4, "foreign unregister: 3": 4, "foreign publish: 0": 4,
                          "foreign kick: 0": 4, "foreign set_username: 3": 4,
                          "foreign id=NULL user=NULL address=NULL version=0 subs=0: 0": 4},
                         {line: lines.count(line) for line in lines})
        for _ in range(4):
            self.assertEqual("from/elsewhere", sub.message().topic)
        self.wait_log(r' plugin-notice .*text="foreign log"')
        self.wait_log(r' plugin-wrong plugin="abuse" what="callbacks can be registered on the plugin.s own thread')
        self.wait_log(r"registered on the plugin's own thread")
        self.assertEqual(1, len(re.findall(r"registered on the plugin's own thread", self.b.text())))
        self.lives()

    def test_a_callback_may_unregister_itself_twice_and_register_again(self):
        c = self.client(self.b, "c")
        self.assertEqual(["unregister: 0", "unregister again: 6", "register: 0"], self.asked(c, "do/unregister")[0])
        self.assertEqual(["unregister: 0", "unregister again: 6", "register: 0"], self.asked(c, "do/unregister")[0])
        self.lives()

    def test_registrations_have_a_bound(self):
        c = self.client(self.b, "c")
        self.assertEqual(["registered until: 1"], self.asked(c, "do/register")[0])
        self.assertEqual(["registered until: 1"], self.asked(c, "do/register")[0])
        self.lives()

    def test_names_of_a_client_have_a_bound(self):
        c = self.client(self.b, "c", user="me", password="x")
        self.assertEqual(["names until: 1"], self.asked(c, "do/names")[0])
        self.lives()

    def test_the_client_of_the_running_callback_may_be_kicked(self):
        c = self.client(self.b, "c")
        c.send(c.publish_bytes("do/kick", b"x", 1))
        packets = c.expect_closed()
        self.assertEqual((14, 0x98), (packets[-1].kind, packets[-1].body[0]))
        kit.wait_until(lambda: self.said() == ["kick: 0"], "the plugin to say that it has")
        self.lives()

    def test_events_that_are_not_known_are_refused_by_number_and_name(self):
        c = self.client(self.b, "c")
        self.assertEqual(["event 14: 10", "event 4711: 10", "no id: 3", "no plugin's id: 3"],
                         self.asked(c, "do/event")[0])
        self.wait_log(r' plugin-event-unknown plugin="abuse" event=14 name="PERSIST_RESTORE"')
        self.wait_log(r' plugin-event-unknown plugin="abuse" event=4711 name="unknown"')
        self.lives()

    def test_a_topic_made_into_none_is_refused(self):
        c = self.client(self.b, "c")
        for how in ("wildcard", "empty", "null", "utf8"):
            self.assertEqual(0x90, self.asked(c, f"change/{how}")[1], how)
        self.wait_log(r" plugin-wrong .*MESSAGE: a topic became one that is none")
        self.wait_log("a topic became one that is none")
        self.assertEqual(1, len(re.findall("a topic became one that is none", self.b.text())))
        self.lives()

    def test_a_payload_length_that_cannot_be_is_not_believed(self):
        sub = self.client(self.b, "sub")
        sub.subscribe("change/#", 1)
        c = self.client(self.b, "c")
        self.assertEqual(0x83, self.asked(c, "change/negative")[1])
        self.assertEqual(0, self.asked(c, "change/longer", b"payload")[1])
        self.assertEqual(b"payload", sub.message().payload)
        self.assertEqual(0, self.asked(c, "change/nothing", b"payload")[1])
        self.assertEqual(b"", sub.message().payload)
        self.lives()

    def test_properties_that_a_publish_may_not_have_do_not_reach_the_wire(self):
        sub = self.client(self.b, "sub")
        sub.subscribe("change/#", 1)
        c = self.client(self.b, "c")
        self.assertEqual(0, self.asked(c, "change/property")[1])
        self.assertEqual(b"\x03\0\x04type", sub.message().props)
        self.wait_log(r" plugin-wrong .*properties that a PUBLISH may not have")
        self.lives()

    def test_results_that_mean_nothing_deny_and_are_logged_once(self):
        c = self.client(self.b, "c")
        for result in (1, 99, -1, -17, 2147483647, -2147483648):
            self.assertEqual(0x87, self.asked(c, f"acl/{result}")[1], result)
        self.wait_log(r" plugin-wrong .*number=1\b")
        self.wait_log("which denies")
        self.assertEqual(1, len(re.findall("which denies", self.b.text())))
        self.lives()

    def test_a_message_callback_that_fails_ends_the_connection_only(self):
        for version in (V311, V5):
            c = self.client(self.b, "c", version=version)
            c.send(c.publish_bytes("result/99", b"x", 1))
            self.assertNotIn(PUBACK, [p.kind for p in c.expect_closed()])
        self.lives()

    def test_it_cleans_up_twice(self):
        self.lives()
        self.assertEqual(0, self.b.stop())
        self.b.is_over = True
        self.assertEqual(["cleanup, unregister again: 6"], self.said())


if __name__ == "__main__":
    kit.main()
