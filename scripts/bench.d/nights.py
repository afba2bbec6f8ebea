"""Many nights of the same seal, in a folder and in Swift, and the plainest way to read all their seals."""

import concurrent.futures
import datetime
import http.client
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
