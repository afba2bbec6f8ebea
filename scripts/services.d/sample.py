#!/usr/bin/python3
"""Writes two days, yesterday and today, of what a monitoring of twenty hosts would: sample.py URL."""

import datetime
import json
import random
import sys
import urllib.parse
import urllib.request

URL = sys.argv[1]
HOSTS = [f"web{number:02}.example" for number in range(20)]
MINUTE = 60 * 10**9
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def post(path, body, **parameters):
    with OPENER.open(f"{URL}{path}?{urllib.parse.urlencode(parameters)}", body) as answer:
        return answer.read()


def lines(time):
    """One minute: a float, an integer, a boolean and a string, tags and fields that need escapes."""
    for host in HOSTS:
        checks = random.randrange(1, 50)
        yield (
            f"Aggregated_metrics,host={host},check=load\\ average "
            f'value={random.gauss(2, 0.5):.4f},checks={checks}i,ok={"true" if checks < 48 else "false"},'
            f'output="load of \\"{host}\\": {checks} checks" {time}'
        )
        yield f"cpu,host={host} idle={random.uniform(50, 100):.3f},user={random.uniform(0, 50):.3f} {time}"
        yield f"memory,host={host} used={random.randrange(2**30, 2**34)}i {time}"
        yield f"disk,host={host},path=/var used={random.randrange(2**30, 2**40)}i,full={random.random():.5f} {time}"


random.seed(2016)
now = datetime.datetime.now().astimezone()
yesterday = (now - datetime.timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
post("/query", b"", q='CREATE DATABASE sensu_db WITH SHARD DURATION 1d NAME "default"')
batch, points = [], 0
for time in range(int(yesterday.timestamp()) * 10**9, int(now.timestamp()) * 10**9, MINUTE):
    batch.extend(lines(time))
    if len(batch) >= 20_000:
        post("/write", "\n".join(batch).encode(), db="sensu_db")
        points, batch = points + len(batch), []
post("/write", "\n".join(batch).encode(), db="sensu_db")
answer = json.loads(post("/query", b"", db="sensu_db", q="SHOW SHARDS"))
shards = sum(len(series.get("values", [])) for series in answer["results"][0]["series"])
print(f"{points + len(batch)} points in {len(HOSTS) * 4} series and {shards} shards")
