#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""longlink_auth.so: accounts of a database, tokens, SCRAM, rules, limits of connections, and changes while it runs."""
import contextlib
import os
import shutil
import sqlite3

import auth_kit
import edge_kit
import kit
from auth_kit import (MAXIMUM_CONNECT_TIME, NOT_AUTHORIZED, PASSWORD, QUOTA_EXCEEDED, SECRET, Scram, auth_with,
                      connect_with, data_of, token, tool)


NO_SUBSCRIBERS = 0x10


class Accounts(auth_kit.Test):
    def test_an_account_comes_in_by_its_password_and_nobody_else(self):
        b = self.auth(accounts_db=self.database("anna"))
        self.come(b, user="anna", password=PASSWORD).ping()
        self.come(b, "", NOT_AUTHORIZED, user="anna", password="wrong")
        self.come(b, "", NOT_AUTHORIZED, user="bob", password=PASSWORD)
        self.come(b, "", NOT_AUTHORIZED)
        self.come(b, "", 5, user="anna", password="wrong", version=kit.V311)
        kit.wait_until(lambda: 'why="the password is wrong' in b.text(), "the refusal in the log")

    def test_rules_of_accounts_teams_and_everybody(self):
        path = self.database("anna", "bob")
        tool("accounts", path, "join", "staff", "anna")
        tool("accounts", path, "allow", "both", "home/%u/#")
        tool("accounts", path, "allow", "both", "staff/#", "team", "staff")
        tool("accounts", path, "deny", "publish", "staff/closed", "user", "anna", "priority", "5")
        b = self.auth(accounts_db=path)
        anna = self.come(b, "a", user="anna", password=PASSWORD)
        bob = self.come(b, "b", user="bob", password=PASSWORD)
        self.assertEqual(anna.subscribe("staff/#", 1), 1)
        self.assertEqual(bob.subscribe("staff/#", 1), NOT_AUTHORIZED)
        self.assertEqual(bob.subscribe("home/bob/+", 1), 1)
        self.assertEqual(bob.subscribe("home/anna/+", 1), NOT_AUTHORIZED)
        self.assertEqual(anna.publish("staff/a", b"1", 1), 0)
        self.assertEqual(anna.message().payload, b"1")
        self.assertEqual(anna.publish("staff/closed", b"2", 1), NOT_AUTHORIZED)
        self.assertEqual(bob.publish("staff/a", b"3", 1), NOT_AUTHORIZED)
        self.assertEqual(bob.publish("home/bob/x", b"4", 1), 0)
        self.assertEqual(bob.message().payload, b"4")
        kit.wait_until(lambda: "access-denied" in b.text(), "the denial in the log")

    def test_a_change_of_the_database_holds_at_once_and_ends_only_who_is_no_longer_allowed(self):
        path = self.database("anna", "bob", "carl")
        b = self.auth(accounts_db=path, acl_default="allow")
        anna, bob, carl = (self.come(b, n, user=n, password=PASSWORD) for n in ("anna", "bob", "carl"))
        tool("accounts", path, "disable", "bob")
        tool("passwd", "--db", "-D", path, "carl")
        tool("passwd", "--db", "-I", "4096", "-b", path, "anna", "another")
        tool("accounts", path, "deny", "publish", "shut")
        self.told_to_go(bob, NOT_AUTHORIZED)
        self.told_to_go(carl, NOT_AUTHORIZED)
        kit.wait_until(lambda: anna.publish("shut", b"", 1) == NOT_AUTHORIZED, "the new rule")
        self.come(b, "", NOT_AUTHORIZED, user="anna", password=PASSWORD)
        self.come(b, "", 0, user="anna", password="another")
        self.come(b, "", NOT_AUTHORIZED, user="bob", password=PASSWORD)
        anna.ping()

    def test_a_reload_ends_only_who_is_no_longer_in_the_file_and_wrong_options_change_nothing(self):
        line = {n: f"{n}:{auth_kit.access_kit.hash_7(PASSWORD)}\n" for n in ("anna", "bob")}
        path = self.file("".join(line.values()))
        b = self.auth(password_file=path, acl_default="allow")
        anna, bob = (self.come(b, n, user=n, password=PASSWORD) for n in ("anna", "bob"))
        self.rewrite(path, line["anna"])
        self.reload(b)
        self.told_to_go(bob, NOT_AUTHORIZED)
        anna.ping()
        os.unlink(path)
        b.reload()
        kit.wait_until(lambda: "options-wrong" in b.text(), "the reason in the log")
        self.come(b, "", user="anna", password=PASSWORD)
        anna.ping()
        self.rewrite(path, line["anna"])

    def test_a_disabled_account_that_somebody_else_has_let_in_is_ended_too(self):
        path = self.database()
        tool("accounts", path, "add", "bob")
        passwords = self.file(f"bob:{auth_kit.access_kit.hash_7(PASSWORD)}\n")
        b = self.auth(accounts_db=path, unknown="defer", conf=f"password_file {passwords}")
        bob = self.come(b, "b", user="bob", password=PASSWORD)
        tool("accounts", path, "disable", "bob")
        self.told_to_go(bob, NOT_AUTHORIZED)
        self.come(b, "b", NOT_AUTHORIZED, user="bob", password=PASSWORD)

    def test_a_database_in_the_place_of_another_one_holds_and_one_that_is_locked_holds_up_nobody(self):
        path, other = self.database("anna", "bob"), self.database("anna", "carl")
        b = self.auth(accounts_db=path, acl_default="allow")
        anna, bob = (self.come(b, n, user=n, password=PASSWORD) for n in ("anna", "bob"))
        shutil.copy(other, other + ".new")
        os.rename(other + ".new", path)
        self.told_to_go(bob, NOT_AUTHORIZED)
        self.come(b, "carl", user="carl", password=PASSWORD)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("BEGIN EXCLUSIVE")
            db.execute("UPDATE account SET enabled = 0 WHERE name = 'carl'")
            kit.wait_until(lambda: "accounts-unreadable" in b.text(), "the lock in the log")
            began = b.text().count("accounts-unreadable")
            for i in range(10):
                self.come(b, f"d{i}", user="anna", password=PASSWORD)
            kit.wait_until(lambda: b.text().count("accounts-unreadable") > began, "that it tries on")
            db.execute("COMMIT")
        kit.wait_until(lambda: "clients-ended" in b.text().split("accounts-unreadable")[-1], "the change in the end")
        self.come(b, "carl", NOT_AUTHORIZED, user="carl", password=PASSWORD)
        anna.ping()

    def test_passwords_of_those_who_are_no_longer_there_are_not_looked_at(self):
        path = self.database()
        tool("passwd", "--db", "-I", "200000", "-b", path, "anna", PASSWORD)
        b = self.auth(accounts_db=path, conf="plugin_timeout 1")
        for i in range(100):
            c = kit.Client(b.port)
            c.join(f"c{i}", user="anna", password="wrong", answer=False)
            c.close()
        kit.wait_until(lambda: 'says="login-abandoned"' in b.text(), "that they are passed over")

    def test_wrong_options_keep_the_broker_from_starting(self):
        for option, said in (("threads 99", "1 8"), ("nothing x", "no such option"),
                             ("jwt_key_file /nowhere", "/nowhere")):
            b = kit.Broker(f"plugin {auth_kit.PLUGIN}\nplugin_opt_{option}\n", allow="allow_anonymous false")
            self.addCleanup(b.remove)
            self.assertNotEqual(b.process.wait(kit.WAIT_S), 0)
            b.log_file.close()
            self.assertIn(said, b.text())

    def test_secrets_are_in_no_log(self):
        secret = self.file(SECRET)
        b = self.auth(accounts_db=self.database("anna"), jwt_secret_file=secret, conf="log_type all")
        good, bad = token(sub="dora"), token(secret="x" * 40, sub="dora")
        self.come(b, "", user="anna", password=PASSWORD)
        self.come(b, "", NOT_AUTHORIZED, user="anna", password="wrong-" + PASSWORD)
        self.come(b, "", user="x", password=good)
        self.come(b, "", NOT_AUTHORIZED, user="x", password=bad)
        b.reload()
        self.assertEqual(b.stop(), 0)
        text = b.text()
        for word in (PASSWORD, good, bad, SECRET, good.split(".")[2], "SCRAM-SHA-256$", "wrong-"):
            self.assertNotIn(word, text)


