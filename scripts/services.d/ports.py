#!/usr/bin/python3
"""Prints as many free ports of loopback as it is asked for.

They lie below the range from which the kernel takes the ports of outgoing connections, so that nobody
is given one of them between this choice and the start of the server.
"""

import random
import socket
import sys

held = {}
while len(held) < int(sys.argv[1]):
    port = random.randrange(20000, 32000)
    one = socket.socket()
    try:
        one.bind(("127.0.0.1", port))
    except OSError:
        continue
    held.setdefault(port, one)
print(*held)
