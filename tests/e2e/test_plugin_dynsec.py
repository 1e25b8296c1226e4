# SPDX-License-Identifier: Apache-2.0
"""mosquitto's own dynamic security plugin, as Debian ships it, managed by `mosquitto_ctrl dynsec`: what it permits and
what it forbids is so for real clients. The same scenes with mosquitto and with longlinkd.
"""
import contextlib
import glob
import json
import re
import shutil
import struct
import sys
import tempfile
import unittest

import kit
from mosquitto_kit import Mosquitto

PLUGIN = next(iter(glob.glob("/usr/lib/*/mosquitto_dynamic_security.so")), None)
ADMIN, SECRET = "admin", "of the admin"
ALLOWED = (0, 0x10)  # the latter: nobody has subscribed
NOT_AUTHORIZED, KICKED = 0x87, 0x98


def unsubscribe(c, topic):
    """The reason code."""
    c.next_id += 1
    c.send(kit.packet(kit.UNSUBSCRIBE, 2, struct.pack(">H", c.next_id) + b"\0" + kit.text(topic)))
    return c.expect(kit.UNSUBACK).body[-1]


class Scenes:
    """What both brokers are asked to do; `start(conf)` gives one, `end(broker)` ends it."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="longlink-e2e.")
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.file = f"{self.dir}/dynamic-security.json"
        kit.run("mosquitto_ctrl", "dynsec", "init", self.file, ADMIN, SECRET)
        self.conf = f"plugin {PLUGIN}\nplugin_opt_config_file {self.file}\n"
        self.b = self.start(self.conf)

    def ctrl(self, *words, fails=False):
        said = kit.run("mosquitto_ctrl", "-h", "127.0.0.1", "-p", self.b.port, "-u", ADMIN, "-P", SECRET, "dynsec",
                       *words)
        self.assertEqual("Error" in said, fails, f"{words}: {said}")
        return said

    def defaults(self, **access):
        """By hand: the program's setDefaultACLAccess is without effect in 2.0.11."""
        admin = self.client(self.b, "defaults", user=ADMIN, password=SECRET)
        acls = [{"acltype": kind, "allow": allow} for kind, allow in access.items()]
        admin.publish("$CONTROL/dynamic-security/v1",
                      json.dumps({"commands": [{"command": "setDefaultACLAccess", "acls": acls}]}).encode(), 1)
        said = dict(re.findall(r"(\w+) +: (allow|deny)", self.ctrl("getDefaultACLAccess")))
        self.assertEqual({kind: said[kind] == "allow" for kind in access}, access)

    def role(self, name, *acls):
        """acls: (kind, topic, allow or deny[, priority])"""
        self.ctrl("createRole", name)
        for acl in acls:
            self.ctrl("addRoleACL", name, *acl)

    def person(self, name, *roles, more=()):
        self.ctrl("createClient", name, "-p", "pass of " + name, *more)
        for role in roles:
            self.ctrl("addClientRole", name, role)

    def refused(self, user, password, client_id="", version=kit.V5):
        with contextlib.closing(kit.Client(self.b.port)) as c:
            return c.join(client_id, user=user, password=password, version=version)[1]

    def enter(self, name, client_id=None, **more):
        c = self.client(self.b, client_id or "client of " + name, user=name, password="pass of " + name, **more)
        return c

    def anybody(self, client_id):
        return self.client(self.b, client_id)

    def kicked(self, c):
        """Waits for the end of its connection, which says why."""
        last = c.expect_closed()[-1]
        self.assertEqual((last.kind, last.body[0]), (kit.DISCONNECT, KICKED))

    # --- who comes in

    def test_who_has_no_account_or_another_password_stays_out(self):
        self.person("ann")
        self.assertEqual(self.refused("ann", "pass of ann"), 0)
        for user, password in (("ann", "pass of bob"), ("ann", ""), ("ann", None), ("bob", "pass of ann"), (None, None)):
            with self.subTest(user=user, password=password):
                self.assertEqual(self.refused(user, password), NOT_AUTHORIZED)
                self.assertEqual(self.refused(user, password, version=kit.V311), 5)
        self.assertEqual(self.refused("ann", "pass of ann", version=kit.V311), 0)

    def test_an_account_may_be_for_one_client_id_alone(self):
        self.person("ann", more=("-c", "the phone"))
        self.assertEqual(self.refused("ann", "pass of ann", "the phone"), 0)
        self.assertEqual(self.refused("ann", "pass of ann", "a tablet"), NOT_AUTHORIZED)
        self.ctrl("setClientId", "ann", "a tablet")
        self.assertEqual(self.refused("ann", "pass of ann", "a tablet"), 0)
        self.assertEqual(self.refused("ann", "pass of ann", "the phone"), NOT_AUTHORIZED)

    def test_a_new_password_ends_the_connections_with_the_old_one(self):
        self.person("ann")
        self.person("bob")
        ann, bob = self.enter("ann"), self.enter("bob")
        self.ctrl("setClientPassword", "ann", "another")
        self.kicked(ann)
        bob.ping()
        self.assertEqual(self.refused("ann", "pass of ann"), NOT_AUTHORIZED)
        self.assertEqual(self.refused("ann", "another"), 0)

    def test_who_is_disabled_or_deleted_is_put_out_and_kept_out(self):
        for name in ("ann", "bob", "cid"):
            self.person(name)
        phones = [self.enter("ann", f"phone {i}") for i in range(3)]
        bob, cid = self.enter("bob"), self.enter("cid")
        self.ctrl("disableClient", "ann")
        for phone in phones:
            self.kicked(phone)
        self.assertEqual(self.refused("ann", "pass of ann"), NOT_AUTHORIZED)
        self.ctrl("enableClient", "ann")
        self.enter("ann").ping()
        self.ctrl("deleteClient", "bob")
        self.kicked(bob)
        self.assertEqual(self.refused("bob", "pass of bob"), NOT_AUTHORIZED)
        cid.ping()
        self.ctrl("disableClient", "nobody", fails=True)

    # --- what they may do

    def test_sending_needs_a_role_and_the_higher_priority_decides(self):
        self.role("sender", ("publishClientSend", "room/#", "allow", "1"),
                  ("publishClientSend", "room/secret/+", "deny", "9"))
        self.person("ann", "sender")
        self.person("bob")
        ann, bob = self.enter("ann"), self.enter("bob")
        self.assertIn(ann.publish("room/1", b"x", 1), ALLOWED)
        self.assertEqual(ann.publish("room/secret/1", b"x", 1), NOT_AUTHORIZED)
        self.assertEqual(ann.publish("else/1", b"x", 1), NOT_AUTHORIZED)
        self.assertEqual(bob.publish("room/1", b"x", 1), NOT_AUTHORIZED)
        self.ctrl("removeRoleACL", "sender", "publishClientSend", "room/secret/+")
        self.kicked(ann)
        ann = self.enter("ann")
        self.assertIn(ann.publish("room/secret/1", b"x", 1), ALLOWED)

    def test_subscribing_is_permitted_by_the_very_filter_or_by_a_pattern(self):
        self.role("listener", ("subscribeLiteral", "news/#", "allow"), ("subscribePattern", "room/ann/#", "allow"),
                  ("unsubscribeLiteral", "news/#", "deny"),
                  ("unsubscribePattern", "room/+", "deny"))
        self.person("ann", "listener")
        ann = self.enter("ann", "phone")
        self.assertEqual(ann.subscribe("news/#", 1), 1)
        for topic in ("news/1", "news/+", "#", "room/bob/1", "room/#"):
            self.assertEqual(ann.subscribe(topic), NOT_AUTHORIZED, topic)
        for topic in ("room/ann/1", "room/ann/+/2", "room/ann/#"):
            self.assertEqual(ann.subscribe(topic), 0, topic)
        self.assertEqual(unsubscribe(ann, "news/#"), NOT_AUTHORIZED)
        self.assertEqual(unsubscribe(ann, "room/x"), NOT_AUTHORIZED)
        self.assertIn(unsubscribe(ann, "room/ann/1"), (0, 0x11))

    def test_receiving_is_looked_at_for_each_message(self):
        self.role("all", ("publishClientSend", "#", "allow"), ("subscribePattern", "#", "allow"))
        self.role("not these", ("publishClientReceive", "room/secret/#", "deny", "5"))
        self.person("ann", "all", "not these")
        self.person("bob", "all")
        ann, bob = self.enter("ann"), self.enter("bob")
        for c in (ann, bob):
            self.assertEqual(c.subscribe("room/#", 1), 1)
        for i in range(20):
            bob.send(bob.publish_bytes(f"room/secret/{i}", b"to bob alone", 0))
        self.assertIn(self.publish_keeping(bob, "room/open", b"to both"), ALLOWED)
        self.assertEqual(self.messages(ann, "room/open"), [])
        self.assertEqual(self.messages(bob, "room/open"), [f"room/secret/{i}" for i in range(20)])

    def publish_keeping(self, c, topic, payload):
        """With QoS 1; messages may come before the PUBACK. Gives its reason code."""
        c.send(c.publish_bytes(topic, payload, 1))
        while (p := c.receive()).kind == kit.PUBLISH:
            c.early.append(p)
        self.assertEqual(p.kind, kit.PUBACK)
        return p.body[2] if len(p.body) > 2 else 0

    def messages(self, c, last):
        """The topics up to the last, without it."""
        topics = []
        while not topics or topics[-1] != last:
            topics.append(c.message().topic)
        return topics[:-1]

    def test_a_group_gives_its_roles_to_its_members(self):
        self.role("sender", ("publishClientSend", "room/#", "allow"))
        self.role("quiet", ("publishClientSend", "room/#", "deny"))
        self.person("ann")
        self.ctrl("createGroup", "staff")
        self.ctrl("addGroupRole", "staff", "sender", "1")
        ann = self.enter("ann")
        self.assertEqual(ann.publish("room/1", b"x", 1), NOT_AUTHORIZED)
        for words, allowed in ((("addGroupClient", "staff", "ann"), True),
                               (("addGroupRole", "staff", "quiet", "7"), False),
                               (("removeGroupRole", "staff", "quiet"), True),
                               (("removeGroupClient", "staff", "ann"), False)):
            self.ctrl(*words)
            self.kicked(ann)  # not who comes next: longlinkd kicks soon after the answer
            ann = self.enter("ann")
            code = ann.publish("room/1", b"x", 1)
            self.assertEqual(code in ALLOWED, allowed, words)
            self.assertIn(code, (*ALLOWED, NOT_AUTHORIZED))
        self.assertIn("staff", self.ctrl("listGroups"))

    def test_a_change_of_a_group_puts_its_members_out(self):
        self.person("ann")
        self.ctrl("createGroup", "staff")
        ann = self.enter("ann")
        self.ctrl("addGroupClient", "staff", "ann")
        self.kicked(ann)
        ann = self.enter("ann")
        self.ctrl("deleteGroup", "staff")
        self.kicked(ann)

    def test_who_is_nobody_has_the_roles_of_the_anonymous_group(self):
        self.end(self.b)
        self.b = self.start(self.conf, anonymous=True)
        self.role("guest", ("publishClientSend", "lobby", "allow"), ("subscribeLiteral", "lobby", "allow"))
        guest = self.anybody("guest")
        self.assertEqual(guest.publish("lobby", b"x", 1), NOT_AUTHORIZED)
        self.ctrl("createGroup", "guests")
        self.ctrl("addGroupRole", "guests", "guest")
        self.ctrl("setAnonymousGroup", "guests")
        self.assertIn("guests", self.ctrl("getAnonymousGroup"))
        self.kicked(guest)
        guest = self.anybody("guest again")
        self.assertEqual(guest.subscribe("lobby", 0), 0)
        self.assertEqual(guest.subscribe("room", 0), NOT_AUTHORIZED)
        guest.send(guest.publish_bytes("lobby", b"hello"))
        self.assertEqual(guest.message().payload, b"hello")

    def test_what_no_role_speaks_of_is_as_the_default_says(self):
        self.person("ann")
        ann = self.enter("ann")
        self.assertEqual(ann.subscribe("a"), NOT_AUTHORIZED)
        self.defaults(publishClientSend=True, subscribe=True, unsubscribe=False)
        ann = self.enter("ann", "another")
        self.assertEqual(ann.subscribe("a", 1), 1)
        self.assertEqual(unsubscribe(ann, "a"), NOT_AUTHORIZED)
        ann.send(ann.publish_bytes("a", b"1"))
        self.assertEqual(ann.message().payload, b"1")
        self.defaults(publishClientReceive=False)
        self.assertIn(self.publish_keeping(ann, "a", b"2"), ALLOWED)
        self.defaults(publishClientReceive=True)
        ann.send(ann.publish_bytes("a", b"3"))
        self.assertEqual(ann.message().payload, b"3")

    def test_a_will_needs_permission_too(self):
        self.role("all", ("publishClientSend", "room/#", "allow"), ("subscribeLiteral", "#", "allow"))
        self.person("ann", "all")
        self.person("bob", "all")
        bob = self.enter("bob")
        self.assertEqual(bob.subscribe("#", 0), 0)
        for topic in ("elsewhere", "room/will"):
            self.enter("ann", will=(topic, "gone")).close()
        self.assertEqual(bob.message().topic, "room/will")

    # --- the file, and clients that are not ours

    def test_all_is_kept_when_the_broker_starts_again(self):
        self.role("all", ("publishClientSend", "room/#", "allow"), ("subscribeLiteral", "room/1", "allow"))
        self.person("ann", "all")
        self.person("bob")
        self.ctrl("disableClient", "bob")
        told = {words: self.ctrl(*words) for words in (("listClients",), ("getClient", "ann"), ("getRole", "all"),
                                                       ("getClient", "bob"), ("listGroups",))}
        self.end(self.b)
        self.b = self.start(self.conf)
        self.assertEqual(told, {words: self.ctrl(*words) for words in told})
        ann = self.enter("ann")
        self.assertEqual(ann.subscribe("room/1"), 0)
        self.assertEqual(ann.subscribe("room/2"), NOT_AUTHORIZED)
        ann.send(ann.publish_bytes("room/1", b"x"))
        self.assertEqual(ann.message().payload, b"x")
        self.assertEqual(self.refused("bob", "pass of bob"), NOT_AUTHORIZED)

    def test_mosquittos_clients_are_served(self):
        self.role("all", ("publishClientSend", "room/#", "allow"), ("subscribeLiteral", "room/#", "allow"))
        self.person("ann", "all")
        who = ("-u", "ann", "-P", "pass of ann")
        for version in ("311", "5"):
            s = kit.Running(*kit.sub(self.b, *who, "-V", version, "-d", "-q", "2", "-t", "room/#", "-C", "2"))
            s.wait("Subscribed")
            for qos in (1, 2):
                kit.pub(self.b, *who, "-V", version, "-q", qos, "-t", f"room/{qos}", "-m", f"of QoS {qos}")
            self.assertEqual(s.end(), ["of QoS 1", "of QoS 2"])
        said = kit.run("mosquitto_pub", "-h", "127.0.0.1", "-p", self.b.port, "-u", "ann", "-P", "x", "-t", "room/1",
                       "-m", "x", status=5)
        self.assertRegex(said, "(?i)not authori[sz]ed")


class OnMosquitto(Scenes, kit.Test):
    def start(self, conf, anonymous=False):
        m = Mosquitto(conf + f"allow_anonymous {str(anonymous).lower()}\n")
        self.addCleanup(m.stop)
        return m.ready()

    def end(self, b):
        b.end()


class OnLonglink(Scenes, kit.Test):
    def start(self, conf, anonymous=False):
        return self.broker(conf, allow=f"allow_anonymous {str(anonymous).lower()}")

    def end(self, b):
        b.is_over = True
        self.assertEqual(b.stop(), 0, b.text()[-3000:])


if __name__ == "__main__":
    if not PLUGIN or not kit.have("mosquitto_ctrl"):
        sys.exit("mosquitto's plugin or mosquitto_ctrl is not installed")
    kit.main()
