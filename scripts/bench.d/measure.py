"""Runs commands and tells how long they took and how much memory the largest of their processes had."""

import os
import statistics
import subprocess
import time


class Measured:
    """Wall time in seconds and peak memory in bytes of one or several commands in turn."""

    def __init__(self):
        self.seconds = 0.0
        self.peak = 0

    def run(self, command, environment=None, output=None):
        """One command to its end, in our environment with these changes (None: without); its output goes to the file `output`, or is returned as bytes if that is None.

        The peak is the kernel's (ru_maxrss of wait4), the largest of the process and what it waited for.
        A process begins with its parent's peak, so none shows less than this driver has.
        """
        begin = time.monotonic()
        target = subprocess.PIPE if output is None else open(output, "wb")
        variables = {**os.environ, **(environment or {})}
        variables = {name: value for name, value in variables.items() if value is not None}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=target, env=variables)
        text = process.stdout.read() if output is None else target.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.seconds += time.monotonic() - begin
        self.peak = max(self.peak, usage.ru_maxrss * 1024)
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))} ended with {process.returncode}")
        return text

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
