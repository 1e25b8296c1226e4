# SPDX-License-Identifier: Apache-2.0
"""How one broker is measured once: runs of the generator, and what is read around them.

Each way of measuring takes a Run and returns figures by name.
"""
import json
import os
import resource
import socket
import statistics
import struct
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

from brokers import CLIENTS, BrokerFailed

RUN_SECONDS = 600
RUN_FAILED = 3
TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
SYNCS = "journal_syncs_total"
FOLD_LAG = "unfolded_bytes"
WATCH_SECONDS = 0.25
PROBE_SECONDS = 0.5
PROBE_BYTES = 4096
PROBE_FILE_BYTES = 32 * 1024 * 1024
SETTLE_SECONDS = 60.0
SETTLED_SECONDS = 10.0
CONNACK_SECONDS = 60.0
START_SETTLE_SECONDS = 10.0
START_QUIET_SECONDS = 0.5
RETRY_SECONDS = 0.001


@dataclass
class Run:
    bench: str    # the program
    broker: object
    options: list  # of the generator


def busy_seconds():
    """CPU time of all programs of this machine since it started."""
    with open("/proc/stat", encoding="ascii") as f:
        user, nice, system, _, _, irq, softirq, steal = map(int, f.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) * TICK_S


def cpu_seconds(stat_path):
    with open(stat_path, encoding="ascii", errors="replace") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def our_seconds(broker):
    """CPU time of this program, of its children that ended, and of the broker, which has not."""
    sums = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    alive = broker.process is not None and broker.process.poll() is None
    return sum(u.ru_utime + u.ru_stime for u in sums) + (cpu_seconds(f"/proc/{broker.pid}/stat") if alive else 0.0)


def measured(run, how):
    """Figures, and how much of the machine other programs took meanwhile. What failed is a run without figures."""
    begin = (time.monotonic(), busy_seconds(), our_seconds(run.broker))
    try:
        figures = how(run)
    except BrokerFailed as e:
        figures = {"exit_code": RUN_FAILED, "said": str(e)}
    end = (time.monotonic(), busy_seconds(), our_seconds(run.broker))
    spent, busy, ours = (after - before for before, after in zip(begin, end))
    figures["others_cpu_cores"] = max(0.0, (busy - ours) / spent) if spent > 0 else 0.0
    return figures


