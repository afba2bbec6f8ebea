"""Runs commands and tells how long they took and how much memory the largest of their processes had."""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

RUNNER = str(pathlib.Path(__file__).with_name("runner.py"))


class Measured:
    """Wall time in seconds and peak memory in bytes of one or several commands in turn."""

    def __init__(self):
        self.seconds = 0.0
        self.peak = 0

    def run(self, command, environment=None, output="/dev/null"):
        """One command to its end, in our environment with these changes (None: without), its output in a file.

        The peak is the kernel's (ru_maxrss of wait4): the largest of the process and those that it waited for.
        """
        variables = {**os.environ, **(environment or {})}
        variables = {name: value for name, value in variables.items() if value is not None}
        with tempfile.NamedTemporaryFile("r") as result:
            runner = [sys.executable, "-I", "-S", RUNNER, result.name, str(output), *map(str, command)]
            subprocess.run(runner, check=True, stdin=subprocess.DEVNULL, env=variables)
            status, seconds, peak = result.read().split()
        self.seconds += float(seconds)
        self.peak = max(self.peak, int(peak))
        if status != "0":
            raise RuntimeError(f"{' '.join(map(str, command))} ended with {status}")

    def timed(self, work, *arguments):
        """Something that is done in this process and whose time belongs to the rest."""
        begin = time.monotonic()
        result = work(*arguments)
        self.seconds += time.monotonic() - begin
        return result


class Rounds:
    """What several rounds of one way of working gave."""

    def __init__(self):
        self.rounds = []

    def add(self, measured):
        self.rounds.append(measured)

    @property
    def seconds(self):
        return statistics.median(one.seconds for one in self.rounds)

    @property
    def peak(self):
        return max(one.peak for one in self.rounds)

    def as_json(self):
        return {
            "median_seconds": round(self.seconds, 3),
            "seconds": [round(one.seconds, 3) for one in self.rounds],
            "peak_memory_bytes": self.peak,
        }
