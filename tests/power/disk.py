# SPDX-License-Identifier: Apache-2.0
"""A directory as its disk has it, made from the layer's trace: what was synced, and what was not.

After a loss of power each 512-byte sector of a file has the bytes of any moment since the file's last sync that
covers it, the file has any of its lengths since then, and each name is what it was at any moment since the directory's
last sync. A sync of a file is none of its name. A rename happens or does not, never half.
"""
import os
import struct

SECTOR, CHUNK = 512, 1 << 20
ZEROS = bytes(SECTOR)
RECORD = struct.Struct("<IIQQQII")
BEGIN, OPEN, WRITE, ZERO, SIZE, SYNC, LOST, RENAME, UNLINK = range(9)
AT_ONCE_MAX = 3  # threads that write: so many calls may be over, and not yet in the trace, when a process is killed


class Unexplained(Exception):
    """The directory has what the trace does not have: the layer is at fault, or something went around it."""


class File:
    """Sectors that are missing are zeros. pending: what each was, later than durable says, with the record's number."""

    def __init__(self, sectors=None, size=0):
        self.durable, self.durable_size = dict(sectors or {}), size
        self.now, self.size = dict(sectors or {}), size
        self.pending, self.sizes = {}, []

    def put(self, number, sector, data):
        if data is None or data == ZEROS:
            data = None
            if self.now.pop(sector, None) is None and sector not in self.pending:
                return
        else:
            self.now[sector] = data
        self.pending.setdefault(sector, []).append((number, data))

    def resize(self, number, size):
        if size < self.size:
            self.zero(number, size, self.size - size)
        if size != self.size:
            self.size = size
            self.sizes.append((number, size))

    def grow(self, number, end):
        if end > self.size:
            self.resize(number, end)

    def write(self, number, offset, data):
        at, n = 0, len(data)
        while at < n:
            sector, inside = divmod(offset + at, SECTOR)
            part = data[at:at + SECTOR - inside]
            if len(part) < SECTOR:
                old = self.now.get(sector, ZEROS)
                part = old[:inside] + part + old[inside + len(part):]
            self.put(number, sector, part)
            at += SECTOR - inside
        self.grow(number, offset + n)

    def zero(self, number, offset, n):
        first, last = offset // SECTOR, (offset + n - 1) // SECTOR
        few = self.now if len(self.now) <= last - first else range(first, last + 1)
        for sector in [s for s in few if first <= s <= last and s in self.now]:
            start = max(offset - sector * SECTOR, 0)
            end = min(offset + n - sector * SECTOR, SECTOR)
            old = self.now[sector]
            self.put(number, sector, old[:start] + bytes(end - start) + old[end:])
        self.grow(number, offset + n)

    def read(self, offset, n):
        """Of whole sectors."""
        first, last = offset // SECTOR, (offset + n + SECTOR - 1) // SECTOR
        return b"".join([self.now.get(s, ZEROS) for s in range(first, last)])[:n]

    def settle(self, upto, choose):
        """choose(moments): the index of what becomes durable of the moments up to a record."""
        for sector, moments in list(self.pending.items()):
            covered = [data for number, data in moments if number <= upto]
            if not covered:
                continue
            data = ([self.durable.get(sector)] + covered)[choose(len(covered))]
            if data is None:
                self.durable.pop(sector, None)
            else:
                self.durable[sector] = data
            self.pending[sector] = moments[len(covered):]
            if not self.pending[sector]:
                del self.pending[sector]
        covered = [size for number, size in self.sizes if number <= upto]
        if covered:
            self.durable_size = ([self.durable_size] + covered)[choose(len(covered))]
            self.sizes = self.sizes[len(covered):]

    def after(self, pick, pick_size=None):
        """(sectors, size) after a loss of power. pick(numbers): how many of these changes have happened; pick_size: the
        same of its lengths."""
        sectors, size = dict(self.durable), self.durable_size
        for sector, moments in self.pending.items():
            n = pick([number for number, _ in moments])
            if n:
                sectors[sector] = moments[n - 1][1]
        n = (pick_size or pick)([number for number, _ in self.sizes])
        size = self.sizes[n - 1][1] if n else size
        return {s: d for s, d in sectors.items() if d is not None and s * SECTOR < size}, size


