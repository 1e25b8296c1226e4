#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Four shards, three plugins and reloads one after the other, while clients log in, subscribe, publish with each QoS, and
are kicked. Whoever asks is answered, and a sanitizer has nothing to say: worth most under ThreadSanitizer.

The plugins: one that is registered for all events, changes messages and takes its time; one whose callbacks run on the
shards' threads; mosquitto's dynamic security.

    LONGLINKD=build/tsan/bin/longlinkd LONGLINK_TEST_PLUGINS=build/tsan/lib/test tests/e2e/test_plugin_threads.py \\
        --seconds 600 --seed 7
"""
import argparse
import collections
import contextlib
import glob
import json
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import threading
import time

import kit

FOLDER = os.environ.get("LONGLINK_TEST_PLUGINS", "")
DYNSEC = next(iter(glob.glob("/usr/lib/*/mosquitto_dynamic_security.so")), None)
ADMIN, SECRET, PEOPLE, ACTORS, LIVES = "admin", "of the admin", 3, 6, 60
TOPICS = [f"t/{i}" for i in range(6)]
FILTERS = [*TOPICS, "t/+", "t/#", "$share/g/t/1", "$share/g/t/#"]
PUBREC, PUBREL, PUBCOMP = 5, 6, 7
CONTROL = "$CONTROL/dynamic-security/v1"


class Plugins:
    """Their files, and the lines that load them. Reloads change the options of one of them."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="longlink-e2e.")
        self.file = f"{self.dir}/dynamic-security.json"
        kit.run("mosquitto_ctrl", "dynsec", "init", self.file, ADMIN, SECRET)
        with open(self.file) as f:
            rules = json.load(f)
        rules["defaultACLAccess"] = dict.fromkeys(rules["defaultACLAccess"], True)
        with open(self.file, "w") as f:
            json.dump(rules, f)
        for name in ("all", "anywhere"):  # the same code as two plugins
            shutil.copy(f"{FOLDER}/slow.so", f"{self.dir}/{name}.so")

    def lines(self, number=0):
        return "\n".join((
            f"plugin {self.dir}/all.so", "plugin_opt_answer 17", "plugin_opt_login 1", "plugin_opt_acl 1",
            "plugin_opt_message 1", "plugin_opt_control 0", "plugin_opt_every 20", "plugin_opt_change yes",
            "plugin_opt_others yes", f"plugin_opt_number {number}",
            f"plugin {self.dir}/anywhere.so", "plugin_opt_answer 17", "plugin_opt_login 0", "plugin_opt_acl 0",
            "plugin_opt_message 0", "plugin_opt_concurrent yes",
            f"plugin {DYNSEC}", f"plugin_opt_config_file {self.file}",
            "shards 4", "durability memory", f"persistence_location {self.dir}/data", f"acl_cache_seconds {number % 2}"))


class Link:
    """A connection that answers whatever it is sent."""

    def __init__(self, port, count):
        self.c, self.count = kit.Client(port), count

    def until(self, kind):
        """Answers what comes before a packet of this type."""
        answers = {PUBREC: PUBREL, PUBREL: PUBCOMP}
        while (p := self.c.receive()).kind != kind:
            if p.kind == kit.PUBLISH:
                m = kit.Message(p, self.c.version)
                self.count["received"] += 1
                self.count["changed"] += self.c.version == kit.V5 and b"slow" in m.props
                self.answer({0: None, 1: kit.PUBACK, 2: PUBREC}[m.qos], struct.pack(">H", m.id))
            else:
                self.answer(answers.get(p.kind), p.body[:2])
        return p

    def answer(self, kind, packet_id):
        if kind is not None:
            self.c.send(kit.packet(kind, 2 if kind == PUBREL else 0, packet_id))

    def settle(self):
        self.c.send(kit.packet(kit.PINGREQ, 0, b""))
        self.until(kit.PINGRESP)


