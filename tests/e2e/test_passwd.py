#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""longlink passwd: what it writes lets in, here and with mosquitto, and a file that it cannot change stays."""
import os
import re
import stat

import access_kit
import kit

NOT_AUTHORIZED = 0x87


def tool(*words, status=0, stdin=b""):
    return kit.run(os.path.join(os.path.dirname(kit.program()), "longlink"), "passwd", *words, status=status, stdin=stdin)


class Passwd(access_kit.Test):
    def text(self, path):
        with open(path) as f:
            return f.read()

    def test_what_it_writes_lets_in_here_and_with_mosquitto(self):
        path = self.file("")
        tool("-b", path, "anna", "se:cret")
        tool("-b", "-H", "sha512", path, "bob", "pass word")
        tool("-I", "1000", path, "carl", stdin="väl\n".encode())
        self.assertRegex(self.text(path), r"(?m)^anna:\$7\$20000\$[^$]{16}\$[^$]{88}\nbob:\$6\$[^$]+\$[^$]+\ncarl:\$7\$1000\$")
        ours = self.access(conf=f"password_file {path}\n")
        theirs = access_kit.Mosquitto(f"allow_anonymous false\npassword_file {path}\n").ready()
        self.addCleanup(theirs.stop)
        for b in (ours, theirs):
            for user, password in (("anna", "se:cret"), ("bob", "pass word"), ("carl", "väl")):
                self.assertEqual(self.try_join(b, user=user, password=password)[1], 0)
                self.assertEqual(self.try_join(b, user=user, password=password + "x")[1], NOT_AUTHORIZED)

    def test_a_user_is_changed_where_he_stands_and_removed(self):
        path = self.file("# ours\nanna:$6$old\nbob:$6$old\nanna:twice\n", 0o640)
        tool("-b", path, "anna", "new")
        self.assertRegex(self.text(path), r"\A# ours\nanna:\$7\$20000\$.*\nbob:\$6\$old\n\Z")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o640)
        tool("-D", path, "anna")
        self.assertEqual(self.text(path), "# ours\nbob:$6$old\n")
        self.assertIn("anna: there is no such user", tool("-D", path, "anna", status=1))
        self.assertEqual(self.text(path), "# ours\nbob:$6$old\n")

    def test_passwords_in_clear_text_become_hashes(self):
        path = self.file("anna:secret\nbob:$6$kept\n# carl:plain\n")
        tool("-U", "-I", "7", path)
        self.assertRegex(self.text(path), r"\Aanna:\$7\$7\$.*\nbob:\$6\$kept\n# carl:plain\n\Z")
        b = self.access(conf=f"password_file {path}\n")
        self.assertEqual(self.try_join(b, user="anna", password="secret")[1], 0)

    def test_a_file_is_made_only_when_that_is_asked_for(self):
        path = self.file("")
        os.unlink(path)
        self.assertIn("-c makes it", tool("-b", path, "anna", "x", status=1))
        self.assertFalse(os.path.exists(path))
        tool("-c", "-b", path, "anna", "x")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        tool("-c", "-b", path, "bob", "x")
        self.assertEqual(re.findall(r"(?m)^(\w+):", self.text(path)), ["bob"])

    def test_wrong_usage_changes_nothing(self):
        path = self.file("anna:$6$old\n")
        for words in ((), (path,), ("-b", path, "x"), ("-D", path), ("-U", path, "x"), ("-c", "-D", path, "x"),
                      ("-I", "0", path, "x"), ("-I", "2000001", path, "x"), ("-H", "md5", path, "x"), ("-x", path, "x"),
                      ("-b", path, "a:b", "x"), ("-b", path, "", "x"), ("-b", path, "#a", "x")):
            self.assertIn("see 'longlink help passwd'", tool(*words, status=2), words)
        self.assertIn("it is empty", tool(path, "x", status=1, stdin=b"\n"))
        self.assertIn("there is none", tool(path, "x", status=1))
        self.assertIn("it is empty", tool("-b", path, "x", "", status=1))
        self.assertEqual(self.text(path), "anna:$6$old\n")
        self.assertEqual([n for n in os.listdir(os.path.dirname(path)) if n.startswith(os.path.basename(path) + ".")], [])


if __name__ == "__main__":
    kit.main()
