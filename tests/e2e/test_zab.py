#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The consensus core on real disks and sockets: leaders that are killed or stopped, nodes that were away, a disk that
is full, a log that is damaged. What was acknowledged is on every node, at its position, and all have the same."""
import contextlib
import os
import signal
import subprocess
import time
import unittest

import kit
import zab_kit

SMALL = "snapCount=200\npreAllocSize=64\n"  # snapshots and purges within a short test
PATIENT = "syncLimit=100\n"                 # nobody is given up while a test arranges things


class Leaders(zab_kit.Test):
    def kill_leaders(self, count, rounds):
        c = self.cluster(count, SMALL)
        load = self.load(c)
        load.wait_more(200)
        for _ in range(rounds):
            leader = c.any_leader()
            leader.kill()
            load.wait_more(200)
            self.assertTrue(leader.start(), leader.text()[-500:])
            load.wait_more(50)
        acknowledged = load.stop()
        self.assertGreater(c.check(acknowledged), 250 * rounds)

    def test_of_three_the_leader_is_killed_again_and_again(self):
        self.kill_leaders(3, 10)

    def test_of_five_the_leader_is_killed_again_and_again(self):
        self.kill_leaders(5, 5)

    def test_all_are_killed_at_once(self):
        c = self.cluster(3, SMALL)
        load = self.load(c)
        for _ in range(4):
            load.wait_more(300)
            for n in c.nodes:
                n.signal(signal.SIGKILL)
            for n in c.nodes:
                n.kill()
            for n in c.nodes:
                self.assertTrue(n.start(), n.text()[-500:])
        load.wait_more(100)
        c.check(load.stop())

    def test_a_leader_that_is_stopped_for_five_seconds_follows_when_it_goes_on(self):
        c = self.cluster(3)
        load = self.load(c)
        load.wait_more(300)
        old = c.any_leader()
        old.signal(signal.SIGSTOP)
        ends = time.monotonic() + 5
        load.wait_more(300)  # under another leader
        time.sleep(max(0, ends - time.monotonic()))  # the time itself is what is asked for
        old.signal(signal.SIGCONT)
        kit.wait_until(lambda: old.state()["role"] == "following", "the old leader follows")
        load.wait_more(300)
        c.check(load.stop())

    def test_a_good_end_loses_nothing_and_a_start_goes_on(self):
        c = self.cluster(3)
        acknowledged = c.put(range(1, 30))
        for n in c.nodes:
            self.assertEqual(n.stop(), 0, n.text()[-500:])
        for n in c.nodes:
            self.assertTrue(n.start(), n.text()[-500:])
        acknowledged.update(c.put(range(30, 40)))
        self.assertEqual(c.check(acknowledged), 39)


class Returning(zab_kit.Test):
    def follower(self, c):
        leader = c.any_leader()
        return next(n for n in c.nodes if n is not leader)

    def test_who_missed_a_little_gets_what_he_missed(self):
        c = self.cluster(3)
        acknowledged = c.put(range(1, 20))
        away = self.follower(c)
        away.kill()
        acknowledged.update(c.put(range(20, 60)))
        self.assertTrue(away.start(), away.text()[-500:])
        c.check(acknowledged)
        state = away.state()
        self.assertEqual((state["truncs"], state["installs"]), (0, 0))

    def test_who_missed_more_than_is_in_memory_gets_it_from_the_log(self):
        c = self.cluster(3, "logWindow=16\n")
        acknowledged = c.put(range(1, 10))
        away = self.follower(c)
        away.kill()
        load = self.load(c, first=10)
        load.wait_more(1000)
        acknowledged.update(load.stop())
        self.assertTrue(away.start(), away.text()[-500:])
        c.check(acknowledged)
        state = away.state()
        self.assertEqual((state["truncs"], state["installs"]), (0, 0))
        self.assertGreater(c.any_leader().state()["reads"], 0)

    def test_who_missed_more_than_the_log_has_gets_a_snapshot(self):
        c = self.cluster(3, SMALL)
        acknowledged = c.put(range(1, 10))
        away = self.follower(c)
        last = away.state()["last"]
        away.kill()
        load = self.load(c, first=10)
        for n in c.up():
            kit.wait_until(lambda n=n: n.state()["begin"] > last, "a log that was purged")
        load.wait_more(1)
        acknowledged.update(load.stop())
        self.assertTrue(away.start(), away.text()[-500:])
        c.check(acknowledged)
        self.assertEqual(away.state()["installs"], 1)
        # And what it has now outlives a kill.
        away.kill()
        self.assertTrue(away.start(), away.text()[-500:])
        acknowledged.update(c.put([1 << 40]))
        c.check(acknowledged)

    def test_who_has_what_nobody_else_has_loses_it(self):
        """Both followers are stopped, so that entries lie in their sockets, and killed: then the leader alone has
        these entries, on its disk."""
        c = self.cluster(3, PATIENT)
        acknowledged = c.put(range(1, 20))
        leader = c.any_leader()
        others = [n for n in c.nodes if n is not leader]
        for n in others:
            n.signal(signal.SIGSTOP)
        before = leader.state()["stored"]
        with leader.client() as client:
            for i in range(1000, 1050):
                client.send(zab_kit.PUT, i, i.to_bytes(8, "big"))
            kit.wait_until(lambda: leader.state()["stored"] >= before + 50, "entries on the leader's disk")
            for n in others:
                n.kill()
            leader.kill()
        for n in others:
            self.assertTrue(n.start())
        acknowledged.update(c.put(range(20, 30)))
        self.assertTrue(leader.start())
        self.assertEqual(c.check(acknowledged), 29)
        self.assertEqual(leader.state()["truncs"], 1)
        leader.kill()
        self.assertTrue(leader.start(), leader.text()[-500:])  # its log now has entries that are none
        acknowledged.update(c.put(range(30, 40)))
        self.assertEqual(c.check(acknowledged), 39)


class Members(zab_kit.Test):
    def change(self, c, what, number, role, address):
        body = bytes([what]) + number.to_bytes(2, "big") + bytes([role]) + address.encode()

        tried = []

        def done():
            with contextlib.suppress(zab_kit.Lost), c.any_leader().client() as client:
                tried.append(client.ask(zab_kit.RECONFIG, body)[0])
                return tried[-1] == zab_kit.OK or tried[-2:] == [zab_kit.UNKNOWN, zab_kit.NO_SUCH_CHANGE]
            return False

        kit.wait_until(done, "a change of the members")

    def test_a_node_comes_learns_all_votes_and_the_oldest_goes(self):
        c = self.cluster(3)
        acknowledged = c.put(range(1, 20))
        new = c.add("observer")
        address = c.address(4).removesuffix(":observer")
        self.change(c, zab_kit.ADD, 4, zab_kit.OBSERVER, address)
        c.check(acknowledged)
        self.assertEqual(new.state()["role"], "observing")
        self.change(c, zab_kit.SET_ROLE, 4, zab_kit.VOTER, address)
        gone = c.any_leader()
        self.change(c, zab_kit.REMOVE, gone.number, zab_kit.VOTER, c.address(gone.number))
        gone.kill()
        c.nodes.remove(gone)
        acknowledged.update(c.put(range(20, 40)))
        self.assertEqual(c.check(acknowledged), 39)
        # Two of the three that are left are enough.
        c.any_leader().kill()
        acknowledged.update(c.put(range(40, 50)))
        self.assertEqual(c.check(acknowledged, c.up()), 49)


class Damage(zab_kit.Test):
    def damaged(self, c):
        """A follower that is away, with a byte changed in the middle of its log."""
        leader = c.any_leader()
        away = next(n for n in c.nodes if n is not leader)
        away.kill()
        log = os.path.join(away.dir, "wal")
        name = sorted(f for f in os.listdir(log) if f.endswith(".wal"))[-1]
        with open(os.path.join(log, name), "r+b") as f:
            f.seek(4096 + 600)
            byte = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte[0] ^ 1]))
        return away

    def test_a_damaged_log_is_refused_by_name(self):
        c = self.cluster(3)
        c.put(range(1, 30))
        away = self.damaged(c)
        self.assertFalse(away.start())
        self.assertIn(".wal", away.text())
        self.assertIn("damagedLog=relearn", away.text())

    def test_when_the_operator_says_so_it_is_moved_aside_and_all_is_learnt_again(self):
        c = self.cluster(3)
        acknowledged = c.put(range(1, 30))
        away = self.damaged(c)
        with open(away.conf, "a") as f:
            f.write("damagedLog=relearn\n")
        self.assertTrue(away.start(), away.text()[-500:])
        acknowledged.update(c.put(range(30, 40)))
        self.assertEqual(c.check(acknowledged), 39)
        kit.wait_until(lambda: not away.state()["relearns"], "a node that counts again")
        self.assertTrue(os.path.isdir(os.path.join(away.dir, "damaged.1", "wal")))


def can_mount():
    done = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return done.returncode == 0


@unittest.skipUnless(kit.have("unshare", "nsenter") and can_mount(), "it takes the right to mount a file system")
class FullDisk(zab_kit.Test):
    DISK_BYTES = 4 * kit.MIB

    def small_disk(self, node):
        """A file system of its own under the node's directory, held by a process."""
        os.makedirs(node.dir)
        holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c",
             f"mount -t tmpfs -o size={self.DISK_BYTES} none {node.dir} && echo up && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        self.addCleanup(holder.stdout.close)
        self.addCleanup(holder.stdin.close)
        self.assertEqual(holder.stdout.readline(), b"up\n")
        seen = f"/proc/{holder.pid}/root{node.dir}"
        node.prefix = ["nsenter", f"--mount=/proc/{holder.pid}/ns/mnt"]
        node.seen = lambda: seen
        return seen

    def fill(self, seen):
        with open(os.path.join(seen, "glutton"), "wb") as f:
            while True:
                try:
                    os.posix_fallocate(f.fileno(), 0, os.fstat(f.fileno()).st_size + 4096)
                except OSError:
                    return

    def run_full(self, is_leader):
        c = self.cluster(3, SMALL, starts=False)
        seen = {n.number: self.small_disk(n) for n in c.nodes}
        c.start()
        load = self.load(c)
        load.wait_more(100)
        leader = c.any_leader()
        node = leader if is_leader else next(n for n in c.nodes if n is not leader)
        self.fill(seen[node.number])
        kit.wait_until(lambda: node.state()["full"], "a node that says that its disk is full")
        load.wait_more(500)  # the others go on
        os.unlink(os.path.join(seen[node.number], "glutton"))
        kit.wait_until(lambda: not node.state()["full"], "a node that has room again")
        load.wait_more(100)
        c.check(load.stop())

    def test_a_follower_whose_disk_is_full_waits_and_catches_up_when_there_is_room(self):
        self.run_full(is_leader=False)

    def test_a_leader_whose_disk_is_full_is_replaced_and_follows_when_there_is_room(self):
        self.run_full(is_leader=True)


if __name__ == "__main__":
    zab_kit.main()
