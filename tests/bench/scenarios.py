# SPDX-License-Identifier: Apache-2.0
"""What compare measures: the scenarios, and the rows of their tables."""
from dataclasses import dataclass, field

import measure

# key of the JSON, heading, what a good ratio is
OTHERS = [("others_cpu_cores", "other programs' CPU, cores", "")]
LIVE = [
    ("delivered_per_s", "deliveries / s", "more"),
    ("broker_cpu_us_per_delivery", "CPU us / delivery", "less"),
    ("broker_cpu_cores", "CPU, cores", ""),
    ("bench_cpu_us_per_delivery", "bench's own CPU us / delivery", ""),
    ("latency_p50_us", "latency p50, us", "less"),
    ("latency_p99_us", "latency p99, us", "less"),
    ("rss_after_bytes", "resident, bytes", "less"),
] + OTHERS
SPARSE = LIVE[:-2] + [("latency_p999_us", "latency p99.9, us", "less")] + LIVE[-2:]
STORM = [
    ("connects_per_s", "connects / s", "more"),
    ("broker_cpu_us_per_connect", "CPU us / connect", "less"),
    ("bench_cpu_us_per_connect", "bench's own CPU us / connect", ""),
    ("connect_p50_us", "connect to CONNACK p50, us", "less"),
    ("connect_p99_us", "connect to CONNACK p99, us", "less"),
    ("connect_p999_us", "connect to CONNACK p99.9, us", "less"),
    ("leaves_per_s", "leaves / s", "more"),
    ("broker_cpu_us_per_leave", "CPU us / leave", "less"),
    ("rss_after_bytes", "resident, bytes", "less"),
] + OTHERS
RETAINED = [
    ("sent_per_s", "values stored / s", "more"),
    ("drain_per_s", "values delivered / s", "more"),
    ("drain_cpu_us_per_delivery", "CPU us / value delivered", "less"),
    ("drain_bench_cpu_us_per_delivery", "bench's own CPU us / value delivered", ""),
    ("complete_p50_us", "SUBSCRIBE to the last value p50, us", "less"),
    ("complete_max_us", "SUBSCRIBE to the last value, slowest, us", "less"),
    ("rss_peak_bytes", "resident peak, bytes", "less"),
] + OTHERS
FLEET = SPARSE + [
    ("puback_p99_us", "PUBACK p99, us", "less"),
    ("connect_p50_us", "connect to CONNACK of who returns p50, us", "less"),
    ("connect_p99_us", "connect to CONNACK of who returns p99, us", "less"),
    ("redelivered", "delivered again, with DUP", ""),
    ("drain_per_s", "what waits, when all return: messages / s", "more"),
]
SHARED = LIVE + [
    ("member_least", "messages to the member that got least", ""),
    ("member_most", "messages to the member that got most", ""),
]
IDLE = [
    ("rss_per_client_bytes", "resident bytes / client", "less"),
    ("connects_per_s", "connects / s", "more"),
    ("broker_cpu_s", "CPU s while held", "less"),
]
OFFLINE = [
    ("enqueue_per_s", "enqueued / s", "more"),
    ("drain_per_s", "drained / s", "more"),
    ("broker_cpu_us_per_delivery", "CPU us / message enqueued", "less"),
    ("drain_cpu_us_per_delivery", "CPU us / message drained", "less"),
    ("bench_cpu_us_per_delivery", "bench's own CPU us / message", ""),
    ("rss_full_bytes", "resident with the backlog", "less"),
]
ENQUEUE_SYNCS = [
    ("enqueue_syncs", "fdatasync of the journal, enqueue", ""),
    ("enqueue_messages_per_sync", "messages / fdatasync, enqueue", ""),
]
DRAIN_SYNCS = [("drain_syncs", "fdatasync of the journal, drain", "")]
GROWTH = [
    ("rss_per_message_bytes", "resident growth, bytes / message", "less"),
    ("rss_peak_bytes", "resident peak, enqueue", "less"),
]
ENQUEUE_COST = [
    ("broker_cpu_us_per_delivery", "CPU us / message enqueued", "less"),
    ("enqueue_cpu_shard_us", "  of the shards", ""),
    ("enqueue_cpu_journal_us", "  of the journal", ""),
    ("enqueue_cpu_fold_us", "  of the fold", ""),
    ("enqueue_written_bytes", "to the disk, bytes / message enqueued", ""),
]
DRAIN_COST = [
    ("drain_cpu_us_per_delivery", "CPU us / message drained", "less"),
    ("drain_cpu_shard_us", "  of the shards", ""),
    ("drain_cpu_journal_us", "  of the journal", ""),
    ("drain_cpu_fold_us", "  of the fold", ""),
    ("drain_cpu_reader_us", "  of the readers", ""),
    ("drain_written_bytes", "to the disk, bytes / message drained", ""),
]
BENCH_COST = [
    ("bench_cpu_us_per_delivery", "bench's own CPU us / message enqueued", ""),
    ("drain_bench_cpu_us_per_delivery", "bench's own CPU us / message drained", ""),
]
RATES = [
    ("enqueue_per_s", "enqueued / s", "more"),
    ("drain_per_s", "drained / s", "more"),
]
DURABLE = RATES + GROWTH + ENQUEUE_SYNCS + DRAIN_SYNCS + ENQUEUE_COST + DRAIN_COST + BENCH_COST + OTHERS
PUBACKS = [
    ("puback_p50_us", "PUBACK p50, us", "less"),
    ("puback_p99_us", "PUBACK p99, us", "less"),
    ("puback_p999_us", "PUBACK p99.9, us", "less"),
    ("puback_max_us", "PUBACK slowest, us", "less"),
]
PUBACK_ALONE = PUBACKS + [
    ("fdatasync_p50_us", "one fdatasync p50, us", ""),
    ("fdatasync_p999_us", "one fdatasync p99.9, us", ""),
    ("puback_above_fdatasync_us", "PUBACK p50 above fdatasync p50, us", ""),
] + ENQUEUE_SYNCS + OTHERS
PUBACK_LOADED = PUBACKS + [
    ("enqueue_per_s", "enqueued / s", ""),
    ("fdatasync_p50_us", "one fdatasync p50, us", ""),
    ("fdatasync_p999_us", "one fdatasync p99.9, us", ""),
] + ENQUEUE_SYNCS + ENQUEUE_COST + OTHERS
ONLINE = LIVE[:-1] + PUBACKS + [
    ("run_syncs", "fdatasync of the journal, whole run", ""),
    ("run_messages_per_sync", "messages / fdatasync", ""),
    ("run_written_bytes", "to the disk, bytes / message", ""),
] + OTHERS
SUSTAINED = RATES + [
    ("lost", "lost", ""),
    ("duplicates", "repeated", ""),
    ("reordered", "out of order", ""),
    ("first_session_s", "start to the first session that is back, s", ""),
] + GROWTH + [
    ("fold_lag_peak_bytes", "in RAM and not folded yet, peak, bytes", ""),
    ("disk_full_bytes", "directory with the backlog, bytes", ""),
    ("disk_drained_bytes", "  after the last delivery", ""),
    ("disk_settled_bytes", "  when it shrinks no more", ""),
    ("disk_stopped_bytes", "  when the broker has ended", ""),
    ("drain_read_bytes", "from the disk, bytes / message drained", ""),
] + ENQUEUE_SYNCS + DRAIN_SYNCS + ENQUEUE_COST + DRAIN_COST + OTHERS
BOOT = [
    ("boot_killed_s", "after kill -9: first CONNACK, s", ""),
    ("boot_clean_s", "after SIGTERM: first CONNACK, s", ""),
    ("stop_s", "SIGTERM to the end, s", ""),
    ("boot_rss_bytes", "resident after it, bytes", ""),
    ("disk_full_bytes", "directory, bytes", ""),
    ("enqueue_per_s", "enqueued / s", ""),
] + OTHERS