class Tokens(auth_kit.Test):
    def setUp(self):
        self.secret = self.file(SECRET)

    def test_a_token_brings_its_name_and_its_rules(self):
        b = self.auth(jwt_secret_file=self.secret, jwt_claim_client_id="cid")
        acl = {"publish": ["up/%u/%c"], "subscribe": ["up/#"]}
        c = self.come(b, "c1", user="x", password=token(sub="dora", cid="c1", acl=acl))
        self.assertEqual(c.subscribe("up/#", 1), 1)
        self.assertEqual(c.publish("up/dora/c1", b"1", 1), 0)
        self.assertEqual(c.message().payload, b"1")
        self.assertEqual(c.publish("up/x/c1", b"2", 1), NOT_AUTHORIZED)
        self.come(b, "c2", NOT_AUTHORIZED, password=token(sub="dora", cid="c1"), user="x")

    def test_tokens_that_do_not_hold_are_refused(self):
        b = self.auth(jwt_secret_file=self.secret, jwt_issuer="me")
        self.come(b, user="x", password=token(sub="dora", iss="me"))
        for wrong in (token(sub="dora", iss="you"), token(sub="dora", iss="me", lives_s=-60), token(iss="me"),
                      token(secret="f" * 32, sub="dora", iss="me"), token(alg="none", sub="dora", iss="me"),
                      token(sub="dora", iss="me")[:-2]):
            self.come(b, "", NOT_AUTHORIZED, user="x", password=wrong)

    def test_a_connection_ends_with_its_token(self):
        b = self.auth(jwt_secret_file=self.secret, jwt_leeway_seconds=0, acl_default="allow")
        long = self.come(b, "long", user="x", password=token(sub="dora"))
        short = self.come(b, "short", user="x", password=token(sub="dora", lives_s=5))
        self.told_to_go(short, MAXIMUM_CONNECT_TIME)
        long.ping()