class Run:
    def __init__(self, port, seed):
        self.port, self.seed, self.count, self.is_over = port, seed, collections.Counter(), threading.Event()
        self.failed = []

    def guard(self, work, *args):
        try:
            work(*args)
        except Exception as e:  # the test's thread tells of it
            self.failed.append(f"{work.__name__}: {e!r}")
            self.is_over.set()

    # --- a client that lives several times

    def live(self, rng, number):
        link = Link(self.port, self.count)
        who = rng.randrange(PEOPLE + 1)
        user = (None, None) if who == PEOPLE else (f"person {who}", "wrong" if rng.random() < 0.1 else "right")
        with contextlib.closing(link.c), contextlib.suppress(kit.Closed, ConnectionError):
            will = (rng.choice(TOPICS), "gone") if rng.random() < 0.3 else None
            _, code = link.c.join(f"actor {number} {rng.randrange(2)}", rng.choice((kit.V311, kit.V5)),
                                  rng.random() < 0.5, user=user[0], password=user[1], will=will,
                                  receive_max=rng.choice((None, 3)))
            self.count["let in" if code == 0 else "refused"] += 1
            for _ in range(rng.randrange(20) if code == 0 else 0):
                self.act(rng, link)
            link.settle()
            if rng.random() < 0.5:
                link.c.leave()
            return
        self.count["ended by the broker"] += 1

    def act(self, rng, link):
        c = link.c
        dice = rng.random()
        c.next_id += 1
        if dice < 0.2:
            c.send(kit.packet(kit.SUBSCRIBE, 2, struct.pack(">H", c.next_id) + c._empty_props() +
                              kit.text(rng.choice(FILTERS)) + bytes([rng.randrange(3)])))
            link.until(kit.SUBACK)
        elif dice < 0.25:
            c.send(kit.packet(kit.UNSUBSCRIBE, 2, struct.pack(">H", c.next_id) + c._empty_props() +
                              kit.text(rng.choice(FILTERS))))
            link.until(kit.UNSUBACK)
        elif dice < 0.35:
            link.settle()
        else:
            self.count["published"] += 1
            c.send(c.publish_bytes(rng.choice(TOPICS), b"x" * rng.randrange(300), rng.randrange(3), rng.random() < 0.1))

    def actor(self, number, lives):
        rng = random.Random(self.seed * 1000 + number)
        while lives > 0 and not self.is_over.is_set():
            self.live(rng, number)
            lives -= 1

    # --- what goes on meanwhile

    def command(self, *commands):
        c = kit.Client(self.port)
        with contextlib.closing(c):
            _, code = c.join(f"admin {threading.get_ident()}", user=ADMIN, password=SECRET)
            said = json.dumps({"commands": list(commands)}).encode()
            if code != 0 or c.publish(CONTROL, said, 1) not in (0, 0x10):
                raise AssertionError(f"the admin is refused: {code:#x}")

    def admin(self):
        """People are put out, and let in again."""
        rng = random.Random(self.seed)
        while not self.is_over.is_set():
            person = f"person {rng.randrange(PEOPLE)}"
            self.command({"command": "disableClient", "username": person})
            self.command({"command": "enableClient", "username": person})
            self.count["kicks"] += 1
            self.is_over.wait(0.02)

    def reloader(self, b, plugins):
        number = 0
        with open(b.conf) as f:
            first = f.read()
        while not self.is_over.is_set():
            number += 1
            with open(b.conf + ".new", "w") as f:
                f.write(first.replace(plugins.lines(), plugins.lines(number)))
            os.rename(b.conf + ".new", b.conf)
            if " reload-done " not in b.reload():
                raise AssertionError("a reload failed")
            self.count["reloads"] += 1

    def go(self, b, plugins, lives):
        others = [threading.Thread(target=self.guard, args=a) for a in ((self.admin,), (self.reloader, b, plugins))]
        actors = [threading.Thread(target=self.guard, args=(self.actor, i, lives)) for i in range(ACTORS)]
        for t in others + actors:
            t.start()
        for t in actors:
            t.join()
        self.is_over.set()
        for t in others:
            t.join()


class Threads(kit.Test):
    def go(self, seed, lives):
        plugins = Plugins()
        self.addCleanup(shutil.rmtree, plugins.dir, True)
        b = self.broker(plugins.lines())
        run = Run(b.port, seed)
        run.command(*({"command": "createClient", "username": f"person {i}", "password": "right"} for i in range(PEOPLE)))
        run.go(b, plugins, lives)
        self.assertEqual(run.failed, [], b.text()[-3000:])
        for what in ("let in", "refused", "published", "received", "changed", "reloads", "kicks"):
            self.assertGreater(run.count[what], 0, what)
        run.command({"command": "listClients"})
        b.is_over = True
        status = b.stop()
        self.assertEqual(status, 0, b.text()[-6000:])
        self.assertNotIn("Sanitizer", b.text())
        return run.count

    def test_all_at_once(self):
        self.go(1, LIVES)


class Long(Threads):
    """By hand: rounds with the seeds that follow, until the time is over."""

    test_all_at_once = None
    options = None

    def test_rounds(self):
        ends, seed = time.monotonic() + self.options.seconds, self.options.seed
        while time.monotonic() < ends:
            print(f"seed {seed}: {dict(self.go(seed, LIVES * 4))}", flush=True)
            seed += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    Long.options = parser.parse_args()
    sys.argv = [sys.argv[0], "Long"]
    kit.main()


if __name__ == "__main__":
    if not os.path.exists(f"{FOLDER}/slow.so") or not DYNSEC or not kit.have("mosquitto_ctrl"):
        sys.exit("LONGLINK_TEST_PLUGINS does not name a folder with slow.so, or mosquitto is not installed")
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    if "--seconds" in sys.argv:
        main()
    else:
        sys.argv[1:] = sys.argv[1:] or ["Threads"]
        kit.main()
