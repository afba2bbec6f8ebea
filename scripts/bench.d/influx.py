"""A throw-away influxd, and the few requests that the benchmark makes to it."""

import json
import pathlib
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

PARTS = pathlib.Path(__file__).resolve().parent.parent / "services.d"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def post(url, body=b"", **parameters):
    request = urllib.request.Request(f"{url}?{urllib.parse.urlencode(parameters)}", body, method="POST")
    try:
        with OPENER.open(request, timeout=3600) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{url} answered {error.code}: {error.read().decode(errors='replace')}") from error


class Influx:
    """One server in one folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.stop_command = f"{PARTS / 'influxd'} stop {self.folder}"
        self.start_command = f"{PARTS / 'influxd'} start {self.folder}"
        self.start()
        self.http, self.snapshot = (self.folder / "address").read_text().split()
        self.url = f"http://{self.http}"

    def start(self):
        subprocess.run(self.start_command.split(), check=True)

    def stop(self):
        subprocess.run(self.stop_command.split(), check=True)

    def query(self, text, database=""):
        """The series of a statement's answer."""
        answer = json.loads(post(f"{self.url}/query", db=database, q=text, epoch="ns"))
        result = answer["results"][0]
        if "error" in result:
            raise RuntimeError(f"{text}: {result['error']}")
        return result.get("series", [])

    def write(self, database, body):
        post(f"{self.url}/write", body, db=database)

    def settle(self):
        """Waits until all compactions are done, so that every run meets the same server at rest."""
        quiet = 0
        while quiet < 5:
            time.sleep(1)
            busy = 0
            for series in self.query("SHOW STATS"):
                for name, value in zip(series["columns"], series["values"][0]):
                    if name.endswith(("CompactionsActive", "CompactionsQueue")):
                        busy += value or 0
            quiet = quiet + 1 if busy == 0 else 0

    def shards(self, database):
        """Start and end of each shard, RFC 3339."""
        rows = next((one for one in self.query("SHOW SHARDS") if one["name"] == database), {"columns": [], "values": []})
        first, last = rows["columns"].index("start_time"), rows["columns"].index("end_time")
        return [(row[first], row[last]) for row in rows["values"]]
