"""Ports for servers that a test starts."""

import random
import socket

_chance = random.SystemRandom()  # tests of random cases seed the other
BELOW_OUTGOING = range(12_000, 32_000)
"""The kernel gives its clients others (ip_local_port_range), so nobody connects from one before its server listens."""


def free_port() -> int:
    """One on which nothing listens."""
    while True:
        port = _chance.choice(BELOW_OUTGOING)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
