#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs `longlink bench` with tiny sizes against Debian's mosquitto and checks what it counted.

usage: smoke.py PATH-OF-LONGLINK
exit code: 0 all checks held, 1 one did not, 77 mosquitto is not here.
"""
import json
import os
import signal
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from brokers import NO_DISK, Broker, BrokerMissing, file_system  # noqa: E402
from liar import Liar  # noqa: E402
from scenarios import GROUPS, SCENARIOS  # noqa: E402

SKIPPED = 77
RUN_SECONDS = 500
LOST_AFTER = 3  # seconds of silence: more than a liar that has to wait for a processor is silent

CASES = []

# Figures of compare that are made of the broker's own metrics.
IF_THE_BROKER_SAYS_SO = [f"{part}_{what}" for part in ("enqueue", "drain", "run")
                         for what in ("syncs", "messages_per_sync")] + ["fold_lag_peak_bytes"]


def case(function):
    CASES.append(function)
    return function


class Bench:
    def __init__(self, program, broker):
        self.program = program
        self.broker = broker

    def command(self, *options):
        return [self.program, "bench", "--port", str(self.broker.port), *map(str, options)]

    def run(self, *options):
        """Exit code, figures, and what it said on stderr."""
        done = subprocess.run(self.command("--json", *options), capture_output=True, text=True, timeout=RUN_SECONDS,
                              check=False)
        return done.returncode, json.loads(done.stdout), done.stderr

    def good(self, *options):
        code, figures, said = self.run(*options)
        assert code == 0, f"exit code {code}: {said}"
        for name in ("lost", "duplicates", "reordered", "foreign", "refused"):
            assert figures.get(name, 0) == 0, f"{name} is {figures[name]}"
        return figures


def check_counts(figures, sent, deliveries_of_each):
    assert figures["sent"] == sent, figures["sent"]
    assert figures["expected"] == sent * deliveries_of_each, figures["expected"]
    assert figures["delivered"] == sent * deliveries_of_each, figures["delivered"]
    if figures["qos"] > 0:
        assert figures["acked"] == sent, figures["acked"]


@case
def pairs_deliver_each_message_once(bench):
    for version in ("3.1.1", "5"):
        for qos in (0, 1):
            figures = bench.good("--scenario", "pairs", "--clients", 4, "--qos", qos, "--messages", 202, "--version",
                                 version)
            check_counts(figures, 202, 1)
            assert figures["latency_p50_us"] <= figures["latency_p99_us"] <= figures["latency_max_us"]
            assert ("puback_p50_us" in figures) == (qos == 1)
            if qos == 1:
                assert figures["puback_p50_us"] <= figures["puback_p999_us"] <= figures["puback_max_us"]


@case
def websockets_carry_the_same(bench):
    """By our own broker: mosquitto's WebSocket is not on the address that it is told."""
    with Broker("longlinkd-ws", os.path.dirname(os.path.dirname(bench.program))) as broker:
        by_ws = Bench(bench.program, broker)
        check_counts(by_ws.good("--websockets", "--scenario", "pairs", "--clients", 4, "--qos", 1, "--messages", 202,
                                "--size", 70000), 202, 1)
        check_counts(by_ws.good("--websockets", "--scenario", "fanout", "--clients", 7, "--messages", 50), 50, 7)
        code, _, said = bench.run("--websockets", "--scenario", "pairs", "--messages", 10)
        assert code != 0, said


