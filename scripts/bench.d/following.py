"""The nights after the first one: a month of days, of which the next nights have all but what has changed since."""

import contextlib
import datetime
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import tempfile

import data
import old
from measure import Measured, Rounds

DATABASE = "days_db"
DAYS = 30
FIRST = datetime.date(2016, 6, 1)


def write_day(influx, number, megabytes):
    """About so many megabytes of one more day, the first of which is the first of May 2016; each day is a shard."""
    begin = int(datetime.datetime(2016, 5, 1, tzinfo=datetime.timezone.utc).timestamp()) + number * 86_400
    points = megabytes * 10**6 // (8 * data.FLOATS_IN_A_POINT)
    for first in range(0, points, data.BATCH):
        lines = []
        for point in range(first, min(first + data.BATCH, points)):
            fields = ",".join(f"f{field}={random.random() * 1e6!r}" for field in range(data.FLOATS_IN_A_POINT))
            lines.append(f"filler,host=host{point % data.HOSTS} {fields} {(begin + point) * data.SECOND}")
        influx.write(DATABASE, "\n".join(lines).encode())


def files(influx):
    """The TSM files that there are: bytes by digest."""
    found = {}
    for file in (influx.folder / "data" / DATABASE).rglob("*.tsm"):
        # Compactions take files away at any time.
        with contextlib.suppress(FileNotFoundError):
            content = file.read_bytes()
            found[hashlib.sha256(content).hexdigest()] = len(content)
    return found


def stored(pattern):
    """Bytes in the containers that are named so, by what Swift says of each; links count nothing there."""
    names = subprocess.run(["swift", "list"], check=True, capture_output=True, text=True).stdout.split()
    total = 0
    for name in names:
        if re.fullmatch(pattern, name):
            told = subprocess.run(["swift", "stat", name], check=True, capture_output=True, text=True).stdout
            total += int(next(line.split(":")[1] for line in told.splitlines() if line.strip().startswith("Bytes:")))
    return total


