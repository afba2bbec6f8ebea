#!/usr/bin/python3
"""Makes the rings of a one-device Swift and the key repositories of a Keystone.

`swift-ring-builder` and `keystone-manage` do the same in a dozen calls of a second each.
usage: prepare.py STATE ACCOUNT-PORT CONTAINER-PORT OBJECT-PORT
"""

import base64
import os
import sys

from swift.common.ring import RingBuilder

state, *ports = sys.argv[1:]

for name, port in zip(("account", "container", "object"), ports):
    builder = RingBuilder(part_power=6, replicas=1, min_part_hours=1)
    builder.add_dev({"id": 0, "region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "d1", "weight": 1.0})
    builder.rebalance()
    builder.get_ring().save(f"{state}/etc/{name}.ring.gz")

# Key 0 is the staged one, the highest is the primary.
for repository in ("fernet-keys", "credential-keys"):
    folder = f"{state}/keystone/{repository}"
    os.mkdir(folder, 0o700)
    for index in ("0", "1"):
        with open(os.open(f"{folder}/{index}", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as key:
            key.write(base64.urlsafe_b64encode(os.urandom(32)))