@case
def tls_carries_the_same(bench):
    build = os.path.dirname(os.path.dirname(bench.program))
    for kind, ways in (("longlinkd-tls", []), ("longlinkd-wss", ["--websockets"]), ("mosquitto-tls", [])):
        with Broker(kind, build) as broker:
            by_tls = Bench(bench.program, broker)
            certificate = os.path.join(broker.folder, "crt")
            for trust in (["--insecure"], ["--cafile", certificate], ["--cafile", certificate, "--host", "localhost"]):
                check_counts(by_tls.good("--tls", *trust, *ways, "--clients", 4, "--qos", 1, "--messages", 202, "--size",
                                         70000), 202, 1)
            check_counts(by_tls.good("--tls", "--insecure", *ways, "--scenario", "fanout", "--clients", 7, "--messages",
                                     500, "--threads", 2), 500, 7)
            figures = by_tls.good("--tls", "--insecure", *ways, "--scenario", "storm", "--clients", 30, "--subscribe",
                                  "--waves", 2)
            assert figures["connected"] == 60, figures["connected"]
            code, _, said = by_tls.run("--tls", *ways, "--messages", 10)
            assert code == 3 and "certificate verify failed" in said, (code, said)
    code, _, _ = bench.run("--tls", "--insecure", "--messages", 10)
    assert code == 3, code


@case
def qos_2_comes_exactly_once(bench):
    for version in ("3.1.1", "5"):
        check_counts(bench.good("--qos", 2, "--clients", 4, "--messages", 202, "--version", version), 202, 1)
        check_counts(bench.good("--qos", 2, "--clients", 4, "--messages", 50, "--scenario", "fanout", "--threads", 2,
                                "--version", version), 50, 4)
        figures = bench.good("--qos", 2, "--clients", 10, "--publishers", 3, "--messages", 200, "--scenario", "offline",
                             "--version", version)
        check_counts(figures, 200, 1)
        assert figures["puback_p50_us"] > 0


@case
def a_group_gets_each_message_once(bench):
    for more in (("--qos", 0), ("--qos", 1, "--threads", 3), ("--qos", 2, "--version", 5)):
        figures = bench.good("--scenario", "shared", "--clients", 5, "--publishers", 3, "--messages", 600, *more)
        check_counts(figures, 600, 1)
        assert 0 < figures["member_least"] <= 120 <= figures["member_most"], figures


@case
def subscribers_that_come_late_get_all_that_is_retained(bench):
    for more in ((), ("--threads", 2, "--version", 5), ("--qos", 2)):
        figures = bench.good("--scenario", "retained", "--clients", 8, "--topics", 300, "--publishers", 2, "--qos", 1, *more)
        check_counts(figures, 300, 8)
        assert figures["drain_per_s"] > 0 and 0 < figures["complete_p50_us"] <= figures["complete_max_us"]
    got = subprocess.run(["mosquitto_sub", "-p", str(bench.broker.port), "-t", "longlink-bench/#", "--retained-only", "-W",
                          "1"], capture_output=True, timeout=RUN_SECONDS, check=False)
    assert got.stdout == b"", "values were left behind"


@case
def what_a_fleet_has_missed_comes_when_it_returns(bench):
    for more in (("--qos", 1), ("--qos", 2, "--threads", 2), ("--qos", 1, "--version", 5)):
        figures = bench.good("--scenario", "fleet", "--clients", 20, "--messages", 600, "--rate", 1000, "--churn", 100,
                             "--away", 0.1, *more)
        check_counts(figures, 600, 1)
        assert figures["returns"] > 0 and figures["sessions_lost"] == 0, figures
        assert figures["latency_p50_us"] > 0 and figures["connect_p50_us"] > 0


@case
def fan_out_delivers_to_every_subscriber(bench):
    check_counts(bench.good("--scenario", "fanout", "--clients", 7, "--qos", 0, "--messages", 50), 50, 7)
    check_counts(bench.good("--scenario", "fanout", "--clients", 7, "--publishers", 3, "--qos", 1, "--messages", 50),
                 50, 7)


@case
def fan_in_delivers_all_to_one(bench):
    check_counts(bench.good("--scenario", "fanin", "--clients", 9, "--qos", 1, "--messages", 100), 100, 1)


@case
def threads_share_the_work_and_lose_nothing(bench):
    for scenario, each in (("pairs", 1), ("fanout", 6), ("fanin", 1)):
        figures = bench.good("--scenario", scenario, "--clients", 6, "--qos", 1, "--messages", 300, "--threads", 3)
        check_counts(figures, 300, each)


