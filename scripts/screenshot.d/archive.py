#!/usr/bin/python3
"""Writes an archive of ten weeks into a folder: seals and records as the programs write them, without the shards.

It is for pictures of nightshard-report, which reads nothing else. What happened is made up, but always the same: a night
that failed, two that are missing, one with a damaged shard, a backup with a label, and a dump that is still open.
"""
import hashlib
import json
import random
import sys
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path

WRITER = {"program": "nightshard-backup", "version": "0.1.0"}
MEASUREMENTS = {"Aggregated_metrics": 864_000, "cpu": 345_600, "disk": 172_800, "network": 259_200}
DAYS = 72
FAILED, MISSING, DAMAGED, LABELLED = 19, (41, 42), 8, 27


def text(instant):
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def write(root, container, name, document):
    path = root / container / container / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(document).encode()
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def backup(root, container, day, started, took, points, dice, label=None):
    """A seal whose points are in a shard a day; returns its digest."""
    objects = [{"name": f"{container}/shards/meta.00", "bytes": 18_304, "kind": "meta"}]
    share = points // 60
    for shard in range(60):
        size = int(share * dice.uniform(2.3, 2.5))
        objects.append({"name": f"{container}/shards/sensu_db.default.{shard + 1:05}.00", "bytes": size, "kind": "shard"})
    total = sum(MEASUREMENTS.values())
    measurements = [
        {
            "database": "sensu_db", "retention_policy": "default", "measurement": name, "series": 400,
            "fields": [{
                "field": "value", "type": "float", "keys": 400, "points": points * weight // total,
                "first": text(started - timedelta(days=60)), "last": text(started),
            }],
        }
        for name, weight in MEASUREMENTS.items()
    ]
    manifest = {
        "format": "nightshard-archive/1", "night": str(day), "container": container, "time_zone": "Europe/Berlin",
        "writer": WRITER, "started": text(started), "sealed": text(started + took), "databases": ["sensu_db"],
        "objects": objects, "verified": "checksums", "measurements": measurements,
    }
    if label:
        manifest["label"] = label
    return write(root, container, "manifests/backup.json", manifest)


def restore(root, container, digest, started, took):
    write(root, container, "manifests/restore.standby.json", {
        "format": "nightshard-restore/1", "writer": WRITER, "manifest_sha256": digest,
        "target": {"host": "standby", "influxdb_version": "1.8.10", "cluster_id": "7", "url": "http://127.0.0.1:8086",
                   "data_directory": "/var/lib/influxdb/data"},
        "started": text(started), "finished": text(started + took), "databases": ["sensu_db"], "shards": 60,
        "bytes": 1, "differences": [], "proof": {"extent": "all", "requests": 240, "points": []},
    })


def dump(root, container, day, measurement, records, started, took, is_open):
    file = f"{measurement}_{day}-00:00:00_{day + timedelta(days=1)}-00:00:00.json"
    end = datetime.combine(day + timedelta(days=1), time(), timezone.utc)
    write(root, container, f"manifests/dump.{file}.json", {
        "format": "nightshard-dump/1", "night": str(day), "time_zone": "Europe/Berlin", "writer": WRITER,
        "measurement": measurement, "database": "sensu_db", "retention_policy": "default",
        "window_start": text(end - timedelta(days=1)), "window_end": text(end), "object": f"{container}/influxdb/{file}",
        "encoding": "json", "page_size": 1000, "records": records, "pages": -(-records // 1000), "bytes": records * 131,
        "sha256": "0" * 64, "md5": "0" * 32, "covered_until": text(end - timedelta(minutes=5) if is_open else end),
        "open": is_open, "backup_manifest_sha256": None, "started": text(started), "sealed": text(started + took),
    })


def verify(root, container, digest, finished, damages):
    write(root, container, "manifests/verify.json", {
        "format": "nightshard-verify/1", "manifest_sha256": digest,
        "verifications": [{
            "extent": "deep", "slice": None, "writer": WRITER, "host": "backup1", "started": text(finished - timedelta(minutes=9)),
            "finished": text(finished), "objects": 61, "bytes": 1, "damages": damages, "unchecked": [],
        }],
    })


def fail(root, container, started):
    write(root, container, "running/5d0c.json", {
        "format": "nightshard-running/1", "id": "5d0c", "writer": WRITER, "host": "backup1", "process": 4711, "cluster_id": "7",
        "databases": ["sensu_db"], "started": text(started), "state": "failed",
        "error": f"cannot upload {container}/shards/sensu_db.default.00031.00: 507 Insufficient Storage after 6 tries in 48 s",
    })


def main():
    root, newest = Path(sys.argv[1]), date.fromisoformat(sys.argv[2])
    dice = random.Random(1611)
    points = 210_000_000
    for ago in range(DAYS - 1, -1, -1):
        day = newest - timedelta(days=ago)
        container = str(day)
        points = int(points * (1 + dice.uniform(-0.004, 0.016))) - (5_000_000 if day.weekday() == 6 else 0)
        started = datetime.combine(day, time(22, 55), timezone.utc)
        if ago in MISSING:
            continue
        if ago == FAILED:
            fail(root, container, started)
            continue
        took = timedelta(seconds=int(points / 700_000 * dice.uniform(0.9, 1.15)) + (420 if ago == 33 else 0))
        digest = backup(root, container, day, started, took, points, dice)
        restored = started + timedelta(minutes=20)
        restore(root, container, digest, restored, timedelta(seconds=int(points / 420_000 * dice.uniform(0.92, 1.1))))
        begin = started + timedelta(minutes=35)
        for measurement, records in MEASUREMENTS.items():
            took = timedelta(seconds=int(records / 30_000 * dice.uniform(0.9, 1.2)) + 2)
            dump(root, container, day, measurement, records + dice.randrange(900), begin, took, ago == 0)
            begin += took
        damages = []
        if ago == DAMAGED:
            damages = [{
                "object": f"{container}/shards/sensu_db.default.00017.00",
                "what": "its SHA-256 is not that of the manifest; it is in 000000003-000000002.tsm",
                "hint": "the same shard lies in the nights before and after; --replace takes this one again while the source has it",
            }]
        verify(root, container, digest, started + timedelta(hours=5), damages)
        if ago == LABELLED:
            name = f"{container}_before-upgrade"
            backup(root, name, day, started - timedelta(hours=11), took, points, dice, "before-upgrade")


main()
