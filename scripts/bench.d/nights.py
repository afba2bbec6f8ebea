"""Many nights of the same seal, in a folder and in Swift, and the plainest way to read all their seals."""

import concurrent.futures
import datetime
import hashlib
import http.client
import json
import os
import threading
import urllib.parse
import urllib.request

from measure import Measured

# At once, as nightshard-list reads them.
PARALLEL = 16
FIRST = datetime.date(2016, 6, 11)


def days(count):
    """So many days up to the one that the seal is of, the last one first."""
    return [str(FIRST - datetime.timedelta(days=number)) for number in range(count)]


def of(seal, container, day):
    return seal.replace("2016-06-11/", f"{container}/").replace('"container": "2016-06-11"', f'"container": "{container}"').replace('"night": "2016-06-11"', f'"night": "{day}"')


def in_folder(folder, seal, count):
    for day in days(count):
        night = folder / day / day / "manifests"
        night.mkdir(parents=True)
        (night / "backup.json").write_text(of(seal, day, day))


def in_swift(seal, count, file):
    """Makes them, and a file with their addresses for curl, which it returns."""
    head = {"X-Auth-User": os.environ["ST_USER"], "X-Auth-Key": os.environ["ST_KEY"]}
    with urllib.request.urlopen(urllib.request.Request(os.environ["ST_AUTH"], headers=head)) as answer:
        storage, token = urllib.parse.urlsplit(answer.headers["X-Storage-Url"]), answer.headers["X-Auth-Token"]
    connections = threading.local()

    def put(path, body):
        if not hasattr(connections, "one"):
            connections.one = http.client.HTTPConnection(storage.netloc)
        connections.one.request("PUT", f"{storage.path}/{path}", body, {"X-Auth-Token": token})
        answer = connections.one.getresponse()
        answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"cannot store {path}: {answer.status}")

    def make(day):
        container = f"listed-{day}"
        put(container, None)
        put(f"{container}/{container}/manifests/backup.json", of(seal, container, day).encode())

    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(make, days(count)))
    names = (f"listed-{day}" for day in days(count))
    addresses = [f'url = "{storage.geturl()}/{name}/{name}/manifests/backup.json"\noutput = "/dev/null"\n' for name in names]
    file.write_text(f'header = "X-Auth-Token: {token}"\n' + "".join(addresses))
    return file


def get_all(file):
    """A GET of each seal and nothing else."""
    measured = Measured()
    measured.run(["curl", "--silent", "--fail", "--noproxy", "*", "--parallel", "--parallel-max", str(PARALLEL), "--config", str(file)])
    return measured


def with_pool(folder, nights, shards, objects):
    """So many nights whose seals name shards of a pool, in all so many of its objects; the files of the shards are empty.

    Of the shards of a night most are those of the night before, as in a database that keeps a month of days. A verification of each is
    written down, for else none would leave.
    """
    pool = folder / "nightshard-pool"
    (pool / "shards").mkdir(parents=True)
    (pool / "pool.json").write_text('{"format": "nightshard-pool/1", "grace_seconds": 604800}')
    step = max(1, (objects - shards) // nights)
    names = [f"shards/{hashlib.sha256(str(number).encode()).hexdigest()}.{number:016x}" for number in range(step * nights + shards)]
    for name in names:
        (pool / name).touch()
    writer = {"program": "nightshard-backup", "version": "0.1.0"}
    source = {"host": "db1", "influxdb_version": "1.6.7", "cluster_id": "7", "url": "http://127.0.0.1:8086", "snapshot_address": "127.0.0.1:8088", "data_directory": "/var/lib/influxdb/data"}
    for number, day in enumerate(reversed(days(nights))):
        objects_of_night = [
            {
                "name": f"{day}/shards/sensu_db.default.{first + number * step:05}.00",
                "bytes": 1 << 20,
                "sha256": names[first + number * step][7:71],
                "md5": "0" * 32,
                "kind": "shard",
                "database": "sensu_db",
                "retention_policy": "default",
                "shard_id": first + number * step,
                "starts": f"{day}T00:00:00Z",
                "ends": f"{day}T23:59:59Z",
                "snapshot_taken": f"{day}T23:55:00Z",
                "pooled": {"name": names[first + number * step]},
                "files": [{"name": "000000001-000000001.tsm", "offset": 512, "bytes": 1 << 19, "sha256": "0" * 64}],
            }
            for first in range(shards)
        ]
        times = {"started": f"{day}T23:55:00Z", "sealed": f"{day}T23:57:00Z"}
        seal = json.dumps({"format": "nightshard-archive/1", "night": day, "container": day, "time_zone": "UTC", "writer": writer, "source": source, **times, "databases": ["sensu_db"], "objects": objects_of_night, "pool": "nightshard-pool"})
        night = folder / day / day / "manifests"
        night.mkdir(parents=True)
        (night / "backup.json").write_text(seal)
        look = {"extent": "quick", "slice": None, "writer": writer, "host": "db1", "started": times["started"], "finished": times["sealed"], "objects": shards, "bytes": 0, "damages": [], "unchecked": []}
        (night / "verify.json").write_text(json.dumps({"format": "nightshard-verify/1", "manifest_sha256": hashlib.sha256(seal.encode()).hexdigest(), "verifications": [look]}))