@case
def offline_sessions_get_what_waited_for_them(bench):
    for version in ("3.1.1", "5"):
        figures = bench.good("--scenario", "offline", "--clients", 10, "--publishers", 3, "--qos", 1, "--messages",
                             200, "--version", version, "--pid", bench.broker.pid)
        check_counts(figures, 200, 1)
        assert figures["sessions_lost"] == 0
        assert figures["enqueue_per_s"] > 0 and figures["drain_per_s"] > 0


@case
def connected_subscribers_may_have_persistent_sessions(bench):
    for version in ("3.1.1", "5"):
        figures = bench.good("--persistent", "--clients", 4, "--qos", 1, "--messages", 202, "--version", version)
        check_counts(figures, 202, 1)


@case
def what_one_run_enqueues_another_drains(bench):
    options = ("--scenario", "offline", "--clients", 7, "--publishers", 3, "--qos", 1, "--messages", 205, "--seed", 77)
    figures = bench.good(*options, "--part", "enqueue")
    assert figures["acked"] == figures["expected"] == 205, figures
    assert figures["delivered"] == 0 and "drain_per_s" not in figures
    figures = bench.good(*options, "--part", "drain")
    assert figures["delivered"] == figures["expected"] == 205, figures
    assert figures["sent"] == figures["sessions_lost"] == 0 and "enqueue_per_s" not in figures


@case
def a_drain_notices_what_is_missing(bench):
    options = ("--scenario", "offline", "--clients", 7, "--qos", 1, "--messages", 210, "--drain-timeout", 0.3)
    code, figures, _ = bench.run(*options, "--part", "drain", "--seed", 78)
    assert code == 1 and figures["sessions_lost"] == 7 and figures["lost"] == 210, figures
    bench.good(*options, "--part", "enqueue", "--seed", 79)
    code, figures, _ = bench.run("--scenario", "offline", "--clients", 7, "--qos", 1, "--messages", 217,
                                 "--drain-timeout", 3, "--part", "drain", "--seed", 79)
    assert code == 1 and figures["sessions_lost"] == 0 and figures["lost"] == 7, figures


@case
def what_a_broker_drops_is_counted_and_is_an_error(bench):
    options = ("--scenario", "offline", "--clients", 2, "--qos", 1, "--messages", 200, "--drain-timeout", 0.3)
    with Broker("mosquitto", extra=["max_queued_messages 5"]) as small:
        code, figures, said = Bench(bench.program, small).run(*options)
        assert code == 1, code
        assert figures["acked"] == 200
        assert 0 < figures["lost"] == 200 - figures["delivered"], figures["lost"]
        assert figures["reordered"] == figures["duplicates"] == 0
        assert f"{figures['lost']} lost" in said, said
        code, _, _ = Bench(bench.program, small).run(*options, "--allow-loss")
        assert code == 0, code


@case
def what_is_lost_repeated_or_out_of_order_is_counted_exactly(bench):
    options = ("--clients", 2, "--messages", 200, "--window", 20, "--drain-timeout", LOST_AFTER)  # 100 to each
    with Liar(loses=(3, 50, 51, 100), repeats=(7, 20, 99), late=(10, 30)) as broker:
        liar = Bench(bench.program, broker)
        for qos, good in ((0, 0), (1, 1)):
            code, figures, said = liar.run("--qos", qos, "--seed", 5 + qos, *options)
            assert code == good, (code, said)
            found = [figures[name] for name in ("expected", "delivered", "lost", "duplicates", "reordered")]
            assert found == [200, 192, 8, 6, 4], found
    for trick, name in (({"loses": (3,)}, "lost"), ({"repeats": (3,)}, "duplicates"), ({"late": (3,)}, "reordered")):
        with Liar(**trick) as broker:
            code, figures, _ = Bench(bench.program, broker).run("--qos", 1, *options)
            wrong = {key: figures[key] for key in ("lost", "duplicates", "reordered")}
            assert code == 1 and wrong == {**dict.fromkeys(wrong, 0), name: 2}, wrong


