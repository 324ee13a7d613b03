"""The listening socket, and when a shutdown stops waiting."""

import socket

from chatorch.entrypoints.process.listening import UNREAD_MS, Endpoint
from chatorch.entrypoints.process.server import server_config


def test_a_connection_whose_client_reads_nothing_is_broken_by_the_kernel():
    with Endpoint(port=0).open() as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNREAD_MS == 90_000


def test_what_is_open_after_our_own_drain_gets_a_second():
    assert server_config().timeout_graceful_shutdown == 1