class Certificates(auth_kit.Test):
    def test_the_name_in_a_certificate_is_the_user_unless_the_account_is_disabled(self):
        path, p = self.database("bob"), edge_kit.pki()
        tool("accounts", path, "disable", "bob")
        tool("accounts", path, "allow", "both", "home/%u/#")
        listener = f"listener 0 127.0.0.1\n{p.server.lines()}cafile {p.ca.crt}\nrequire_certificate true\n"
        b = self.auth(accounts_db=path, listener=listener)

        def come(pair, code=0, **more):
            c = edge_kit.TlsClient(b.port, p.trust(pair))
            self.addCleanup(c.close)
            self.assertEqual(c.join("c1", **more)[1], code)
            return c

        c = come(p.client, user="other", password="whatever")
        self.assertIn(c.publish("home/alice/x", b"", 1), (0, NO_SUBSCRIBERS))
        self.assertEqual(c.publish("home/other/x", b"", 1), NOT_AUTHORIZED)
        come(p.client2, NOT_AUTHORIZED)
        come(p.client_nameless, NOT_AUTHORIZED)


class Scrams(auth_kit.Test):
    def start(self, b, user, password, client_id=""):
        """Up to the answer to the proof."""
        c, s = kit.Client(b.port), Scram(user, password)
        self.addCleanup(c.close)
        c.send(connect_with(s.METHOD, s.first(), client_id))
        challenge = data_of(c.expect(auth_kit.AUTH).body)
        c.send(auth_with(s.METHOD, s.final(challenge)))
        return c, s, c.expect(kit.CONNACK)

    def test_who_knows_the_password_comes_in_and_the_broker_shows_that_it_does_too(self):
        path = self.database("anna")
        tool("accounts", path, "allow", "both", "home/%u/#")
        b = self.auth(accounts_db=path)
        c, s, p = self.start(b, "anna", PASSWORD, "c1")
        self.assertEqual(p.body[1], 0)
        self.assertEqual(data_of(p.body), s.signature)
        self.assertIn(c.publish("home/anna/x", b"", 1), (0, NO_SUBSCRIBERS))
        self.assertEqual(c.publish("home/bob/x", b"", 1), NOT_AUTHORIZED)

    def test_a_wrong_password_an_unknown_and_a_disabled_account_are_refused_alike(self):
        path = self.database("anna", "bob")
        tool("accounts", path, "disable", "bob")
        b = self.auth(accounts_db=path)
        for user, password in (("anna", "wrong"), ("nobody", PASSWORD), ("bob", PASSWORD)):
            self.assertEqual(self.start(b, user, password)[2].body[1], NOT_AUTHORIZED)

    def test_it_can_be_turned_off_and_is_off_where_the_database_lets_nobody_in(self):
        path = self.database("anna")
        for options in ({"scram": "false"}, {"sources": "jwt"}):
            b = self.auth(accounts_db=path, **options)
            c, s = kit.Client(b.port), Scram("anna", PASSWORD)
            self.addCleanup(c.close)
            c.send(connect_with(s.METHOD, s.first()))
            self.assertEqual(c.expect(kit.CONNACK).body[1], 0x8C)

    def test_an_unknown_name_is_answered_after_a_restart_as_before(self):
        path, said = self.database("anna"), []
        for _ in range(2):
            b = self.auth(accounts_db=path)
            for user in ("anna", "nobody"):
                c, s = kit.Client(b.port), Scram(user, PASSWORD)
                c.send(connect_with(s.METHOD, s.first()))
                said.append(data_of(c.expect(auth_kit.AUTH).body).split(b",", 1)[1])
                c.close()
            self.assertEqual(b.stop(), 0)
        self.assertEqual(said[:2], said[2:])
        self.assertEqual({s.split(b",")[1] for s in said}, {b"i=4096"})

    def test_one_device_too_many_is_told_so(self):
        b = self.auth(accounts_db=self.database("anna"), connections=1, connections_policy="refuse-newer")
        first = self.start(b, "anna", PASSWORD, "c1")[0]
        self.assertEqual(self.start(b, "anna", PASSWORD, "c2")[2].body[1], QUOTA_EXCEEDED)
        first.ping()


