"""The tests' own promise: nothing they do reaches another machine."""

import socket

import pytest


def test_no_test_can_leave_this_machine():
    with socket.socket() as leaving, pytest.raises(AssertionError, match="leave this machine"):
        leaving.connect(("192.0.2.1", 80))


def test_loopback_is_home():
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as calling:
        calling.connect(listening.getsockname())
        assert calling.getpeername() == listening.getsockname()