@case
def what_a_group_loses_or_gets_twice_is_counted(bench):
    options = ("--scenario", "shared", "--clients", 1, "--messages", 100, "--window", 128, "--drain-timeout",
               LOST_AFTER)
    with Liar(loses=(3, 100), repeats=(7,), late=(10,)) as broker:
        code, figures, _ = Bench(bench.program, broker).run("--qos", 1, *options)
        found = [figures[name] for name in ("expected", "delivered", "lost", "duplicates", "reordered")]
        assert code == 1 and found == [100, 98, 2, 1, 1], found


@case
def who_is_told_to_come_later_does(bench):
    with Liar(busy=5) as broker:
        options = ("--scenario", "connect-hold", "--clients", 20, "--duration", 0.05)
        figures = Bench(bench.program, broker).good(*options, "--retry", 0.05)
        assert figures["connected"] == 20 and figures["turned_away"] == 5, figures
        assert figures["connect_max_us"] >= 50000, figures
        broker.busy = 1
        code, _, said = Bench(bench.program, broker).run(*options)
        assert code == 3 and "server unavailable" in said, (code, said)


@case
def held_clients_are_counted(bench):
    figures = bench.good("--scenario", "connect-hold", "--clients", 50, "--duration", 0.05, "--username", "someone",
                         "--pid", bench.broker.pid)
    assert figures["connected"] == 50
    assert figures["connects_per_s"] > 0
    assert figures["rss_after_bytes"] > 0


@case
def a_storm_comes_and_leaves_in_waves(bench):
    for more in ((), ("--subscribe",), ("--threads", 2, "--version", 5)):
        figures = bench.good("--scenario", "storm", "--clients", 40, "--waves", 3, "--pid", bench.broker.pid, *more)
        assert figures["connected"] == 120, figures["connected"]
        assert figures["connects_per_s"] > 0 and figures["leaves_per_s"] > 0
        assert 0 < figures["connect_p50_us"] <= figures["connect_p999_us"] <= figures["connect_max_us"]
        assert figures["broker_cpu_us_per_connect"] > 0 and figures["broker_cpu_us_per_leave"] > 0


@case
def an_open_loop_sends_what_its_schedule_says(bench):
    figures = bench.good("--rate", 2000, "--clients", 4, "--messages", 400, "--qos", 1)
    check_counts(figures, 400, 1)
    assert figures["unsent"] == 0
    assert figures["seconds"] >= 399 / 2000, "the last message left before its time"


@case
def large_payloads_arrive_whole(bench):
    check_counts(bench.good("--clients", 2, "--size", 300000, "--qos", 1, "--messages", 10), 10, 1)


@case
def a_broker_that_is_not_there_is_named(bench):
    with socket.socket() as nobody:  # has the port, and does not listen: no other program gets it
        nobody.bind(("127.0.0.1", 0))
        done = subprocess.run([bench.program, "bench", "--port", str(nobody.getsockname()[1])], capture_output=True,
                              text=True, timeout=RUN_SECONDS, check=False)
    assert done.returncode == 3, done.returncode
    assert "127.0.0.1" in done.stderr and "refused" in done.stderr, done.stderr