@dataclass(frozen=True)
class Goal:
    """What is asked of the first broker of a scenario."""
    key: str
    bound: str          # "least" or "most"
    value: float        # of its figure, or of the ratio of its figure to that of
    of: str = ""        # this one


@dataclass(frozen=True)
class Scenario:
    name: str
    doc: str
    options: str
    rows: list
    timed: bool = False  # --duration and --warmup apply
    brokers: str = "longlinkd,mosquitto"
    also: dict = field(default_factory=dict)  # program: more lines
    goals: list = field(default_factory=list)
    how: object = measure.at_once
    restarts: bool = False  # only for brokers that keep their data


AWAY = "--scenario offline --clients 200 --publishers 20 --qos 1 --size 64 "
DISK = "longlinkd-disk,mosquitto"
# Else a PUBACK of mosquitto waits for the one before it to be acknowledged by TCP: a millisecond and more.
AT_ONCE = {"mosquitto": ["set_tcp_nodelay true"]}


def more(value):
    return Goal("delivered_per_s", "least", value, "mosquitto")


def cpu(value, of="mosquitto"):
    return Goal("broker_cpu_us_per_delivery", "most", value, of)


def at_most(value, *keys):
    return [Goal(key, "most", value, "mosquitto") for key in keys]


# What Longlink promises: durable where the client asks for it, two shards, and no option of the generator that would
# help a broker to batch.
LIMIT = "longlinkd-disk,relay,mosquitto"
SHARDS = {"longlinkd": ["shards 2"]}
STORM_OF_8000 = "--scenario storm --clients 8000 --threads 2 --username bench-user --waves 3 "
AS_STORM = [Goal("connects_per_s", "least", 2.4, "mosquitto"),
            Goal("broker_cpu_us_per_connect", "most", 0.85, "mosquitto")]