class Limits(auth_kit.Test):
    def test_the_oldest_goes_or_the_newest_stays_out_as_its_class_says(self):
        b = self.auth(accounts_db=self.database("anna", "bob"), acl_default="allow",
                      device_class=["phone 1 kick-older phone-*", "desk 2 refuse-newer desk-*"])
        who = {"user": "anna", "password": PASSWORD}
        first = self.come(b, "phone-1", **who)
        second = self.come(b, "phone-2", **who)
        self.told_to_go(first, QUOTA_EXCEEDED)
        desks = [self.come(b, f"desk-{i}", **who) for i in range(2)]
        self.come(b, "desk-9", QUOTA_EXCEEDED, **who)
        self.come(b, "phone-3", user="bob", password=PASSWORD)
        desks[0].leave()
        kit.wait_until(lambda: self.tries(b, "desk-9", **who) == 0, "room for another desk")
        second.ping()
        desks[1].ping()

    def tries(self, b, client_id, **who):
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        return c.join(client_id, **who)[1]

    def test_a_takeover_is_not_one_more(self):
        b = self.auth(accounts_db=self.database("anna"), acl_default="allow", connections=1,
                      connections_policy="refuse-newer")
        who = {"user": "anna", "password": PASSWORD}
        for _ in range(3):
            last = self.come(b, "same", **who)
        last.ping()
        self.come(b, "other", QUOTA_EXCEEDED, **who)


if __name__ == "__main__":
    kit.main()
