#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How established clients fare while others log in through a plugin that takes its time, or one that has much to
compute. Percentiles of their pings, and of PUBLISH to delivery (QoS 1), before and during, on the same broker, round by
round.

  slow   100 logins at once through a plugin that sleeps 500 ms in each, which is 50 s a round; all must be let in
  jwt    as many logins a second as the broker takes, by JWT with longlink_auth.so, from as many processes as named

usage: plugins.py --build-dir DIR [--scenario slow,jwt] [--rounds N] [--logins N] [--delay-ms N]
"""
import argparse
import base64
import hashlib
import hmac
import json
import multiprocessing
import os
import select
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import kit  # noqa: E402

PINGERS, PINGS_A_SECOND, PUBLISHES_A_SECOND = 10, 200, 100
SECRET = b"a secret of thirty-two bytes or more"
WHICH = (("p50", 0.50), ("p99", 0.99), ("p99.9", 0.999))


class Established:
    """Pings of clients that are in, one after the other on a schedule, and messages of one to another. Times count from
    when each was due."""

    def __init__(self, port, password):
        self.pingers = [self.enter(port, f"pinger {i}", password) for i in range(PINGERS)]
        self.publisher, self.subscriber = (self.enter(port, f"{what}", password) for what in ("publisher", "subscriber"))
        self.subscriber.subscribe("bench/one", 1)

    def enter(self, port, name, password):
        c = kit.Client(port)
        _, code = c.join(name, user="established", password=password)
        if code != 0:
            sys.exit(f"{name} is not let in: {code:#x}")
        return c

    def on_schedule(self, a_second, over, act, times):
        due, number = time.perf_counter(), 0
        while not over():
            time.sleep(max(0, due - time.perf_counter()))
            act(number)
            times.append(time.perf_counter() - due)
            due, number = due + 1 / a_second, number + 1

    def ping(self, number):
        self.pingers[number % PINGERS].ping()

    def publish(self, _):
        self.publisher.publish("bench/one", b"x" * 64, 1)
        self.subscriber.message()

    def measure(self, over):
        """Until over(): seconds of the pings, of the messages."""
        pings, messages = [], []
        other = threading.Thread(target=self.on_schedule, args=(PUBLISHES_A_SECOND, over, self.publish, messages))
        other.start()
        self.on_schedule(PINGS_A_SECOND, over, self.ping, pings)
        other.join()
        return pings, messages


def at(seconds, share):
    return sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))] * 1e6


def for_seconds(seconds):
    ends = time.perf_counter() + seconds
    return lambda: time.perf_counter() >= ends


def spread(values):
    return f"{statistics.median(values):.0f} ({min(values):.0f}-{max(values):.0f})"


class Figures:
    def __init__(self, name):
        self.name, self.before, self.during = name, {}, {}

    def add(self, to, measured):
        for what, seconds in zip(("ping", "message"), measured):
            for label, share in WHICH:
                to.setdefault((what, label), []).append(at(seconds, share))

    def print(self):
        print(f"\n| {self.name} | before, us | during, us | ratio of medians |\n|---|---|---|---|")
        for key in self.before:
            before, during = self.before[key], self.during[key]
            ratio = statistics.median(during) / statistics.median(before)
            print(f"| {' '.join(key)} | {spread(before)} | {spread(during)} | {ratio:.2f} |")
        sys.stdout.flush()


def start(args, conf, anonymous):
    os.environ["LONGLINKD"] = os.path.join(args.build_dir, "bin/longlinkd")
    return kit.Broker(f"{conf}\nlog_type error\nlog_type notice", allow=f"allow_anonymous {anonymous}").ready()


# --- slow


def all_answered(clients, counts):
    waiting = {c.socket: c for c in clients}
    while waiting:
        for s in select.select(list(waiting), [], [])[0]:
            counts.append(waiting.pop(s).expect(kit.CONNACK).body[1])


def slow(args):
    figures, seconds = Figures(f"{args.logins} logins, {args.delay_ms} ms each"), []
    plugin = os.path.join(args.build_dir, "lib/test/slow.so")
    conf = f"plugin {plugin}\nplugin_opt_login {args.delay_ms}\n"
    b = start(args, conf, "true")
    try:
        established = Established(b.port, "x")
        for _ in range(args.rounds):
            figures.add(figures.before, established.measure(for_seconds(args.seconds)))
            began, codes = time.perf_counter(), []
            clients = [kit.Client(b.port) for _ in range(args.logins)]
            for i, c in enumerate(clients):
                c.join(f"late {i}", user="late", password="x", answer=False)
            waits = threading.Thread(target=all_answered, args=(clients, codes))
            waits.start()
            figures.add(figures.during, established.measure(lambda: not waits.is_alive()))
            seconds.append(time.perf_counter() - began)
            if codes != [0] * args.logins:
                sys.exit(f"not all were let in: {codes}")
            for c in clients:
                c.close()
    finally:
        b.stop()
        b.remove()
    figures.print()
    print(f"all {args.logins} let in in each round, which took {spread(seconds)} s")


# --- jwt


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(name):
    now = int(time.time())
    claims = {"sub": name, "exp": now + 3600, "iat": now}
    said = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return said + b"." + part(hmac.new(SECRET, said, hashlib.sha256).digest())


def log_in(port, number, a_second, ends, result):
    """One login after the other, each with a token of its own, at most so many a second; says how many were let in."""
    count, worst, due = 0, 0.0, time.perf_counter()
    tokens = [token(f"phone-{number}-{i}") for i in range(500)]
    while time.time() < ends:
        time.sleep(max(0, due - time.perf_counter()))
        began = time.perf_counter()
        i = count % len(tokens)
        c = kit.Client(port)
        if c.join(f"phone-{number}-{i}", user=f"phone-{number}-{i}", password=tokens[i])[1] != 0:
            result.put((-1, 0))
            return
        c.close()
        worst, count, due = max(worst, time.perf_counter() - began), count + 1, due + 1 / a_second
    result.put((count, worst))


def jwt(args):
    figures, rates = Figures("logins by JWT"), []
    plugin = os.path.join(args.build_dir, "lib/longlink_auth.so")
    if not os.path.exists(plugin):
        print(f"jwt: left out: there is no {plugin}")
        return
    folder = os.path.join(args.build_dir, "plugins-bench")
    os.makedirs(folder, exist_ok=True)
    key = os.path.join(folder, "key")
    with open(key, "wb") as f:
        f.write(SECRET)
    options = "".join(f"plugin_opt_{line}\n" for line in args.jwt_option or DEFAULT_JWT)
    b = start(args, f"plugin {plugin}\n{options.replace('{key}', key)}", "false")
    try:
        established = Established(b.port, token("established"))
        for _ in range(args.rounds):
            figures.add(figures.before, established.measure(for_seconds(args.seconds)))
            result, ends = multiprocessing.Queue(), time.time() + args.seconds
            others = [multiprocessing.Process(target=log_in, args=(b.port, i, args.rate / args.processes, ends, result))
                      for i in range(args.processes)]
            for p in others:
                p.start()
            figures.add(figures.during, established.measure(lambda: time.time() >= ends))
            counts = [result.get() for _ in others]
            for p in others:
                p.join()
            if min(count for count, _ in counts) < 0:
                sys.exit(f"a login was refused:\n{b.text()[-2000:]}")
            rates.append(sum(count for count, _ in counts) / args.seconds)
    finally:
        b.stop()
        b.remove()
    figures.print()
    print(f"logins a second: {spread(rates)}, of {args.rate} asked for, by {args.processes} processes")


DEFAULT_JWT = ("jwt_secret_file {key}", "acl_default allow")
SCENARIOS = {"slow": slow, "jwt": jwt}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build-dir", default="build")
    p.add_argument("--scenario", default=",".join(SCENARIOS))
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=10, help="of each measurement but those of `slow` while logins wait")
    p.add_argument("--logins", type=int, default=100)
    p.add_argument("--delay-ms", type=int, default=500)
    p.add_argument("--rate", type=int, default=2000, help="logins by JWT a second")
    p.add_argument("--processes", type=int, default=2, help="that log in by JWT")
    p.add_argument("--jwt-option", action="append", help="of longlink_auth.so, as 'NAME VALUE'")
    args = p.parse_args()
    for name in args.scenario.split(","):
        SCENARIOS[name](args)


if __name__ == "__main__":
    main()
