"""Runs one command and writes what it took: runner.py RESULT OUTPUT COMMAND...

A process of its own, as small as Python can be: Linux counts to a program's peak memory that of the process which
started it, so the driver with its data must not be that one.
"""

import os
import sys
import time

result, output, *command = sys.argv[1:]
actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)]
begin = time.monotonic()
process = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
_, status, usage = os.wait4(process, 0)
seconds = time.monotonic() - begin
with open(result, "w") as file:
    print(os.waitstatus_to_exitcode(status), seconds, usage.ru_maxrss * 1024, file=file)