GOAL_SCENARIOS = [
    Scenario("pairs", "50 pairs, QoS 1, 64 B, window 10",
             "--scenario pairs --clients 50 --qos 1 --size 64 --window 10 --gather 0", LIVE, timed=True,
             brokers=LIMIT, also=SHARDS, goals=[more(8), cpu(0.13), cpu(2, "relay")]),
    Scenario("pairs-qos0", "50 pairs, QoS 0, 64 B, window 10",
             "--scenario pairs --clients 50 --qos 0 --size 64 --window 10 --gather 0", LIVE, timed=True,
             brokers=LIMIT, also=SHARDS, goals=[more(6.5), cpu(0.16)]),
    Scenario("fanout", "1 to 500, QoS 0, 64 B, window 100",
             "--scenario fanout --clients 500 --qos 0 --size 64 --window 100 --gather 0", LIVE, timed=True,
             brokers=LIMIT, also=SHARDS, goals=[more(10), cpu(0.08)]),
    Scenario("fanout-qos1", "1 to 500, QoS 1, 64 B, window 100",
             "--scenario fanout --clients 500 --qos 1 --size 64 --window 100 --gather 0", LIVE, timed=True,
             brokers=LIMIT, also=SHARDS, goals=[more(5.5), cpu(0.16)]),
    # With the default window of 20 to the only receiver the pace would be the generator's.
    Scenario("fanin", "200 to 1, QoS 1, 64 B, window 10; max_inflight_messages 0",
             "--scenario fanin --clients 200 --qos 1 --size 64 --window 10 --gather 0", LIVE, timed=True,
             brokers=LIMIT,
             also={"longlinkd": SHARDS["longlinkd"] + ["max_inflight_messages 0"],
                   "mosquitto": ["max_inflight_messages 0"]}, goals=[more(12), cpu(0.08)]),
    # As they come when a network or the broker is back: at once.
    Scenario("storm", "8,000 clients connect, all at once, and leave; 3 waves",
             STORM_OF_8000 + "--connecting 8000", STORM, brokers=LIMIT, also=SHARDS, goals=AS_STORM),
    # One after the other, and not more at a time than mosquitto lets wait to be accepted.
    Scenario("connects", "8,000 clients connect, 64 at a time, and leave; 3 waves",
             STORM_OF_8000 + "--connecting 64", STORM, brokers=LIMIT, also=SHARDS, goals=AS_STORM),
    Scenario("durable-100k", "100,000 messages, each to one of 200 offline sessions, 20 publishers, QoS 1, 64 B, "
             "window 50: enqueue, then drain",
             AWAY + "--window 50 --messages 100000 --gather 0", DURABLE, brokers=DISK, also=SHARDS,
             how=measure.in_parts, goals=[Goal("enqueue_per_s", "least", 1.5, "mosquitto"),
                                          Goal("drain_per_s", "least", 1.5, "mosquitto")]),
    Scenario("online", "50 pairs, persistent sessions that are connected, QoS 1, 64 B, window 10",
             "--scenario pairs --persistent --clients 50 --qos 1 --size 64 --window 10 --gather 0", ONLINE,
             timed=True, brokers="longlinkd-disk,longlinkd,mosquitto", also=SHARDS, how=measure.with_costs,
             goals=[more(3)]),
    Scenario("sparse", "1,000 pairs, QoS 1, 64 B, 4,000 messages / s in all, on a schedule",
             "--scenario pairs --clients 1000 --qos 1 --size 64 --rate 4000 --duration 10 --warmup 1", SPARSE,
             brokers=LIMIT, also={**SHARDS, **AT_ONCE},
             goals=[cpu(0.7), *at_most(1, "latency_p50_us", "latency_p99_us", "latency_p999_us")]),
    Scenario("idle", "8,000 idle clients, clean, 23-byte client id, user name, keepalive 60",
             "--scenario connect-hold --clients 8000 --username bench-user --keepalive 60 --duration 2", IDLE,
             brokers=DISK, also=SHARDS, how=measure.when_settled,
             goals=[Goal("rss_per_client_bytes", "most", 700)]),
    Scenario("idle-subscribed", "8,000 idle clients as above, each with one exact subscription",
             "--scenario connect-hold --clients 8000 --username bench-user --keepalive 60 --duration 2 --subscribe",
             IDLE, brokers=DISK, also=SHARDS, how=measure.when_settled,
             goals=[Goal("rss_per_client_bytes", "most", 1000)]),
]
MEMORY_SCENARIOS = [
    Scenario("pairs-ws", "50 pairs, QoS 1, 64 B, window 10, by WebSocket, beside TCP",
             "--scenario pairs --clients 50 --qos 1 --size 64 --window 10 --gather 500", LIVE, timed=True,
             brokers="longlinkd-ws,longlinkd"),
    Scenario("fanout-10", "1 to 500, QoS 0, 64 B, window 10",
             "--scenario fanout --clients 500 --qos 0 --size 64 --window 10 --gather 2000", LIVE, timed=True),
    Scenario("fanout-100", "1 to 500, QoS 0, 64 B, window 100",
             "--scenario fanout --clients 500 --qos 0 --size 64 --window 100 --gather 2000", LIVE, timed=True),
    Scenario("fanout-dynsec", "1 to 500, QoS 0, 64 B, window 10, and a plugin that is asked before each delivery",
             "--scenario fanout --clients 500 --qos 0 --size 64 --window 10 --gather 2000", LIVE, timed=True,
             brokers="longlinkd-dynsec,mosquitto-dynsec"),
    Scenario("offline", "200 sessions, 20 publishers, QoS 1, 64 B, window 50: enqueue, then drain",
             AWAY + "--window 50 --messages 20000 --gather 500", OFFLINE),
]
DURABLE_SCENARIOS = [
    Scenario("durable-2m", "as durable-100k, with 2,000,000 messages",
             AWAY + "--window 50 --messages 2000000 --gather 500", DURABLE, brokers=DISK, how=measure.in_parts),
    Scenario("puback", "1 publisher, window 1, 1 offline session, QoS 1, 64 B: write to PUBACK",
             "--scenario offline --clients 1 --publishers 1 --qos 1 --size 64 --window 1 --messages 10000",
             PUBACK_ALONE, brokers=DISK, also=AT_ONCE, how=measure.beside_syncs),
    Scenario("puback-load", "20,000 messages / s on a schedule for 6 s, 20 publishers to 200 offline sessions, "
             "QoS 1, 64 B: due time to PUBACK",
             AWAY + "--rate 20000 --messages 120000", PUBACK_LOADED, brokers=DISK, also=AT_ONCE, how=measure.beside_syncs),
    Scenario("sustained", "2,000,000 messages as above, kill -9, files out of the page cache, restart, drain",
             AWAY + "--window 50 --messages 2000000 --gather 500", SUSTAINED, brokers="longlinkd-disk",
             how=measure.over_restart, restarts=True),
    Scenario("boot", "1,000,000 messages in 1,000 sessions, files out of the page cache: exec to the first CONNACK "
             "with session present 1",
             "--scenario offline --clients 1000 --publishers 20 --qos 1 --size 64 --window 50 --messages 1000000 "
             "--gather 500", BOOT, brokers="longlinkd-disk", how=measure.boots, restarts=True),
]
MORE_SCENARIOS = [
    Scenario("pairs-qos2", "50 pairs, QoS 2, 64 B, window 10",
             "--scenario pairs --clients 50 --qos 2 --size 64 --window 10 --gather 0", LIVE, timed=True, brokers=DISK,
             also=SHARDS),
    Scenario("pairs-tls", "50 pairs, QoS 1, 64 B, window 10, by TLS",
             "--scenario pairs --clients 50 --qos 1 --size 64 --window 10 --gather 0", LIVE, timed=True,
             brokers="longlinkd-tls,mosquitto-tls", also=SHARDS),
    Scenario("storm-tls", "2,000 clients connect by TLS, 64 at a time, and leave; each with a full handshake, P-256",
             "--scenario storm --clients 2000 --connecting 64 --username bench-user", STORM,
             brokers="longlinkd-tls,mosquitto-tls", also=SHARDS),
    Scenario("shared", "20 publishers to a group of 50, QoS 1, 64 B, window 10",
             "--scenario shared --clients 50 --publishers 20 --qos 1 --size 64 --window 10 --gather 0", SHARED, timed=True,
             brokers=DISK, also=SHARDS),
    Scenario("retained", "1,000 retained values, 200 clients subscribe to all of them at once, QoS 1, 64 B",
             "--scenario retained --clients 200 --topics 1000 --qos 1 --size 64 --window 100", RETAINED, brokers=DISK,
             also=SHARDS),
    Scenario("fleet", "5,000 kept sessions with an inbox each, 2,000 messages / s, QoS 1, 64 B; 100 clients a second "
             "leave and return after 1 s",
             "--scenario fleet --clients 5000 --qos 1 --size 64 --rate 2000 --churn 100 --away 1 --duration 10", FLEET,
             brokers=DISK, also={**SHARDS, **AT_ONCE}),
]
SCENARIOS = GOAL_SCENARIOS + MORE_SCENARIOS + MEMORY_SCENARIOS + DURABLE_SCENARIOS
GROUPS = {
    "goals": [s.name for s in GOAL_SCENARIOS],
    "more": [s.name for s in MORE_SCENARIOS],
    "memory": [s.name for s in MEMORY_SCENARIOS],
    "durable": ["durable-100k", "online"] + [s.name for s in DURABLE_SCENARIOS],
}
