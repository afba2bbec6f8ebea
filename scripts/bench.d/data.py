"""What the benchmark backs up: random floats, which no encoding makes smaller, and one day to dump."""

import datetime
import itertools
import multiprocessing
import random

from influx import post

BATCH = 10_000
SECOND = 10**9
FLOATS_IN_A_POINT = 10
HOSTS = 50


def midnight(days_ago):
    """The beginning of a day, UTC, in nanoseconds."""
    today = datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    return int((today - datetime.timedelta(days=days_ago)).timestamp()) * SECOND


# Made once before the workers are forked. That values come again far apart does not help the
# encoding, which compares neighbours.
random.seed(2016)
POOL = [repr(random.uniform(0, 1e6)) for _ in range(100_003)]


def _write_random(job):
    url, database, day, first, count = job
    values = itertools.cycle(POOL)
    values = itertools.islice(values, first * 7 % len(POOL), None)
    step = 86_400 * SECOND // count["in_day"]
    lines = []
    for number in range(first, first + count["in_batch"]):
        fields = ",".join(f"f{field}={value}" for field, value in zip(range(FLOATS_IN_A_POINT), values))
        lines.append(f"filler,host=host{number % HOSTS} {fields} {day + number * step}")
    post(f"{url}/write", "\n".join(lines).encode(), db=database)


def fill(influx, database, megabytes, days):
    """About so many megabytes of shards, one shard a day, until yesterday."""
    influx.query(f'CREATE DATABASE {database} WITH SHARD DURATION 1d NAME "default"')
    in_day = max(BATCH, megabytes * 10**6 // (8 * FLOATS_IN_A_POINT) // days // BATCH * BATCH)
    counts = {"in_day": in_day, "in_batch": BATCH}
    jobs = [
        (influx.url, database, midnight(ago), first, counts)
        for ago in range(days, 0, -1)
        for first in range(0, in_day, BATCH)
    ]
    with multiprocessing.Pool(2) as pool:
        for _ in pool.imap_unordered(_write_random, jobs):
            pass


def _write_day(job):
    url, database, first = job
    random.seed(first)
    lines = []
    for second in range(first, first + BATCH // 10):
        for host in range(10):
            lines.append(
                f"Aggregated_metrics,host=host{host} "
                f"load={random.gauss(2, 0.5):.4f},idle={random.uniform(50, 100):.2f},temperature={random.gauss(40, 5):.1f},"
                f'checks={random.randrange(1000)}i,ok={"true" if random.random() > 0.01 else "false"},'
                f'state="{random.choice(("ok", "warning", "critical"))}" {midnight(1) + second * SECOND}'
            )
    post(f"{url}/write", "\n".join(lines).encode(), db=database)


def write_day(influx, database):
    """Yesterday of ten hosts, every second: 864,000 records of six fields, floats, integer, boolean, string."""
    jobs = [(influx.url, database, first) for first in range(0, 86_400, BATCH // 10)]
    jobs = [job for job in jobs if job[2] < 86_400]
    with multiprocessing.Pool(2) as pool:
        for _ in pool.imap_unordered(_write_day, jobs):
            pass


def write_june_first(influx, database, hosts):
    """2016-06-01 of so many hosts, every second: 11 MB of JSON for each."""
    influx.query(f'CREATE DATABASE {database} WITH SHARD DURATION 1d NAME "default"')
    begin = int(datetime.datetime(2016, 6, 1, tzinfo=datetime.timezone.utc).timestamp()) * SECOND
    random.seed(6)
    for first in range(0, 86_400, BATCH):
        lines = (
            f"Aggregated_metrics,host=host{host} load={random.gauss(2, 0.5):.4f},idle={random.uniform(50, 100):.2f},"
            f"temperature={random.gauss(40, 5):.1f},checks={random.randrange(1000)}i {begin + second * SECOND}"
            for second in range(first, min(first + BATCH, 86_400))
            for host in range(hosts)
        )
        influx.write(database, "\n".join(lines).encode())


def write_many_series(influx, database, count):
    """So many series with one record each, all at one time stamp."""
    influx.query(f'CREATE DATABASE {database} WITH SHARD DURATION 1d NAME "default"')
    time = midnight(1) + 12 * 3600 * SECOND
    for first in range(0, count, BATCH):
        lines = (f"many,id={number:07} value={number}.5 {time}" for number in range(first, min(first + BATCH, count)))
        influx.write(database, "\n".join(lines).encode())
