# SPDX-License-Identifier: Apache-2.0
"""A plugin that writes down all it sees, in the same scenes with mosquitto and with longlinkd: both transcripts are
the same, but for what DIFFERENCES says, with its reason.

By hand, what mosquitto says:  TRANSCRIPT_PRINT=1 LONGLINKD=... tests/e2e/test_plugin_transcript.py
"""
import collections
import os
import re
import shutil
import signal
import sys
import tempfile
import unittest

import kit
import transcript_steps
from kit import Broker
from mosquitto_kit import Mosquitto

PLUGIN = os.environ.get("LONGLINK_TEST_PLUGINS", "") + "/transcript.so"
SETTLE_S = int(os.environ.get("TRANSCRIPT_SETTLE_S", "20"))

# Whose transcript, and in which steps, is how rewritten before both are compared. None: the line is left out.
Difference = collections.namedtuple("Difference", "broker steps pattern becomes why")
MOSQUITTO, LONGLINK, BOTH = "mosquitto", "longlinkd", ""
DIFFERENCES = [Difference(*row) for row in (
    # The end of a client.
    (BOTH, ".*", r" disconnect (.*) reason=-?\d+$", r" disconnect \1",
     "mosquitto says -1 always, longlinkd an MQTT reason code"),
    (BOTH, ".*", r"^. 10 disconnect client=NULL user=NULL", None,
     "mosquitto speaks of connections that never sent a CONNECT, too"),
    (BOTH, ".*", r"^b 10 disconnect client=NULL", None,
     "longlinkd tells a plugin of the end of a refused client only if it has asked it about that one"),
    (MOSQUITTO, "extended.*", r"^. 10 disconnect client=(more more|other method) ", None,
     "longlinkd gives no client id in DISCONNECT of one that was never let in"),
    (MOSQUITTO, "kick", r"^. 10 disconnect client=NULL user=self", None, "a client that kicks itself ends twice"),
    (LONGLINK, "kick", r"^self\d: PUBACK", None, "longlinkd may acknowledge what kicks its own client"),
    # In general.
    (LONGLINK, ".*", r" 0x26=ll-backoff-\w+:[\d.]+", "",
     "longlinkd tells MQTT 5 clients in CONNACK when to come back (backoff_hints)"),
    (BOTH, ".*", r"payload=(NULL:0)? len=0", "payload= len=0", "no payload is a payload without bytes"),
    (BOTH, ".*", r"\bauto-[-0-9A-Fa-f]+|\bclient=[0-9a-f]{16,}\b", "AUTO", "ids that a broker gives are random"),
    (BOTH, ".*", r"PUBACK 0x10", "PUBACK 0x0", "whether there are subscribers is not what is compared here"),
    (LONGLINK, ".*", r" 0x1f=(?!because|not of).*", "", "longlinkd says in words why"),
    (BOTH, "(?!tick).*", r"^. 9 tick", None, "the first one comes when it comes"),
    (BOTH, "tick", r"now_s=.*", "", "mosquitto leaves the event empty, longlinkd fills in the time"),
    # Results that mean nothing: mosquitto ends the connection, longlinkd denies and logs it.
    (MOSQUITTO, "login_errors", r"^c4(.*): closed$", r"c4\1: CONNACK 0x5", "longlinkd says that it is refused"),
    (MOSQUITTO, "(login|extended)_errors", r": closed$", ": CONNACK 0x87", "longlinkd says that it is refused"),
    (BOTH, "write_errors", r": (closed|DISCONNECT 0x8\d|PUBACK 0x(0|87))$", ": denied", "the connection lives on"),
    (BOTH, "subscribe_errors", r": (closed|DISCONNECT 0x8\d|SUBACK 8[07]|UNSUBACK (87)?)$", ": denied",
     "the connection lives on"),
    (BOTH, "message_errors|control", r"^[wc]\d.*: DISCONNECT 0x8[03]", None, "only some results have a code in mosquitto"),
    (MOSQUITTO, "control", r"^c\d.*: PUBACK 0x0$", None, "longlinkd does not acknowledge what has failed"),
    # What a MESSAGE or CONTROL callback wants to be said.
    (BOTH, "change|message_reason", r"(^b 7 .*payload=set a (?:reason|qos)).*", r"\1",
     "QoS, code and text are no message's; the next plugin does not see them in longlinkd"),
    (LONGLINK, "message_reason", r": PUB(ACK|REC) 0x97.*", r": PUB\1 0x87", "longlinkd sends the code that is asked for"),
    (LONGLINK, "control_reason", r": PUBACK 0x97.*", r": PUBACK 0x0", "longlinkd sends the code that is asked for"),
    (MOSQUITTO, "message_invalid", r"^b 7 message", None, "longlinkd refuses a topic that is none, at once"),
    (BOTH, "message_invalid", r": (PUBACK|DISCONNECT) 0x(0|80|90)$", ": refused", "mosquitto publishes to a wildcard"),
    # Enhanced authentication.
    (MOSQUITTO, "extended.*", r"( 5 extended .* method=)NULL", r"\1METHOD", "mosquitto forgets the method"),
    (MOSQUITTO, "extended", r"^(again .*): CONNACK 0x87$", r"\1: DISCONNECT 0x87",
     "a CONNACK for a client that is in, which MQTT does not have"),
    (MOSQUITTO, "extended_other_method", r": DISCONNECT 0x82", ": CONNACK 0x82", "the client is not in yet"),
    # Functions.
    (MOSQUITTO, "functions", r'(publish_copy\(NULL, "(t/\+)?", .*): SUCCESS', r"\1: INVAL", "topics that are none"),
    (MOSQUITTO, "functions", r'(set_username\(c, ""\)): SUCCESS', r"\1: INVAL", "the header says so"),
    (BOTH, "functions", r"(disconnect client=asks user=)x?$", r"\1", "from the same call"),
    (MOSQUITTO, "functions", r'(kick_client_by_clientid\("nobody", .*): NOT_FOUND', r"\1: SUCCESS",
     "longlinkd looks for the client after the call"),
    (MOSQUITTO, "count", r" subs=2 ", " subs=1 ", "mosquitto does not count down"),
    # Messages of plugins.
    (MOSQUITTO, "broker_publish", r" $", "", "the topic alias of a plugin is no subscriber's"),
    (MOSQUITTO, "broker_publish", r"^(. publish bad): SUCCESS", r"\1: INVAL", "a Reason String in a PUBLISH"),
    # Reload.
    (LONGLINK, "ends", r"^(taken|protocol)5: DISCONNECT", None, "longlinkd tells why"),
    (MOSQUITTO, "reload", r"^a (3 )?login|^. 10 disconnect", None, "mosquitto authenticates clients again, with no password"),
    (BOTH, "reload", r"^(a 1 reload) with .*", r"\1", "mosquitto does not give the options"),
    (LONGLINK, "reload", r"^b 1 reload|^. option ", None, "mosquitto tells one plugin only"),
)]