def generate(run, *more):
    """One run of the generator: its figures, its exit code and what it said."""
    command = [run.bench, "bench", "--json", "--port", str(run.broker.port), "--pid", str(run.broker.pid),
               *CLIENTS.get(run.broker.kind, []), *run.options, *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    figures = json.loads(done.stdout) if done.stdout.strip() else {}
    figures["exit_code"] = done.returncode
    figures["said"] = done.stderr.strip()
    return figures


def new_seed():
    return 1 + int.from_bytes(os.urandom(4), "big") % 4294967295


class Look:
    """What can be read about the broker's process at one moment."""

    def __init__(self, broker):
        self.metrics = broker.metrics()
        self.threads = {}
        for thread in os.listdir(f"/proc/{broker.pid}/task"):
            at = f"/proc/{broker.pid}/task/{thread}"
            with open(f"{at}/comm", encoding="ascii", errors="replace") as f:
                name = f.read().strip().rstrip("0123456789 ")
            self.threads[name] = self.threads.get(name, 0.0) + cpu_seconds(f"{at}/stat")
        with open(f"/proc/{broker.pid}/io", encoding="ascii") as f:
            self.io = {k: int(v) for k, v in (line.split(": ") for line in f)}


def costs(prefix, before, after, messages):
    """What the broker spent between two looks, for each message."""
    figures = {}
    if SYNCS in after.metrics:
        syncs = after.metrics[SYNCS] - before.metrics.get(SYNCS, 0)
        figures[f"{prefix}_syncs"] = syncs
        if syncs > 0:
            figures[f"{prefix}_messages_per_sync"] = messages / syncs
    if messages <= 0:
        return figures
    if "journal" in after.threads:
        for name, spent in after.threads.items():
            figures[f"{prefix}_cpu_{name}_us"] = (spent - before.threads.get(name, 0.0)) * 1e6 / messages
        figures[f"{prefix}_written_bytes"] = (after.io["write_bytes"] - before.io["write_bytes"]) / messages
        figures[f"{prefix}_read_bytes"] = (after.io["read_bytes"] - before.io["read_bytes"]) / messages
    return figures


def together(enqueue, drain):
    """The figures of both parts as those of one run."""
    both = {**drain, **enqueue}
    for name in ("lost", "duplicates", "reordered", "foreign", "sessions_lost", "delivered"):
        both[name] = enqueue.get(name, 0) + drain.get(name, 0)
    both["exit_code"] = enqueue["exit_code"] or drain["exit_code"]
    both["said"] = "; ".join(filter(None, [enqueue["said"], drain["said"]]))
    return both


class Watch(threading.Thread):
    """Looks for the greatest value of a gauge of the broker, until it is told to end."""

    def __init__(self, broker, name):
        super().__init__()
        self.broker = broker
        self.metric = name
        self.peak = None
        self.ended = threading.Event()

    def __enter__(self):
        if self.metric in self.broker.metrics():
            self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        if self.is_alive():
            self.join()

    def run(self):
        while not self.ended.wait(WATCH_SECONDS):
            self.peak = max(self.peak or 0, self.broker.metrics().get(self.metric, 0))


def sync_times(folder):
    """Microseconds of each append of a block and its fdatasync, to a file that has its blocks already."""
    times = []
    block = bytes(PROBE_BYTES)
    with tempfile.TemporaryFile(dir=folder) as f:
        f.write(bytes(PROBE_FILE_BYTES))
        f.flush()
        os.fsync(f.fileno())
        end = time.perf_counter() + PROBE_SECONDS
        while time.perf_counter() < end:
            at = len(times) * PROBE_BYTES % PROBE_FILE_BYTES
            begin = time.perf_counter()
            os.pwrite(f.fileno(), block, at)
            os.fdatasync(f.fileno())
            times.append((time.perf_counter() - begin) * 1e6)
    return times


def directory_bytes(folder):
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_blocks * 512
            except FileNotFoundError:  # the broker works on
                pass
    return total


def settled_bytes(folder):
    """Size of a directory when it has been the same for a while, or when we have waited long enough."""
    size, changed = directory_bytes(folder), time.monotonic()
    end = changed + SETTLE_SECONDS
    while time.monotonic() < min(end, changed + SETTLED_SECONDS):
        time.sleep(0.1)
        now = directory_bytes(folder)
        if now != size:
            size, changed = now, time.monotonic()
    return size


def out_of_cache(folder):
    """What is read next comes from the disk."""
    for place, _, names in os.walk(folder):
        for name in names:
            fd = os.open(os.path.join(place, name), os.O_RDONLY)
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def session_name(seed, number):
    """As in client_name() of the generator."""
    return f"ll-{seed:08x}-s{number:010d}".encode("ascii")


def greet(port, client_id):
    """The CONNACK to a CONNECT of 3.1.1 that asks for the session, b"" when there was none."""
    body = b"\0\4MQTT\4\0\0\x3c" + struct.pack(">H", len(client_id)) + client_id
    with socket.create_connection(("127.0.0.1", port), timeout=CONNACK_SECONDS) as s:
        s.sendall(bytes([0x10, len(body)]) + body)
        answer = b""
        while len(answer) < 4:
            more = s.recv(4 - len(answer))
            if not more:
                return b""
            answer += more
        return answer


def first_session(broker, client_id):
    """Seconds from the start of the program to a CONNACK that says: your session is here."""
    end = broker.started_at + CONNACK_SECONDS
    while time.monotonic() < end:
        if broker.process.poll() is not None:
            raise BrokerFailed(f"{broker.kind} did not start again: {broker.said()}")
        try:
            answer = greet(broker.port, client_id)
        except ConnectionError:
            time.sleep(RETRY_SECONDS)
            continue
        if answer != b"\x20\2\1\0":
            raise BrokerFailed(f"{broker.kind} has lost a session: CONNACK {answer.hex() or 'none'}")
        return time.monotonic() - broker.started_at
    raise BrokerFailed(f"{broker.kind} does not answer {CONNACK_SECONDS:.0f} s after its start")


# --- the ways of measuring


def at_once(run):
    return generate(run)


def when_settled(run):
    """What clients add to a broker's memory is asked when its start has taken its own: some go on in the background."""
    seen, since, end = 0, time.monotonic(), time.monotonic() + START_SETTLE_SECONDS
    while time.monotonic() - since < START_QUIET_SECONDS and time.monotonic() < end:
        with open(f"/proc/{run.broker.pid}/statm", encoding="ascii") as f:
            pages = int(f.read().split()[1])
        if pages != seen:
            seen, since = pages, time.monotonic()
        time.sleep(0.05)
    return generate(run)


def with_costs(run):
    before = Look(run.broker)
    figures = generate(run)
    return {**figures, **costs("run", before, Look(run.broker), figures.get("sent", 0))}


def in_parts(run):
    """offline as two runs of the generator, with a look between them."""
    seed = str(new_seed())
    begin = Look(run.broker)
    enqueue = generate(run, "--part", "enqueue", "--seed", seed)
    full = Look(run.broker)
    drain = generate(run, "--part", "drain", "--seed", seed)
    end = Look(run.broker)
    return {**together(enqueue, drain), **costs("enqueue", begin, full, enqueue.get("acked", 0)),
            **costs("drain", full, end, drain.get("delivered", 0))}


def beside_syncs(run):
    """The same, and what a sync of the same file system takes just before and just after it."""
    times = sync_times(run.broker.data) if run.broker.data else []
    figures = in_parts(run)
    if not times:
        return figures
    times = sorted(times + sync_times(run.broker.data))
    figures["fdatasync_p50_us"] = statistics.median(times)
    figures["fdatasync_p999_us"] = times[int(len(times) * 0.999)]
    figures["puback_above_fdatasync_us"] = figures["puback_p50_us"] - figures["fdatasync_p50_us"]
    return figures


def over_restart(run):
    """offline with kill -9 between enqueue and drain, and what becomes of the disk's space."""
    broker, seed = run.broker, new_seed()
    begin = Look(broker)
    with Watch(broker, FOLD_LAG) as lag:
        enqueue = generate(run, "--part", "enqueue", "--seed", str(seed))
    full = Look(broker)
    figures = {"disk_full_bytes": directory_bytes(broker.data)}
    broker.kill()
    out_of_cache(broker.data)
    broker.launch()
    figures["first_session_s"] = first_session(broker, session_name(seed, 0))
    back = Look(broker)
    drain = generate(run, "--part", "drain", "--seed", str(seed))
    figures["disk_drained_bytes"] = directory_bytes(broker.data)
    end = Look(broker)
    figures["disk_settled_bytes"] = settled_bytes(broker.data)
    figures.update({**together(enqueue, drain), **costs("enqueue", begin, full, enqueue.get("acked", 0)),
                    **costs("drain", back, end, drain.get("delivered", 0))})
    problem = broker.end()
    figures["disk_stopped_bytes"] = directory_bytes(broker.data)
    figures["said"] = "; ".join(filter(None, [figures["said"], problem]))
    if lag.peak is not None:
        figures["fold_lag_peak_bytes"] = lag.peak
    return figures


def boots(run):
    broker, seed = run.broker, new_seed()
    figures = generate(run, "--part", "enqueue", "--seed", str(seed))
    figures["disk_full_bytes"] = directory_bytes(broker.data)
    broker.kill()
    out_of_cache(broker.data)
    broker.launch()
    figures["boot_killed_s"] = first_session(broker, session_name(seed, 0))
    begin = time.monotonic()
    problem = broker.end()
    figures["stop_s"] = time.monotonic() - begin
    out_of_cache(broker.data)
    broker.launch()
    figures["boot_clean_s"] = first_session(broker, session_name(seed, 1))
    with open(f"/proc/{broker.pid}/statm", encoding="ascii") as f:
        figures["boot_rss_bytes"] = int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    figures["said"] = "; ".join(filter(None, [figures["said"], problem]))
    return figures
