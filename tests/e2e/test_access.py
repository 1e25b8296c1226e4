#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may come in, and what to: password files and ACL files, with mosquitto beside as the judge."""
import re
import resource
import select
import shutil
import subprocess
import tempfile
import unittest

import access_kit
import kit
from access_kit import hash_6, hash_7
from kit import V311, V5

V31 = 3
NOT_AUTHORIZED, BUSY = 0x87, 0x89


class Logins(access_kit.Test):
    CASES = {
        "nobody": {},
        "right": {"user": "anna", "password": "secret"},
        "right, of the other kind": {"user": "bob", "password": "secret"},
        "wrong": {"user": "anna", "password": "Secret"},
        "of another": {"user": "bob", "password": "geheim"},
        "without": {"user": "anna"},
        "empty": {"user": "anna", "password": ""},
        "unknown": {"user": "carl", "password": "secret"},
        "in clear text": {"user": "plain", "password": "secret"},
        "no name": {"user": "", "password": "secret"},
        "no name, no password": {"user": ""},
        "password alone": {"password": "secret"},
    }

    def codes(self, b):
        """All at once, so that none waits for the failures of another."""
        clients = {}
        for name, case in self.CASES.items():
            for version in (V311, V5):
                c = kit.Client(b.port)
                self.addCleanup(c.close)
                c.join(f"{name} {version}", version, answer=False, **case)
                clients[name, version] = c
        codes = {}
        for key, c in clients.items():
            try:
                codes[key] = c.expect(kit.CONNACK).body[1]
            except kit.Closed:
                codes[key] = None
        return codes

    def passwords(self):
        return (f"anna:{hash_7('secret')}\nbob:{hash_6('secret')}\nplain:secret\ncarla:{hash_7('secret', 1)}\n")

    def test_a_password_file_lets_in_whom_mosquitto_lets_in_and_answers_the_same(self):
        # option: password_file
        ours, theirs = self.both(self.passwords())
        got = self.codes(ours)
        self.assertEqual(got, self.codes(theirs))
        for name, code in (("nobody", NOT_AUTHORIZED), ("right", 0), ("right, of the other kind", 0), ("wrong", NOT_AUTHORIZED)):
            self.assertEqual(got[name, V5], code, name)
        self.assertEqual(got["wrong", V311], 5)
        self.assertEqual(ours.metric("logins_failed_total") + 4, ours.metric("logins_total"))

    def test_with_anonymous_clients_allowed_a_name_must_still_be_right(self):
        # option: allow_anonymous
        ours, theirs = self.both(self.passwords(), anonymous=True)
        got = self.codes(ours)
        self.assertEqual(got, self.codes(theirs))
        self.assertEqual((got["nobody", V5], got["wrong", V5]), (0, NOT_AUTHORIZED))

    def test_without_a_password_file_a_name_is_as_good_as_none(self):
        for anonymous in (True, False):
            ours, theirs = self.both(anonymous=anonymous)
            self.assertEqual(self.codes(ours), self.codes(theirs))

    def test_what_mosquitto_passwd_writes_is_read(self):
        tool = shutil.which("mosquitto_passwd")
        if not tool:
            raise unittest.SkipTest("mosquitto_passwd is not installed")
        path = self.file("")
        subprocess.run([tool, "-H", "sha512", "-b", path, "old", "pass word"], check=True)
        subprocess.run([tool, "-b", path, "new", "pass:word"], check=True)
        b = self.access(conf=f"password_file {path}\n")
        self.assertEqual(self.try_join(b, user="old", password="pass word")[1], 0)
        self.assertEqual(self.try_join(b, user="new", password="pass:word")[1], 0)
        self.assertEqual(self.try_join(b, user="new", password="pass word")[1], NOT_AUTHORIZED)

    def test_a_wrong_line_is_told_with_its_place_and_a_file_for_all_to_read_as_well(self):
        path = self.file(f"plain:secret\nanna:{hash_7('secret')}\n", 0o644)
        b = self.access(conf=f"password_file {path}\n")
        self.assertIn(f"{path}:1: user 'plain' is left out", b.text())
        self.assertIn("mosquitto_passwd -U", b.text())
        self.assertIn(f"{path}: every user of this machine can read the hashes", b.text())
        self.assertNotIn("secret", b.text())

    def test_a_file_that_is_not_there_stops_the_start_with_its_name(self):
        for option in ("password_file", "acl_file"):
            b = kit.Broker(f"{option} /nowhere/at/all\n")
            self.addCleanup(b.remove)
            self.assertNotEqual(b.process.wait(kit.WAIT_S), 0)
            self.assertIn("value '/nowhere/at/all' cannot be read: No such file", b.text())

    def test_a_slow_hash_holds_up_nobody_else(self):
        b = self.access(f"slow:{hash_7('secret', 200000)}\nfast:{hash_7('secret')}\n",
                        conf="shards 1\nconnect_timeout_s 3600\n")
        other = self.client(b, "other", user="fast", password="secret")
        slow = [kit.Client(b.port) for _ in range(20)]  # a second's work, also for several workers
        for i, c in enumerate(slow):
            self.addCleanup(c.close)
            c.join(f"slow {i}", user="slow", password="secret", answer=False)
        for _ in range(3):
            other.ping()
        self.assertLess(len(select.select([c.socket for c in slow], [], [], 0)[0]), len(slow))
        ready = select.select([c.socket for c in slow], [], [], kit.WAIT_S)[0]
        self.assertEqual({c.expect(kit.CONNACK).body[1] for c in slow if c.socket in ready}, {0})

    def test_who_fails_waits_longer_each_time_and_a_right_password_still_gets_in(self):
        b = self.access(f"anna:{hash_7('secret')}\n")
        for _ in range(7):
            self.assertEqual(self.try_join(b, user="anna", password="wrong")[1], NOT_AUTHORIZED)
        self.assertEqual(b.metric("logins_delayed_total"), 2)
        self.assertEqual(self.try_join(b, user="anna", password="secret")[1], 0)
        self.assertEqual(b.metric("logins_delayed_total"), 3)
        self.assertIn(' login-failed user="anna" peer="127.0.0.1:', b.text())

    def test_a_delay_is_shorter_than_the_time_that_a_connect_has(self):
        b = self.access(f"anna:{hash_7('secret')}\n", conf="connect_timeout_s 3\n")
        for _ in range(11):  # the last would wait 8 s
            self.assertEqual(self.try_join(b, user="anna", password="wrong")[1], NOT_AUTHORIZED)
        self.assertEqual(self.try_join(b, user="anna", password="secret")[1], 0)

    def test_who_comes_when_too_many_wait_is_told_to_come_later_and_the_broker_ends_in_time(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < 4096:
            self.skipTest(f"needs 4096 descriptors, and may have {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        b = self.access(f"slow:{hash_7('secret', 200000)}\n", conf="connect_timeout_s 3600\n")
        for version, code in ((V5, BUSY), (V311, 3)):
            # So many are in the queue or with a worker, unless they have been answered: some are more than enough.
            clients = [kit.Client(b.port) for _ in range(1024 + 100 if version == V5 else 100)]
            for i, c in enumerate(clients):
                self.addCleanup(c.close)
                c.join(f"{version} {i}", version, user="slow", password="secret", answer=False)
            self.wait_code(clients, code)

    def wait_code(self, clients, code):
        """Until one of them has this answer."""
        poll, waiting, codes = select.poll(), {c.socket.fileno(): c for c in clients}, []
        for fd in waiting:
            poll.register(fd, select.POLLIN)
        while code not in codes and (ready := poll.poll(kit.WAIT_S * 1000)):
            for fd, _ in ready:
                codes.append(waiting.pop(fd).expect(kit.CONNACK).body[1])
                poll.unregister(fd)
        self.assertIn(code, codes)

    def test_clients_that_leave_while_their_password_is_checked_do_no_harm(self):
        b = self.access(f"slow:{hash_7('secret', 10000)}\n", conf="shards 2\n")
        for i in range(20):
            c = kit.Client(b.port)
            c.join(f"c{i}", user="slow", password="secret", answer=False)
            c.close()
        b.wait_metric("logins_total", lambda n: n == 20)
        b.wait_metric("connections_open", lambda n: n == 0)
        self.assertEqual(self.try_join(b, user="slow", password="secret")[1], 0)


class Ids(access_kit.Test):
    def test_a_client_without_an_id_gets_one_with_the_prefix_or_is_refused(self):
        # option: auto_id_prefix
        b = self.access(anonymous=True, conf="auto_id_prefix given/by/us-\n")
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        c.join("", answer=False)
        self.assertIn(kit.text("given/by/us-" + 32 * "x")[:2] + b"given/by/us-", c.expect(kit.CONNACK).body)
        # option: allow_zero_length_clientid
        b = self.access(anonymous=True, conf="allow_zero_length_clientid false\n")
        self.assertEqual(self.try_join(b, "")[1], 0x85)
        self.assertEqual(self.try_join(b, "", version=V311)[1], 2)
        self.assertEqual(self.try_join(b, "named")[1], 0)

    def test_ids_must_begin_with_the_prefix(self):
        # option: clientid_prefixes
        ours, theirs = self.both(anonymous=True, conf="clientid_prefixes se-\n")
        for b in (ours, theirs):
            self.assertEqual([self.try_join(b, i)[1] for i in ("se-1", "se-", "s", "x", "")], [0, 0] + 3 * [NOT_AUTHORIZED])
            self.assertEqual(self.try_join(b, "x", version=V311)[1], 5)

    def test_the_user_name_is_the_client_id(self):
        # option: use_username_as_clientid
        ours, theirs = self.both(anonymous=True, conf="use_username_as_clientid true\n")
        for b in (ours, theirs):
            first = self.client(b, "one", user="anna", expiry=100)
            self.assertEqual(self.try_join(b, "one")[1], NOT_AUTHORIZED)
            self.assertEqual(self.try_join(b, "one", user="")[1], NOT_AUTHORIZED)
            second = kit.Client(b.port)
            self.addCleanup(second.close)
            self.assertEqual(second.join("two", clean=False, user="anna", expiry=100), (True, 0))
            first.expect_closed()

    def test_without_a_certificate_there_is_no_identity_to_come_in_by(self):
        # option: use_identity_as_username
        # option: use_subject_as_username
        for option in ("use_identity_as_username", "use_subject_as_username"):
            b = self.access(anonymous=True, conf=f"{option} true\n")
            self.assertEqual(self.try_join(b, "c", user="anna", password="secret")[1], 0x86)
            self.assertEqual(self.try_join(b, "c", version=V311)[1], 4)


RULES = """
# for clients without a name
topic read news/#
topic write in
topic readwrite box/+

user anna
topic a/#
topic deny a/secret/#
topic deny a/none
topic read r/+/x
topic write w
topic read $SYS/#
topic x y/z w
user bob
topic b

# for all
pattern readwrite dev/%c/#
pattern deny dev/%c/no
pattern write usr/%u/+
pattern read usr/%u/%c
user anna
topic late
"""

TOPICS = ["news/1", "news", "in", "box/1", "box/1/2", "a", "a/b", "a/secret", "a/secret/1", "a/none", "r/1/x", "r/1/y",
          "w", "b", "late", "y/z w", "dev/c", "dev/c/1", "dev/d/1", "dev/c/no", "usr/anna/c", "usr/anna/x", "usr//c",
          "usr/bob/c", "other"]
CLIENTS = [(None, "c"), ("anna", "c"), ("bob", "c"), ("carl", "c"), ("anna", "c+d"), (None, "#"), ("an#na", "c"),
           ("anna", "c/1")]


class Rules(access_kit.Test):
    def writes(self, b):
        """What each client may publish, by the answer to it."""
        may = {}
        for user, client_id in CLIENTS:
            c = self.client(b, client_id, user=user)
            for topic in TOPICS:
                code = c.publish(topic, b"1", 1)
                self.assertIn(code, (0, 0x10, NOT_AUTHORIZED))
                may[user, client_id, topic] = code != NOT_AUTHORIZED
            c.leave()
        return may

    def reads(self, b, qos):
        """What each gets of what one who may do everything publishes."""
        gets = {}
        source = self.client(b, "root", user="root")
        for user, client_id in CLIENTS:
            c = self.client(b, client_id, receive_max=1000, user=user)
            self.assertEqual(c.subscribe("#", qos), qos)  # implicitly allowed
            for topic in TOPICS:
                self.assertIn(source.publish(topic, topic.encode(), 1), (0, 0x10))
            gets[user, client_id] = [m.topic for m in c.catch_up()]
            c.leave()
        return gets

    def test_who_may_write_and_read_what_is_as_with_mosquitto(self):
        # option: acl_file
        ours, theirs = self.both(rules=RULES.replace("topic x y/z w", "topic readwrite y/z w") + "user root\ntopic #\n", anonymous=True)
        got = self.writes(ours)
        self.assertEqual(got, self.writes(theirs))
        self.assertTrue(got["anna", "c", "a/b"] and not got["anna", "c", "a/secret/1"])
        self.assertTrue(got["carl", "c", "dev/c/1"] and not got["carl", "c", "dev/d/1"])
        for qos in (0, 1):
            got = self.reads(ours, qos)
            self.assertEqual(got, self.reads(theirs, qos))
            self.assertIn("r/1/x", got["anna", "c"])
            self.assertEqual(got["carl", "c"], ["dev/c", "dev/c/1"])

    def test_an_older_client_is_not_told(self):
        ours, theirs = self.both(rules="topic ok\n", anonymous=True)
        for b in (ours, theirs):
            watcher = self.client(b, "watcher")
            watcher.subscribe("#")
            c = self.client(b, "c", version=V311)
            self.assertEqual(c.publish("no", b"1", 1), 0)
            c.publish("ok", b"2", 1)
            self.assertEqual(watcher.message().topic, "ok")
        self.assertEqual(ours.metric("publish_denied_total"), 1)
        self.assertIn(' publish-denied client="c" topic="no"', ours.text())

    def test_a_wrong_line_stops_the_start_with_its_place(self):
        path = self.file("topic a\ntopic maybe b\n")
        b = kit.Broker(f"acl_file {path}\n")
        self.addCleanup(b.remove)
        self.assertNotEqual(b.process.wait(kit.WAIT_S), 0)
        said = f"{path}:2: 'maybe' is no right; allowed: read, write, readwrite, deny"
        self.assertIn(said, b.text())
        self.assertIn(said, kit.run(kit.program(), "-t", "-c", b.conf, status=1))

    def test_sys_topics_need_a_rule_of_their_own(self):
        b = self.access(rules="topic read #\nuser admin\ntopic read $SYS/#\n", anonymous=True, conf="sys_interval 1\n")
        admin = self.client(b, "admin", user="admin")
        admin.subscribe("$SYS/broker/version")
        self.assertEqual(admin.message().topic, "$SYS/broker/version")
        other = self.client(b, "other")
        other.subscribe("$SYS/broker/version")
        self.assertEqual(other.catch_up(), [])

    def test_a_delayed_message_needs_the_right_to_its_topic(self):
        b = self.access(rules="topic ok\n", anonymous=True)
        c = self.client(b, "c")
        self.assertEqual(c.publish("$delayed/1/no", b"1", 1), NOT_AUTHORIZED)
        self.assertIn(c.publish("$delayed/1/ok", b"1", 1), (0, 0x10))

    def test_wills_of_those_who_may_not_write_do_not_go_out(self):
        ours, theirs = self.both(rules="topic read #\nuser w\ntopic write will/#\n", anonymous=True)
        for b in (ours, theirs):
            watcher = self.client(b, "watcher")
            watcher.subscribe("will/#")
            for name, user in (("no", None), ("yes", "w")):
                c = self.client(b, name, user=user, will=(f"will/{name}", b"gone"))
                c.close()
            self.assertEqual(watcher.message().topic, "will/yes")
            self.assertEqual(watcher.catch_up(), [])

    def test_a_will_that_is_no_longer_allowed_when_its_client_goes_does_not_go_out(self):
        b = self.access(rules="topic readwrite #\n", anonymous=True)
        watcher = self.client(b, "watcher")
        watcher.subscribe("#")
        durable = self.client(b, "durable", will=("will/durable", b"gone"), expiry=1000)
        clean = self.client(b, "clean", will=("will/clean", b"gone"))
        self.rewrite(b.rules, "topic readwrite #\ntopic deny will/#\n")
        self.reload(b)
        durable.close()
        clean.close()
        b.wait_metric("publish_denied_total", lambda n: n == 2)
        self.assertEqual(watcher.catch_up(), [])

    def test_a_will_that_is_no_longer_allowed_when_its_delay_is_over_does_not_go_out(self):
        lines = "topic readwrite #\nuser anna\ntopic readwrite #\n"
        state = tempfile.mkdtemp(prefix="longlink-e2e.")
        self.addCleanup(shutil.rmtree, state, ignore_errors=True)
        conf = f"durability os\npersistence_location {state}\n"
        b = self.access(rules=lines, anonymous=True, conf=conf)
        watcher = self.client(b, "watcher", user="anna")
        watcher.subscribe("#")
        for name, user in (("no", None), ("yes", "anna")):
            c = self.client(b, name, user=user, will=(f"will/{name}", b"gone"), will_delay=5, expiry=1000)
            c.close()
        b.wait_metric("clients_connected", lambda n: n == 1)
        self.rewrite(b.rules, lines.replace("#\n", "#\ntopic deny will/#\n", 1))
        self.reload(b)
        self.assertEqual(watcher.message().topic, "will/yes")
        b.wait_metric("publish_denied_total", lambda n: n == 1)
        self.assertEqual(watcher.catch_up(), [])
        # Its acknowledgement comes behind the will's end in the journal.
        self.client(b, "last", user="anna").publish("last", b"", 1, retain=True)
        self.kill(b)
        b = self.broker(conf)
        b.wait_metric("sessions_persistent", lambda n: n == 2)
        self.assertEqual(b.metric("wills_published_total"), 0)

    def test_queued_and_retained_messages_are_judged_when_they_are_delivered(self):
        b = self.access(rules="topic readwrite #\n", anonymous=True)
        c = self.client(b, "c", expiry=1000)
        c.subscribe("t/#", 1)
        c.leave()
        source = self.client(b, "source")
        for i in range(20):
            source.publish(f"t/{i % 2}", str(i).encode(), 1, retain=i < 2)
        self.rewrite(b.rules, "topic readwrite #\ntopic deny t/1\n")
        self.reload(b)
        again = self.client(b, "c", clean=False, expiry=1000)
        got = [again.message() for _ in range(10)]
        self.assertEqual([m.payload for m in got], [str(i).encode() for i in range(0, 20, 2)])
        self.assertEqual(again.catch_up(), [])
        b.wait_metric("deliveries_denied_total", lambda n: n == 10)
        fresh = self.client(b, "fresh")
        fresh.subscribe("t/#", 1)
        self.assertEqual(fresh.message().topic, "t/0")
        self.assertEqual(fresh.catch_up(), [])
        # What was denied is finished: nothing of it comes when the right comes back.
        again.leave()
        self.rewrite(b.rules, "topic readwrite #\n")
        self.reload(b)
        once_more = self.client(b, "c", clean=False, expiry=1000)
        self.assertEqual(once_more.catch_up(), [])


class Groups(access_kit.Test):
    RULES = "topic write #\nuser left\ntopic read t/left\nuser right\ntopic read t/right\n"

    def test_a_message_of_a_group_goes_to_a_member_that_may_read_it(self):
        for qos in (0, 1, 2):
            for expiry in (None, 1000):
                b = self.access(rules=self.RULES, anonymous=True, conf="shards 2\n")
                members = {}
                for name in ("left", "right"):
                    members[name] = self.client(b, name, user=name, expiry=expiry)
                    members[name].subscribe("$share/g/t/+", qos)
                source = self.client(b, "source")
                for i in range(5):  # the members take so many without acknowledging them
                    for name in ("left", "left", "right", "nobody"):
                        source.publish(f"t/{name}", str(i).encode(), min(qos, 1))
                b.wait_metric("deliveries_denied_total", lambda n: n == 5)
                for name, times in (("left", 10), ("right", 5)):
                    got = [members[name].message() for _ in range(times)]
                    self.assertEqual({m.topic for m in got}, {f"t/{name}"})
                    self.assertEqual([int(m.payload) for m in got], sorted(list(range(5)) * (times // 5)))

    def test_what_a_client_that_is_gone_has_left_goes_to_another_that_may_read_it(self):
        b = self.access(rules=self.RULES, anonymous=True)
        gone, stays = self.client(b, "gone", user="left"), self.client(b, "stays", user="right")
        for c in (gone, stays):
            c.subscribe("$share/g/t/+", 1)
        source = self.client(b, "source")
        for i in range(5):
            source.publish("t/left", str(i).encode(), 1)
        for _ in range(5):
            gone.message(acknowledge=False)
        heir = self.client(b, "heir", user="left")
        heir.subscribe("$share/g/t/+", 1)
        gone.close()
        self.assertEqual(sorted(heir.message().payload for _ in range(5)), [str(i).encode() for i in range(5)])
        self.assertEqual(stays.catch_up(), [])

    def test_a_member_that_may_not_read_takes_nothing_from_one_that_is_away(self):
        b = self.access(rules=self.RULES, anonymous=True, conf="shards 2\n")
        away = self.client(b, "away", user="left", expiry=1000)
        away.subscribe("$share/g/t/+", 1)
        away.leave()
        stranger = self.client(b, "stranger", expiry=1000)
        stranger.subscribe("$share/g/t/+", 1)
        source = self.client(b, "source")
        for i in range(5):
            self.assertLess(source.publish("t/left", str(i).encode(), 1), 0x80)
        away = self.client(b, "away", user="left", expiry=1000, clean=False)
        self.assertEqual([away.message().payload for _ in range(5)], [str(i).encode() for i in range(5)])
        self.assertEqual(stranger.catch_up(), [])

    def test_new_rules_hold_for_groups_at_once(self):
        b = self.access(rules=self.RULES, anonymous=True)
        left, right = self.client(b, "left", user="left"), self.client(b, "right", user="right")
        for c in (left, right):
            c.subscribe("$share/g/t/+", 1)
        source = self.client(b, "source")
        source.publish("t/left", b"1", 1)
        self.assertEqual(left.message().payload, b"1")
        self.rewrite(b.rules, self.RULES.replace("user left", "user nobody").replace("user right", "user right\ntopic read t/left"))
        self.reload(b)
        source.publish("t/left", b"2", 1)
        self.assertEqual(right.message().payload, b"2")
        self.assertEqual(left.catch_up(), [])


class Doors(access_kit.Test):
    def test_each_listener_has_files_of_its_own_and_its_clients_meet(self):
        # option: per_listener_settings
        passwords, rules = self.file(f"anna:{hash_7('secret')}\n"), self.file("topic read t/#\n")
        b = self.broker(f"listener 0 127.0.0.1\nallow_anonymous true\nacl_file {rules}\n",
                        listener="per_listener_settings true\nlistener 0 127.0.0.1",
                        allow=f"allow_anonymous false\npassword_file {passwords}")
        closed, free = [int(p) for p in re.findall(r" listener-open .*port=(\d+)", b.text())]
        b.port = closed
        self.assertEqual(self.try_join(b)[1], NOT_AUTHORIZED)
        anna = self.client(b, "anna", user="anna", password="secret")
        b.port = free
        reader = self.client(b, "reader")
        reader.subscribe("#")
        self.assertEqual(reader.publish("t/1", b"1", 1), NOT_AUTHORIZED)
        for topic in ("u", "t/1"):  # no rules where she came in
            self.assertIn(anna.publish(topic, b"2", 1), (0, 0x10))
        self.assertEqual(reader.message().topic, "t/1")


class Reload(access_kit.Test):
    def test_who_is_gone_from_the_file_goes_and_a_new_password_is_for_the_next_time(self):
        anna, bob = f"anna:{hash_7('secret')}\n", f"bob:{hash_7('secret')}\n"
        b = self.access(anna + bob)
        stays = self.client(b, "anna", user="anna", password="secret")
        goes = self.client(b, "bob", user="bob", password="secret")
        self.rewrite(b.passwords, f"anna:{hash_7('changed')}\n")
        self.reload(b)
        self.assertEqual(goes.expect(kit.DISCONNECT).body[0], NOT_AUTHORIZED)
        stays.ping()
        self.assertEqual(self.try_join(b, "x", user="anna", password="secret")[1], NOT_AUTHORIZED)
        self.assertEqual(self.try_join(b, "x", user="anna", password="changed")[1], 0)

    def test_who_has_only_said_a_name_is_not_its_user_when_there_is_a_file(self):
        b = self.access(anonymous=True)
        says, nobody = self.client(b, "says", user="anna", password="guess"), self.client(b, "nobody")
        path = self.file(f"anna:{hash_7('secret')}\n")
        with open(b.conf, "a") as f:
            f.write(f"password_file {path}\n")
        self.reload(b)
        self.assertEqual(says.expect(kit.DISCONNECT).body[0], NOT_AUTHORIZED)
        nobody.ping()
        knows = self.client(b, "knows", user="anna", password="secret")
        self.reload(b)
        knows.ping()

    def test_a_client_id_that_changes_while_a_password_is_checked_has_one_session(self):
        b = self.access(f"anna:{hash_7('secret', 300000)}\n", conf="shards 2\nconnect_timeout_s 3600\n")
        waiting = []
        for client_id in ("anna", *(f"c{i}" for i in range(6))):  # one of them is on anna's shard
            c = kit.Client(b.port)
            waiting.append(c)
            self.addCleanup(c.close)
            c.join(client_id, user="anna", password="secret", expiry=1000, answer=False)
        with open(b.conf, "a") as f:
            f.write("use_username_as_clientid true\n")
        self.reload(b)
        early = len(select.select([c.socket for c in waiting], [], [], 0)[0])
        codes = [self.code(c) for c in waiting]
        self.assertIn(0, codes)
        # Who waited on another shard than anna's comes again; who is taken over while he waits has no answer.
        self.assertLessEqual(set(codes), {0, BUSY, None})
        b.wait_metric("clients_connected", lambda n: n <= early + 1)

    def code(self, c):
        """None: closed without an answer."""
        try:
            return c.expect(kit.CONNACK).body[1]
        except kit.Closed:
            return None

    def test_new_rules_hold_at_once(self):
        b = self.access(rules="topic read t\n", anonymous=True)
        c = self.client(b, "c")
        c.subscribe("t", 1)
        self.assertEqual(c.publish("t", b"1", 1), NOT_AUTHORIZED)
        self.rewrite(b.rules, "topic t\n")
        self.reload(b)
        c.send(c.publish_bytes("t", b"2", 1))
        kinds = sorted(c.receive().kind for _ in range(2))
        self.assertEqual(kinds, [kit.PUBLISH, kit.PUBACK])

    def test_a_wrong_file_changes_nothing(self):
        b = self.access(rules="topic t\n", anonymous=True)
        c = self.client(b, "c")
        self.rewrite(b.rules, "nonsense\n")
        said = b.reload()
        self.assertIn(" reload-failed ", said)
        self.assertIn(f"{b.rules}:1: 'nonsense' begins no line", said)
        self.assertIn(c.publish("t", b"1", 1), (0, 0x10))


if __name__ == "__main__":
    kit.main()