# Steps in which only the set of lines counts.
UNORDERED = {
    "kick": "longlinkd kicks soon after the call, not within it",
    "kick_nameless": "the same",
    "wills": "who is told first of a client that is gone, and of its will, is not said",
    "publish": "PUBREL comes when it comes",
    "retained": "retained messages come in no order",
    "read_own": "a message may come before its PUBACK, or after it",
}


# Steps in which mosquitto repeats itself.
REPEATED = {
    "session_kept": "mosquitto asks when a message comes and when it is sent, and tells the end of an offline session, too",
}


def group(line):
    """Lines of one group are compared in their order. Each plugin has its own thread; deliveries to a client are asked
    about when they are made, and its end is told when it is noticed, whatever others do meanwhile."""
    if line[1:2] != " " or line[0] not in "ab":
        return ""
    kind = re.match(r". (2 acl read client=.*?|10 disconnect client=.*?) user=", line)
    return line[0] + (kind[1] if kind else "")


class Stage:
    """One broker with the plugin as `a` and, loaded from another file, as `b`."""

    def __init__(self, name, broker, out):
        self.name, self.broker, self.port, self.out = name, broker, broker.port, out
        self.said, self.actors, self.marks, self.seen = [], [], 0, 0
        self.admin = None

    def call_admin(self):
        self.admin = transcript_steps.Actor(self, "admin").join(user="admin rca=0", password="x")

    def lines(self):
        with open(self.out, errors="replace") as f:
            return f.read().splitlines()

    def say(self, what):
        self.said.append(what)

    def mark(self):
        """Everything before has been written down when this returns."""
        said, self.said = self.said, []
        self.marks += 1
        for _ in range(2):
            for plugin in "ab":
                self.admin.publish(f"$CONTROL/{plugin}/v1", f"mark {self.marks}", 1)
        self.said = said

    def do(self, what, plugin="a"):
        self.admin.publish(f"$CONTROL/{plugin}/v1", what, 1)
        self.mark()

    def wait_plugin(self, text):
        kit.wait_until(lambda: any(text in line for line in self.lines()[self.seen:]), f"'{text}' of the plugin")

    def reload(self):
        self.broker.process.send_signal(signal.SIGHUP)
        self.wait_plugin("a 1 reload")

    def new_lines(self):
        return [line for line in self.lines()[self.seen:] if not re.match(r"\w mark ", line)]

    def run(self, step):
        self.said, self.actors = [], []
        try:
            getattr(transcript_steps, "step_" + step)(self)
        finally:
            for actor in self.actors:
                actor.c.close()
        self.mark()

    def forget(self):
        self.seen = len(self.lines())


