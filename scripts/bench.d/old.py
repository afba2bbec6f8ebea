"""The night as three cron scripts did it: `influxd backup`, `swift`, `influxd restore`, and LIMIT with OFFSET."""

import hashlib
import json
import pathlib
import shutil
import tempfile
import time
import urllib.parse

from influx import post
from measure import Measured


def backup(influx, database, container, folder):
    """`influxd backup`, `swift upload`, then the MD5 of every object against the local file, as `swift stat` tells it."""
    measured = Measured()
    measured.run(["influxd", "backup", "-host", influx.snapshot, "-database", database, str(folder)])
    measured.run(["swift", "upload", "--object-name", "shards", container, str(folder)])
    for file in sorted(pathlib.Path(folder).iterdir()):
        with tempfile.NamedTemporaryFile("r") as told:
            measured.run(["swift", "stat", container, f"shards/{file.name}"], output=told.name)
            etag = next(line.split(":", 1)[1].strip() for line in told if line.strip().startswith("ETag:"))
        if etag != measured.timed(md5, file):
            raise RuntimeError(f"{file.name} was stored damaged")
    measured.timed(shutil.rmtree, folder)
    return measured


def md5(path):
    digest = hashlib.md5()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def restore(influx, database, container, folder):
    """`swift download`, stop, remove the old data, `influxd restore` of metastore and data, start, until every shard answers."""
    measured = Measured()
    folder = pathlib.Path(folder)
    measured.run(["swift", "download", container, "--output-dir", str(folder)])
    measured.run(influx.stop_command.split())
    for part in ("data", "wal", "meta"):
        measured.timed(shutil.rmtree, influx.folder / part, True)
    shards = str(folder / "shards")
    folders = ["-metadir", str(influx.folder / "meta"), "-datadir", str(influx.folder / "data")]
    measured.run(["influxd", "restore", *folders, "-database", database, str(folder / "shards")])
    measured.run(influx.start_command.split())
    measured.timed(ask_every_shard, influx, database)
    shutil.rmtree(folder)
    return measured


def ask_every_shard(influx, database):
    """One record of each shard, which opens and reads it."""
    shards = influx.shards(database)
    if not shards:
        raise RuntimeError(f"no shard of {database} was restored")
    for start, end in shards:
        if not influx.query(f"SELECT * FROM /.*/ WHERE time >= '{start}' AND time < '{end}' LIMIT 1", database):
            raise RuntimeError(f"the shard of {start} does not answer")


def download_month(month, folder):
    """The dumps of a month, a container after the other, each with ten threads."""
    measured = Measured()
    loop = 'for i in $(swift list | grep "$0"); do swift download "$i" -p "$i/influxdb/" -D "$1"; done'
    measured.run(["bash", "-euc", loop, month, str(folder)])
    return measured


PAGE = 1000


def page_through(influx, database, measurement, start, end, records, most_seconds):
    """Pages of 1000 records with LIMIT and OFFSET, each written as a line of JSON, for as many as fit the time.

    A page costs the more the further back it lies, since InfluxDB reads and throws away what comes before it. If the
    time does not suffice for all, pages in equal steps over the whole day stand for their neighbours, and the answer
    says so.
    """
    pages = -(-records // PAGE)

    def page(number):
        begin = time.monotonic()
        text = (
            f'SELECT * FROM "{measurement}" WHERE time >= \'{start}\' AND time < \'{end}\' '
            f"LIMIT {PAGE} OFFSET {number * PAGE}"
        )
        series = json.loads(post(f"{influx.url}/query", db=database, q=text))["results"][0]["series"][0]
        json.dumps([dict(zip(series["columns"], row)) for row in series["values"]])
        return time.monotonic() - begin

    # The last page is the dearest: what the whole will cost is about half of that for each.
    estimate = (page(0) + page(pages - 1)) / 2 * pages
    step = max(1, -(-int(estimate) // most_seconds))
    asked = range(step // 2, pages, step)
    took = [page(number) for number in asked]
    return {"seconds": round(sum(took) / len(took) * pages, 3), "pages": pages, "pages_asked": len(took)}


def curl(influx, database, measurement, start, end, output):
    """The same day as one chunked JSON answer, written to a file."""
    text = f'SELECT * FROM "{measurement}" WHERE time >= \'{start}\' AND time < \'{end}\''
    parameters = urllib.parse.urlencode({"db": database, "q": text, "chunked": "true", "epoch": "ns"})
    measured = Measured()
    measured.run(["curl", "--silent", "--fail", "--noproxy", "*", "--output", str(output), f"{influx.url}/query?{parameters}"])
    return measured