@case
def too_many_clients_are_refused_with_the_limit(bench):
    done = subprocess.run(["sh", "-c", 'ulimit -n 100 && exec "$@"', "sh", *bench.command("--clients", 500)],
                          capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    assert done.returncode == 3, done.returncode
    assert "--clients 500" in done.stderr and "100" in done.stderr, done.stderr


def takes_signals(pid):
    """Whether the run has come so far that SIGINT is its own to read (it blocks it then)."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        blocked = next(line.split()[1] for line in f if line.startswith("SigBlk:"))
    return int(blocked, 16) >> (signal.SIGINT - 1) & 1 == 1


@case
def an_interrupted_run_prints_its_figures(bench):
    with subprocess.Popen(bench.command("--json", "--duration", 600, "--qos", 1), stdout=subprocess.PIPE,
                          text=True) as running:
        while not takes_signals(running.pid):
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        figures = json.loads(running.communicate(timeout=RUN_SECONDS)[0])
    assert running.returncode == 0, running.returncode
    assert figures["interrupted"] is True
    assert figures["lost"] == 0


def check_rows(bench, group, *options):
    """Each row of a group's tables has a figure, and nothing is left behind."""
    build = os.path.dirname(os.path.dirname(bench.program))
    needed = [os.path.join(build, "bin", name) for name in ("longlinkd", "relay")]
    if not all(os.access(path, os.X_OK) for path in needed) or file_system(build) in NO_DISK:
        return  # of the generator alone everything was tried
    done = subprocess.run([os.path.join(os.path.dirname(os.path.abspath(__file__)), "compare"), "--json", "--rounds", "1",
                           "--scenario", group, "--duration", "0.2", "--warmup", "0", *options, "--build-dir", build,
                           "--data-dir", build], capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    results = json.loads(done.stdout or "[]")
    said = [r["said"] for result in results for r in result["runs"] if r["said"]]
    assert done.returncode == 0 and not said, (done.returncode, done.stderr, said)
    for scenario in (s for s in SCENARIOS if s.name in GROUPS[group]):
        runs = [r for result in results if result["scenario"] == scenario.name for r in result["runs"]]
        missing = [key for key, _, _ in scenario.rows if not any(key in r for r in runs)]
        assert all(key in IF_THE_BROKER_SAYS_SO for key in missing), (scenario.name, missing)
    assert not any(name.startswith("longlink-bench-data-") for name in os.listdir(build)), "data was left behind"


@case
def every_row_of_the_durable_tables_has_a_figure(bench):
    check_rows(bench, "durable", "--messages", "2000")


@case
def every_row_of_the_goals_has_a_figure(bench):
    check_rows(bench, "goals", "--messages", "2000", "--clients", "20")


@case
def every_row_of_the_other_tables_has_a_figure(bench):
    check_rows(bench, "more", "--clients", "60", "--topics", "50", "--duration", "1.3")


@case
def a_second_generator_gets_everything(bench):
    build = os.path.dirname(os.path.dirname(bench.program))
    done = subprocess.run([os.path.join(os.path.dirname(os.path.abspath(__file__)), "second"), "--json", "--rounds", "1",
                           "--scenario", "pairs,fanin", "--messages", "20", "--brokers", "longlinkd,mosquitto",
                           "--build-dir", build], capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert [run["delivered"] for result in json.loads(done.stdout) for run in result["runs"]] == [400, 400, 1000, 1000]


@case
def an_unknown_command_is_named_with_those_that_exist(bench):
    done = subprocess.run([bench.program, "bensh"], capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    assert done.returncode == 2
    assert "bensh" in done.stderr and "bench" in done.stderr.replace("bensh", ""), done.stderr


@case
def help_and_version_are_there(bench):
    for words, text in ((["--help"], "bench"), (["help", "bench"], "--drain-timeout"), (["bench", "--help"], "--rate"),
                        (["--version"], "longlink ")):
        done = subprocess.run([bench.program, *words], capture_output=True, text=True, timeout=RUN_SECONDS,
                              check=False)
        assert done.returncode == 0 and text in done.stdout, words


def main():
    program = os.path.abspath(sys.argv[1])
    failed = 0
    try:
        with Broker("mosquitto") as broker:
            for function in CASES:
                try:
                    function(Bench(program, broker))
                    print(f"ok      {function.__name__}")
                except (AssertionError, ValueError, subprocess.TimeoutExpired) as e:
                    failed += 1
                    print(f"FAILED  {function.__name__}: {e!r}")
    except BrokerMissing as e:
        print(f"skipped: {e}")
        return SKIPPED
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