class Following:
    """Three ways to take a night, each with a store of its own for each round."""

    def __init__(self, bench, megabytes):
        self.bench = bench
        self.influx = bench.production
        self.megabytes = megabytes
        os.environ["RESTIC_PASSWORD"] = "bench"

    def fill(self):
        self.influx.query(f'CREATE DATABASE {DATABASE} WITH SHARD DURATION 1d NAME "default"')
        for number in range(DAYS):
            write_day(self.influx, number, self.megabytes)
        self.settle()

    def settle(self):
        """Everything in TSM files, and those compacted."""
        subprocess.run(["influxd", "backup", "-host", self.influx.snapshot, "-database", DATABASE, str(self.bench.work / "first")], check=True, capture_output=True)
        shutil.rmtree(self.bench.work / "first")
        self.influx.settle()

    def ours(self, name, night):
        """A night of ours, and what it says that it has sent."""
        flags = ["--database", DATABASE, "--container", f"{name}-%Y-%m-%d", "--pool-container", f"{name}-pool"]
        with tempfile.NamedTemporaryFile("r") as output:
            measured = self.bench.ours("nightshard-backup", "--json", "--date", str(FIRST + datetime.timedelta(days=night)), *flags, output=output.name)
            return measured, json.load(output)["sent_bytes"]

    def old(self, name, night):
        """A night of the old commands, which send everything."""
        container, folder = f"{name}-{FIRST + datetime.timedelta(days=night)}", self.bench.work / "old"
        measured = old.backup(self.influx, DATABASE, container, folder)
        return measured, stored(container)

    def restic(self, name, night):
        """The files of `influxd backup`, kept by restic; the night is a tag."""
        folder = self.bench.work / "restic"
        repository = ["restic", "--quiet", "--no-cache", "-r", f"swift:{name}:/"]
        measured = Measured()
        if night == 0:
            measured.run([*repository, "init"])
        before = stored(name)
        measured.run(["influxd", "backup", "-host", self.influx.snapshot, "-database", DATABASE, str(folder)])
        measured.run([*repository, "backup", "--tag", str(night), str(folder)])
        shutil.rmtree(folder)
        return measured, stored(name) - before

    def rounds(self, rounds):
        """The first night, one with nothing new, and one with a day of new data, by each way in turn."""
        nights = ("night one", "night two, nothing new", "night three, a new day")
        ways = {"old": self.old, "restic": self.restic, "ours": self.ours}
        times = {night: {way: Rounds() for way in ways} for night in nights}
        sent = {night: {way: [] for way in ways} for night in nights}
        new = []
        for number in range(rounds):
            for night, what in enumerate(nights):
                self.bench.say(f"round {number + 1} of {rounds}: {what}")
                known = files(self.influx)
                if night == 2:
                    write_day(self.influx, DAYS + number, self.megabytes)
                    self.settle()
                for way, take in ways.items():
                    measured, sent_bytes = take(f"{way}{number}", night)
                    times[what][way].add(measured)
                    sent[what][way].append(sent_bytes)
                if night == 2:
                    new.append(sum(size for digest, size in files(self.influx).items() if digest not in known))
        for what in nights:
            for way in ("old", "restic"):
                self.bench.compare(f"{what} / {way}", times[what][way], times[what]["ours"])
        self.bench.compare("night two / night one", times[nights[0]]["ours"], times[nights[1]]["ours"])
        self.bench.results["sent bytes"] = sent
        self.bench.results["new TSM bytes"] = new
        middle = lambda numbers: sorted(numbers)[len(numbers) // 2]
        ours = {what: middle(sent[what]["ours"]) for what in nights}
        self.bench.limit("night two, bytes sent by those of night one", ours[nights[1]] / ours[nights[0]], 0.01)
        self.bench.limit("night three, bytes sent by those of new TSM files", middle([one / other for one, other in zip(sent[nights[2]]["ours"], new)]), 1.05)

    def month(self):
        """Thirty nights, with a day of new data before each, late points in an old day, and a deletion now and then."""
        distinct, held = {}, 0
        totals = {}
        for night in range(30):
            self.bench.say(f"night {night + 1} of 30")
            write_day(self.influx, DAYS + 10 + night, self.megabytes)
            begin = int(datetime.datetime(2016, 5, 1 + night % 28, 12, tzinfo=datetime.timezone.utc).timestamp())
            self.influx.write(DATABASE, f"filler,host=late f0={night} {begin * data.SECOND + night}".encode())
            if night % 7 == 6:
                self.influx.query(f"DELETE FROM filler WHERE host = 'host{night}' AND time < '2016-05-03T00:00:00Z'", DATABASE)
            for way, take in (("restic", self.restic), ("ours", self.ours)):
                take(f"{way}month", night)
            seal = subprocess.run(["swift", "download", "--output", "-", f"oursmonth-{FIRST + datetime.timedelta(days=night)}", f"oursmonth-{FIRST + datetime.timedelta(days=night)}/manifests/backup.json"], check=True, capture_output=True, text=True).stdout
            objects = json.loads(seal)["objects"]
            held += sum(one["bytes"] for one in objects)
            for one in objects:
                distinct.update((file["sha256"], file["bytes"]) for file in one.get("files", []) if file["name"].endswith(".tsm"))
        totals["plain nights"] = held
        totals["restic"] = stored("resticmonth")
        totals["ours"] = stored("oursmonth-.*")
        totals["distinct TSM files"] = sum(distinct.values())
        self.bench.results["stored after 30 nights"] = totals
        for way in ("plain nights", "restic"):
            self.bench.say(f"stored after 30 nights, {way}: {totals[way] / totals['distinct TSM files']:.3f} of the distinct TSM files")
        self.bench.limit("stored after 30 nights by the distinct TSM files", totals["ours"] / totals["distinct TSM files"], 1.1)
