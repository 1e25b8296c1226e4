#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""mosquitto_pub, mosquitto_sub and mosquitto_rr, with MQTT 3.1, 3.1.1 and 5.0: what arrives, and how.

    LONGLINKD=build/asan/bin/longlinkd tests/interop/test_mosquitto.py [--broker mosquitto]
"""
import collections
import hashlib
import os

import brokers
import kit

VERSIONS = "31", "311", "5"


class Mosquitto(brokers.Test):
    def setUp(self):
        if not kit.have("mosquitto_sub", "mosquitto_pub", "mosquitto_rr"):
            self.skipTest("mosquitto-clients is not installed")

    def sub(self, b, *flags):
        """A mosquitto_sub in the background that has its SUBACK."""
        s = kit.Running(*kit.sub(b, "-d", *flags))
        self.addCleanup(self.end, s)
        return s.wait("received SUBACK")

    @staticmethod
    def end(s):
        if s.process.poll() is None:
            s.process.kill()
            s.process.wait()

    def kill(self, s):
        s.process.kill()
        s.end()

    def test_every_version_and_qos_understands_every_other(self):
        b = self.broker()
        for to in VERSIONS:
            subs = [self.sub(b, "-V", to, "-t", f"home/+/{granted}", "-q", granted, "-C", 9, "-F", "%t %q %r %p")
                    for granted in "012"]
            for frm in VERSIONS:
                for qos in "012":
                    for granted in "012":
                        kit.pub(b, "-V", frm, "-t", f"home/door/{granted}", "-q", qos, "-m", f"{frm} {qos}")
            for granted, s in zip("012", subs):
                self.assertEqual(sorted(s.end()), sorted(f"home/door/{granted} {min(qos, granted)} 0 {frm} {qos}"
                                                         for frm in VERSIONS for qos in "012"))

    def test_many_lines_come_once_and_in_order(self):
        b = self.broker()
        for version in VERSIONS:
            for qos in (1, 2):
                # Debian's mosquitto sends its own client more than the Receive Maximum.
                few = brokers.chosen == "mosquitto" and (version, qos) == ("5", 2)
                lines = [f"line {i}" for i in range(8 if few else 2000)]
                s = self.sub(b, "-V", version, "-t", "log", "-q", qos, "-C", len(lines) + 1)
                kit.run("mosquitto_pub", "-h", "127.0.0.1", "-p", b.port, "-V", version, "-t", "log", "-q", qos, "-l",
                        stdin="\n".join(lines).encode())
                kit.pub(b, "-t", "log", "-q", qos, "-m", "end")
                self.assertEqual(s.end(), lines + ["end"])

    def test_a_session_keeps_what_comes_meanwhile(self):
        b = self.broker()
        for version in VERSIONS:
            flags = "-V", version, "-c", "-i", f"box-{version}", "-t", "box", "-q", 2
            kit.run(*kit.sub(b, *flags, "-E"))
            for i in range(30):
                kit.pub(b, "-V", version, "-t", "box", "-q", i % 3, "-m", i)
            got = kit.run(*kit.sub(b, *flags, "-C", 20, "-F", "%q %p")).splitlines()
            for qos in 1, 2:
                self.assertEqual([line for line in got if line[0] == str(qos)],
                                 [f"{qos} {i}" for i in range(30) if i % 3 == qos])
            kit.run(*kit.sub(b, "-V", version, "-i", f"box-{version}", "-t", "other", "-E"))  # begins anew
            kit.pub(b, "-t", "box", "-q", 1, "-m", "for nobody")
            kit.run(*kit.sub(b, *flags, "-W", 1), status=27)

    def test_a_session_expires(self):
        b = self.broker()
        for expiry, present in ((0, False), (600, True), (0xFFFFFFFF, True)):
            flags = "-V", "5", "-c", "-i", f"box-{expiry}", "-x", expiry, "-q", 1
            kit.run(*kit.sub(b, *flags, "-t", "box", "-E"))
            kit.pub(b, "-t", "box", "-q", 1, "-m", "kept")
            s = kit.Running(*kit.sub(b, *flags, "-t", "mark", "-C", 1 + present))
            if present:
                s.wait("kept")
            kit.wait_until(lambda s=s: self.heard(b, s), "the mark")
            self.assertEqual(s.end()[:1], ["kept" if present else "mark"])

    @staticmethod
    def heard(b, s):
        kit.pub(b, "-t", "mark", "-q", 1, "-m", "mark")
        return s.process.poll() is not None

    def test_retained_messages(self):
        b = self.broker()
        for version in VERSIONS:
            t = f"state/{version}"
            kit.pub(b, "-V", version, "-t", t, "-m", "on", "-q", 2, "-r")
            self.assertEqual(kit.run(*kit.sub(b, "-V", version, "-t", "state/+", "-C", 1, "-q", 1, "-F", "%t %r %q %p")),
                             f"{t} 1 1 on\n")
            self.assertEqual(kit.run(*kit.sub(b, "-V", version, "-t", t, "--retained-only", "-C", 1)), "on\n")
            s = self.sub(b, "-V", version, "-t", t, "-q", 1, "-R", "-C", 1, "-F", "%r %p")  # -R: none that is stale
            kit.pub(b, "-t", t, "-m", "off", "-r", "-q", 1)
            self.assertEqual(s.end(), ["0 off"])
            self.sub(b, "-V", version, "-t", "#", "--remove-retained").wait("received PUBACK").stop()
            s = self.sub(b, "-V", version, "-t", t, "-t", "mark", "-C", 1)
            kit.pub(b, "-t", "mark", "-m", "none")
            self.assertEqual(s.end(), ["none"])

    def test_retain_as_published(self):
        b = self.broker()
        s = self.sub(b, "-V", 5, "-t", "t", "-q", 1, "--retain-as-published", "-C", 2, "-F", "%r %p")
        kit.pub(b, "-t", "t", "-q", 1, "-m", "a", "-r")
        kit.pub(b, "-t", "t", "-q", 1, "-m", "b")
        self.assertEqual(s.end(), ["1 a", "0 b"])

    def test_a_will_goes_out_when_its_client_is_killed(self):
        b = self.broker()
        watcher = self.sub(b, "-V", 5, "-t", "wills/#", "-q", 2, "-C", 7, "-F", "%t %q %r %p")
        want = []
        for version in VERSIONS:
            for qos in (0, 2):
                s = self.sub(b, "-V", version, "-t", "x", "--will-topic", f"wills/{version}/{qos}", "--will-payload",
                             "gone", "--will-qos", qos, "--will-retain")
                self.kill(s)
                watcher.wait(f"wills/{version}/{qos} {qos} 0 gone")
                want.append(f"wills/{version}/{qos} {qos} 0 gone")
                s = self.sub(b, "-V", version, "-t", "x", "--will-topic", "wills/never", "-C", 1)
                kit.pub(b, "-t", "x", "-m", "leave")
                s.end()
        kit.pub(b, "-t", "wills/end", "-q", 2, "-m", "end")
        self.assertEqual(watcher.end(), want + ["wills/end 2 0 end"])
        self.assertEqual(kit.run(*kit.sub(b, "-t", "wills/#", "-C", 6)), "gone\n" * 6)

    def test_a_will_waits_for_its_delay(self):
        b = self.broker()
        watcher = self.sub(b, "-t", "wills/#", "-q", 1, "-C", 2)
        flags = ("-V", 5, "-c", "-t", "x", "-x", 600, "--will-topic", "wills/a", "--will-payload")
        self.kill(self.sub(b, "-i", "late", *flags, "late", "-D", "will", "will-delay-interval", 600))
        self.kill(self.sub(b, "-i", "soon", *flags, "soon", "-D", "will", "will-delay-interval", 1))
        watcher.wait("soon")
        kit.run(*kit.sub(b, "-V", 5, "-i", "late", "-t", "x", "-E"))  # the session ends, and so does the wait
        if brokers.chosen == "mosquitto":  # does not publish it [MQTT-3.1.2-8]
            return
        self.assertEqual(watcher.end(), ["soon", "late"])

    def test_properties_arrive(self):
        b = self.broker()
        for qos in (0, 1, 2):
            s = self.sub(b, "-V", "5", "-t", "t", "-q", qos, "-C", 1, "-F", "%p|%C|%R|%D|%P|%E|%F|%A",
                         "-D", "subscribe", "subscription-identifier", "77")
            kit.pub(b, "-V", "5", "-t", "t", "-q", qos, "-m", "body",
                    "-D", "publish", "content-type", "text/plain",
                    "-D", "publish", "payload-format-indicator", "1",
                    "-D", "publish", "response-topic", "answers",
                    "-D", "publish", "correlation-data", "17",
                    "-D", "publish", "user-property", "b", "1", "-D", "publish", "user-property", "a", "2",
                    "-D", "publish", "user-property", "b", "3",
                    "-D", "publish", "message-expiry-interval", "600")
            body, kind, answer_to, correlation, users, expiry, is_text, _ = s.end()[0].split("|")
            self.assertEqual([body, kind, answer_to, correlation, is_text],
                             ["body", "text/plain", "answers", "17", "1"])
            self.assertEqual(users.split(), ["b:1", "a:2", "b:3"])
            self.assertIn(int(expiry), range(540, 601))

    def test_properties_of_connect_and_disconnect_are_taken(self):
        b = self.broker()
        s = self.sub(b, "-V", 5, "-t", "t", "-q", 2, "-C", 3, "-F", "%q %p",
                     "-D", "connect", "receive-maximum", 1, "-D", "connect", "maximum-packet-size", 1000,
                     "-D", "connect", "user-property", "a", "b", "-D", "connect", "request-problem-information", 1,
                     "-D", "subscribe", "user-property", "a", "b", "-D", "disconnect", "user-property", "a", "b")
        if brokers.chosen != "mosquitto":  # which counts it as under way for ever
            kit.pub(b, "-V", 5, "-t", "t", "-q", 2, "-m", "x" * 1100)  # too large for it
        for i in range(3):
            kit.pub(b, "-V", 5, "-t", "t", "-q", 2, "-m", i, "-D", "connect", "receive-maximum", 10)
        self.assertEqual(s.end(), ["2 0", "2 1", "2 2"])

    def test_a_message_expires_in_the_queue(self):
        b = self.broker()
        flags = "-V", 5, "-c", "-i", "box", "-t", "box", "-q", 2
        kit.run(*kit.sub(b, *flags, "-E"))
        for i, expiry in enumerate((1, 600)):
            kit.pub(b, "-V", 5, "-t", "box", "-q", 2, "-m", i, "-D", "publish", "message-expiry-interval", expiry)
        kit.run(*kit.sub(b, "-t", "nothing", "-W", 2), status=27)  # two seconds
        kit.pub(b, "-t", "box", "-q", 2, "-m", "end")
        got = kit.run(*kit.sub(b, *flags, "-C", 2, "-F", "%p %E")).splitlines()
        self.assertEqual(got[1].split(), ["end"])
        self.assertEqual(got[0].split()[0], "1")
        self.assertIn(int(got[0].split()[1]), range(540, 600))

    def test_a_topic_alias(self):
        b = self.broker()
        for qos in (0, 1, 2):
            s = self.sub(b, "-V", 5, "-t", "a/very/long/topic", "-q", qos, "-C", 3, "-F", "%t %p")
            kit.pub(b, "-V", 5, "-t", "a/very/long/topic", "-q", qos, "-m", "x", "--repeat", 3,
                    "-D", "publish", "topic-alias", 1)
            self.assertEqual(s.end(), ["a/very/long/topic x"] * 3)

    def test_a_request_is_answered(self):
        b = self.broker()
        for version in ("311", "5"):
            for qos in (0, 1, 2):
                service = self.sub(b, "-V", 5, "-t", "ask", "-q", 2, "-C", 1, "-F", "%R|%D|%p")
                rr = kit.Running("mosquitto_rr", "-h", "127.0.0.1", "-p", b.port, "-V", version, "-t", "ask",
                                 "-e", f"answer/{version}/{qos}", "-m", "how much?", "-q", qos, "-W", kit.WAIT_S,
                                 *(("-D", "publish", "correlation-data", "17") if version == "5" else ()))
                to, correlation, question = service.end()[0].split("|")
                self.assertEqual((to, correlation, question),
                                 ((f"answer/{version}/{qos}", "17", "how much?") if version == "5" else
                                  ("", "", "how much?")))
                kit.pub(b, "-t", f"answer/{version}/{qos}", "-q", qos, "-m", "42")
                self.assertEqual(rr.end(), ["42"])

    def test_a_group_shares(self):
        b = self.broker()
        for version in VERSIONS[1:]:
            for qos in (1, 2):
                subs = [self.sub(b, "-V", version, "-t", "$share/g/job", "-q", qos) for _ in range(3)]
                kit.run("mosquitto_pub", "-h", "127.0.0.1", "-p", b.port, "-t", "job", "-q", qos, "-l",
                        stdin="\n".join(f"job {i}" for i in range(90)).encode())
                kit.wait_until(lambda subs=subs: sum(len(self.jobs(s)) for s in subs) >= 90, "all jobs")
                got = collections.Counter(line for s in subs for line in self.jobs(s))
                self.assertEqual(got, collections.Counter(f"job {i}" for i in range(90)))
                self.assertGreater(min(len(self.jobs(s)) for s in subs), 5)
                for s in subs:
                    s.stop()

    @staticmethod
    def jobs(s):
        with s.changed:
            return [line for line in s.lines if line.startswith("job ")]

    def test_a_large_payload(self):
        b = self.broker()
        path = os.path.join(self.folder(), "large")
        with open(path, "wb") as f:
            f.write(os.urandom(1 << 20) * 8)
        with open(path, "rb") as f:
            want = hashlib.sha256(f.read()).hexdigest()
        for version in VERSIONS:
            s = self.sub(b, "-V", version, "-t", "large", "-q", 2, "-C", 1, "-F", "%l %x")
            kit.pub(b, "-V", version, "-t", "large", "-q", 2, "-f", path)
            length, data = s.end()[0].split()
            self.assertEqual((int(length), hashlib.sha256(bytes.fromhex(data)).hexdigest()), (8 << 20, want))

    def test_a_client_without_an_id_gets_one(self):
        b = self.broker()
        for version in VERSIONS[1:]:
            s = self.sub(b, "-V", version, "-t", "t", "-C", 1)
            kit.pub(b, "-t", "t", "-m", "x")
            self.assertEqual(s.end()[-1], "x")

    def test_unsubscribed_is_unsubscribed(self):
        b = self.broker()
        for version in VERSIONS:
            flags = "-V", version, "-c", "-i", f"u-{version}"
            kit.run(*kit.sub(b, *flags, "-t", "a", "-t", "b", "-q", 1, "-E"))
            kit.run(*kit.sub(b, *flags, "-U", "a", "-t", "b", "-q", 1, "-E"))
            kit.pub(b, "-t", "a", "-q", 1, "-m", "no")
            kit.pub(b, "-t", "b", "-q", 1, "-m", "yes")
            self.assertEqual(kit.run(*kit.sub(b, *flags, "-t", "b", "-q", 1, "-C", 1)), "yes\n")


if __name__ == "__main__":
    brokers.main()