class Disk:
    def __init__(self, directory, rng):
        self.directory, self.rng = directory, rng
        self.names, self.changes, self.durable_names = {}, [], {}
        self.number, self.base, self.open = 0, 0, {}
        self.late = 0  # calls of killed processes that are not in the trace
        self.scan()

    def scan(self):
        """All that is in the directory now is durable."""
        for name in self.listed():
            f = File()
            with open(os.path.join(self.directory, name), "rb") as file:
                f.write(0, 0, file.read())
            f.settle(0, lambda n: n)
            self.names[name] = f
        self.durable_names = dict(self.names)

    def listed(self):
        return {name for name in os.listdir(self.directory) if not name.endswith("-shm")}

    # the trace

    def follow(self, data):
        """Whole records; a killed process may leave a part of one."""
        at = 0
        while at + RECORD.size <= len(data):
            kind, file, number, offset, size, data_bytes, _ = RECORD.unpack_from(data, at)
            at += RECORD.size
            if at + data_bytes > len(data):
                return
            self.take(kind, file, (number, offset, size), data[at:at + data_bytes])
            at += data_bytes

    def take(self, kind, file, numbers, data):
        number, offset, size = numbers
        if kind == BEGIN:
            self.base, self.open = self.number, {}
        self.number = self.base + number
        if kind == OPEN:
            self.on_open(number, data.decode(), offset != 0)
        elif kind == RENAME:
            old, new = data.decode().split("\0")
            self.change([(old, None), (new, self.names[old])])
        elif kind == UNLINK:
            self.change([(data.decode(), None)])
        elif kind != BEGIN:
            self.on_file(kind, self.open[file], offset, size, data)

    def on_open(self, number, name, was_made):
        if name == "." or name.endswith("-shm"):
            self.open[number] = None
            return
        if was_made:
            self.change([(name, File())])
        self.open[number] = self.names[name]

    def on_file(self, kind, f, offset, size, data):
        if kind in (SYNC, LOST):
            # What a failed sync covered is on the disk or not, and no later sync sees to it.
            choose = (lambda n: n) if kind == SYNC else (lambda n: self.rng.randrange(n + 1))
            if f is None:
                self.settle_names(self.base + size, choose)
            else:
                f.settle(self.base + size, choose)
        elif kind == WRITE:
            f.write(self.number, offset, data)
        elif kind == ZERO:
            f.zero(self.number, offset, size)
        elif kind == SIZE:
            f.resize(self.number, size)

    def change(self, pairs):
        for name, f in pairs:
            if f is None:
                del self.names[name]
            else:
                self.names[name] = f
        self.changes.append((self.number, pairs))

    def settle_names(self, upto, choose):
        covered = [c for c in self.changes if c[0] <= upto]
        for _, pairs in covered[:choose(len(covered))]:
            apply(self.durable_names, pairs)
        self.changes = self.changes[len(covered):]

    # what the directory really has

    def compare(self, strict):
        """strict: the trace explains each byte. Otherwise some calls that were over may be missing in it."""
        self.number += 1
        listed, late = self.listed(), []
        for name in sorted(listed ^ set(self.names)):
            late.append(name)
            self.change([(name, File() if name in listed else None)])
        for name in sorted(listed):
            if self.compare_file(name):
                late.append(name)
        self.late += len(late)
        if len(set(late)) > (0 if strict else AT_ONCE_MAX):
            raise Unexplained(f"the trace does not explain {late} in {self.directory}")

    def compare_file(self, name):
        f, differs, end = self.names[name], False, 0
        with open(os.path.join(self.directory, name), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != f.size:
                differs = True
                f.resize(self.number, size)
            for start, end_of_data in extents(file.fileno(), size):
                differs |= self.compare_range(f, end, start, None)
                differs |= self.compare_range(f, start, end_of_data, file)
                end = end_of_data
            return differs | self.compare_range(f, end, size, None)

    def compare_range(self, f, start, end, file):
        """With the file, or with zeros."""
        if file is None and not any(start <= s * SECTOR < end for s in f.now):
            return False
        differs = False
        for offset in range(start, end, CHUNK):
            n = min(CHUNK, end - offset)
            data = bytes(n) if file is None else os.pread(file.fileno(), n, offset)
            if data != f.read(offset, n):
                differs = True
                self.correct(f, offset, data)
        return differs

    def correct(self, f, offset, data):
        for at in range(0, len(data), SECTOR):
            part = data[at:at + SECTOR]
            if part != f.read(offset + at, len(part)):
                f.write(self.number, offset + at, part)

    # a loss of power

    def pick(self, how):
        """A function that says how many of some changes, by their numbers, have happened."""
        if how == "newest":
            newest = self.changes[-1][0] if self.changes else 0
            return lambda numbers: len(numbers) if max(numbers, default=-1) >= newest else 0
        if how == "prefix":
            until = self.rng.randrange(self.oldest(), self.number + 2)
            return lambda numbers: sum(n < until for n in numbers)
        return {"nothing": lambda numbers: 0, "everything": len,
                "any": lambda numbers: self.rng.randrange(len(numbers) + 1)}[how]

    def oldest(self):
        numbers = [c[0] for c in self.changes[:1]]
        for f in self.names.values():
            numbers += [n for moments in f.pending.values() for n, _ in moments[:1]] + [n for n, _ in f.sizes[:1]]
        return min(numbers, default=self.number)

    def names_after(self, pick):
        """Each name by itself, but a rename as one."""
        histories = {}
        for number, pairs in self.changes:
            for name, _ in pairs:
                histories.setdefault(name, []).append(number)
        done = {name: set(numbers[:pick(numbers)]) for name, numbers in histories.items()}
        for number, pairs in self.changes:
            if len(pairs) == 2 and number not in done[pairs[1][0]]:
                done[pairs[0][0]] = {n for n in done[pairs[0][0]] if n < number}
        names = dict(self.durable_names)
        for number, pairs in self.changes:
            apply(names, [p for p in pairs if number in done[p[0]]])
        return names

    def lose_power(self, how=None):
        """The directory becomes what the disk has, and so does this. Gives a word about it."""
        ways = ("nothing", "everything", "prefix", "any")
        how = how or self.rng.choices(ways + ("mixed",), (5, 1, 3, 5, 3))[0]
        common = None if how in ("mixed", "lengths") else self.pick(how)
        new = {}
        if how == "lengths":
            new = {name: File(*f.after(self.pick("nothing"), len)) for name, f in self.names.items()}
        else:
            for name, f in sorted(self.names_after(common or self.pick(self.rng.choice(ways))).items()):
                new[name] = File(*f.after(common or self.pick(self.rng.choice(ways))))
        self.names, self.durable_names, self.changes, self.open = new, dict(new), [], {}
        self.make()
        return how

    def make(self):
        for name in os.listdir(self.directory):
            os.unlink(os.path.join(self.directory, name))
        for name, f in self.names.items():
            with open(os.path.join(self.directory, name), "wb") as file:
                file.truncate(f.size)
                for sector in sorted(f.now):
                    file.seek(sector * SECTOR)
                    file.write(f.now[sector][:f.size - sector * SECTOR])
            os.chmod(os.path.join(self.directory, name), 0o600)
        shm = os.path.join(self.directory, "longlink.db-shm")
        if "longlink.db-wal" in self.names and self.rng.random() < 0.5:
            with open(shm, "wb") as file:  # whatever was there
                file.write(self.rng.randbytes(32768))


def extents(fd, size):
    """The parts of a file that are not holes: [(start, end)]."""
    out, end = [], 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:  # only a hole from here on
            break
        end = os.lseek(fd, start, os.SEEK_HOLE)
        out.append((start, end))
    return out


def apply(names, pairs):
    for name, f in pairs:
        if f is None:
            names.pop(name, None)
        else:
            names[name] = f
