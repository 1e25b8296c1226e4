#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""longlink passwd --db and longlink accounts: what they write into a database of accounts."""
import os
import sqlite3
import stat

import auth_kit
from auth_kit import PASSWORD, tool


class Accounts(auth_kit.Test):
    def secret(self, path, name):
        db = sqlite3.connect(path)
        self.addCleanup(db.close)
        return db.execute("SELECT secret FROM account WHERE name = ?", (name,)).fetchone()[0]

    def test_secrets_are_keys_of_scram_or_hashes_and_the_file_is_its_owners(self):
        path = self.database("anna")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertRegex(self.secret(path, "anna"), r"^SCRAM-SHA-256\$4096:\S{24}\$\S{44}:\S{44}$")
        tool("passwd", "--db", path, "anna", stdin=b"another\n")
        self.assertRegex(self.secret(path, "anna"), r"^SCRAM-SHA-256\$20000:")
        tool("passwd", "--db", "-H", "sha512-pbkdf2", "-b", path, "anna", PASSWORD)
        self.assertRegex(self.secret(path, "anna"), r"^\$7\$20000\$")
        tool("passwd", "--db", "-H", "sha512", "-b", path, "anna", PASSWORD)
        self.assertRegex(self.secret(path, "anna"), r"^\$6\$")

    def test_a_database_is_made_only_when_that_is_asked_for_and_c_keeps_who_is_in_it(self):
        path = self.database("anna")
        tool("passwd", "--db", "-c", "-b", path, "bob", PASSWORD)
        self.assertEqual(tool("accounts", path, "list"), "anna\nbob\n")
        os.unlink(path)
        tool("passwd", "--db", "-b", path, "anna", PASSWORD, status=1)
        tool("accounts", path, "list", status=1)
        self.assertFalse(os.path.exists(path))
        tool("passwd", "--db", "-c", "-b", path, "anna", PASSWORD)

    def test_lists_say_what_there_is(self):
        path = self.database("anna", "bob")
        tool("accounts", path, "add", "carl")
        tool("accounts", path, "join", "staff", "anna")
        tool("accounts", path, "join", "admins", "anna")
        tool("accounts", path, "disable", "bob")
        self.assertEqual(tool("accounts", path, "list"),
                         "anna in staff, admins\nbob (disabled)\ncarl (no password)\n")
        tool("accounts", path, "leave", "staff", "anna")
        tool("accounts", path, "enable", "bob")
        self.assertEqual(tool("accounts", path, "list"), "anna in admins\nbob\ncarl (no password)\n")
        tool("accounts", path, "allow", "publish", "a/%u", "team", "staff", "priority", "-3")
        tool("accounts", path, "deny", "both", "#")
        tool("accounts", path, "allow", "subscribe", "b", "user", "anna")
        self.assertEqual(tool("accounts", path, "rules"), "1 allow publish a/%u team staff priority -3\n"
                         "2 deny both #\n3 allow subscribe b user anna\n")
        tool("accounts", path, "forget", "2")
        tool("passwd", "--db", "-D", path, "anna")
        self.assertEqual(tool("accounts", path, "rules"), "1 allow publish a/%u team staff priority -3\n")

    def test_what_cannot_be_says_so_and_changes_nothing(self):
        path = self.database("anna")
        for words, status in ((("forget", "7"), 1), (("enable", "bob"), 1), (("join", "t", "bob"), 1),
                              (("allow", "publish", "a#"), 1), (("allow", "publish", "a", "user", "bob"), 1),
                              (("allow", "write", "a"), 2), (("allow", "publish"), 2), (("forget", "x"), 2),
                              (("deny", "both", "a", "user", "anna", "team", "t"), 2), (("bake",), 2)):
            tool("accounts", path, *words, status=status)
        tool("passwd", "--db", "-D", path, "bob", status=1)
        tool("passwd", "--db", "-I", "100", "-b", path, "bob", "x", status=2)
        tool("passwd", "--db", "-U", path, status=2)
        self.assertEqual(tool("accounts", path, "list"), "anna\n")
        self.assertEqual(tool("accounts", path, "rules"), "")


if __name__ == "__main__":
    auth_kit.kit.main()