def plain(lines, broker, step):
    """What is compared: by plugin, each in its order, for the two have threads of their own."""
    out = []
    for line in lines:
        for d in DIFFERENCES:
            if d.broker in ("", broker) and re.fullmatch(d.steps, step) and re.search(d.pattern, line):
                line = None if d.becomes is None else re.sub(d.pattern, d.becomes, line)
            if line is None:
                break
        out += [] if line is None else [line]
    if step in REPEATED:
        return sorted(set(out))
    out.sort(key=None if step in UNORDERED else group)
    return out


def conf_of(folder, out, more=""):
    files = [f"{folder}/transcript-{name}.so" for name in "ab"]
    for file in files:
        shutil.copy(PLUGIN, file)
    return (f"plugin {files[0]}\nplugin_opt_out {out}\nplugin_opt_name a\n{more}"
            f"plugin {files[1]}\nplugin_opt_out {out}\nplugin_opt_name b\nplugin_opt_auth 17\nplugin_opt_acl 17\n"
            "plugin_opt_events laxcmtdr\n")


def all_steps():
    """But those that have another configuration."""
    return [name[5:] for name in vars(transcript_steps) if re.match("step_(?!start|fallback)", name)]


class Transcript(kit.Test):
    maxDiff = None

    def stage(self, name, start, more=""):
        folder = tempfile.mkdtemp(prefix="longlink-e2e.")
        self.addCleanup(shutil.rmtree, folder, True)
        out = f"{folder}/out"
        s = Stage(name, start(conf_of(folder, out, more)), out)
        s.call_admin()
        s.mark()
        return s

    def mosquitto(self, conf):
        m = Mosquitto(("" if "allow_anonymous" in conf else "allow_anonymous true\n") + conf)
        self.addCleanup(m.stop)
        return m.ready()

    def steps(self):
        return ["start", *(os.environ.get("TRANSCRIPT_STEPS", "").split() or all_steps())]

    def test_the_transcript_is_that_of_mosquitto(self):
        theirs = self.stage(MOSQUITTO, self.mosquitto)
        ours = self.stage(LONGLINK, lambda conf: self.broker(conf))
        for step in self.steps():
            with self.subTest(step):
                self.compare(step, theirs, ours)
            theirs.forget()
            ours.forget()

    def files(self):
        """A password file and an ACL file."""
        folder = tempfile.mkdtemp(prefix="longlink-e2e.")
        self.addCleanup(shutil.rmtree, folder, True)
        kit.run("mosquitto_passwd", "-b", "-c", f"{folder}/passwords", "known", "right")
        with open(f"{folder}/acl", "w") as f:
            f.write("topic read readable/#\ntopic write writable/#\nuser known\ntopic own/#\n")
        os.chmod(f"{folder}/acl", 0o600)
        return f"password_file {folder}/passwords\n", f"acl_file {folder}/acl\n"

    def test_what_all_plugins_leave_to_the_broker_is_decided_like_mosquitto(self):
        if not kit.have("mosquitto_passwd"):
            self.skipTest("mosquitto_passwd is not installed")
        passwords, acl = self.files()
        for security in ("allow_anonymous true\n", "allow_anonymous false\n", "allow_anonymous false\n" + passwords,
                         "allow_anonymous true\n" + passwords, "allow_anonymous true\n" + passwords + acl):
            more = "plugin_opt_auth 17\nplugin_opt_acl 17\n"
            theirs = self.stage(MOSQUITTO, lambda conf: self.mosquitto(security + conf), more)
            ours = self.stage(LONGLINK, lambda conf: self.broker(conf, allow=security), more)
            for stage in (theirs, ours):
                stage.forget()
            with self.subTest(security):
                self.compare("fallback", theirs, ours)

    def compare(self, step, theirs, ours):
        theirs.run(step)
        want = plain(theirs.new_lines(), MOSQUITTO, step)
        want_said = plain(theirs.said, MOSQUITTO, step)
        if os.environ.get("TRANSCRIPT_PRINT"):
            print(step, *theirs.new_lines(), "--", *theirs.said, sep="\n    ", flush=True)
        ours.run(step)

        def got():
            return plain(ours.new_lines(), LONGLINK, step)

        try:
            kit.wait_until(lambda: got() == want, "the same transcript", SETTLE_S)
        except AssertionError:
            self.assertEqual("\n".join(want), "\n".join(got()))
        self.assertEqual("\n".join(want_said), "\n".join(plain(ours.said, LONGLINK, step)))


if __name__ == "__main__":
    if not os.path.exists(PLUGIN):
        sys.exit("LONGLINK_TEST_PLUGINS does not name a folder with transcript.so")
    kit.main()
