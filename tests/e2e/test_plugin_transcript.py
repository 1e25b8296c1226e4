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
SETTLE_S = 10

# Whose transcript, and in which steps, is how rewritten before both are compared. None: the line is left out.
Difference = collections.namedtuple("Difference", "broker steps pattern becomes why")
MOSQUITTO, LONGLINK, BOTH = "mosquitto", "longlinkd", ""
DIFFERENCES = [Difference(*row) for row in (
    # everywhere
    (BOTH, ".*", r" disconnect (.*) reason=-?\d+$", r" disconnect \1",
     "mosquitto says -1 always, longlinkd an MQTT reason code"),
    (BOTH, ".*", r"^. 10 disconnect client=NULL user=NULL", None,
     "longlinkd does not speak of connections that never sent a CONNECT"),
    (MOSQUITTO, "extended.*", r"^. 10 disconnect client=(more more|other method) ", None,
     "longlinkd gives no client id in DISCONNECT of one that was never let in"),
    (MOSQUITTO, "extended.*", r"( 5 extended .* method=)NULL", r"\1METHOD",
     "mosquitto forgets the method when it continues"),
    (BOTH, ".*", r"\bauto-[-0-9A-Fa-f]+|\bclient=[0-9a-f]{16,}\b", "AUTO", "client ids that the broker gives are random"),
    (BOTH, ".*", r"PUBACK 0x10", "PUBACK 0x0", "whether there are subscribers is not what is compared here"),
    (LONGLINK, ".*", r" 0x1f=(this is not for you|the broker does not have|a packet, or a value).*", "",
     "longlinkd says in words why"),
    (MOSQUITTO, "extended", r"^(again .*): CONNACK 0x87$", r"\1: DISCONNECT 0x87",
     "a CONNACK for a client that is in, which MQTT does not have"),
    (MOSQUITTO, "extended_errors", r": closed$", ": CONNACK 0x87", "longlinkd says that it is refused"),
    (MOSQUITTO, "extended_other_method", r": DISCONNECT 0x82", ": CONNACK 0x82", "the client is not in yet"),
    (BOTH, "(?!tick).*", r"^. 9 tick", None, "the first one comes when it comes"),
    (BOTH, "tick", r"now_s=.*", "", "mosquitto leaves the event empty, longlinkd fills in the time"),
)]

# Steps in which only the set of lines counts.
UNORDERED = {
    "kick": "longlinkd kicks soon after the call, not within it",
}


class Stage:
    """One broker with the plugin as `a` and, loaded from another file, as `b`."""

    def __init__(self, name, broker, out):
        self.name, self.broker, self.port, self.out = name, broker, broker.port, out
        self.said, self.actors, self.marks, self.seen = [], [], 0, 0
        self.admin = None

    def call_admin(self):
        self.admin = transcript_steps.Actor(self, "admin").join(user="admin")

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
        self.wait_plugin("1 reload")

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
    out.sort(key=None if step in UNORDERED else lambda line: line[:2] if line[1:2] == " " else "")
    return out


def conf_of(folder, out, more=""):
    files = [f"{folder}/transcript-{name}.so" for name in "ab"]
    for file in files:
        shutil.copy(PLUGIN, file)
    return (f"plugin {files[0]}\nplugin_opt_out {out}\nplugin_opt_name a\n{more}"
            f"plugin {files[1]}\nplugin_opt_out {out}\nplugin_opt_name b\nplugin_opt_auth 17\nplugin_opt_acl 17\n"
            "plugin_opt_events laxcmtdr\n")


def all_steps():
    return [name[5:] for name in vars(transcript_steps) if name.startswith("step_") and name != "step_start"]


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
        m = Mosquitto("allow_anonymous true\n" + conf)
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
